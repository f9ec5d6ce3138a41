"""Numbers as the report writes them."""


def duration(seconds: float) -> str:
    """Write seconds in a unit that fits.

    >>> duration(3.52e-6)
    '3.5 µs'
    """
    for factor, unit in ((1.0, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if seconds * factor >= 1.0 or unit == "ns":
            return f"{short(seconds * factor)} {unit}"
    return "0"


def short(number: float) -> str:
    """Write a number with two digits, all of them before the point."""
    return f"{number:,.0f}" if number >= 10.0 else f"{number:.1f}" if number >= 1.0 else f"{number:.2f}"
