"""Native code on this machine: its vectors, its vector functions, and kernels compiled once."""

import ctypes
import ctypes.util
from collections.abc import Callable
from functools import cache
from itertools import count
from threading import RLock
from typing import Any

import llvmlite.binding as llvm

from nodegrad.compiler.backends.llvm.ir import Body
from nodegrad.compiler.backends.llvm.spellings import VECTOR_FUNCTIONS
from nodegrad.compiler.spellings import FUNCTIONS

_ATTRIBUTES = """\
attributes #0 = { nounwind }
attributes #1 = { nobuiltin nounwind }
attributes #2 = { noinline nounwind }
"""
_kernels: dict[object, int] = {}
# A number is never given twice: what was interrupted may have left a function of that name in the engine.
_numbers = count()
lock = RLock()  # what a signal or the collector calls while a thread compiles may compile, too

Write = Callable[[Body], str]  # writes a kernel's body and returns its parameters


@cache
def width() -> int:
    """Return how many doubles a vector register of this machine holds."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 8
    return 4 if features.get("avx") else 2


@cache
def registers() -> int:
    """Return how many vector registers there are."""
    machine = llvm.get_process_triple().split("-")[0]
    return 32 if width() == 8 or machine.startswith(("aarch64", "arm64")) else 16


@cache
def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _find_vector_functions()
    features = llvm.get_host_cpu_features()
    if width() == 8:
        # Without this LLVM splits vectors of 8 in two on some processors.
        features["prefer-256-bit"] = False
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=features.flatten(), opt=2, codemodel="jitdefault"
    )


def _find_vector_functions() -> None:
    """Look for glibc's vector functions; elsewhere there are none, and each lane calls the C library.

    They are within 4 ulp, special values included, in every glibc that has them (2.35 and later).
    """
    try:
        llvm.load_library_permanently("libmvec.so.1")
    except RuntimeError:
        return
    letter = {8: "e", 4: "d", 2: "b"}[width()]
    for name, op in FUNCTIONS.items():
        symbol = f"_ZGV{letter}N{width()}{'v' * len(op.partials)}_{name}"
        if llvm.address_of_symbol(symbol) is not None:
            VECTOR_FUNCTIONS[name] = (symbol, width())


@cache
def _engine() -> Any:
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
    _add_missing_functions()
    return engine


def _add_missing_functions() -> None:
    """Give LLVM the C library's mathematics where the process does not export it (Windows)."""
    missing = [name for name in FUNCTIONS if llvm.address_of_symbol(name) is None]
    path = (ctypes.util.find_library("m") or ctypes.util.find_library("ucrtbase")) if missing else None
    library = ctypes.CDLL(path) if path else None
    for name in missing:
        if hasattr(library, name):
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            llvm.add_symbol(name, address)


def compile_kernels(wanted: dict[Any, tuple[Write, int]], exact: bool) -> dict[Any, int]:
    """Return the address of every wanted kernel; those seen before in this process are not compiled again.

    Args:
        wanted: for each key what writes the kernel's body, and its vector length.
        exact: whether products and sums must be rounded apart.
    """
    with lock:
        engine = _engine()
        full = {key: (key, lanes, exact) for key, (_, lanes) in wanted.items()}
        missing = [key for key in wanted if full[key] not in _kernels]
        if missing:
            texts: list[str] = []
            declarations: set[str] = set()
            names: dict[Any, str] = {}
            for key in missing:
                write, lanes = wanted[key]
                body = Body(lanes, exact)
                names[key] = f"kernel{next(_numbers)}"
                parameters = write(body)
                texts.append(body.text(names[key], parameters))
                declarations |= body.declarations
            _add(engine, "\n".join([*texts, *sorted(declarations), _ATTRIBUTES]))
            for key in missing:
                _kernels[full[key]] = engine.get_function_address(names[key])
        return {key: _kernels[full[key]] for key in wanted}


def _add(engine: Any, text: str) -> None:
    module = llvm.parse_assembly(text)
    module.verify()
    # The loops are written as they should run (vectors, tiles). What is left: variables into registers, tests
    # of loops at their ends, fewer jumps. LLVM's shortest pipeline takes ten times as long; none gets faster.
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_loop_rotate_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, llvm.create_pass_builder(_machine(), llvm.create_pipeline_tuning_options()))
    engine.add_module(module)
    engine.finalize_object()
