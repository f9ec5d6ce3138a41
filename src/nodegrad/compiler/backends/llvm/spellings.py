"""How each operation is written in LLVM IR, lane by lane: the table of spellings, and calls of functions."""

import ctypes
import math
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any

from nodegrad import ops
from nodegrad.compiler.backends.llvm import exponentials
from nodegrad.compiler.backends.llvm.ir import Body, Name
from nodegrad.compiler.spellings import ROWS, SPELLINGS, Spelling
from nodegrad.inputs import endless
from nodegrad.ops import COMPARISONS, Op, give_operators

__all__ = ()

# Vector functions by scalar name: (symbol, lanes it takes). Filled by `native` for the machine at hand.
VECTOR_FUNCTIONS: dict[str, tuple[str, int]] = {}

# Written without a call, within 3 ulp.
_INLINE = {ops.tanh: exponentials.tanh, ops.sigmoid: exponentials.sigmoid}

RAISED: dict[int, BaseException] = {}  # by thread: the error of a callback, see `hold`


def spell(body: Body, op: Op, operands: Sequence[Name]) -> Name:
    """Write the instructions of one operation and return the name of its result."""
    row = SPELLINGS.get(op)
    if row is None:
        return call_back(body, op, operands)
    if op in _INLINE and not body.exact:
        return _INLINE[op](body, *operands)
    if row.formula is None:
        return _direct(body, row, *operands)
    return _name(body, row.formula(ROWS, *map(Lanes, operands)))


def _direct(body: Body, row: Spelling, *operands: Name) -> Name:
    """Write the instruction, the comparison, the intrinsic or the call that an operation is."""
    kind, _, name = row.llvm.partition(" ")
    if kind == "fcmp":
        return body.choose(body.compare(name, *operands), body.number(1.0), body.number(0.0))
    kind, _, name = row.llvm.partition(".")
    if name:
        return body.intrinsic(name, *operands)
    return body.arithmetic(kind, *operands) if kind else call(body, row.c, *operands)


def _name(body: Body, operand: Any) -> Name:
    return operand.name if isinstance(operand, Lanes) else body.number(operand)


def _logic(instruction: str) -> Callable[..., "Lanes"]:
    return lambda x, y: Lanes(x.body.let(f"{instruction} {x.body.mask} {x.name}, {y.name}"))


class Lanes:
    """A vector of numbers, or a mask, in IR: the operands of formulas."""

    def __init__(self, name: Name) -> None:
        self.body, self.name = name.body, name

    @staticmethod
    def apply_op(op: Op, operands: Sequence[Any]) -> "Lanes":
        """Write an operation without its formula; a comparison gives a mask."""
        (body, *_) = [x.body for x in operands if isinstance(x, Lanes)]
        row, names = SPELLINGS[op], [_name(body, x) for x in operands]
        if op in COMPARISONS:
            return Lanes(body.compare(row.llvm.removeprefix("fcmp "), *names))
        return Lanes(_direct(body, row, *names))

    def where(self, x: Any, y: Any) -> "Lanes":
        """Choose lane by lane."""
        return Lanes(self.body.choose(self.name, _name(self.body, x), _name(self.body, y)))

    __or__, __and__, __xor__ = map(_logic, ("or", "and", "xor"))


give_operators(Lanes, *COMPARISONS, ops.neg)


def call(body: Body, name: str, *operands: Name) -> Name:
    """Call a function of the C library: its vector version if there is one and results need not be exact."""
    found = None if body.exact else VECTOR_FUNCTIONS.get(name)
    if found is not None and body.lanes in (found[1], 2 * found[1]):
        return _call_vector(body, *found, operands)
    body.declarations.add(f"declare double @{name}({', '.join(['double'] * len(operands))}) #0")
    return _by_lane(body, f"@{name}", operands)


def _call_vector(body: Body, symbol: str, width: int, operands: tuple[Name, ...]) -> Name:
    part = f"<{width} x double>"
    body.declarations.add(f"declare {part} @{symbol}({', '.join([part] * len(operands))}) #0")
    pieces = []
    for start in range(0, body.lanes, width):
        own = range(start, start + width)
        parts = [body.shuffle(x, body.name("poison"), body.lanes, own) for x in operands]
        pieces.append(body.let(f"call {part} @{symbol}({', '.join(f'{part} {x}' for x in parts)})"))
    return pieces[0] if len(pieces) == 1 else body.shuffle(pieces[0], pieces[1], width, range(body.lanes))


def _by_lane(body: Body, target: str, operands: Sequence[Name]) -> Name:
    """Call a function over doubles for every lane."""
    found = body.name("poison")
    for lane in range(body.lanes):
        numbers = ", ".join(f"double {body.lane(body.vector, x, lane)}" for x in operands)
        # nobuiltin: LLVM must not turn one function into another, such as pow(2, x) into exp2(x).
        found = body.with_lane(found, body.let(f"call double {target}({numbers}) #1"), lane)
    return found


def call_back(body: Body, op: Op, operands: Sequence[Name]) -> Name:
    """Call an operation that has no spelling back in Python, number by number."""
    if op not in body.callbacks:
        kind = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * len(operands))
        body.callbacks[op] = kind(_held(op.value))
    address = str(ctypes.cast(body.callbacks[op], ctypes.c_void_p).value)
    return _by_lane(body, f"inttoptr (i64 {address} to ptr)", operands)


def _held(value: Callable[..., float]) -> Callable[..., float]:
    def function(*operands: float) -> float:
        try:
            return value(*operands)
        except BaseException as error:
            hold(error)
            return math.nan

    return function


def hold(error: BaseException) -> None:
    """Keep an error of this thread in a function that native code called: native code cannot pass it on."""
    RAISED.setdefault(get_ident(), error)


ENDLESS = "nodegrad_endless"  # the symbol of the function that a loop calls past its limit of turns
call_endless = ctypes.CFUNCTYPE(None, ctypes.c_longlong)(lambda limit: hold(endless(limit)))


def raise_held() -> None:
    """Raise the error that `hold` kept for this thread, if there is one."""
    if RAISED:
        error = RAISED.pop(get_ident(), None)
        if error is not None:
            raise error


# Operations of many instructions. A contraction would repeat them for every result of its tile, and a call
# would spill the tile's registers.
LONG = {op for op, row in SPELLINGS.items() if row.calls}
