"""Normalization layers. Arithmetic at inference: batch normalization folds its statistics into a scale and a shift, 2
operations per value; the others take statistics of the input itself, so that each value is also summed, squared and
centred."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnncost.count import Count, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import AxisOrAxes, Flag, Integer, Number, arg
from cnncost.kinds.base import WHOLE, Field, Kind, SamePositions, Shapes, Weight
from cnncost.tensor import Shape, shape_text

_INITS = tuple(f"{w}_{part}" for w in ("beta", "gamma") for part in ("initializer", "regularizer", "constraint"))


class Axes(Kind):
    """Kinds with an ``axis`` argument that counts the batch as axis 0, as Keras does; output as input."""

    def positions(self, shape: Shape, axis: Any) -> tuple[int, ...]:
        """Indices into a batch-free shape, sorted. Raises GeometryError out of bounds or at the batch."""
        found = []
        for one in axis if isinstance(axis, tuple) else (axis,):
            place = one - 1 if one >= 0 else one + len(shape)
            if not 0 <= place < len(shape):
                raise GeometryError(
                    f"{self.name()}: axis {one} is not an axis of its input",
                    rule=f"axes count from the batch, which is 0: 1 to {len(shape)}, or -1 to -{len(shape)}",
                    received=shape_text(shape),
                )
            found.append(place)
        return tuple(sorted(found))

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[()]:
        return ()

    def output(self, inputs: Shapes) -> Shape:
        shape = self.one(inputs)
        self.weights(inputs)
        return shape

    def sizes(self, shape: Shape, axis: Any) -> tuple[int, ...]:
        """The sizes of the axes, which weights need."""
        return tuple(self.known(shape[i], "normalized axis") for i in self.positions(shape, axis))


def affine(shape: tuple[int, ...], scale: bool, center: bool) -> tuple[Weight, ...]:
    """gamma and beta, where the layer has them."""
    return tuple(Weight(name, shape) for name, has in (("gamma", scale), ("beta", center)) if has)


@dataclass(frozen=True)
class BatchNormalization(SamePositions, Axes):
    """(x - mean)/sqrt(variance + epsilon)·gamma + beta for each map, with the moving statistics at inference: they fold
    into one multiplication and one addition per value.

    >>> weights = BatchNormalization().weights(((56, 56, 64),))
    >>> [(w.name, w.size, w.trainable) for w in weights]
    [('gamma', 64, True), ('beta', 64, True), ('moving_mean', 64, False), ('moving_variance', 64, False)]
    """

    axis: int = arg(AxisOrAxes("the channel axis; the batch is axis 0"), -1)
    momentum: float = arg(Number("weight of the old moving statistics"), 0.99)
    epsilon: float = arg(Number("added to the variance", low=0), 1e-3)
    center: bool = arg(Flag("add beta"), True)
    scale: bool = arg(Flag("multiply by gamma"), True)
    renorm: bool = arg(Flag("batch renormalization: three more statistics"), False)
    synchronized: bool = arg(Flag("statistics over all devices"), False)

    passive = (
        *_INITS, "moving_mean_initializer", "moving_variance_initializer", "renorm_clipping", "renorm_momentum",
        "fused", "virtual_batch_size", "adjustment",
    )  # fmt: skip
    keeps = ("inputs", "statistics")

    def check(self) -> None:
        if isinstance(self.axis, tuple):  # tf.keras wrote a list of one axis
            if len(self.axis) != 1:
                raise self.wrong("axis", "several axes", rule="it must be one axis", received=str(list(self.axis)))
            object.__setattr__(self, "axis", self.axis[0])

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        shape = self.sizes(self.one(inputs), self.axis)
        names = ["moving_mean", "moving_variance"]
        if self.renorm:
            names += ["moving_stddev", "renorm_mean", "renorm_stddev"]
        return affine(shape, self.scale, self.center) + tuple(Weight(name, shape, trainable=False) for name in names)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(2, *inputs[0])


def _statistics_field(kind: Axes, inputs: Shapes, outputs: Shapes, normalized: tuple[int, ...]) -> Field:
    """Statistics over the last axis alone stay at their position; over any other axis every position is read."""
    if normalized == (len(inputs[0]) - 1,):
        return SamePositions.field(kind, inputs, outputs)  # type: ignore[arg-type]
    return WHOLE


@dataclass(frozen=True)
class LayerNormalization(Axes):
    """Each instance by the mean and variance along ``axis``. Per value: sum, difference, square, sum of squares (4),
    then scale and shift (2; 1 each when gamma or beta is missing): 4 + gamma + beta, and 1 for the division.

    >>> norm = LayerNormalization()
    >>> norm.other_flops(((197, 768),), ((197, 768),)).derivation()
    '7 × 197 × 768 = 1,059,072'
    """

    axis: int | tuple[int, ...] = arg(AxisOrAxes("axes of the statistics; the batch is axis 0"), -1)
    epsilon: float = arg(Number("added to the variance", low=0), 1e-3)
    center: bool = arg(Flag("add beta"), True)
    scale: bool = arg(Flag("multiply by gamma"), True)
    rms_scaling: bool = arg(Flag("no mean and no beta (deprecated in Keras)"), False)

    passive = _INITS
    keeps = ("inputs", "statistics")

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        shape = self.sizes(self.one(inputs), self.axis)
        return affine(shape, self.scale or self.rms_scaling, self.center and not self.rms_scaling)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(5 + len(self.weights(inputs)), *inputs[0])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return _statistics_field(self, inputs, outputs, self.positions(inputs[0], self.axis))


@dataclass(frozen=True)
class GroupNormalization(Axes):
    """Each instance by the mean and variance of each group of maps over all positions; ``groups`` -1 is one map for
    each group (instance normalization). Operations per value: as LayerNormalization.

    >>> [w.shape for w in GroupNormalization(8).weights(((7, 7, 32),))]
    [(32,), (32,)]
    """

    groups: int = arg(Integer("groups of maps; -1: each map alone", low=-1), 32)
    axis: int = arg(Integer("the channel axis; the batch is axis 0", low=-64), -1)
    epsilon: float = arg(Number("added to the variance", low=0), 1e-3)
    center: bool = arg(Flag("add beta"), True)
    scale: bool = arg(Flag("multiply by gamma"), True)

    passive = _INITS
    keeps = ("inputs", "statistics")

    def check(self) -> None:
        if self.groups == 0:
            raise self.wrong("groups", "no groups", rule="it must be a positive whole number, or -1", received="0")

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        shape = self.sizes(self.one(inputs), self.axis)
        groups = shape[0] if self.groups == -1 else self.groups
        if shape[0] % groups:
            raise GeometryError(
                f"{self.name()}: {shape[0]} channels do not divide into {groups} groups",
                rule="groups must divide the number of channels",
            )
        return affine(shape, self.scale, self.center)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(5 + len(self.weights(inputs)), *inputs[0])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE if len(inputs[0]) > 1 else SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]


@dataclass(frozen=True)
class RMSNormalization(Axes):
    """x/sqrt(mean(x²) + epsilon)·scale: square, sum, division and scale: 4 operations per value."""

    axis: int | tuple[int, ...] = arg(AxisOrAxes("axes of the mean square; the batch is axis 0"), -1)
    epsilon: float = arg(Number("added to the mean square", low=0), 1e-6)

    keeps = ("inputs", "statistics")

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("scale", self.sizes(self.one(inputs), self.axis)),)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(4, *inputs[0])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return _statistics_field(self, inputs, outputs, self.positions(inputs[0], self.axis))


@dataclass(frozen=True)
class UnitNormalization(Axes):
    """x/|x| along ``axis``: square, sum and division: 3 operations per value."""

    axis: int | tuple[int, ...] = arg(AxisOrAxes("axes of the length; the batch is axis 0"), -1)

    keeps = ("inputs", "statistics")

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        self.positions(self.one(inputs), self.axis)
        return ()

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(3, *inputs[0])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return _statistics_field(self, inputs, outputs, self.positions(inputs[0], self.axis))
