"""Rescaling and Normalization: an affine map of the input values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cnncost.count import Count, times
from cnncost.errors import ArgumentError, GeometryError, printable
from cnncost.kinds.arguments import Arg, AxisOrAxes, Flag, arg
from cnncost.kinds.base import Kind, SamePositions, Shapes, Weight, Weightless
from cnncost.kinds.normalization import Axes
from cnncost.tensor import Shape, shape_text

MAX_VALUES = 1_000_000


class Numbers(Arg):
    """A number, or lists of numbers; kept as nested tuples."""

    rule = "a number or a list of numbers"

    def check(self, value: Any, rank: int | None) -> Any:
        numbers = self._nested(value, 0)
        shape_of(numbers)
        return numbers

    def _nested(self, value: Any, depth: int) -> Any:
        if isinstance(value, list | tuple) and depth < 8 and 0 < len(value) <= MAX_VALUES:
            return tuple(self._nested(v, depth + 1) for v in value)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 1e308:
            raise self.fail(value)
        return value

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, {"type": "array"}]}


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of nested tuples. Raises ArgumentError when they are ragged.

    >>> shape_of(((1, 2, 3),))
    (1, 3)
    """
    if not isinstance(value, Sequence):
        return ()
    shapes = {shape_of(v) for v in value}
    if len(shapes) != 1:
        raise ArgumentError("a ragged list of numbers", rule="its rows must be equally long", received=printable(value))
    return (len(value), *shapes.pop())


@dataclass(frozen=True)
class Rescaling(Weightless, SamePositions, Kind):
    """x·scale + offset: 2 operations per value.

    >>> Rescaling(1 / 255).other_flops(((224, 224, 3),), ((224, 224, 3),)).derivation()
    '2 × 224 × 224 × 3 = 301,056'
    """

    scale: float | tuple[Any, ...] = arg(Numbers("factor, or one for each channel"))
    offset: float | tuple[Any, ...] = arg(Numbers("added after scaling, or one for each channel"), 0.0)

    def output(self, inputs: Shapes) -> Shape:
        from cnncost.kinds.merging import broadcast

        shape = self.one(inputs)
        for name in ("scale", "offset"):
            own = shape_of(getattr(self, name))
            if broadcast(shape, own) != shape and None not in shape:
                raise GeometryError(
                    f"Rescaling: its {name} does not fit the input",
                    rule="one number, or one for each channel of the last axis",
                    received=f"{name} of shape {shape_text(own)}, input {shape_text(shape)}",
                )
        return shape

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(2, *inputs[0])


@dataclass(frozen=True)
class Normalization(SamePositions, Axes):
    """(x - mean)/sqrt(variance) with statistics from the data: 2 operations per value. Where they are not given, Keras
    keeps them as weights that are not trained, with the number of batches seen.

    >>> [(w.name, w.size) for w in Normalization().weights(((224, 224, 3),))]
    [('mean', 3), ('variance', 3), ('count', 1)]
    """

    axis: int | tuple[int, ...] | None = arg(AxisOrAxes("axes that have their own statistics", optional=True), -1)
    mean: float | tuple[Any, ...] | None = arg(Numbers("the mean, where it is known", optional=True), None)
    variance: float | tuple[Any, ...] | None = arg(Numbers("the variance, where it is known", optional=True), None)
    invert: bool = arg(Flag("x·sqrt(variance) + mean instead"), False)

    def check(self) -> None:
        if (self.mean is None) != (self.variance is None):
            raise self.wrong("mean" if self.mean is None else "variance", "mean or variance alone",
                             rule="give both or neither")  # fmt: skip

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        shape = self.one(inputs)
        kept = () if self.axis is None else self.sizes(shape, self.axis)
        if self.mean is not None:
            return ()
        return (Weight("mean", kept, False), Weight("variance", kept, False), Weight("count", (), False, "int64"))

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(2, *inputs[0])
