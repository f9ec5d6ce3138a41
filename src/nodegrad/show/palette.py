"""The colours and marks that plots, pictures and pages share.

The colours are those of Okabe & Ito (2008), which colour-blind readers tell apart; what differs in colour
differs in mark or line style too. Orange is for the first class and for negative numbers, blue for the second
class and for positive numbers.
"""

from string import Template

__all__ = ()

# The colour of each class, and its mark as matplotlib names it.
CLASSES = (
    ("#D55E00", "s"),
    ("#0072B2", "o"),
    ("#009E73", "^"),
    ("#CC79A7", "D"),
    ("#E69F00", "v"),
    ("#56B4E9", "P"),
    ("#000000", "X"),
)
# Colours of lines for negative and positive numbers, and brighter ones for dark pages.
SIGNS = {"minus": CLASSES[0][0], "plus": CLASSES[1][0], "bright_minus": "#FB923C", "bright_plus": "#56B4E9"}
FIT, ERROR = SIGNS["plus"], SIGNS["minus"]  # of a fitted curve and of its errors


def coloured(style: str) -> str:
    """Put the colours of signs into a style sheet.

    >>> coloured("line { stroke: $plus }")
    'line { stroke: #0072B2 }'
    """
    return Template(style).substitute(SIGNS)


def script() -> str:
    """Write the classes in JavaScript, their colours as red, green and blue.

    >>> script()[:50]
    'const CLASSES = [{colour: [213, 94, 0], mark: "s"}'
    """
    classes = [f'{{colour: {list(bytes.fromhex(colour[1:]))}, mark: "{mark}"}}' for colour, mark in CLASSES]
    return f"const CLASSES = [{', '.join(classes)}];"
