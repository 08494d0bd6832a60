"""The output's size, axis by axis: the rule that applied, the padding on each side, what no window reaches."""

from __future__ import annotations

from cnncost.analysis import LayerCost
from cnncost.arithmetic import (
    SIDES,
    axis_names,
    distinct,
    ignored_arithmetic,
    number,
    output_arithmetic,
    padding_arithmetic,
    shape_arithmetic,
    span_arithmetic,
)
from cnncost.explain.section import Section, Step, section
from cnncost.tensor import shape_text
from cnncost.window import Window


def size_section(row: LayerCost) -> Section | None:
    """How the input's shape becomes the output's."""
    windows, steps = row.windows, []
    names = axis_names(len(windows))
    for axis, text in distinct(zip(names, map(_spanned, windows), strict=True)):
        steps.append(Step(text, f"{axis}, span of the dilated window"))
    steps += size_steps(row)
    for axis, text in distinct((n, _padding(n, w)) for n, w in zip(names, windows, strict=True)):
        arithmetic, _, sides = text.partition("|")
        steps.append(Step(arithmetic, f"{axis}, padding", sides))
    for axis, text in distinct(zip(names, map(ignored_arithmetic, windows), strict=True)):
        left = text.rsplit("= ", 1)[1]
        steps.append(Step(text, f"{axis}, ignored", f"no window reaches the last {left}"))
    if not steps:
        joined = shape_arithmetic(row.layer.kind, row.input_shapes, tuple(tensor.shape for tensor in row.outputs))
        steps += [Step(text, axis) for axis, text in joined]
    shapes = ", ".join(shape_text(tensor.shape) for tensor in row.outputs)
    steps.append(Step(shapes, "output"))
    return section("Output size", *steps)


def size_steps(row: LayerCost) -> list[Step]:
    """The rule that gives each spatial axis of the output."""
    names = axis_names(len(row.windows))
    lines = distinct(zip(names, map(output_arithmetic, row.windows), strict=True))
    return [Step(text.split(": ", 1)[1], f"{axis}, {text.split(': ', 1)[0]}") for axis, text in lines] + _spread(row)


def _spanned(window: Window) -> str:
    return span_arithmetic(window) if window.dilation > 1 else ""


def _padding(name: str, window: Window) -> str:
    """``max(…) = 3|left 1, right 2``."""
    if not window.before and not window.after:
        return ""
    first, last = SIDES.get(name, ("before", "after"))
    total = padding_arithmetic(window) or f"{number(window.before)} + {number(window.after)} = {_sum(window)}"
    return f"{total}|{first} {number(window.before)}, {last} {number(window.after)}"


def _sum(window: Window) -> str:
    return number(None if window.before is None or window.after is None else window.before + window.after)


def _spread(row: LayerCost) -> list[Step]:
    """Transposed convolutions and upsampling: the output is longer than the input."""
    kind = row.layer.kind
    strides, kernel = getattr(kind, "strides", None), getattr(kind, "kernel_size", None)
    if (
        row.windows
        or not hasattr(kind, "output_padding")
        or not isinstance(strides, tuple)
        or not isinstance(kernel, tuple)
    ):
        return []
    first = 1 if getattr(kind, "channels_first", False) else 0
    dilation = getattr(kind, "dilation_rate", (1,) * len(strides))
    extra = getattr(kind, "output_padding", None) or (None,) * len(strides)
    names, lines = axis_names(len(strides)), []
    for axis, name in enumerate(names):
        size, output = row.input_shapes[0][axis + first], row.output_shape[axis + first]
        span = (kernel[axis] - 1) * dilation[axis] + 1
        lines.append(
            (name, _transposed(size, output, span, strides[axis], str(getattr(kind, "padding", "")), extra[axis]))
        )
    return [Step(text.split(": ", 1)[1], f"{axis}, {text.split(': ', 1)[0]}") for axis, text in distinct(lines)]


def _transposed(size: int | None, output: int | None, span: int, stride: int, padding: str, extra: int | None) -> str:
    """Keras's rule for a transposed convolution's length, if it gives the length that the layer has.

    >>> _transposed(14, 28, 3, 2, "same", None), _transposed(14, 29, 3, 2, "valid", None)
    ('SAME: 14 × 2 = 28', 'VALID: (14 - 1) × 2 + max(3, 2) = 29')
    """
    if size is None or output is None:
        return ""
    if extra is None:
        same = (f"SAME: {size:,} × {stride:,}", size * stride)
        valid = (
            f"VALID: ({size:,} - 1) × {stride:,} + max({span:,}, {stride:,})",
            (size - 1) * stride + max(span, stride),
        )
    else:
        rest = f"({size:,} - 1) × {stride:,}"
        same = (f"SAME: {rest} + {span % 2} + {extra}", (size - 1) * stride + span % 2 + extra)
        valid = (f"VALID: {rest} + {span:,} + {extra}", (size - 1) * stride + span + extra)
    text, value = same if padding == "same" else valid
    return f"{text} = {value:,}" if value == output else ""
