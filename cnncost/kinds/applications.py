"""Layers that keras.applications registers for its own models."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Integer, Number, arg
from cnncost.kinds.base import Kind, SamePositions, Shapes, Weight
from cnncost.kinds.merging import _Elementwise
from cnncost.kinds.regularization import _Regularization
from cnncost.tensor import Shape, shape_text


@dataclass(frozen=True)
class LayerScale(SamePositions, Kind):
    """One trained factor for each map (ConvNeXt): 1 operation per value.

    >>> LayerScale(1e-6, 96).weights(((56, 56, 96),))
    (Weight(name='gamma', shape=(96,), trainable=True, dtype=None),)
    """

    init_values: float = arg(Number("factor to start from"))
    projection_dim: int = arg(Integer("maps"))

    keeps = ("inputs",)

    def output(self, inputs: Shapes) -> Shape:
        shape = self.one(inputs)
        if not shape or shape[-1] not in (self.projection_dim, None):
            raise GeometryError(
                f"LayerScale: its {self.projection_dim} factors do not fit the input",
                rule="projection_dim must be the size of the last axis", received=shape_text(shape),
            )  # fmt: skip
        return shape

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("gamma", (self.projection_dim,)),)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[()]:
        return ()

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(*inputs[0])


@dataclass(frozen=True)
class StochasticDepth(_Regularization):
    """Drops a whole residual branch of an instance in training (ConvNeXt)."""

    drop_path_rate: float = arg(Number("fraction of the branches to drop", low=0, high=1))

    keeps = ("mask",)


@dataclass(frozen=True)
class CustomScaleLayer(_Elementwise):
    """inputs[0] + scale · inputs[1] (InceptionResNetV2): 2 operations per value."""

    scale: float = arg(Number("factor of the second input"))

    at_least = 2

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(2, *outputs[0])
