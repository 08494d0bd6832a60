"""A layer's sizes and counts as arithmetic with the numbers substituted; every line states something that holds.

Shared by ``explain`` and by the findings about expectations, so that both give the same rule in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable

from cnncost.count import Count, plus, tight
from cnncost.kinds.base import Kind, Shapes, Weight
from cnncost.tensor import Dim
from cnncost.window import Window

AXES = {1: ("steps",), 2: ("rows", "columns"), 3: ("depth", "rows", "columns")}
SIDES = {
    "rows": ("top", "bottom"),
    "columns": ("left", "right"),
    "depth": ("front", "back"),
    "steps": ("left", "right"),
}


def number(value: Dim) -> str:
    """
    >>> number(3000000), number(None)
    ('3,000,000', '?')
    """
    return "?" if value is None else f"{value:,}"


def axis_names(rank: int) -> tuple[str, ...]:
    """What the spatial axes are called.

    >>> axis_names(2)
    ('rows', 'columns')
    """
    return AXES.get(rank) or tuple(f"axis {i + 1}" for i in range(rank))


def span_arithmetic(window: Window) -> str:
    """
    >>> from cnncost.window import slide
    >>> span_arithmetic(slide(28, 3, dilation=2))
    '(3 - 1) × 2 + 1 = 5'
    """
    return f"({number(window.kernel)} - 1) × {number(window.dilation)} + 1 = {number(window.span)}"


def output_arithmetic(window: Window) -> str:
    """The rule that gives the number of outputs; an empty string where the window follows none of these rules.

    >>> from cnncost.window import slide
    >>> output_arithmetic(slide(13, 6, 5, "same")), output_arithmetic(slide(13, 6, 5))
    ('SAME: ceil(13 / 5) = 3', 'VALID: floor((13 - 6) / 5) + 1 = 2')
    """
    size, stride = window.size, number(window.stride)
    if size is None or window.output is None or window.before is None or window.after is None:
        return ""
    if window.padding == "same":
        rule, value = f"SAME: ceil({number(size)} / {stride})", -(-size // window.stride)
    else:
        padded = number(size) + "".join(f" + {number(pad)}" for pad in (window.before, window.after) if pad)
        rule = f"{window.padding.upper()}: floor(({padded} - {number(window.span)}) / {stride}) + 1"
        value = (size + window.before + window.after - window.span) // window.stride + 1
    return f"{rule} = {number(value)}" if value == window.output else ""


def padding_arithmetic(window: Window) -> str:
    """The positions that SAME adds in all.

    >>> from cnncost.window import slide
    >>> padding_arithmetic(slide(13, 6, 5, "same"))
    'max((3 - 1) × 5 + 6 - 13, 0) = 3'
    """
    if window.padding != "same" or None in (window.size, window.output, window.before, window.after):
        return ""
    assert window.size is not None and window.output is not None
    assert window.before is not None and window.after is not None
    total = max((window.output - 1) * window.stride + window.span - window.size, 0)
    steps = f"({number(window.output)} - 1) × {number(window.stride)} + {number(window.span)} - {number(window.size)}"
    return f"max({steps}, 0) = {number(total)}" if total == window.before + window.after else ""


def ignored_arithmetic(window: Window) -> str:
    """The positions at the end that no window reaches; an empty string where there is none.

    >>> from cnncost.window import slide
    >>> ignored_arithmetic(slide(13, 6, 5))
    '13 - ((2 - 1) × 5 + 6) = 2'
    """
    if not window.ignored or window.size is None or not window.output or window.before is None or window.after is None:
        return ""
    padded = number(window.size) + "".join(f" + {number(pad)}" for pad in (window.before, window.after) if pad)
    reached = (window.output - 1) * window.stride + window.span
    left = window.size + window.before + window.after - reached
    steps = f"({number(window.output)} - 1) × {number(window.stride)} + {number(window.span)}"
    return f"{padded} - ({steps}) = {number(left)}" if left == window.ignored else ""


def params_count(kind: Kind, inputs: Shapes, weights: tuple[Weight, ...]) -> Count:
    """A layer's parameters with the derivation that its kind gives, or as the sum of its weights' shapes.

    >>> params_count(Kind(), (), (Weight("kernel", (5, 5, 3, 200)), Weight("bias", (200,)))).derivation()
    '5×5×3×200 + 200 = 15,200'
    """
    own = getattr(kind, "params_count", None)
    size = sum(weight.size for weight in weights)
    if own is not None:
        derived = own(inputs)
        if isinstance(derived, Count) and derived.value == size:
            return derived
    return plus(*(tight(*weight.shape) for weight in weights))


def distinct(lines: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """(names, arithmetic) with the names of equal arithmetic joined: both axes of a square layer read as one line.

    >>> distinct([("rows", "3 + 1 = 4"), ("columns", "3 + 1 = 4")])
    [('rows and columns', '3 + 1 = 4')]
    """
    names: dict[str, list[str]] = {}
    for name, text in lines:
        if text:
            names.setdefault(text, []).append(name)
    return [(" and ".join(named), text) for text, named in names.items()]
