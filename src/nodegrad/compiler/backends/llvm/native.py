"""Native code on this machine: its vectors and vector functions, and kernels, freed with their last user."""

import ctypes
import math
import mmap
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from weakref import WeakSet, WeakValueDictionary, finalize

import llvmlite.binding as llvm

from nodegrad.compiler.backends.llvm import kept
from nodegrad.compiler.backends.llvm.ir import Body
from nodegrad.compiler.backends.llvm.spellings import ENDLESS, VECTOR_FUNCTIONS, call_endless
from nodegrad.compiler.backends.llvm.threads import in_llvm_thread, later
from nodegrad.compiler.spellings import FUNCTIONS

__all__ = ()

_ATTRIBUTES = """\
attributes #0 = { nounwind }
attributes #1 = { nobuiltin nounwind }
attributes #2 = { noinline optnone }
"""

Wanted = list[tuple[Any, int]]  # what writes kernels, each with its vector length


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Kernel:
    """A native function and the memory it needs. Its address is valid as long as this object exists."""

    address: int
    engine: "_Engine"
    callbacks: dict[Any, Any]

    def function(self, kind: Any) -> Any:
        """Return a function of a ctypes prototype that keeps the kernel."""
        made = kind(self.address)
        made.kernel = self
        return made


class _Engine:
    """What all kernels of an engine of LLVM refer to. The engine is freed with it."""


# A kernel lives as long as there is a reference to it, and an engine as long as one of its kernels.
_kernels: WeakValueDictionary[object, Kernel] = WeakValueDictionary()
_engines: WeakSet[_Engine] = WeakSet()


@cache
@in_llvm_thread
def width() -> int:
    """Return how many doubles a vector register of this machine holds."""
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 8
    return 4 if features.get("avx") else 2


@cache
def _machine() -> Any:
    """Return what compiles for this machine, after the first preparations."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    _find_vector_functions()
    _add_missing_functions()
    llvm.add_symbol(ENDLESS, ctypes.cast(call_endless, ctypes.c_void_p).value)
    return _target()[0].create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_features(), opt=1, codemodel="jitdefault", jit=True
    )


@cache
def _target() -> tuple[Any, Any]:
    """Return this machine as LLVM knows it, and an empty module, which engines begin with."""
    return llvm.Target.from_triple(llvm.get_process_triple()), llvm.parse_assembly("")


@cache
def _features() -> str:
    features = llvm.get_host_cpu_features()
    if width() == 8:
        # Without this LLVM splits vectors of 8 in two on some processors.
        features["prefer-256-bit"] = False
    return str(features.flatten())


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


def _add_missing_functions() -> None:
    """Give LLVM the C library's mathematics where the process does not export it (Windows)."""
    missing = [name for name in FUNCTIONS if llvm.address_of_symbol(name) is None]
    if not missing:
        return
    from ctypes.util import find_library  # which takes longer to load than all of this module

    path = find_library("m") or find_library("ucrtbase")
    library = ctypes.CDLL(path) if path else None
    for name in missing:
        if hasattr(library, name):
            address = ctypes.cast(getattr(library, name), ctypes.c_void_p).value
            llvm.add_symbol(name, address)


@cache
@in_llvm_thread
def machine() -> str | None:
    """Prepare LLVM. Return as text what machine code depends on: processor, LLVM, the functions it calls.

    Return None if memory may not become executable.
    """
    try:
        llvm.check_jit_execution()
    except OSError:  # SELinux, prctl(PR_SET_MDWE)
        return None
    _machine()
    processor = llvm.get_process_triple(), llvm.get_host_cpu_name(), _features()
    return repr((processor, llvm.llvm_version_info, sorted(VECTOR_FUNCTIONS.items())))


def refusal() -> str | None:
    """Return why no more native code can be loaded into this process; None if it can."""
    if machine() is None or not _memory_may_become_executable():
        return "memory may not become executable in this process"
    if len(_engines) >= _most_engines():
        return f"{len(_engines):,} compiled programs are in use, and more would exhaust the memory mappings"
    return None


def _memory_may_become_executable() -> bool:
    """Ask the system, each time: a process may forbid this to itself. It takes 9 µs and no LLVM thread."""
    if sys.platform != "linux":
        return True
    try:
        mmap.mmap(-1, 1, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


@cache
def _most_engines() -> float:
    try:
        mappings = int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        return math.inf
    return mappings // 3  # each takes two, and the process needs some


def compile_kernels(wanted: Wanted, exact: bool) -> list[Kernel]:
    """Return every wanted kernel; those that someone uses in this process are not compiled again.

    Args:
        wanted: pairs of what writes a kernel's body and returns its parameters, and a vector length.
        exact: whether products and sums must be rounded apart.
    """
    found = {each: _kernels.get((each, exact)) for each in wanted}
    missing = [each for each, kernel in found.items() if kernel is None]
    if missing:
        for each, kernel in zip(missing, load_kernels(*machine_code(missing, exact)), strict=True):
            found[each] = _kernels[each, exact] = kernel
    return [cast(Kernel, found[each]) for each in wanted]


@in_llvm_thread
def machine_code(wanted: Wanted, exact: bool) -> tuple[bytes, list[dict[Any, Any]]]:
    """Return an object file that holds kernels, and the functions of Python that each calls."""
    bodies = [Body(lanes, exact) for _, lanes in wanted]
    texts = [
        body.text(f"kernel{number}", each(body))
        for number, (body, (each, _)) in enumerate(zip(bodies, wanted, strict=True))
    ]
    declarations = sorted(set().union(*[body.declarations for body in bodies]))
    lean = any(lanes > 1 for _, lanes in wanted)
    text, callbacks = "\n".join([*texts, *declarations, _ATTRIBUTES]), [body.callbacks for body in bodies]
    key = f"{machine()} {lean}\n{text}"
    code = kept.read(key)
    if code is None:
        code = _assembled(text, lean)
        if not any(callbacks):  # their addresses stand in the text
            kept.write(key, code)
    return code, callbacks


@in_llvm_thread
def load_kernels(code: bytes, callbacks: Sequence[dict[Any, Any]]) -> list[Kernel]:
    """Load an object file that `machine_code` made.

    Each file gets an engine of its own, because an engine can be freed; LLVM's newer interface keeps 10 kB of
    each library that is removed. An engine that gets machine code takes 75 kB; with IR it would take 390.

    Raises:
        OSError: if memory may no longer become executable. LLVM itself would end the process.
    """
    llvm.check_jit_execution()
    target, empty = _target()
    engine = llvm.create_mcjit_compiler(empty, target.create_target_machine(jit=True))
    engine.remove_module(empty)  # it would be compiled, which takes half a millisecond
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    token = _Engine()
    _engines.add(token)
    finalize(token, later, engine.close).atexit = False  # a finalizer must not wait
    return [
        Kernel(engine.get_function_address(f"kernel{number}"), token, each)
        for number, each in enumerate(callbacks)
    ]


def _assembled(text: str, lean: bool) -> bytes:
    """Compile IR to machine code, without LLVM's optimization passes.

    The loops are written as they should run (vectors, tiles, addresses). LLVM's search for cheaper addresses
    takes two fifths of its time. It makes loops over single numbers 5 % faster, but not loops over lanes: if
    `lean`, it is left out.
    """
    # The global context never forgets a type or a constant; this one is freed with its module.
    with llvm.create_context() as context, llvm.parse_assembly(text, context) as module:
        module.verify()
        if lean:
            llvm.set_option("", "-disable-lsr=true")  # one switch for the process, and 0.1 ms to turn
        try:
            return cast(bytes, _machine().emit_object(module))
        finally:
            if lean:
                llvm.set_option("", "-disable-lsr=false")
