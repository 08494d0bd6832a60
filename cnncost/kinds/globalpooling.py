"""Pooling over whole axes, and over as many windows as the output shall have positions (adaptive pooling)."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, times
from cnncost.kinds.arguments import Extent, Flag, arg
from cnncost.kinds.base import WHOLE, Field, Shapes, Weightless
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Dim, Shape
from cnncost.window import Reach


@dataclass(frozen=True)
class _Global(Weightless, Spatial):
    """One value for each map, from all its positions: one operation for each input value, as TensorFlow's profiler has
    it."""

    data_format: str | None = data_format()
    keepdims: bool = arg(Flag("keep the spatial axes, as ones"), False)

    def output(self, inputs: Shapes) -> Shape:
        spatial, channels = self.split(inputs)
        return self.join((1,) * len(spatial), channels) if self.keepdims else (channels,)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(*inputs[0])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE


@dataclass(frozen=True)
class _GlobalMax(_Global):
    """The largest value of each map; the reverse pass looks for it again in the input."""

    keeps = ("inputs", "outputs")


@dataclass(frozen=True)
class GlobalAveragePooling1D(_Global):
    """The mean of each channel over all steps."""

    rank = 1


@dataclass(frozen=True)
class GlobalAveragePooling2D(_Global):
    """The mean of each map.

    >>> pool = GlobalAveragePooling2D()
    >>> pool.output(((7, 7, 2048),)), pool.other_flops(((7, 7, 2048),), ((2048,),)).derivation()
    ((2048,), '7 × 7 × 2,048 = 100,352')
    """

    rank = 2


@dataclass(frozen=True)
class GlobalAveragePooling3D(_Global):
    """The mean of each map of a volume."""

    rank = 3


@dataclass(frozen=True)
class GlobalMaxPooling1D(_GlobalMax):
    """The maximum of each channel over all steps."""

    rank = 1


@dataclass(frozen=True)
class GlobalMaxPooling2D(_GlobalMax):
    """The maximum of each map."""

    rank = 2


@dataclass(frozen=True)
class GlobalMaxPooling3D(_GlobalMax):
    """The maximum of each map of a volume."""

    rank = 3


def _taps(size: Dim, output: int) -> Dim:
    """Positions in all windows of one axis together: window i is floor(i·n/out) … ceil((i + 1)·n/out) - 1.

    >>> _taps(5, 2)   # positions 0 1 2 and 2 3 4
    6
    """
    from math import gcd

    # Neighbouring windows share one position wherever the boundary i·n/out is no whole number: out - gcd times.
    return None if size is None else size + output - gcd(size, output)


@dataclass(frozen=True)
class _Adaptive(Weightless, Spatial):
    """Output position i pools the input positions floor(i·n/out) … ceil((i + 1)·n/out) - 1: one operation for each of
    them."""

    output_size: tuple[int, ...] = arg(Extent("positions of the output along each axis"))
    data_format: str | None = data_format()

    def output(self, inputs: Shapes) -> Shape:
        return self.join(self.output_size, self.split(inputs)[1])

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        spatial, channels = self.split(inputs)
        taps = [_taps(n, out) for n, out in zip(spatial, self.output_size, strict=True)]
        return times(*taps, channels)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        spatial, _ = self.split(inputs)
        return tuple(
            None if n is None else Reach(n, 0, n - 1, out) for n, out in zip(spatial, self.output_size, strict=True)
        )


@dataclass(frozen=True)
class _AdaptiveMax(_Adaptive):
    """Keeps the input, where the reverse pass looks for the largest values."""

    keeps = ("inputs", "outputs")


@dataclass(frozen=True)
class AdaptiveAveragePooling1D(_Adaptive):
    """Means over as many windows as the output has steps."""

    rank = 1


@dataclass(frozen=True)
class AdaptiveAveragePooling2D(_Adaptive):
    """Means over as many windows as the output has positions.

    >>> AdaptiveAveragePooling2D(7).output(((12, 20, 8),))
    (7, 7, 8)
    """

    rank = 2


@dataclass(frozen=True)
class AdaptiveAveragePooling3D(_Adaptive):
    """Means over as many windows as the output has positions."""

    rank = 3


@dataclass(frozen=True)
class AdaptiveMaxPooling1D(_AdaptiveMax):
    """Maxima over as many windows as the output has steps."""

    rank = 1


@dataclass(frozen=True)
class AdaptiveMaxPooling2D(_AdaptiveMax):
    """Maxima over as many windows as the output has positions."""

    rank = 2


@dataclass(frozen=True)
class AdaptiveMaxPooling3D(_AdaptiveMax):
    """Maxima over as many windows as the output has positions."""

    rank = 3
