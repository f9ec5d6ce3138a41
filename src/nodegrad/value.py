"""Value: a number that remembers which operation made it from which operands.

The file is long because every way to make a Value is here, and each of them is written out for speed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from math import copysign
from typing import TYPE_CHECKING, Any, cast

from nodegrad import floats, ops, special
from nodegrad.backward import backpropagate
from nodegrad.forks import sweeping
from nodegrad.graph import GIVEN, check_unchanged, clock
from nodegrad.inputs import plain
from nodegrad.interfaces import METHODS, Interfaces, refusal
from nodegrad.observers import listeners, tell_made, tell_read
from nodegrad.ops import COMPARISONS, Op, constant, give_operators, wrong_arity

__all__ = ["Value"]

if TYPE_CHECKING:  # the methods below that are made from the table, for type checkers
    from nodegrad.methods import Methods
else:
    Methods = object

_new: Any = object.__new__

# The gradient of a Value that no sweep has reached, or whose gradient was set to None. Optimizers compare by
# `is`: a gradient that was computed and is 0 is another object.
NO_GRADIENT = float("0")


class Value(Interfaces, Methods):
    """A number in a computation graph.

    Arithmetic on Values records each operation; `backward()` applies the chain rule and fills every `grad`.

    >>> x, y = Value(2.0, label="x"), Value(3.0, label="y")
    >>> z = x * y + x
    >>> z.backward()
    >>> z.data, x.grad, y.grad
    (8.0, 4.0, 2.0)

    Attributes:
        data: the number, always a float. Assigning converts, or refuses what is not a real number.
        op: the operation that made the node: a row of the table; None for a leaf, `constant` for a literal.
        label: a name for pictures and explanations.

    Raises:
        TypeError: if `data` is not a real number (str, complex, None, an array ...).
    """

    # Two operands stand in slots of their own: a tuple would be a second object per operation for Python's
    # cyclic collector to scan, which is most of what building a large graph costs.
    __slots__ = ("__weakref__", "_data", "_first", "_grad", "_second", "_time", "label", "op")

    _data: float
    _first: Any  # the first of at most two operands; the tuple of more; None if there are none
    _second: "Value | None"
    _grad: float
    _time: int  # when it was made, or its number assigned: see `graph.clock`; negative for a `stand_in`
    label: str
    op: Op | None

    # The second argument is a label. Micrograd's arguments, (data, (), "", label), are accepted too.
    def __init__(self, data: Any, _children: str | tuple[()] = "", _op: str = "", label: str = "") -> None:
        self._data = data if type(data) is float else plain(data, "Value")
        self._first = self._second = None
        self._grad = NO_GRADIENT
        self._time = clock.now
        if _children and (_op or label or not isinstance(_children, str)):
            raise TypeError(
                "Value takes a number and a label; operands and operations come from computing with Values. "
                "For an operation of your own write nodegrad.custom."
            )
        self.label = _children or label
        self.op = None

    @property
    def operands(self) -> "tuple[Value, ...]":
        """The nodes it was made from."""
        first, second = self._first, self._second
        if second is not None:
            return first, second
        if first is None:
            return ()
        return first if type(first) is tuple else (first,)

    @property
    def grad(self) -> float:
        """∂output/∂self, as the last `backward()` left it; on a leaf, added up over calls until set to 0.

        Assigning None, as users of PyTorch reset a gradient, sets it to 0.
        """
        if listeners.all:
            tell_read(self, "reads .grad")
        return self._grad if self.op is not constant else 0.0

    @grad.setter
    def grad(self, number: Any) -> None:
        if listeners.all:
            tell_read(self, "assigns .grad")
        if type(number) is not float:
            number = NO_GRADIENT if number is None else plain(number, "Value.grad")
        self._grad = number

    @property
    def data(self) -> float:
        """The number, always a float."""
        if listeners.all:
            tell_read(self, "reads .data")
        return self._data

    @data.setter
    def data(self, number: Any) -> None:
        if listeners.all:
            tell_read(self, "assigns .data")
        if type(number) is not float:
            number = plain(number, "Value.data")
        if self._time < 0:
            raise _assigned_argument()
        if number != self._data or copysign(1.0, number) != copysign(1.0, self._data):
            clock.assign([(self, number)])

    # Recording. `apply_op` records any operation; `_operator`, below the class, makes +, * and the like.

    @staticmethod
    def apply_op(op: Op, operands: tuple[Any, ...]) -> "Value":
        """Compute an operation and record it. Plain numbers among the operands become constants.

        Raises:
            TypeError: if an operand is not a real number, or their number is wrong.
        """
        for operand in operands:
            if type(operand) is not Value:
                operands = tuple([x if isinstance(x, Value) else literal(x, op.name) for x in operands])
                break
        count = len(operands)
        if op.arity != count and op.arity is not None:
            raise wrong_arity(op, count)
        out: Value = _new(Value)
        out._second = None
        try:
            if count == 1:
                out._first = x = operands[0]
                out._data = op.value(x._data)
            elif count == 2:
                out._first, out._second = x, y = operands
                out._data = op.value(x._data, y._data)
            else:
                out._first = operands or None
                out._data = op.value(*[operand._data for operand in operands])
        except Exception:  # raised by a custom operation, or by a loop that reached its limit
            if operands:  # tell them: a compiled function would never raise it, so it may not catch it either
                tell_read(operands[0], f"catches an error of {op.name}, which not all numbers raise")
            raise
        out._grad = NO_GRADIENT
        out._time = clock.now
        out.label = ""
        out.op = op
        if listeners.made:
            tell_made(out)
        return out

    @staticmethod
    def apply_pairs(op: Op, pairs: Iterable[tuple["Value", "Value"]]) -> "list[Value]":
        """Record an operation of the table on many pairs of Values: what `apply_op` does, but faster."""
        if listeners.made:
            return [Value.apply_op(op, pair) for pair in pairs]
        made, value, now = [], op.value, clock.now
        for x, y in pairs:
            out: Value = _new(Value)
            out._first, out._second, out._data = x, y, value(x._data, y._data)
            out._grad, out._time, out.label, out.op = NO_GRADIENT, now, "", op
            made.append(out)
        return made

    @staticmethod
    def product_with(shared: Sequence[Any], op: Op = ops.dot) -> Callable[..., Any]:
        """Return the function that applies `dot` or `strong_dot` to operands of which many share a half.

        That is the second half of `dot` (inputs of a layer), the first of `strong_dot` (adjoints). It records
        what `apply_op` does, but faster: the numbers of what is shared are read once. The function takes the
        other half, and the numbers in it if they are known.
        """
        held, since = tuple(shared), clock.assigned
        numbers = [x._data for x in held if type(x) is Value]
        fast = 1 < len(numbers) == len(held)  # all are Values, and too many for `_first` and `_second`

        def product(others: Sequence[Any], own: Sequence[float] | None = None) -> Any:
            own = [x._data for x in others if type(x) is Value] if own is None else own
            operands = (*others, *held) if op is ops.dot else (*held, *others)
            if not (fast and len(own) == len(others) == len(held) and clock.assigned == since):
                return op(*operands)
            out: Value = _new(Value)
            out._first, out._second = operands, None
            out._data = floats.inner(own, numbers) if op is ops.dot else floats.strong_inner(numbers, own)
            out._grad, out._time, out.label, out.op = NO_GRADIENT, clock.now, "", op
            if listeners.made:
                tell_made(out)
            return out

        return product

    def backward(self, seed: float = 1.0) -> None:
        """Fill `grad` with ∂self/∂node on every node that self was computed from.

        Adjoints add over all paths. Interior nodes hold the gradients of the last call; leaves add up over
        calls, until set to 0. Iterative, so a graph may be of any depth.

        Args:
            seed: the adjoint of self to start from.
        """
        tell_read(self, "calls backward(), which leaves plain numbers in .grad")
        with sweeping:  # the sweep of another thread may be using the gradients of the same leaves
            made, ends, adjoints = backpropagate({self: plain(seed, "backward")})
            check_unchanged(made)
            for end, adjoint in zip(ends, adjoints, strict=True):
                if end.op is None:  # a leaf; other ends are operations without operands, like an empty sum
                    end._grad += adjoint

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        answer = self._data != 0.0
        for observer in listeners.all:
            observer.decided(self, answer)
        return answer

    # Text.

    def __repr__(self) -> str:
        tell_read(self, "makes text of a Value")
        label = f", label={self.label!r}" if self.label else ""
        return f"Value(data={self._data!r}, grad={self.grad!r}{label})"

    def __format__(self, spec: str) -> str:
        tell_read(self, "makes text of a Value")
        return format(self._data, spec) if spec else repr(self)

    # Copies. The copy of a leaf is a new leaf, with the class and attributes of the old one. The copy of a
    # Value that an operation or a transform made is the Value itself: so a copied list of such Values can
    # still be differentiated.

    def __copy__(self) -> "Value":
        if self.op is not None or self._time < 0:
            return self
        tell_read(self, "copies or pickles a Value")
        leaf = _leaf(type(self), self._data, self._grad, self.label)
        return leaf if type(self) is Value else _give(leaf, _own(self))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Value":
        leaf = memo[id(self)] = self.__copy__()
        return leaf if leaf is self or type(self) is Value else _give(leaf, deepcopy(_own(self), memo))

    def __getstate__(self) -> object:
        tell_read(self, "takes the state of a Value")
        return object.__getstate__(self)

    def __reduce__(self) -> tuple[Any, ...]:
        if listeners.all:
            tell_read(self, "copies or pickles a Value")
        if self.op is not None or self._time < 0:
            maker = f"an operation ({self.op.name})" if self.op is not None else "a transform"
            raise TypeError(
                f"a Value made by {maker} cannot be pickled: its graph would come along. Pickle the leaves "
                "(a Module, or Values made from numbers), or keep value.data."
            )
        made = type(self), self._data, self._grad, self.label
        return (_leaf, made) if type(self) is Value else (_leaf, made, (None, _own(self)))


def literal(number: Any, user: str = "an operation") -> Value:
    """Make the constant that stands for a number written in the code: recorded, never differentiated."""
    out: Value = _new(Value)
    out._data = float(number) if isinstance(number, float) else plain(number, user)
    out._first = out._second = None
    out._grad = NO_GRADIENT
    out._time = 0
    out.label = ""
    out.op = constant
    return out


def as_value(x: Any, user: str = "an operation") -> Value:
    """Return a Value as it is, and the constant that stands for a plain number."""
    return x if isinstance(x, Value) else literal(x, user)


def number_of(x: Any) -> Any:
    """Return the number in a Value, and a plain number as it is."""
    return x._data if isinstance(x, Value) else x


def write(leaves: Sequence[Value], numbers: Iterable[float]) -> None:
    """Assign numbers to leaves, as `.data` does, but in less time: most hold theirs already."""
    changed, assigned = list[Value](), list[float]()  # pairs of 66,000 would take as long as the rest
    for x, number in zip(leaves, numbers, strict=True):
        if x._data != number or (number == 0.0 and copysign(1.0, number) != copysign(1.0, x._data)):
            if x._time < 0:
                raise _assigned_argument()
            changed.append(x)
            assigned.append(number)
    if changed:
        tell_read(changed[0], "assigns .data")
        clock.assign(zip(changed, assigned, strict=True))


def stand_in(number: float) -> Value:
    """Make the leaf that stands for an argument. Its number cannot be assigned, and it is never copied."""
    out = literal(number)
    out._time, out.op = GIVEN, None
    return out


def _assigned_argument() -> TypeError:
    return TypeError(
        "Value.data cannot be assigned on an argument of a function that is differentiated or compiled. "
        "Compute a new Value from it."
    )


def _operand(number: Any, op: Op) -> Any:
    """Make a constant of a real number; for anything else return NotImplemented, as operators do."""
    kind = type(number)
    if kind is float or kind is int:
        return literal(number)
    if isinstance(number, Value):
        return number
    if kind.__name__ == "ndarray" and number.ndim:
        return NotImplemented  # an error would write all its Values out as text
    try:
        return literal(number, "arithmetic with a Value")
    except TypeError:
        # The errors of PyTorch, JAX and Python's sequences would not say what to do.
        if kind.__name__ in ("Tensor", "ArrayImpl") or (op is ops.mul and kind in (str, bytes, list, tuple)):
            raise
        return NotImplemented


def _leaf(kind: type[Value], data: float, grad: float, label: str) -> Value:
    """Make a leaf of a class whose own `__init__` may want other arguments."""
    leaf: Value = _new(kind)
    leaf._data, leaf._grad, leaf.label = data, grad, label
    leaf._first = leaf._second = leaf.op = None
    leaf._time = clock.now
    return leaf


def _own(x: Value) -> dict[str, Any]:
    """Return the attributes of a subclass of Value that a Value does not have."""
    attributes, in_slots = cast(Any, object.__getstate__(x))
    every = {**in_slots, **(attributes or {})}
    return {name: own for name, own in every.items() if name not in Value.__slots__}


def _give(leaf: Value, attributes: Mapping[str, Any]) -> Value:
    for name, own in attributes.items():
        object.__setattr__(leaf, name, own)
    return leaf


def _operator(op: Op, swapped: bool = False) -> Callable[..., Any]:
    """Return Python's operator for a row. It records as `apply_op` does, in half the time."""
    if op.arity == 1:
        return _method(op)
    value = op.value

    def operator(self: Value, other: Any) -> Any:
        if type(other) is not Value:
            other = _operand(other, op)
            if other is NotImplemented:
                return NotImplemented
        out: Value = _new(Value)
        out._data = value(self._data, other._data)
        out._first = self
        out._second = other
        out._grad = NO_GRADIENT
        out._time = clock.now
        out.label = ""
        out.op = op
        if listeners.made:
            tell_made(out)
        return out

    def reflected(self: Value, other: Any) -> Any:
        other = _operand(other, op)
        return NotImplemented if other is NotImplemented else operator(other, self)

    return reflected if swapped else operator


def _method(op: Op) -> Callable[..., Value]:
    def method(self: Value, *others: Any) -> Value:
        return Value.apply_op(op, (self, *others))

    method.__name__ = op.name
    method.__doc__ = f"Apply `{op.name}`."
    return method


# Operators and methods derived from the table.
give_operators(Value, *COMPARISONS, ops.neg, ops.abs, method=_operator)
for _name in ("__float__", "__int__", "__complex__", "as_integer_ratio"):  # Python's ways to a plain number
    setattr(Value, _name, refusal(_name.strip("_")))
for _op in (ops.TABLE[_name] for _name in (*ops.__all__, *special.__all__)):
    if _op.arity == 1 or _op in (ops.atan2, ops.hypot, ops.maximum, ops.minimum, ops.copysign):
        setattr(Value, _op.name, _method(_op))
for _name, _known in METHODS.items():
    setattr(Value, _name, getattr(Value, _known))
