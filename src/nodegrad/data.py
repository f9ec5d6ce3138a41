"""Data: toy data sets, splitting, scaling and mini-batches, all seeded.

Data sets come as (X, y): rows of numbers, and one target per row. Names and order of results are those of
scikit-learn; X and y may be NumPy arrays, pandas and polars frames too, and stay what they are. Without a
seed, the global generator draws.

The file is long because each public function has its arguments, its errors and an example beside it.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

from nodegrad.inputs import as_array, as_list, described, flag, in_range, listed, plain, whole
from nodegrad.trees import build, flatten, is_structure

__all__ = [
    "Samples",
    "StandardScaler",
    "generator_for",
    "make_blobs",
    "make_circles",
    "make_line",
    "make_moons",
    "make_spirals",
    "make_xor",
    "minibatches",
    "rows",
    "standardize",
    "train_test_split",
]

Row = list[float]
DataSet = tuple[list[Row], list[int]]
_MANY = 10_000  # rows: for this many NumPy is worth loading
_PIECE = 2**20  # numbers looked at together


def make_moons(n_samples: int = 100, noise: float = 0.1, seed: int | None = None) -> DataSet:
    """Make two interlocking half circles, of classes 0 and 1.

    >>> X, y = make_moons(4, noise=0.0, seed=1)
    >>> X[0], y
    ([1.0, 0.0], [0, 0, 1, 1])
    """

    def point(label: int, share: float, generator: random.Random) -> Row:
        x, y = math.cos(math.pi * share), math.sin(math.pi * share)
        return [1.0 - x, 0.5 - y] if label else [x, y]

    return _two_classes(point, n_samples, noise, seed, "make_moons")


def make_circles(
    n_samples: int = 100, noise: float = 0.05, seed: int | None = None, factor: float = 0.5
) -> DataSet:
    """Make a circle of radius 1, class 0, around one of radius `factor`, class 1.

    >>> X, y = make_circles(4, noise=0.0)
    >>> X[0], X[2]
    ([1.0, 0.0], [0.5, 0.0])
    """
    inner = in_range("make_circles", "factor", factor, "a finite number")

    def point(label: int, share: float, generator: random.Random) -> Row:
        radius, angle = inner if label else 1.0, 2.0 * math.pi * share
        return [radius * math.cos(angle), radius * math.sin(angle)]

    return _two_classes(point, n_samples, noise, seed, "make_circles", closed=True)


def make_spirals(
    n_samples: int = 100, noise: float = 0.02, seed: int | None = None, turns: float = 1.5
) -> DataSet:
    """Make two spirals of radius 1 that wind around each other, of classes 0 and 1.

    >>> X, y = make_spirals(4, noise=0.0)
    >>> [[round(x, 6) + 0.0 for x in row] for row in X[1::2]]
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    turns = in_range("make_spirals", "turns", turns, "a finite number")

    def point(label: int, share: float, generator: random.Random) -> Row:
        radius, angle = (0.1 + 0.9 * share), 2.0 * math.pi * turns * share + math.pi * label
        return [radius * math.cos(angle), radius * math.sin(angle)]

    return _two_classes(point, n_samples, noise, seed, "make_spirals")


def make_xor(n_samples: int = 100, noise: float = 0.0, seed: int | None = None) -> DataSet:
    """Make points spread over the square of side 2; the class is 1 where the signs of the coordinates differ.

    >>> X, y = make_xor(50, seed=1)
    >>> all(label == (a * b < 0) for (a, b), label in zip(X, y))
    True
    """

    def point(label: int, share: float, generator: random.Random) -> Row:
        a, b = generator.random(), generator.random()
        sign = 1.0 if generator.random() < 0.5 else -1.0
        return [sign * a, -sign * b if label else sign * b]

    return _two_classes(point, n_samples, noise, seed, "make_xor")


def make_blobs(
    n_samples: int = 100, centers: Sequence[Row] | int = 3, spread: float = 1.0, seed: int | None = None
) -> DataSet:
    """Make clouds of normally distributed points, one class around each centre.

    >>> X, y = make_blobs(6, centers=[[0.0, 0.0], [9.0, 9.0]], spread=0.1, seed=1)
    >>> y
    [0, 0, 0, 1, 1, 1]

    Args:
        n_samples: the number of points in all.
        centers: the centres, or their number; then they are drawn from the square over ±10.
        spread: the standard deviation of a cloud.
        seed: what the points are drawn with.

    Raises:
        ValueError: if there is no centre.
    """
    generator = _generator(seed, n_samples, spread, "make_blobs")
    if hasattr(centers, "__iter__"):
        places = rows(_rows_of_numbers(centers, "centers", "make_blobs"))
        if not places:
            raise ValueError("make_blobs takes at least one centre; got none.")
    else:
        numbers = range(whole("make_blobs", "centers", centers))
        places = [[generator.uniform(-10.0, 10.0), generator.uniform(-10.0, 10.0)] for _ in numbers]
    labels = [index * len(places) // n_samples for index in range(n_samples)]
    return [[generator.gauss(x, spread) for x in places[label]] for label in labels], labels


def make_line(
    n_samples: int = 20,
    slope: float = 2.0,
    intercept: float = 1.0,
    noise: float = 0.5,
    seed: int | None = None,
) -> tuple[list[Row], list[float]]:
    """Make points near the line y = slope·x + intercept, x spread evenly over [0, 10].

    >>> make_line(3, noise=0.0)
    ([[0.0], [5.0], [10.0]], [1.0, 11.0, 21.0])
    """
    generator = _generator(seed, n_samples, noise, "make_line")
    slope = in_range("make_line", "slope", slope, "a finite number")
    intercept = in_range("make_line", "intercept", intercept, "a finite number")
    xs = [10.0 * index / max(1, n_samples - 1) for index in range(n_samples)]
    return [[x] for x in xs], [slope * x + intercept + _jitter(generator, noise) for x in xs]


def train_test_split(
    X: Any, y: Any, test_size: float = 0.25, seed: int | None = None, stratify: Any = False
) -> tuple[Any, Any, Any, Any]:
    """Split rows at random into X_train, X_test, y_train, y_test; arrays and frames stay what they are.

    >>> train_test_split([[1], [2], [3], [4]], [1, 2, 3, 4], seed=1)
    ([[1], [3], [2]], [[4]], [1, 3, 2], [4])

    Args:
        X: the rows.
        y: the targets.
        test_size: the share of the rows that is held out, above 0 and below 1.
        seed: what the split is drawn with.
        stratify: keep the shares of the classes in y (True), or of other labels, one for each row.
            As in scikit-learn, classes of few rows may be missing in the test part.

    Raises:
        ValueError: if the lengths differ, a part would be empty, or there are too few rows of a class.
    """
    test_size = in_range("train_test_split", "test_size", test_size, "a number above 0 and below 1")
    X, y = sequence(X, "train_test_split", "X"), sequence(y, "train_test_split", "y")
    _check_lengths(X, y, "train_test_split")
    order = _order(len(X), seed, "train_test_split")
    size = math.ceil(test_size * len(X))
    if not hasattr(stratify, "__iter__"):
        wanted = "True, False, a label for each row"
        stratify = y if flag("train_test_split", "stratify", stratify, optional=True, wanted=wanted) else None
    if stratify is None:
        held, kept = order[:size], order[size:]
    else:
        labels = rows(stratify, "train_test_split", "stratify")
        _check_lengths(X, labels, "train_test_split", ("X", "stratify"))
        held, kept = _stratified(order, labels, size)
    if not len(kept):
        raise ValueError(f"train_test_split: {len(X)} rows leave a part empty with test_size={test_size!r}.")
    return _chosen(X, kept), _chosen(X, held), _chosen(y, kept), _chosen(y, held)


def _stratified(order: Sequence[int], labels: list[Any], size: int) -> tuple[list[int], list[int]]:
    """Part the rows in an order so that `size` are held out: of each class its share, rounded."""
    labels = [label if isinstance(label, Hashable) else repr(label) for label in labels]
    counts = Counter(labels)
    rarest, count = counts.most_common()[-1]
    if count < 2:
        raise ValueError(
            f"train_test_split: class {rarest!r} has a single row, which cannot be in both parts. "
            "Leave stratify out, or join classes."
        )
    if min(size, len(order) - size) < len(counts):
        raise ValueError(
            f"train_test_split: each part needs a row of each of the {len(counts)} classes; test_size holds "
            f"out {size} of {len(order)} rows. Change test_size."
        )
    exact = {label: size * count / len(order) for label, count in counts.items()}
    left = Counter({label: int(share) for label, share in exact.items()})  # how many are still to be held out
    nearest = sorted(exact, key=lambda label: left[label] - exact[label])
    left.update(nearest[: size - left.total()])
    held: list[int] = []
    kept: list[int] = []
    for place in order:
        label = labels[place]
        (held if left[label] > 0 else kept).append(place)
        left[label] -= 1
    return held, kept


class StandardScaler:
    """Scales each column to mean 0 and standard deviation 1, and back; a constant column becomes 0.

    >>> scaler = StandardScaler([[1.0], [3.0]])
    >>> scaler.transform([[2.0], [5.0]])
    [[0.0], [3.0]]
    >>> scaler.inverse_transform([[0.0], [3.0]])
    [[2.0], [5.0]]

    Attributes:
        means: the mean of each column.
        deviations: the standard deviation of each column; 1 for a constant one.

    Args:
        X: the rows the means and deviations are taken from: those for training.

    Raises:
        ValueError: if there are no rows, a row differs in length, or a frame has other columns than X.
    """

    def __init__(self, X: Any) -> None:
        table, self._names = _rows_of_numbers(X), _names(X)
        if not len(table):
            raise ValueError("standardize needs at least one row; got none.")
        moments = _moments_of_array if hasattr(table, "dtype") else _moments_of_lists
        try:
            self.means, self.deviations = moments(table)
        except OverflowError as error:
            raise ValueError("standardize: the numbers in a column are too large to add up.") from error

    def transform(self, X: Any) -> Any:
        """Scale the rows of X; an array or a frame stays one."""
        return self._each(X, lambda x, mean, deviation: (x - mean) / deviation)

    def inverse_transform(self, X: Any) -> Any:
        """Undo `transform`."""
        return self._each(X, lambda x, mean, deviation: x * deviation + mean)

    def _each(self, X: Any, rule: Callable[[Any, Any, Any], Any]) -> Any:
        table = _rows_of_numbers(X)
        if len(table) and len(table[0]) != len(self.means):
            raise ValueError(
                f"standardize: X has rows of {len(self.means)} numbers; other rows have {len(table[0])}."
            )
        names = _names(X)
        if names and self._names and names != self._names:
            raise ValueError(f"standardize: X has the columns {self._names}; other rows have {names}.")
        if hasattr(table, "dtype"):
            return _like(X, rule(table, self.means, self.deviations))
        return _like(X, [list(map(rule, row, self.means, self.deviations)) for row in table])


def _moments_of_lists(table: list[Row]) -> tuple[Row, Row]:
    """Return means and standard deviations of columns; 1 as the deviation of a constant one."""
    columns = list(zip(*table, strict=True))
    means = [math.fsum(column) / len(column) for column in columns]
    deviations = [
        1.0 if max(column) == min(column) else math.hypot(*[x - mean for x in column]) / len(column) ** 0.5
        for column, mean in zip(columns, means, strict=True)
    ]
    return means, deviations


def _moments_of_array(table: Any) -> tuple[Row, Row]:
    """Return what `_moments_of_lists` does."""
    import numpy as np

    most, least = table.max(axis=0), table.min(axis=0)
    with np.errstate(all="ignore"):
        means, deviations = table.mean(axis=0, dtype=float), table.std(axis=0, dtype=float)
        if not np.logical_and(deviations > 0.0, deviations < math.inf).all():  # squares may leave the range
            unit = np.maximum(abs(most.astype(float)), abs(least.astype(float)))
            deviations = (table / unit).std(axis=0) * unit
    if not np.isfinite(means).all():
        raise OverflowError
    deviations = np.where(most == least, 1.0, deviations)  # rounding gives some constant column a deviation
    return means.tolist(), deviations.tolist()


def standardize(X: Any, *others: Any) -> Any:
    """Scale each column to mean 0 and standard deviation 1, both taken from X; a constant column becomes 0.

    To scale further rows later, or to undo it, keep a `StandardScaler`.

    >>> standardize([[1.0], [3.0]], [[2.0], [5.0]])
    ([[-1.0], [1.0]], [[0.0], [3.0]])

    Args:
        X: the rows the means and deviations are taken from: those for training.
        *others: more rows, scaled by the same numbers: those for testing.

    Returns:
        The scaled rows of X, as what it came as; with others, a tuple of all.

    Raises:
        ValueError: if there are no rows, or a row differs in length.
    """
    parts = [sequence(part, "standardize", "X") for part in (X, *others)]
    scaler = StandardScaler(parts[0])
    scaled = tuple(map(scaler.transform, parts))
    return scaled if others else scaled[0]


def minibatches(
    X: Any, y: Any, batch_size: int, seed: int | None = None, shuffle: bool = True
) -> Iterator[tuple[list[Any], list[Any]]]:
    """Go through all rows once, in mini-batches of random rows; the last may be smaller.

    >>> for X_batch, y_batch in minibatches([[1], [2], [3]], [1, 2, 3], batch_size=2, shuffle=False):
    ...     print(X_batch, y_batch)
    [[1], [2]] [1, 2]
    [[3]] [3]

    Raises:
        ValueError: if the lengths differ or the batch size is not positive.
    """
    xs, ys = rows(X, "minibatches"), rows(y, "minibatches", "y")
    _check_lengths(xs, ys, "minibatches")
    whole("minibatches", "batch_size", batch_size)
    shuffle = flag("minibatches", "shuffle", shuffle)
    order = _order(len(xs), seed, "minibatches") if shuffle else range(len(xs))
    batches = (order[start : start + batch_size] for start in range(0, len(order), batch_size))
    return (([xs[i] for i in batch], [ys[i] for i in batch]) for batch in batches)


def shuffled(count: int, *seed: int) -> Any:
    """Return the numbers below `count` in the random order that belongs to a seed of several numbers.

    >>> sorted(shuffled(3, 1, 0)) == [0, 1, 2]
    True
    """
    generator = _seeded(*seed)
    if isinstance(generator, random.Random):
        return generator.sample(range(count), count)
    return generator.permutation(count)


def noise(count: int, width: int, *seed: int) -> Any:
    """Return rows of random numbers, uniform over [0, 1), that belong to a seed of several numbers.

    >>> len(noise(3, 2, 1, 0)), len(noise(3, 2, 1, 0)[0])
    (3, 2)
    """
    generator = _seeded(1, *seed)
    if isinstance(generator, random.Random):
        return [[generator.random() for _ in range(width)] for _ in range(count)]
    return generator.random((count, width))


def _seeded(*seed: int) -> Any:
    """Return NumPy's generator for a seed of several numbers, or Python's where there is no NumPy."""
    try:
        from numpy.random import default_rng
    except ImportError:
        return random.Random(repr(seed))
    return default_rng(seed)


def generator_for(seed: Any, user: str = "generator_for") -> Any:
    """Return a new generator for a seed; None gives the global one, and a generator is returned as it is.

    >>> generator_for(1).random() == random.Random(1).random()
    True
    """
    if seed is None:
        return random
    if isinstance(seed, random.Random):
        return seed
    if hasattr(seed, "random") and not isinstance(seed, type):
        return random.Random(float(seed.random()))  # NumPy's generators have other methods
    return random.Random(whole(user, "seed", seed, least=0, optional=True))


def rows(table: Any, user: str = "data", name: str = "X") -> list[Any]:
    """List the entries of a sequence, an array or a data frame, as plain Python objects.

    >>> rows((1, 2))
    [1, 2]
    """
    return listed(user, name, as_list(table, user), "rows in a list, an array or a data frame")


class Samples(Sequence[tuple[Any, ...]]):
    """Rows with their targets, and weights if there are any; arrays are left where they are.

    >>> list(Samples([[1, 2], [3, 4]], [0.5, 1.5], "fit"))
    [([1, 2], 0.5), ([3, 4], 1.5)]

    Args:
        X: the rows.
        y: a target for each.
        user: what errors name.
        names: what errors call X and y.
        weights: a weight for each row, or None.

    Raises:
        ValueError: for nan and inf, by their place; for uneven rows, other lengths, or no rows.
        TypeError: for what is not a number.
    """

    def __init__(
        self, X: Any, y: Any, user: str, names: tuple[str, str] = ("X", "y"), weights: Any = None
    ) -> None:
        self.parts = [_table(X, names[0], user), _table(y, names[1], user)]
        _check_lengths(self.parts[0], self.parts[1], user, names)
        if not len(self):
            raise ValueError(f"{user} needs at least one row; {names[0]} is empty.")
        if weights is not None:
            self.parts.append(weights_of(weights, len(self), user))

    def __len__(self) -> int:
        return len(self.parts[0])

    def __getitem__(self, place: Any) -> Any:
        """Return row, target, and weight if there is one, as plain numbers and lists."""
        found = [part[place] for part in self.parts]
        return tuple([entry.tolist() if hasattr(entry, "tolist") else entry for entry in found])

    def weight(self) -> float:
        """Return the sum of the weights; without weights each sample counts 1."""
        if len(self.parts) < 3:
            return float(len(self))
        return math.fsum(self.parts[2])

    def scale_weights(self, factor: float) -> None:
        """Multiply every weight."""
        weights = self.parts[2]
        self.parts[2] = weights * factor if hasattr(weights, "dtype") else [w * factor for w in weights]


def _two_classes(
    point: Callable[[int, float, random.Random], Row],
    n_samples: int,
    noise: float,
    seed: int | None,
    user: str,
    closed: bool = False,
) -> DataSet:
    """Place the points of class 0, then those of class 1, evenly along the shape that `point` describes."""
    generator = _generator(seed, n_samples, noise, user)
    X, y = [], []
    for label, count in enumerate((n_samples - n_samples // 2, n_samples // 2)):
        for index in range(count):
            share = index / (count if closed else max(1, count - 1))
            X.append([x + _jitter(generator, noise) for x in point(label, share, generator)])
            y.append(label)
    return X, y


def _jitter(generator: random.Random, noise: float) -> float:
    return generator.gauss(0.0, noise) if noise else 0.0


def _generator(seed: int | None, n_samples: int, noise: float, user: str) -> random.Random:
    whole(user, "n_samples", n_samples)
    in_range(user, "noise", noise, "a finite number of at least 0")
    generator: random.Random = generator_for(seed, user)
    return generator


def _check_lengths(xs: Any, ys: Any, user: str, names: tuple[str, str] = ("X", "y")) -> None:
    if len(xs) != len(ys):
        (X, y), rows = names, len(xs)
        raise ValueError(f"{user} takes one target per row; {X} has {rows} rows and {y} {len(ys)}.")


def sequence(table: Any, user: str, name: str) -> Any:
    """Return an array, a frame or a list as it is, anything else as a list of rows."""
    array = as_array(table, user)
    kept = isinstance(table, list | tuple) if array is None else array.ndim
    return table if kept else rows(table, user, name)


def _order(count: int, seed: Any, user: str) -> Any:
    """Return the numbers below `count` in random order; of many rows in NumPy's, which is faster."""
    generator = generator_for(seed, user)
    if count >= _MANY:
        return shuffled(count, generator.getrandbits(32))
    order = list(range(count))
    generator.shuffle(order)
    return order


def _chosen(table: Any, places: Any) -> Any:
    """Return some rows, of a frame or an array as one."""
    if as_array(table) is None:
        return [table[place] for place in places]
    import numpy as np

    places = np.asarray(places)  # JAX takes no lists here
    return table.iloc[places] if hasattr(table, "iloc") else table[places]


def _like(table: Any, numbers: Any) -> Any:
    """Return rows as a list, an array or a frame, whichever `table` is; floats keep their precision."""
    array = as_array(table)
    if array is None:
        return rows(numbers)
    import numpy as np

    found = np.asarray(numbers, array.dtype if array.dtype.kind == "f" else None)
    if hasattr(table, "iloc"):
        return type(table)(found, index=table.index, columns=table.columns)
    return type(table)(found, schema=table.columns, orient="row") if hasattr(table, "columns") else found


def _names(table: Any) -> list[Any]:
    """Return the names of a frame's columns."""
    return list(getattr(table, "columns", ()))


def _rows_of_numbers(X: Any, name: str = "X", user: str = "standardize") -> Any:
    table = _table(X, name, user)
    first = next(iter(table), [0.0])
    if not hasattr(first, "__len__") or any(hasattr(entry, "__len__") for entry in first):
        raise TypeError(f"{user} takes {name} as rows of numbers; got {described(X)}.")
    return table


def _is_numeric(array: Any) -> bool:
    return getattr(getattr(array, "dtype", None), "kind", "") in tuple("fiub")


def weights_of(weights: Any, count: int, user: str) -> Any:
    """Return the weights of `count` rows as an array or a list of floats.

    >>> weights_of([1, 2], 2, "fit")
    [1.0, 2.0]

    Raises:
        ValueError: if there are not as many as rows, one is below 0, all are 0, or their sum is too large.
    """
    found = _table(weights, "weights", user)
    if len(found) != count:
        raise ValueError(f"{user} takes one weight per row; got {len(found)} weights for {count} rows.")
    if isinstance(found[0], list) or getattr(found, "ndim", 1) > 1:
        raise ValueError(f"{user} takes a number as the weight of each row; got {_extent(found[0])}.")
    least, most = (found.min(), found.max()) if hasattr(found, "dtype") else (min(found), max(found))
    if not least >= 0.0 or not most > 0.0:
        raise ValueError(f"{user}: weights are at least 0, and not all are zero.")
    if not float(most) * count < math.inf:
        raise ValueError(f"{user}: the sum of the weights is too large for a float; the largest is {most}.")
    return found.astype(float) if hasattr(found, "dtype") else [float(weight) for weight in found]


def _table(table: Any, name: str, user: str) -> Any:
    array = as_array(table, f"{user}: {name}")
    found: list[Any] = []
    if not _is_numeric(array) or not array.ndim:
        found = rows(table, user, name)
        array = _array_of(found)
    if array is not None:
        _check_finite(array, name, user)
        return array
    checked = [_finite(entry, f"{user}: {name}[{index}]") for index, entry in enumerate(found)]
    for index, entry in enumerate(checked):
        if _extent(entry) != _extent(checked[0]):
            raise ValueError(
                f"{user} takes rows of one shape; {name}[0] is {_extent(checked[0])} "
                f"and {name}[{index}] is {_extent(entry)}."
            )
    return checked


def _array_of(entries: list[Any]) -> Any:
    """Return many rows of plain numbers as NumPy's array, which is checked at once; None for others."""
    if len(entries) < _MANY or any(map(is_structure, {type(entry): entry for entry in entries}.values())):
        return None
    try:
        import numpy as np

        array = np.asarray(entries)
    except (ImportError, ValueError):  # rows of several lengths
        return None
    return array if _is_numeric(array) else None


def _check_finite(array: Any, name: str, user: str) -> None:
    """Check every number, one piece after the other: the array may be larger than memory."""
    import numpy as np

    size = max(1, _PIECE // max(1, array[:1].size))
    for start in range(0, len(array) if array.dtype.kind == "f" else 0, size):
        piece = array[start : start + size]
        if not np.isfinite(piece).all():
            for place, entry in enumerate(piece, start):
                _finite(entry, f"{user}: {name}[{place}]")


def _finite(entry: Any, place: str) -> Any:
    """Return an entry as a number or nested lists of numbers, or refuse it and say where it is.

    Named tuples, dicts, data classes and the like stay what they are.
    """
    if hasattr(entry, "tolist"):
        entry = entry.tolist()
    if is_structure(entry):
        leaves, spec = flatten(entry)
        return build(spec, [_finite(leaf, f"{place}, number {index}") for index, leaf in enumerate(leaves)])
    if hasattr(entry, "__iter__") and not isinstance(entry, str):
        return [_finite(inner, f"{place}[{index}]") for index, inner in enumerate(entry)]
    if isinstance(entry, str):
        raise TypeError(f"{place} is the text {entry!r:.60}. Data are numbers; number classes from 0 on.")
    missing = entry is None or type(entry).__name__ == "NAType"  # of pandas
    number = math.nan if missing else plain(entry, place)
    if not math.isfinite(number):
        raise ValueError(
            f"{place} is {entry if missing else number}. Remove or fill in what is missing first."
        )
    return entry if type(entry) is int else number  # the number of a class stays one


def _extent(entry: Any) -> str:
    if is_structure(entry):
        return f"a {type(entry).__name__} of {len(flatten(entry)[0])} numbers"
    return f"a list of {len(entry)}" if hasattr(entry, "__len__") else "a number"
