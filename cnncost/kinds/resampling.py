"""Layers that add, cut or resample positions: padding, cropping, upsampling.

Interpolation works on one axis after the other, with half-pixel centres: output i lies at (i + 1/2)·n/m - 1/2 of the
input. Operations per output value: 0 for nearest; for a kernel of t taps per axis, t multiplications and t - 1
additions on each of t^axes positions, taken as 2·t^axes - 1: 7 for bilinear, 31 for bicubic on two axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnncost.count import ZERO, Count, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Choice, Extent, Integer, Pads, arg
from cnncost.kinds.base import Field, Shapes, Weightless
from cnncost.kinds.reshaping import Moves
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Dim, Shape, shape_text
from cnncost.window import Reach

TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4, "lanczos3": 6, "lanczos5": 10}


def interpolation_flops(shape: Shape, method: str, axes: int) -> Count:
    """
    >>> interpolation_flops((8, 8, 3), "bilinear", 2).derivation()
    '7 × 8 × 8 × 3 = 1,344'
    """
    taps = TAPS.get(method, 2)
    return times(2 * taps**axes - 1, *shape) if taps > 1 else ZERO


def sampled(size: Dim, output: int, method: str) -> Reach | None:
    """What output positions read when ``size`` positions are resampled to ``output``; None where it is no simple step.

    >>> sampled(4, 8, "bilinear")   # doubled: position 1 lies at 1/4, between 0 and 1
    Reach(step=8, low=-4, high=11, up=16)
    """
    if size is None or method not in TAPS:
        return None
    if method == "nearest":
        return Reach(2 * size, size, size, 2 * output)
    # Floor and ceiling of ((2i + 1)·n - m)/(2m); wider kernels read further on both sides unless they hit a position.
    low, up = size - output, 2 * output
    if method == "bilinear":
        return Reach(2 * size, low, low + up - 1, up)
    from math import gcd

    hits = (output - size) % gcd(2 * size, up) == 0
    wider = TAPS[method] // 2
    return None if hits else Reach(2 * size, low - (wider - 1) * up, low + wider * up, up)


@dataclass(frozen=True)
class _ZeroPadding(Spatial, Moves):
    """Zeros around the spatial axes."""

    padding: tuple[tuple[int, int], ...] = arg(Pads("positions added before and after each axis"), 1)
    data_format: str | None = data_format()

    free = "padding: copies, no arithmetic"

    def output(self, inputs: Shapes) -> Shape:
        spatial, channels = self.split(inputs)
        padded = (None if n is None else n + sum(pads) for n, pads in zip(spatial, self.padding, strict=True))
        return self.join(tuple(padded), channels)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(Reach(1, -before, -before) for before, _ in self.padding)

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return (self.free, f"adds {' and '.join(f'{a} + {b}' for a, b in self.padding)} positions")


@dataclass(frozen=True)
class ZeroPadding1D(_ZeroPadding):
    """
    >>> ZeroPadding1D([1, 2]).output(((5, 3),))
    (8, 3)
    """

    rank = 1


@dataclass(frozen=True)
class ZeroPadding2D(_ZeroPadding):
    """
    >>> ZeroPadding2D(2).output(((28, 28, 1),))
    (32, 32, 1)
    """

    rank = 2


@dataclass(frozen=True)
class ZeroPadding3D(_ZeroPadding):
    """
    >>> ZeroPadding3D([[0, 1], 1, 0]).output(((4, 4, 4, 1),))
    (5, 6, 4, 1)
    """

    rank = 3


class _Cropping(Spatial, Moves):
    """Positions cut from both ends of each spatial axis."""

    cropping: tuple[tuple[int, int], ...]

    free = "cropping: copies, no arithmetic"

    def output(self, inputs: Shapes) -> Shape:
        spatial, channels = self.split(inputs)
        if any(n is not None and sum(cut) >= n for n, cut in zip(spatial, self.cropping, strict=True)):
            raise GeometryError(
                f"{self.name()}: nothing is left of its input",
                rule="the cropping must be smaller than each axis",
                received=f"input {shape_text(inputs[0])}, cropping {[list(cut) for cut in self.cropping]}",
            )
        left = (None if n is None else n - sum(cut) for n, cut in zip(spatial, self.cropping, strict=True))
        return self.join(tuple(left), channels)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(Reach(1, before, before) for before, _ in self.cropping)


@dataclass(frozen=True)
class Cropping1D(_Cropping):
    """
    >>> Cropping1D().output(((5, 3),))
    (3, 3)
    """

    cropping: tuple[tuple[int, int], ...] = arg(Pads("positions cut at both ends of each axis"), 1)
    data_format = None

    rank = 1


@dataclass(frozen=True)
class Cropping2D(_Cropping):
    """
    >>> Cropping2D([[1, 2], 3]).output(((28, 28, 4),))
    (25, 22, 4)
    """

    cropping: tuple[tuple[int, int], ...] = arg(Pads("positions cut at both ends of each axis"), 0)
    data_format: str | None = data_format()

    rank = 2


@dataclass(frozen=True)
class Cropping3D(_Cropping):
    """
    >>> Cropping3D().output(((8, 8, 8, 2),))
    (6, 6, 6, 2)
    """

    cropping: tuple[tuple[int, int], ...] = arg(Pads("positions cut at both ends of each axis"), 1)
    data_format: str | None = data_format()

    rank = 3


class _UpSampling(Weightless, Spatial):
    """Every position several times along each axis, or interpolated between."""

    size: Any  # an integer where there is one axis, else one for each
    interpolation: str

    @property
    def _factors(self) -> tuple[int, ...]:
        return self.size if isinstance(self.size, tuple) else (self.size,)

    def output(self, inputs: Shapes) -> Shape:
        spatial, channels = self.split(inputs)
        larger = (None if n is None else n * factor for n, factor in zip(spatial, self._factors, strict=True))
        return self.join(tuple(larger), channels)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return interpolation_flops(outputs[0], self.interpolation, len(self._factors))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(sampled(1, factor, self.interpolation) for factor in self._factors)

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return ("upsampling: copies, no arithmetic",) if self.interpolation == "nearest" else ()


@dataclass(frozen=True)
class UpSampling1D(_UpSampling):
    """
    >>> UpSampling1D(3).output(((5, 2),))
    (15, 2)
    """

    size: int = arg(Integer("how often each step is repeated"), 2)
    data_format = None
    interpolation = "nearest"

    rank = 1


@dataclass(frozen=True)
class UpSampling2D(_UpSampling):
    """
    >>> UpSampling2D((2, 3)).output(((5, 5, 2),))
    (10, 15, 2)
    """

    size: tuple[int, ...] = arg(Extent("how often each position is repeated along each axis"), 2)
    data_format: str | None = data_format()
    interpolation: str = arg(Choice("how values between are found", *TAPS), "nearest")

    rank = 2

    def check(self) -> None:
        """TensorFlow's gradient of an interpolation holds on to the images; that of ``nearest`` needs their size
        alone."""
        object.__setattr__(self, "keeps", () if self.interpolation == "nearest" else ("inputs",))


@dataclass(frozen=True)
class UpSampling3D(_UpSampling):
    """
    >>> UpSampling3D().output(((2, 2, 2, 1),))
    (4, 4, 4, 1)
    """

    size: tuple[int, ...] = arg(Extent("how often each position is repeated along each axis"), 2)
    data_format: str | None = data_format()
    interpolation = "nearest"

    rank = 3
