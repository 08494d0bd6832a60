"""Regularization layers: identity when the model predicts; in training they drop values or add noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Number, arg
from cnncost.kinds.base import Free, Kind, SamePositions, Shapes
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Shape


class _Regularization(Free, SamePositions, Kind):
    """Output as input."""

    free = "identity at inference"
    passive = ("noise_shape", "seed")

    def output(self, inputs: Shapes) -> Shape:
        return self.one(inputs)


def _rate() -> Any:
    return arg(Number("fraction of the values to drop", low=0, high=1))


@dataclass(frozen=True)
class Dropout(_Regularization):
    """Drops values in training and scales the rest; the reverse pass needs the mask."""

    rate: float = _rate()

    keeps = ("mask",)


@dataclass(frozen=True)
class AlphaDropout(_Regularization):
    """Dropout that keeps mean and variance, for self-normalizing networks."""

    rate: float = _rate()

    keeps = ("mask",)


@dataclass(frozen=True)
class GaussianDropout(_Regularization):
    """Multiplies by noise around 1 in training; the reverse pass needs the noise."""

    rate: float = _rate()

    keeps = ("mask",)


@dataclass(frozen=True)
class GaussianNoise(_Regularization):
    """Adds noise in training; the reverse pass needs nothing of it."""

    stddev: float = arg(Number("standard deviation of the noise", low=0))


class _SpatialDropout(_Regularization, Spatial):
    """Drops whole maps in training."""

    def output(self, inputs: Shapes) -> Shape:
        self.split(inputs)
        return inputs[0]


@dataclass(frozen=True)
class SpatialDropout1D(_SpatialDropout):
    """Drops whole channels of a sequence in training."""

    rate: float = _rate()
    data_format = None

    rank = 1
    keeps = ("mask",)


@dataclass(frozen=True)
class SpatialDropout2D(_SpatialDropout):
    """Drops whole maps of an image in training."""

    rate: float = _rate()
    data_format: str | None = data_format()

    rank = 2
    keeps = ("mask",)


@dataclass(frozen=True)
class SpatialDropout3D(_SpatialDropout):
    """Drops whole maps of a volume in training."""

    rate: float = _rate()
    data_format: str | None = data_format()

    rank = 3
    keeps = ("mask",)


@dataclass(frozen=True)
class ActivityRegularization(_Regularization):
    """A penalty on its input, added to the loss; the values pass unchanged."""

    l1: float = arg(Number("weight of the sum of absolute values"), 0.0)
    l2: float = arg(Number("weight of the sum of squares"), 0.0)

    free = "a penalty on the loss in training; values pass unchanged"
    keeps = ("inputs",)


@dataclass(frozen=True)
class Masking(_Regularization):
    """Marks steps whose values all equal ``mask_value``, and sets them to zero."""

    mask_value: float = arg(Number("value of a step to skip"), 0.0)

    free = "masking: marks steps, no arithmetic"
    keeps = ("mask",)

    def output(self, inputs: Shapes) -> Shape:
        shape = self.one(inputs)
        if not shape:
            raise GeometryError("Masking needs an input of at least one axis [features]", received="[]")
        return shape
