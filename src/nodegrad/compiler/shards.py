"""Send rows to other processes or machines in shards, through any concurrent.futures.Executor.

A shard travels as its numbers and a token that stands for the program. A worker that does not know the token
says so, and gets the program once. It keeps the compiled program from then on.
"""

import hashlib
import pickle
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from nodegrad.compiler import backends
from nodegrad.compiler.arguments import Array
from nodegrad.compiler.passes import sweep_dead
from nodegrad.compiler.reduction import added

_SMALLEST = 64  # rows
_KEPT = 64  # programs in a worker; then the oldest is dropped
_known: dict[str, Any] = {}
_shipped: WeakKeyDictionary[Any, tuple[str, bytes]] = WeakKeyDictionary()  # by trace


def map_shards(
    executor: Any, compiled: Any, most: int, trace: Any, how: str, blocks: list[Array], count: int
) -> Array:
    """Run a trace's "rows" or "sums" over at most so many shards of rows on an executor, in order."""
    token, payload = _shipped.get(trace) or _shipped.setdefault(trace, _packed(trace, compiled))
    size = max(_SMALLEST, -(-count // most))
    numbers = trace.numbers()
    shards = [[block[start : start + size] for block in blocks] for start in range(0, count, size)]
    futures = [executor.submit(run_shard, token, None, how, shard, numbers) for shard in shards]
    results = [future.result() for future in futures]
    again = {
        place: executor.submit(run_shard, token, payload, how, shards[place], numbers)
        for place, found in enumerate(results)
        if found is None  # from a worker without the program
    }
    for place, future in again.items():
        results[place] = future.result()
    return np.concatenate(results, axis=1) if how == "rows" else added(results)


def _packed(trace: Any, compiled: Any) -> tuple[str, bytes]:
    """Return the token and the pickled program of a trace."""
    payload = pickle.dumps((trace.program, trace.results, compiled.backend, compiled.exact))
    return hashlib.sha256(payload).hexdigest(), payload


def run_shard(
    token: str, payload: bytes | None, how: str, blocks: list[Array], numbers: Array
) -> Array | None:
    """Run one shard in a worker; None if the worker does not have the program yet."""
    kernel = _known.get(token)
    if kernel is None:
        if payload is None:
            return None
        kernel = _known[token] = _build(payload)
        for first in list(_known)[:-_KEPT]:
            _known.pop(first, None)
    found: Array = getattr(kernel, how)(blocks, len(blocks[0]), numbers)
    return found


def _build(payload: bytes) -> Any:
    program, results, name, exact = pickle.loads(payload)
    program = sweep_dead(replace(program, outputs=program.outputs[:results]))
    name = backends.choose("auto") if name == "llvm" else name
    return backends.make(program, name=name, exact=exact, threads=1)
