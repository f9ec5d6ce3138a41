"""LLVM IR as text: a function body that grows line by line, with loops, variables and vectors of lanes."""

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ()


def literal(number: float) -> str:
    """Spell a double to the bit."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"


class Name(str):
    """The name of a result in IR, or a literal; `+`, `-` and `*` of whole numbers write an instruction."""

    __slots__ = ("body",)
    body: "Body"

    def __add__(self, other: str | int) -> "Name":
        return self.body.let(f"add nsw i64 {self}, {other}")

    def __sub__(self, other: str | int) -> "Name":
        return self.body.let(f"sub nsw i64 {self}, {other}")

    def __mul__(self, other: str | int) -> "Name":  # type: ignore[override]  # a number repeats a str
        return self.body.let(f"mul nsw i64 {self}, {other}")


Carried = list[Name] | None


class Body:
    """The body of one function over vectors of `lanes` doubles, in static single assignment form.

    A loop takes a list of the numbers that change from turn to turn. Inside, the list holds those of this
    turn; put those of the next turn into it. After the loop it holds the last ones.
    """

    def __init__(self, lanes: int, exact: bool) -> None:
        self.lanes = lanes
        self.exact = exact
        self.vector, self.mask = self.kind("double"), self.kind("i1")
        self.suffix = "f64" if lanes == 1 else f"v{lanes}f64"
        self.lines: list[str] = []
        self.stack: list[str] = []
        self.block = "0"  # the basic block that is being written; the first has no label
        self.declarations: set[str] = set()
        self.callbacks: dict[Any, Any] = {}  # functions of Python that are called, by operation
        self.count = 0
        self.attributes = ""

    def kind(self, element: str) -> str:
        """Return the type of one element a lane; a single lane needs no vector."""
        return element if self.lanes == 1 else f"<{self.lanes} x {element}>"

    def repeated(self, element: str, constant: str) -> Name:
        """Spell a constant in every lane."""
        return self.name(constant if self.lanes == 1 else f"splat ({element} {constant})")

    def fresh(self, stem: str = "t") -> str:
        """Return a name that is not yet used."""
        self.count += 1
        return f"{stem}{self.count}"

    def let(self, expression: str) -> Name:
        """Name the result of an instruction."""
        name = self.name(f"%{self.fresh()}")
        self.lines.append(f"  {name} = {expression}")
        return name

    def name(self, text: str) -> Name:
        """Return a literal as a name, so that it can be added and multiplied."""
        name = Name(text)
        name.body = self
        return name

    def do(self, instruction: str) -> None:
        """Write an instruction without a result."""
        self.lines.append(f"  {instruction}")

    def label(self, name: str) -> None:
        """Begin a basic block."""
        self.block = name
        self.lines.append(f"{name}:")

    def room(self, count: int, kind: str) -> Name:
        """Return the address of memory for `count` values, which is not initialized."""
        name = self.name(f"%{self.fresh('room')}")
        self.stack.append(f"  {name} = alloca [{count} x {kind}], align 64")
        return name

    @contextmanager
    def loop(
        self,
        count: str,
        start: str = "0",
        step: int | str = 1,
        carried: Carried = None,
        kind: str = "",
        runs: bool = False,
    ) -> Iterator[Name]:
        """Run the code written inside for i = start, start + step, ... below count.

        `carried` are the numbers that change from turn to turn: vectors, unless `kind` says otherwise. It
        must run at least once if `runs` says so, or if start and count are known.
        """
        carried, kinds = (carried or []), ["i64", *[kind or self.vector] * len(carried or [])]
        inside, done = self.fresh("loop"), self.fresh("done")
        runs = runs or (start.isdigit() and count.isdigit())
        more = "true" if runs else self.let(f"icmp slt i64 {start}, {count}")
        self.do(f"br label %{inside}" if runs else f"br i1 {more}, label %{inside}, label %{done}")
        first, before = [start, *carried], self.block
        with self.again(inside, kinds, first) as now:
            i, carried[:] = now[0], now[1:]
            yield i
            now[:] = [i + step, *carried]
            self.do(f"br i1 {self.let(f'icmp slt i64 {now[0]}, {count}')}, label %{inside}, label %{done}")
        last = self.block
        self.label(done)
        if not runs:
            carried[:] = self.either_way(kinds[1:], first[1:], before, carried, last)

    @contextmanager
    def again(self, label: str, kinds: Sequence[str], first: Sequence[str]) -> Iterator[list[Name]]:
        """Begin a block that the code written inside jumps back to.

        The list that this yields holds the numbers of this turn. Put those of the next turn into it.
        """
        before = self.block
        self.label(label)
        place = len(self.lines)
        names = [self.name(f"%{self.fresh()}") for _ in first]
        now = list(names)
        yield now
        self.lines[place:place] = [
            f"  {name} = phi {kind} [ {start}, %{before} ], [ {following}, %{self.block} ]"
            for name, kind, start, following in zip(names, kinds, first, now, strict=True)
        ]

    def either_way(
        self, kinds: Sequence[str], first: Sequence[Any], before: str, last: Sequence[Name], after: str
    ) -> list[Name]:
        """Return the numbers where two blocks meet: `first` if one came before, `last` if the other."""
        return [
            x if x == y else self.let(f"phi {kind} [ {x}, %{before} ], [ {y}, %{after} ]")
            for kind, x, y in zip(kinds, first, last, strict=True)
        ]

    def smaller(self, x: str, y: str) -> Name:
        """Return the smaller of two whole numbers."""
        return self.let(f"select i1 {self.let(f'icmp slt i64 {x}, {y}')}, i64 {x}, i64 {y}")

    @contextmanager
    def when(self, condition: str, carried: Carried = None, kind: str = "") -> Iterator[None]:
        """Run the code written inside if the condition holds, which is rare; it may change `carried`."""
        carried = carried or []
        inside, done = self.fresh("rare"), self.fresh("done")
        first, before = list(carried), self.block
        self.do(f"br i1 {condition}, label %{inside}, label %{done}")
        self.label(inside)
        yield
        self.do(f"br label %{done}")
        last = self.block
        self.label(done)
        carried[:] = self.either_way([kind or self.vector] * len(carried), first, before, carried, last)

    def at(self, start: str, index: str | int, kind: str = "i64") -> Name:
        """Return the address of an element of an array."""
        if str(index) == "0":
            return self.name(start)
        return self.let(f"getelementptr {kind}, ptr {start}, i64 {index}")

    def load(self, kind: str, address: str, align: int = 0) -> Name:
        """Load what stands at an address."""
        return self.let(f"load {kind}, ptr {address}" + (f", align {align}" if align else ""))

    def store(self, kind: str, value: str | int, address: str, align: int = 0, how: str = "") -> None:
        """Store a value at an address; `how` is metadata."""
        self.do(f"store {kind} {value}, ptr {address}" + (f", align {align}" if align else "") + how)

    def put(self, record: str, *words: str | int) -> None:
        """Store words one after the other, from an address on."""
        for place, word in enumerate(words):
            self.store("i64", word, self.at(record, place))

    def prefetch(self, address: str) -> None:
        """Begin to load a cache line that is read soon; an address outside of any array does no harm."""
        self.declarations.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.do(f"call void @llvm.prefetch.p0(ptr {address}, i32 0, i32 3, i32 1)")

    def field(self, record: str, index: str | int) -> Name:
        """Load a word of a record."""
        return self.load("i64", self.at(record, index))

    def pointer(self, record: str, index: str | int) -> Name:
        """Load a word of a record that is an address."""
        return self.load("ptr", self.at(record, index))

    def entry(self, table: str, index: str | int) -> Name:
        """Load an entry of a table of slots."""
        return self.let(f"sext i32 {self.load('i32', self.at(table, index, 'i32'))} to i64")

    def arithmetic(self, operation: str, *operands: Name) -> Name:
        """Apply an instruction to vectors; unless exact, a product and a sum may be rounded once."""
        flags = "" if self.exact or operation not in ("fadd", "fsub", "fmul") else " contract"
        return self.let(f"{operation}{flags} {self.vector} {', '.join(operands)}")

    def intrinsic(self, name: str, *operands: Name) -> Name:
        """Call an LLVM intrinsic on vectors."""
        full = f"@llvm.{name}.{self.suffix}"
        self.declarations.add(f"declare {self.vector} {full}({', '.join([self.vector] * len(operands))})")
        return self.let(f"call {self.vector} {full}({', '.join(f'{self.vector} {x}' for x in operands)})")

    def total(self, vector: Name) -> Name:
        """Add up the numbers in all lanes, in pairs."""
        add = f"@llvm.vector.reduce.fadd.{self.suffix}"
        self.declarations.add(f"declare double {add}(double, {self.vector})")
        return self.let(f"call reassoc double {add}(double -0.0, {self.vector} {vector})")

    def number(self, number: float) -> Name:
        """Spell a vector of one number in every lane."""
        return self.repeated("double", literal(number))

    def compare(self, predicate: str, x: Name, y: Name) -> Name:
        """Compare lane by lane; the predicate says what nan does (olt, uno, ...)."""
        return self.let(f"fcmp {predicate} {self.vector} {x}, {y}")

    def choose(self, mask: Name, x: Name, y: Name) -> Name:
        """Return x in the lanes of the mask, y in the others."""
        return self.let(f"select {self.mask} {mask}, {self.vector} {x}, {self.vector} {y}")

    def either(self, condition: Name, x: Name, y: Name) -> Name:
        """Return x if a condition holds for all lanes at once, or else y."""
        return self.let(f"select i1 {condition}, {self.vector} {x}, {self.vector} {y}")

    def lane(self, kind: str, vector: Name, lane: int) -> Name:
        """Return the number in one lane of a vector of a kind."""
        return vector if self.lanes == 1 else self.let(f"extractelement {kind} {vector}, i32 {lane}")

    def with_lane(self, vector: Name, scalar: Name, lane: int, element: str = "double") -> Name:
        """Return a vector with another number in one lane."""
        if self.lanes == 1:
            return scalar
        return self.let(f"insertelement {self.kind(element)} {vector}, {element} {scalar}, i32 {lane}")

    def splat(self, scalar: Name, element: str = "double") -> Name:
        """Put one number into every lane."""
        if self.lanes == 1:
            return scalar
        kind, zeros = self.kind(element), f"<{self.lanes} x i32> zeroinitializer"
        first = self.with_lane(self.name("poison"), scalar, 0, element)
        return self.let(f"shufflevector {kind} {first}, {kind} poison, {zeros}")

    def shuffle(self, x: Name, y: Name, lanes: int, chosen: Iterable[int]) -> Name:
        """Return the chosen numbers of x and y, vectors of `lanes` lanes; y's are counted after x's."""
        kind, places = f"<{lanes} x double>", [f"i32 {lane}" for lane in chosen]
        mask = f"<{len(places)} x i32> <{', '.join(places)}>"
        return self.let(f"shufflevector {kind} {x}, {kind} {y}, {mask}")

    def any(self, mask: Name) -> Name:
        """Return whether any lane of a mask is set."""
        if self.lanes == 1:
            return mask
        bits = self.let(f"bitcast {self.mask} {mask} to i{self.lanes}")
        return self.let(f"icmp ne i{self.lanes} {bits}, 0")

    def as_written(self) -> None:
        """Let LLVM translate instruction by instruction: in half of the time; some code runs as fast."""
        self.attributes = " #2"

    def text(self, name: str, parameters: str) -> str:
        """Return the whole function."""
        return "\n".join(
            [
                f"define void @{name}({parameters}){self.attributes} {{",
                *self.stack,
                *self.lines,
                "  ret void",
                "}",
                "",
            ]
        )


def transposed(body: Body, block: list[Name]) -> list[Name]:
    """Transpose a square: return y with y[i][j] = x[j][i], for n vectors of n lanes.

    Swap the off-diagonal halves, then quarters within halves, and so on.
    """
    lanes = len(block)
    block = list(block)
    distance = lanes // 2
    while distance:
        for place in range(lanes):
            if not place & distance:
                x, y = block[place], block[place + distance]
                # Lanes of x, with every second run of so many lanes taken from y.
                mixed = [lanes + lane - distance if lane & distance else lane for lane in range(lanes)]
                block[place] = body.shuffle(x, y, lanes, mixed)
                block[place + distance] = body.shuffle(x, y, lanes, [lane + distance for lane in mixed])
        distance //= 2
    return block
