"""What was compiled, written to a file of readable JSON and read again: programs, never code."""

import hashlib
import json
import os
import pickle
from collections.abc import Sequence
from io import BytesIO
from math import prod
from typing import Any

import numpy as np

from nodegrad.compiler import backends
from nodegrad.compiler.program import MAX, MIN, Loop, Program, Result, check, loop, result
from nodegrad.compiler.trace import Trace
from nodegrad.files import load_json, save_json
from nodegrad.ops import TABLE, Op
from nodegrad.trees import LEAF, Spec
from nodegrad.value import Value

__all__ = ()

OPTIONS = ("backend", "exact", "max_traces", "threads")

_KIND, _VERSION = "nodegrad compiled function", 4
_OPS = {**TABLE, **{op.name: op for op in (MAX, MIN)}}
_CONTAINERS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "dict": dict,
    "array": np.ndarray,
}
_NAMES = {kind: name for name, kind in _CONTAINERS.items()}


def save(path: str | os.PathLike[str], state: dict[str, Any]) -> None:
    """Write a compiled function: its traces, and the numbers that the Values it closes over hold now.

    Raises:
        ValueError: if it was called with keyword-only or static arguments, or something is Python code.
        OSError: if the file cannot be written.
    """
    if any(form is not None for _, form, _ in state["traces"]):
        raise ValueError(
            f"save: {state['__name__']} was called with keyword-only or static arguments, but a file holds "
            "functions of numbers by position. Fix these arguments in a function of the others, and compile "
            "that: compile(lambda x: f(x, n=3))."
        )
    content = {
        "name": state["__name__"],
        "options": {name: state[name] for name in OPTIONS},
        "ways": [
            {"arguments": _written_spec(spec), "traces": list(map(_written_trace, traces))}
            for spec, traces in state["traces"].items()
        ],
    }
    save_json(path, _KIND, _VERSION, content)
    for traces in state["traces"].values():
        for trace in traces:
            if trace.example:
                trace.call(trace.example)  # makes the code for calls of a way that ran eagerly so far
            trace.keep(_key(_written(trace.program)))


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the state of a compiled function that was saved; no backend is chosen yet.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is damaged, or something else.
    """
    content = load_json(path, "load_compiled", _KIND, _VERSION)
    try:
        options = {key: content["options"][key] for key in OPTIONS}
        _require(options["backend"] in backends.NAMES and type(options["exact"]) is bool, "unknown options")
        _require(options["threads"] is None or _whole(options["threads"]), "threads")
        _require(_whole(options["max_traces"]), "max_traces")
        traces: dict[Spec, list[Trace]] = {}
        for each in content["ways"]:
            spec = _read_spec(each["arguments"])
            _require(spec not in traces and spec[0] is tuple, "arguments")
            traces[spec] = [_read_trace(trace, _leaves(spec)) for trace in each["traces"]]
            _require(traces[spec], "no way through the function")
        _require(traces, "no arguments")
        name = str(content["name"])
        return {"f": None, "__name__": name, "_signature": None, "static": (), "traces": traces, **options}
    except Exception as error:  # content that does not fit together may lead to any
        raise ValueError(f"load_compiled: {path} holds no function that can be run: {error!r}.") from error


def travels(f: Any, leaves: Sequence[Value]) -> bool:
    """Return whether a function can be pickled and these leaves go with it.

    A function that is pickled by name finds other leaves where it is unpickled, or the same ones with other
    numbers by then: what it records there would not fit what was recorded here.
    """
    finder = _Finder(BytesIO())
    try:
        finder.dump(f)
    except Exception:
        return False
    return finder.found.issuperset(leaves)


class _Finder(pickle.Pickler):
    """Notes the Values that are pickled with something."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file)
        self.found: set[Value] = set()

    def persistent_id(self, thing: Any) -> None:
        """Hear of everything that is pickled."""
        if isinstance(thing, Value):
            self.found.add(thing)


# Traces.


def _key(program: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(program).encode()).hexdigest()


def _written_trace(trace: Trace) -> dict[str, Any]:
    return {
        "program": _written(trace.program),
        "closed_over": [leaf._data.hex() for leaf in trace.parameters],
        "results": _written_spec(trace.spec),
        "result_count": trace.results,
        "branches": [[answer, line] for answer, line in trace.way],
        "operations": trace.operations,
    }


def _read_trace(content: dict[str, Any], inputs: int) -> Trace:
    _require(content["program"]["inputs"] == inputs, "not an input for each number of the arguments")
    program = check(_read(content["program"]))
    leaves = [Value(float.fromhex(number)) for number in content["closed_over"]]
    way = tuple([(answer, str(line)) for answer, line in content["branches"]])
    _require(all(type(answer) is bool for answer, _ in way), "the answer of a branch")
    _require(len(leaves) == program.parameters, "not a number for each Value closed over")
    trace = Trace(program, leaves, _read_spec(content["results"]), way, _whole(content["operations"]))
    trace.key = _key(content["program"])
    _require(_whole(content["result_count"]) == trace.results, "not an output for each result and branch")
    _require(_leaves(trace.spec) == trace.results, "results of another structure")
    return trace


# Programs: operations by name, constants to the bit.


def _written(program: Program) -> dict[str, Any]:
    return {
        "inputs": program.inputs,
        "parameters": program.parameters,
        "constants": [float(number).hex() for number in program.constants],
        "instructions": [[_written_op(op), *operands] for _, op, operands in program.instructions],
        "outputs": list(program.outputs),
    }


def _written_op(op: Op) -> Any:
    if isinstance(op, Loop):
        condition = None if op.condition is None else _written(op.condition)
        sizes = [op.state, op.given, op.items, op.turns, op.limit]
        return {"while": condition, "do": _written(op.body), "loop": sizes}
    if isinstance(op, Result):
        return op.index
    if _OPS.get(op.name) is not op:
        raise ValueError(
            f"save: the operation {op.name} is Python code, which is not saved. Write it with nodegrad's "
            "operations, or pickle the compiled function."
        )
    return op.name


def _read(content: dict[str, Any]) -> Program:
    instructions = content["instructions"]
    return Program(
        _whole(content["inputs"]),
        _whole(content["parameters"]),
        list(map(float.fromhex, content["constants"])),
        [_read_op(op, len(operands)) for op, *operands in instructions],
        [tuple(map(_slot, operands)) for _, *operands in instructions],
        list(map(_slot, content["outputs"])),
    )


def _read_op(content: Any, operands: int) -> Op:
    if isinstance(content, dict):
        return _read_loop(content, operands)
    return result(_whole(content)) if isinstance(content, int) else _OPS[content]


def _read_loop(content: dict[str, Any], operands: int) -> Op:
    """Read a loop. Its sizes must agree before anything of such a size is made."""
    state, given, items, turns, limit = content["loop"]
    for each in (state, given, items, *(each for each in (turns, limit) if each is not None)):
        _whole(each)
    parts = [part for part in (content["while"], content["do"]) if part is not None]
    taken = operands - items * ((turns or 0) - 1)
    _require(all(part["inputs"] == taken and part["parameters"] == 0 for part in parts), "operands of a loop")
    _require(state + items <= taken, "a loop whose turn takes too few numbers")
    condition, body = content["while"] and check(_read(content["while"])), check(_read(content["do"]))
    _require(len(body.outputs) == state + given, "a loop whose turn returns other numbers")
    return loop(condition, body, state, items, turns, limit)


# Structures of arguments and results.


def _written_spec(spec: Spec) -> Any:
    if spec == LEAF:
        return LEAF
    kind, form, entries = spec
    if kind not in _NAMES or (kind is dict and any(found not in (str, int) for _, found in form)):
        raise ValueError(
            f"save: arguments and results of type {kind.__name__} are not saved. Use numbers in lists, "
            "tuples, dicts and arrays."
        )
    form = [key for key, _ in form] if kind is dict else form
    return [_NAMES[kind], form, list(map(_written_spec, entries))]


def _read_spec(content: Any) -> Spec:
    if content == LEAF:
        return LEAF
    name, form, entries = content
    kind = _CONTAINERS[name]
    _require(type(entries) is list, "the entries of a container")
    if kind is dict:
        _require(len(form) == len(entries) and all(type(key) in (str, int) for key in form), "keys of a dict")
        form = tuple([(key, type(key)) for key in form])
    elif kind is np.ndarray:
        form = tuple(map(_whole, form))
        _require(not entries, "the entries of an array")
    else:
        _require(form is None, "the form of a list or a tuple")
    return kind, form, tuple(map(_read_spec, entries))


def _leaves(spec: Spec) -> int:
    if spec == LEAF:
        return 1
    kind, form, entries = spec
    return prod(form) if kind is np.ndarray else sum(map(_leaves, entries))


def _whole(number: Any) -> int:
    _require(type(number) is int and number >= 0, f"{number!r} where a whole number belongs")
    return int(number)


def _slot(number: Any) -> int:
    _require(type(number) is int, f"{number!r} where a slot belongs")
    return int(number)


def _require(condition: Any, what: str) -> None:
    if not condition:
        raise ValueError(what)
