"""Activation functions as layers."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, times
from cnncost.kinds import activations
from cnncost.kinds.activations import activated, activation_flops, activation_keeps
from cnncost.kinds.arguments import AxisOrAxes, Integers, Number, arg
from cnncost.kinds.base import WHOLE, Field, Kind, SamePositions, Shapes, Weight, Weightless
from cnncost.kinds.normalization import Axes
from cnncost.tensor import Shape, product


class _Elementwise(Weightless, SamePositions, Kind):
    """One value in, one value out."""

    def output(self, inputs: Shapes) -> Shape:
        return self.one(inputs)


@dataclass(frozen=True)
class Activation(_Elementwise):
    """A function by name; its operations per value are those of the table in ``activations.py``.

    >>> Activation("relu").other_flops(((55, 55, 96),), ((55, 55, 96),)).derivation()
    '290,400'
    """

    activation: str = arg(activations.Activation("the function", optional=True))

    def check(self) -> None:
        object.__setattr__(self, "keeps", activation_keeps(self.activation))

    def output(self, inputs: Shapes) -> Shape:
        return activated(self.one(inputs), self.activation)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return activation_flops(self.activation, product(inputs[0]))

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return ("linear: values pass unchanged",) if self.activation in (None, "linear") else ()


@dataclass(frozen=True)
class ReLU(_Elementwise):
    """max(x, 0), or a clamp under an upper bound: 1 operation per value; a slope and a threshold are 1 more each."""

    max_value: float | None = arg(Number("upper bound", low=0, optional=True), None)
    negative_slope: float = arg(Number("slope below the threshold", low=0), 0.0)
    threshold: float = arg(Number("where the function starts", low=0), 0.0)

    keeps = ("outputs",)

    def check(self) -> None:
        if self.negative_slope or self.threshold:  # Keras builds these from the input
            object.__setattr__(self, "keeps", ("inputs",))

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        extras = bool(self.negative_slope) + bool(self.threshold)
        return times(*([1 + extras] if extras else []), *inputs[0])


@dataclass(frozen=True)
class LeakyReLU(_Elementwise):
    """max(slope·x, x): 2 operations per value."""

    negative_slope: float = arg(Number("slope below zero", low=0), 0.3)

    keeps = ("inputs",)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(2, *inputs[0])


@dataclass(frozen=True)
class ELU(_Elementwise):
    """x above zero, alpha·(exp(x) - 1) below: 4 operations per value."""

    alpha: float = arg(Number("scale below zero"), 1.0)

    def check(self) -> None:
        """TensorFlow's gradient reads the output; another alpha is applied where the input is negative."""
        object.__setattr__(self, "keeps", ("outputs",) if self.alpha == 1 else ("inputs", "outputs"))

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return activation_flops("elu", product(inputs[0]))


@dataclass(frozen=True)
class PReLU(SamePositions, Axes):
    """max(x, 0) - alpha·max(-x, 0) with trained slopes, one for each value but along ``shared_axes``: 5 operations per
    value.

    >>> PReLU(shared_axes=[1, 2]).weights(((28, 28, 64),))[0].shape
    (1, 1, 64)
    """

    shared_axes: tuple[int, ...] | None = arg(
        Integers("axes along which one slope serves; the batch is axis 0", low=1, scalar=True, optional=True), None
    )

    passive = ("alpha_initializer", "alpha_regularizer", "alpha_constraint")
    keeps = ("inputs",)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        shape = self.one(inputs)
        shared = set(self.positions(shape, self.shared_axes)) if self.shared_axes else set()
        sizes = (1 if i in shared else self.known(dim, "shape") for i, dim in enumerate(shape))
        return (Weight("alpha", tuple(sizes)),)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(5, *inputs[0])


@dataclass(frozen=True)
class Softmax(Axes):
    """exp(x - max)/sum exp(x - max) along ``axis``: 5 operations per value, as TensorFlow's profiler counts it."""

    axis: int | tuple[int, ...] = arg(AxisOrAxes("axes that sum to one; the batch is axis 0"), -1)

    keeps = ("outputs",)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        self.positions(self.one(inputs), self.axis)
        return ()

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(5, *inputs[0])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        if self.positions(inputs[0], self.axis) == (len(inputs[0]) - 1,):
            return SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]
        return WHOLE
