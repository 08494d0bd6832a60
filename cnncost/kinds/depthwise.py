"""Depthwise and separable convolutions: a window for each map alone, then (separable) a 1×1 convolution over the
maps."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, count, plus, tight, times
from cnncost.kinds.activations import Activated, Activation, activated, activation_flops
from cnncost.kinds.arguments import Choice, Extent, Flag, Integer, arg
from cnncost.kinds.base import MacTerm, Shapes, Weight
from cnncost.kinds.convolution import AXIS_NAMES, Sliding
from cnncost.kinds.spatial import data_format
from cnncost.tensor import Shape, product

_BIAS = ("bias_initializer", "bias_regularizer", "bias_constraint", "activity_regularizer")
_DEPTHWISE = ("depthwise_initializer", "depthwise_regularizer", "depthwise_constraint")
_POINTWISE = ("pointwise_initializer", "pointwise_regularizer", "pointwise_constraint")


class _Depthwise(Activated, Sliding):
    """What both families share: ``depth_multiplier`` maps from each input map, each with a window of its own.
    Strides and dilation may stand together here, as in Keras."""

    depth_multiplier: int
    activation: str | None
    use_bias: bool

    def _positions(self, inputs: Shapes) -> list[Count]:
        sizes = [window.output for window in self.windows(inputs)]
        return [count(size, name) for size, name in zip(sizes, AXIS_NAMES[len(sizes)], strict=True)]

    def _channels(self, inputs: Shapes) -> int:
        return self.known(self.split(inputs)[1])

    def _depthwise_macs(self, inputs: Shapes, weight: str) -> MacTerm:
        maps = times(count(self._channels(inputs), "maps"), count(self.depth_multiplier, "multiplier"))
        taps = count(product(self.kernel_size), "taps")
        return MacTerm("depthwise", times(*self._positions(inputs), maps, taps), weight)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        """One addition per bias and value, and the activation."""
        elements = product(self._sums(inputs))
        return plus(times(elements) if self.use_bias else 0, activation_flops(self.activation, elements))

    def _sums(self, inputs: Shapes) -> Shape:
        """The shape before the activation."""
        raise NotImplementedError

    def output(self, inputs: Shapes) -> Shape:
        return activated(self._sums(inputs), self.activation)


@dataclass(frozen=True)
class _DepthwiseConv(_Depthwise):
    """Each input map is convolved alone, with ``depth_multiplier`` windows: taps × output values multiplications."""

    kernel_size: tuple[int, ...] = arg(Extent("taps of the window along each axis"))
    strides: tuple[int, ...] = arg(Extent("step of the window along each axis", four="strides"), 1)
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    depth_multiplier: int = arg(Integer("output maps for each input map"), 1)
    data_format: str | None = data_format()
    dilation_rate: tuple[int, ...] = arg(Extent("distance between taps"), 1)
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    use_bias: bool = arg(Flag("add one bias per map"), True)

    passive = (*_DEPTHWISE, *_BIAS)

    def _sums(self, inputs: Shapes) -> Shape:
        spatial = tuple(window.output for window in self.windows(inputs))
        return self.join(spatial, self._channels(inputs) * self.depth_multiplier)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        channels = self._channels(inputs)
        kernel = Weight("kernel", (*self.kernel_size, channels, self.depth_multiplier))
        return (kernel, Weight("bias", (channels * self.depth_multiplier,))) if self.use_bias else (kernel,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        return (self._depthwise_macs(inputs, "kernel"),)

    def params_count(self, inputs: Shapes) -> Count:
        """``(3×3 + 1) × 32``."""
        taps = tight(*self.kernel_size)
        return times(plus(taps, 1) if self.use_bias else taps, self._channels(inputs) * self.depth_multiplier)


@dataclass(frozen=True)
class DepthwiseConv1D(_DepthwiseConv):
    """
    >>> DepthwiseConv1D(3).output(((10, 4),))
    (8, 4)
    """

    rank = 1


@dataclass(frozen=True)
class DepthwiseConv2D(_DepthwiseConv):
    """
    >>> conv = DepthwiseConv2D(3, padding="same", use_bias=False)
    >>> shape = (112, 112, 32)
    >>> conv.macs((shape,), (shape,))[0].count.derivation(), conv.params_count((shape,)).derivation()
    ('112 × 112 × (32 × 1) × 9 = 3,612,672', '3×3 × 32 = 288')
    """

    rank = 2


@dataclass(frozen=True)
class _SeparableConv(_Depthwise):
    """A depthwise convolution, then a 1×1 convolution over its maps; no bias or activation between the two."""

    filters: int = arg(Integer("output maps"))
    kernel_size: tuple[int, ...] = arg(Extent("taps of the window along each axis"))
    strides: tuple[int, ...] = arg(Extent("step of the window along each axis", four="strides"), 1)
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    data_format: str | None = data_format()
    dilation_rate: tuple[int, ...] = arg(Extent("distance between taps"), 1)
    depth_multiplier: int = arg(Integer("maps between the two steps for each input map"), 1)
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    use_bias: bool = arg(Flag("add one bias per map"), True)

    passive = (*_DEPTHWISE, *_POINTWISE, *_BIAS)

    def _sums(self, inputs: Shapes) -> Shape:
        self._channels(inputs)
        return self.join(tuple(window.output for window in self.windows(inputs)), self.filters)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        channels = self._channels(inputs)
        between = channels * self.depth_multiplier
        kernels = (
            Weight("depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier)),
            Weight("pointwise_kernel", (*(1 for _ in self.kernel_size), between, self.filters)),
        )
        return (*kernels, Weight("bias", (self.filters,))) if self.use_bias else kernels

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        between = times(count(self._channels(inputs), "maps"), count(self.depth_multiplier, "multiplier"))
        pointwise = times(*self._positions(inputs), between, count(self.filters, "output maps"))
        return (
            self._depthwise_macs(inputs, "depthwise_kernel"),
            MacTerm("pointwise", pointwise, "pointwise_kernel", inner=True),
        )

    def params_count(self, inputs: Shapes) -> Count:
        """``3×3 × 32 + (32 + 1) × 64``."""
        between = self._channels(inputs) * self.depth_multiplier
        pointwise = times(plus(between, 1) if self.use_bias else between, self.filters)
        return plus(times(tight(*self.kernel_size), between), pointwise)


@dataclass(frozen=True)
class SeparableConv1D(_SeparableConv):
    """
    >>> SeparableConv1D(8, 3, padding="same").output(((10, 4),))
    (10, 8)
    """

    rank = 1


@dataclass(frozen=True)
class SeparableConv2D(_SeparableConv):
    """
    >>> SeparableConv2D(64, 3, padding="same").params_count(((147, 147, 32),)).derivation()
    '3×3 × 32 + (32 + 1) × 64 = 2,400'
    """

    rank = 2
