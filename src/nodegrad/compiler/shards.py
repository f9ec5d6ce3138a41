"""Send rows to other processes or machines in shards, through any concurrent.futures.Executor.

A shard travels as its numbers and a token that stands for the program. A worker that does not know the token
answers with its name. The program then travels with as many shards as there are such workers; a worker keeps
it from then on. An executor gives tasks to whichever worker it likes, so one of them may get a program twice
while another still lacks it: that one answers with its name again.
"""

import hashlib
import os
import pickle
import platform
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from nodegrad.compiler import backends
from nodegrad.compiler.arguments import Array
from nodegrad.compiler.passes import sweep_dead
from nodegrad.compiler.reduction import added

__all__ = ()

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
    numbers = trace.leaves.read()
    shards = [[block[start : start + size] for block in blocks] for start in range(0, count, size)]
    found: dict[int, Array] = {}
    carriers = 0  # how many shards bring the program with them
    while missing := [place for place in range(len(shards)) if place not in found]:
        futures = [
            executor.submit(run_shard, token, payload if n < carriers else None, how, shards[place], numbers)
            for n, place in enumerate(missing)
        ]
        answers = dict(zip(missing, [future.result() for future in futures], strict=True))
        without = {name for name in answers.values() if isinstance(name, str)}
        found |= {place: answer for place, answer in answers.items() if not isinstance(answer, str)}
        carriers = max(len(without), 2 * carriers)  # doubled, so that few rounds are enough
    results = [found[place] for place in range(len(shards))]
    return np.concatenate(results, axis=1) if how == "rows" else added(results)


def _packed(trace: Any, compiled: Any) -> tuple[str, bytes]:
    """Return the token and the pickled program of a trace."""
    payload = pickle.dumps((trace.program, trace.results, compiled.backend, compiled.exact))
    return hashlib.sha256(payload).hexdigest(), payload


def run_shard(
    token: str, payload: bytes | None, how: str, blocks: list[Array], numbers: Array
) -> Array | str:
    """Run one shard in a worker; return the worker's name if it does not have the program yet."""
    kernel = _known.get(token)
    if kernel is None:
        if payload is None:
            return _worker()
        kernel = _known[token] = _build(payload)
        for first in list(_known)[:-_KEPT]:
            _known.pop(first, None)
    found: Array = getattr(kernel, how)(blocks, len(blocks[0]), numbers)
    return found


def _worker() -> str:
    return f"{platform.node()} {os.getpid()}"


def _build(payload: bytes) -> Any:
    program, results, name, exact = pickle.loads(payload)
    program = sweep_dead(replace(program, outputs=program.outputs[:results]))
    name = backends.choose("auto") if name == "llvm" else name
    return backends.make(program, name=name, exact=exact, threads=1)
