"""How each operation is spelled in LLVM IR, lane by lane, over the same floats as the table."""

import ctypes
import math
from collections.abc import Callable, Sequence
from threading import get_ident

from nodegrad import ops
from nodegrad.compiler.backends.llvm import exponentials
from nodegrad.compiler.backends.llvm.ir import Body, Name
from nodegrad.compiler.vectorize import COPY
from nodegrad.ops import Op

Spelling = Callable[..., Name]

# Vector functions by scalar name: (symbol, lanes it takes). Filled by `native` for the machine at hand.
VECTOR_FUNCTIONS: dict[str, tuple[str, int]] = {}

_callbacks: dict[Op, tuple[str, object]] = {}
_raised: dict[int, BaseException] = {}  # by thread: what a callback raised, for native code cannot pass it on


def spell(body: Body, op: Op, operands: list[Name]) -> Name:
    """Write the instructions of one operation and return the name of its result."""
    spelling = SPELLINGS.get(op)
    return spelling(body, *operands) if spelling else call_back(body, op, operands)


def _arithmetic(instruction: str) -> Spelling:
    return lambda body, *operands: body.arithmetic(instruction, *operands)


def _intrinsic(name: str) -> Spelling:
    return lambda body, *operands: body.intrinsic(name, *operands)


def _comparison(predicate: str) -> Spelling:
    return lambda body, x, y: body.choose(body.compare(predicate, x, y), body.number(1.0), body.number(0.0))


def _function(name: str) -> Spelling:
    return lambda body, *operands: call(body, name, *operands)


def call(body: Body, name: str, *operands: Name) -> Name:
    """Call a function of the C library: its vector version if there is one and results need not be exact."""
    found = None if body.exact else VECTOR_FUNCTIONS.get(name)
    if found is not None and body.lanes % found[1] == 0:
        return _call_vector(body, *found, operands)
    body.declarations.add(f"declare double @{name}({', '.join(['double'] * len(operands))}) #0")
    return _by_lane(body, f"@{name}", name, operands)


def _call_vector(body: Body, symbol: str, width: int, operands: tuple[Name, ...]) -> Name:
    part = f"<{width} x double>"
    body.declarations.add(f"declare {part} @{symbol}({', '.join([part] * len(operands))}) #0")
    pieces = []
    for start in range(0, body.lanes, width):
        lanes = ", ".join(f"i32 {start + lane}" for lane in range(width))
        parts = [
            body.let(f"shufflevector {body.vector} {x}, {body.vector} poison, <{width} x i32> <{lanes}>")
            for x in operands
        ]
        pieces.append(body.let(f"call {part} @{symbol}({', '.join(f'{part} {x}' for x in parts)})"))
    while len(pieces) > 1:
        width *= 2
        lanes = ", ".join(f"i32 {lane}" for lane in range(width))
        half = f"<{width // 2} x double>"
        pieces = [
            body.let(f"shufflevector {half} {x}, {half} {y}, <{width} x i32> <{lanes}>")
            for x, y in zip(pieces[::2], pieces[1::2], strict=True)
        ]
    return pieces[0]


def _by_lane(body: Body, target: str, stem: str, operands: Sequence[Name]) -> Name:
    """Call a function over doubles for every lane, in a loop that all its users in a module share."""
    if body.lanes == 1:
        scalars = [body.let(f"extractelement {body.vector} {x}, i32 0") for x in operands]
        result = body.let(f"call double {target}({', '.join(f'double {x}' for x in scalars)}) #1")
        return body.let(f"insertelement {body.vector} poison, double {result}, i32 0")
    symbol = f"@each_{stem}_{body.lanes}"
    body.declarations.add(_lane_loop(body, target, symbol, len(operands)))
    return body.let(f"call {body.vector} {symbol}({', '.join(f'{body.vector} {x}' for x in operands)})")


def _lane_loop(outside: Body, target: str, symbol: str, arity: int) -> str:
    """Return a function over vectors that calls a function over doubles lane by lane."""
    body = Body(outside.lanes, outside.exact)
    places = [body.variable(body.vector, f"%x{number}") for number in range(arity)]
    with body.loop(str(body.lanes)) as lane:
        addresses = [body.let(f"getelementptr double, ptr {place}, i64 {lane}") for place in places]
        scalars = ", ".join(f"double {body.let(f'load double, ptr {address}')}" for address in addresses)
        # nobuiltin: LLVM must not turn one function into another, such as pow(2, x) into exp2(x).
        body.do(f"store double {body.let(f'call double {target}({scalars}) #1')}, ptr {addresses[0]}")
    result = body.let(f"load {body.vector}, ptr {places[0]}")
    parameters = ", ".join(f"{body.vector} %x{number}" for number in range(arity))
    head = f"define internal {body.vector} {symbol}({parameters}) #2 {{"
    return "\n".join([head, *body.stack, *body.lines, f"  ret {body.vector} {result}", "}"])


def call_back(body: Body, op: Op, operands: list[Name]) -> Name:
    """Call an operation that has no spelling back in Python, number by number."""
    if op not in _callbacks:
        kind = ctypes.CFUNCTYPE(ctypes.c_double, *[ctypes.c_double] * len(operands))
        function = kind(_held(op.value))
        _callbacks[op] = (str(ctypes.cast(function, ctypes.c_void_p).value), function)
    address = _callbacks[op][0]
    return _by_lane(body, f"inttoptr (i64 {address} to ptr)", address, operands)


def _held(value: Callable[..., float]) -> Callable[..., float]:
    def function(*operands: float) -> float:
        try:
            return value(*operands)
        except BaseException as error:
            _raised.setdefault(get_ident(), error)
            return math.nan

    return function


def raise_held() -> None:
    """Raise what an operation called back by this thread has raised, if one has."""
    if _raised:
        error = _raised.pop(get_ident(), None)
        if error is not None:
            raise error


def _sign(body: Body, x: Name) -> Name:
    zero = body.number(0.0)
    negative = body.choose(body.compare("olt", x, zero), body.number(-1.0), x)
    return body.choose(body.compare("ogt", x, zero), body.number(1.0), negative)


def _mod(body: Body, x: Name, y: Name) -> Name:
    """Take the remainder with the sign of y, as Python does."""
    zero = body.number(0.0)
    rest = call(body, "fmod", x, y)
    signs = body.let(f"xor {body.mask} {body.compare('olt', y, zero)}, {body.compare('olt', rest, zero)}")
    differ = body.let(f"and {body.mask} {signs}, {body.compare('une', rest, zero)}")
    moved = body.choose(differ, body.arithmetic("fadd", rest, y), rest)
    return body.choose(body.compare("oeq", rest, zero), body.intrinsic("copysign", zero, y), moved)


def _pow(body: Body, x: Name, y: Name) -> Name:
    square = body.arithmetic("fmul", x, x)
    return body.choose(body.compare("oeq", y, body.number(2.0)), square, call(body, "pow", x, y))


def _small_exponential(body: Body, x: Name) -> Name:
    return call(body, "exp", body.let(f"fneg {body.vector} {body.intrinsic('fabs', x)}"))


def _sigmoid(body: Body, x: Name) -> Name:
    if not body.exact:
        return exponentials.sigmoid(body, x)
    one, small = body.number(1.0), _small_exponential(body, x)
    above = body.choose(body.compare("oge", x, body.number(0.0)), one, small)
    return body.arithmetic("fdiv", above, body.arithmetic("fadd", one, small))


def _softplus(body: Body, x: Name) -> Name:
    tail = call(body, "log1p", _small_exponential(body, x))
    return body.choose(body.compare("ogt", x, body.number(0.0)), body.arithmetic("fadd", x, tail), tail)


def _tanh(body: Body, x: Name) -> Name:
    return call(body, "tanh", x) if body.exact else exponentials.tanh(body, x)


def _relu(body: Body, x: Name) -> Name:
    return body.choose(body.compare("ole", x, body.number(0.0)), body.number(0.0), x)


def _step(body: Body, x: Name) -> Name:
    below = body.choose(body.compare("uno", x, x), x, body.number(0.0))
    return body.choose(body.compare("ogt", x, body.number(0.0)), body.number(1.0), below)


def _extremum(predicate: str) -> Spelling:
    def spelling(body: Body, x: Name, y: Name) -> Name:
        nan, better = body.compare("uno", x, x), body.compare(predicate, x, y)
        return body.choose(body.let(f"or {body.mask} {nan}, {better}"), x, y)

    return spelling


def _where(body: Body, condition: Name, x: Name, y: Name) -> Name:
    return body.choose(body.compare("une", condition, body.number(0.0)), x, y)


def strong_mul(body: Body, adjoint: Name, partial: Name) -> Name:
    """Multiply; 0 where the adjoint is 0."""
    product = body.arithmetic("fmul", adjoint, partial)
    return body.choose(body.compare("une", adjoint, body.number(0.0)), product, body.number(0.0))


def _strong_factor(body: Body, adjoint: Name, partial: Name) -> Name:
    finite = body.compare("olt", body.intrinsic("fabs", partial), body.number(math.inf))
    keep = body.let(f"or {body.mask} {finite}, {body.compare('une', adjoint, body.number(0.0))}")
    return body.choose(keep, partial, body.number(0.0))


SPELLINGS: dict[Op, Spelling] = {
    ops.add: _arithmetic("fadd"),
    ops.sub: _arithmetic("fsub"),
    ops.mul: _arithmetic("fmul"),
    ops.div: _arithmetic("fdiv"),
    ops.neg: lambda body, x: body.let(f"fneg {body.vector} {x}"),
    ops.abs: _intrinsic("fabs"),
    ops.sign: _sign,
    ops.floor: _intrinsic("floor"),
    ops.ceil: _intrinsic("ceil"),
    ops.round: _intrinsic("roundeven"),
    ops.trunc: _intrinsic("trunc"),
    ops.mod: _mod,
    ops.sqrt: _intrinsic("sqrt"),
    ops.square: lambda body, x: body.arithmetic("fmul", x, x),
    ops.reciprocal: lambda body, x: body.arithmetic("fdiv", body.number(1.0), x),
    ops.pow: _pow,
    ops.sigmoid: _sigmoid,
    ops.softplus: _softplus,
    ops.relu: _relu,
    ops.step: _step,
    ops.maximum: _extremum("oge"),
    ops.minimum: _extremum("ole"),
    ops.where: _where,
    ops.copysign: _intrinsic("copysign"),
    ops.lt: _comparison("olt"),
    ops.le: _comparison("ole"),
    ops.gt: _comparison("ogt"),
    ops.ge: _comparison("oge"),
    ops.eq: _comparison("oeq"),
    ops.ne: _comparison("une"),
    ops.identity: lambda body, x: x,
    ops.stop_gradient: lambda body, x: x,
    COPY: lambda body, x: x,
    ops.strong_mul: strong_mul,
    ops.strong_factor: _strong_factor,
}

# Functions of the C library under their own names.
# fmt: off
_NAMES = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "sin", "cos", "tan", "asin", "acos",
    "atan", "atan2", "hypot", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc",
)
# fmt: on
FUNCTIONS = {name: ops.TABLE[name] for name in _NAMES}
SPELLINGS |= {op: _function(name) for name, op in FUNCTIONS.items()}
SPELLINGS[ops.tanh] = _tanh

# Operations of many instructions: in a contraction, they would be written anew for every result of its tile,
# and a call would spill the tile's registers.
LONG = {*FUNCTIONS.values(), ops.mod, ops.pow, ops.sigmoid, ops.softplus}
