"""A layer's sizes and counts as arithmetic with the numbers substituted; every line states something that holds.

Shared by ``explain`` and by the findings about expectations, so that both give the same rule in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cnncost.count import Count, plus, tight, times
from cnncost.kinds.base import Kind, Shapes, Weight
from cnncost.receptive import Field
from cnncost.tensor import Dim, Shape, product
from cnncost.window import Reach, Window

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


def field_arithmetic(below: Sequence[Field | None], field: Field | None, reach: Reach | None) -> list[tuple[str, str]]:
    """(figure, arithmetic) of the receptive field along one axis, from those of the layers below and what one output
    position reads; nothing where a part does not advance evenly.

    >>> field_arithmetic([Field(4, (-3,), (7,))], Field(8, (-3,), (15,)), Reach(2, 0, 2))
    [('size', '11 + 2 × 4 = 19'), ('start', '-3 + 0 × 4 = -3'), ('jump', '4 × 2 = 8')]
    """
    if field is None or reach is None or reach.up != 1 or len(field.low) != 1:
        return []
    plain = [b for b in below if b is not None and len(b.low) == 1]
    if not plain or len(plain) != len(below) or len({b.advance for b in plain}) != 1:
        return []
    one = len(set(plain)) == 1
    low, high, advance = min(b.low[0] for b in plain), max(b.high[0] for b in plain), plain[0].advance
    size, taps = high - low + 1, reach.high - reach.low
    lines: list[tuple[str, str]] = []
    if one:
        lines.append(("size", f"{size:,} + {taps:,} × {advance:,} = {field.size:,}"))
        lines.append(("start", f"{number(low)} {_offset(reach.low)} × {advance:,} = {number(field.start)}"))
    else:
        ends, starts = (", ".join(dict.fromkeys(number(e) for e in many)) for many in _ends(plain))
        lines.append(("size", f"max({ends}) - min({starts}) + 1 + {taps:,} × {advance:,} = {field.size:,}"))
        lines.append(("start", f"min({starts}) {_offset(reach.low)} × {advance:,} = {number(field.start)}"))
    lines.append(("jump", f"{advance:,} × {reach.step:,} = {field.advance:,}"))
    exact = (size + taps * advance, low + reach.low * advance, advance * reach.step)
    return lines if exact == (field.size, field.start, field.advance) else []


def _ends(fields: list[Field]) -> tuple[list[int], list[int]]:
    return [f.high[0] for f in fields], [f.low[0] for f in fields]


def _offset(low: int) -> str:
    return f"- {-low:,}" if low < 0 else f"+ {low:,}"


def shape_arithmetic(kind: Kind, inputs: Shapes, outputs: Shapes) -> list[tuple[str, str]]:
    """(axis, arithmetic) of an output size that no window gives: joined, flattened, padded, cropped or repeated axes.

    >>> shape_arithmetic(Kind(), ((28, 28, 64), (28, 28, 128)), ((28, 28, 192),))
    [('axis 3', '64 + 128 = 192')]
    >>> shape_arithmetic(Kind(), ((13, 13, 256),), ((43264,),))
    [('all positions', '13 × 13 × 256 = 43,264')]
    """
    output = outputs[0]
    if len(outputs) != 1 or not inputs or any(None in shape for shape in (*inputs, output)):
        return []
    if len(inputs) > 1:
        return _joined(inputs, output)
    shape = inputs[0]
    if len(output) == 1 and len(shape) > 1 and product(shape) == output[0]:
        return [("all positions", f"{times(*shape)} = {number(output[0])}")]
    return _grown(kind, shape, output) if len(shape) == len(output) and shape != output else []


def _joined(inputs: Shapes, output: Shape) -> list[tuple[str, str]]:
    """The axis along which the inputs stand side by side."""
    if any(len(shape) != len(output) for shape in inputs) or len(inputs) > 64:
        return []
    return [
        (f"axis {axis + 1}", f"{' + '.join(number(shape[axis]) for shape in inputs)} = {number(dim)}")
        for axis, dim in enumerate(output)
        if dim == sum(shape[axis] or 0 for shape in inputs)
    ]


def _grown(kind: Kind, shape: Shape, output: Shape) -> list[tuple[str, str]]:
    """Axes with pads (``padding``), without crops (``cropping``), or repeated (``size``)."""
    first = 1 if getattr(kind, "channels_first", False) else 0
    lines: list[tuple[str, str]] = []
    for name, sign in (("padding", "+"), ("cropping", "-"), ("size", "×")):
        values = getattr(kind, name, None)
        if not isinstance(values, tuple):
            continue
        for axis, value in enumerate(values[: len(shape)]):
            steps = value if isinstance(value, tuple) else (value,)
            n, out = shape[axis + first], output[axis + first]
            if n is None or not all(isinstance(step, int) for step in steps):
                continue
            made = n * steps[0] if sign == "×" else n + (sum(steps) if sign == "+" else -sum(steps))
            if made == out and out != n:
                text = f"{number(n)} {' '.join(f'{sign} {number(step)}' for step in steps)} = {number(out)}"
                lines.append((axis_names(len(values))[axis], text))
    return distinct(lines)
