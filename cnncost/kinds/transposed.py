"""Transposed convolutions: each input value adds its multiple of the window to the output, ``stride`` positions apart.

Output length: VALID (n - 1)·stride + max(span, stride), SAME n·stride; with ``output_padding`` p, (n - 1)·stride + span
+ p and (n - 1)·stride + span mod 2 + p. Source: Keras, ``compute_conv_transpose_output_shape``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, count, plus, tight, times
from cnncost.kinds.activations import Activated, Activation, activated, activation_flops
from cnncost.kinds.arguments import Choice, Extent, Flag, Integer, arg
from cnncost.kinds.base import Field, MacTerm, Shapes, Weight
from cnncost.kinds.convolution import AXIS_NAMES, CONV_OPTIONS
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Dim, Shape, product
from cnncost.window import Reach


def spread(size: Dim, kernel: int, stride: int, padding: str, extra: int | None, dilation: int) -> Dim:
    """Output length along one axis.

    >>> spread(14, 3, 2, "same", None, 1), spread(14, 3, 2, "valid", None, 1), spread(14, 3, 2, "same", 0, 1)
    (28, 29, 27)
    """
    if size is None:
        return None
    span = (kernel - 1) * dilation + 1
    if padding == "valid":
        return (size - 1) * stride + span + (max(stride - span, 0) if extra is None else extra)
    return size * stride if extra is None else (size - 1) * stride + span % 2 + extra


class _Transposed(Activated, Spatial):
    """Multiplications: input positions × taps × input maps × output maps, those that fall off the edge included."""

    filters: int
    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    output_padding: tuple[int, ...] | None
    dilation_rate: tuple[int, ...]
    activation: str | None
    use_bias: bool

    passive = CONV_OPTIONS

    def check(self) -> None:
        super().check()
        if any(s > 1 for s in self.strides) and any(d > 1 for d in self.dilation_rate):
            raise self.wrong(
                "dilation_rate", "strides and dilation_rate above 1 together", rule="one of them must be 1",
                received=f"strides {list(self.strides)}, dilation_rate {list(self.dilation_rate)}",
            )  # fmt: skip
        if self.output_padding and any(p >= s for p, s in zip(self.output_padding, self.strides, strict=True)):
            raise self.wrong(
                "output_padding", "too much output_padding", rule="it must be below the stride on each axis",
                received=f"strides {list(self.strides)}, output_padding {list(self.output_padding)}",
            )  # fmt: skip

    def _axes(self, inputs: Shapes) -> list[tuple[Dim, int, int, int, int | None]]:
        """(size, kernel, stride, dilation, output_padding) of each axis."""
        spatial, _ = self.split(inputs)
        extra = self.output_padding or (None,) * len(spatial)
        return list(zip(spatial, self.kernel_size, self.strides, self.dilation_rate, extra, strict=True))

    def _sums(self, inputs: Shapes) -> Shape:
        self.known(self.split(inputs)[1])
        sizes = tuple(spread(n, k, s, self.padding, extra, d) for n, k, s, d, extra in self._axes(inputs))
        return self.join(sizes, self.filters)

    def output(self, inputs: Shapes) -> Shape:
        return activated(self._sums(inputs), self.activation)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        kernel = Weight("kernel", (*self.kernel_size, self.filters, self.known(self.split(inputs)[1])))
        return (kernel, Weight("bias", (self.filters,))) if self.use_bias else (kernel,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        spatial, channels = self.split(inputs)
        positions = [count(n, f"input {name}") for n, name in zip(spatial, AXIS_NAMES[len(spatial)], strict=True)]
        taps = count(product(self.kernel_size), "taps")
        maps = times(count(self.known(channels), "input maps"), count(self.filters, "output maps"))
        return (MacTerm("transposed convolution", times(*positions, taps, maps)),)

    def params_count(self, inputs: Shapes) -> Count:
        """``(2×2×64 + 1) × 32``."""
        taps = tight(*self.kernel_size, self.known(self.split(inputs)[1]))
        return times(plus(taps, 1) if self.use_bias else taps, self.filters)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        """One addition per bias and value, and the activation."""
        elements = product(self._sums(inputs))
        return plus(times(elements) if self.use_bias else 0, activation_flops(self.activation, elements))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(self._reach(*axis) for axis in self._axes(inputs))

    def _reach(self, size: Dim, kernel: int, stride: int, dilation: int, extra: int | None) -> Reach:
        """Output o gets input i through tap u where o + crop = i·stride + u·dilation; ``crop`` is what the edge at the
        start loses: half (rounded down) of what the padding takes away in all."""
        span = (kernel - 1) * dilation + 1
        crop = 0
        if self.padding == "same":
            crop = max(span - (stride if extra is None else span % 2 + extra), 0) // 2
        return Reach(1, crop - span + stride, crop, stride)


@dataclass(frozen=True)
class _ConvTranspose(_Transposed):
    """The arguments in the order of the 1-D and 2-D layers."""

    filters: int = arg(Integer("output maps"))
    kernel_size: tuple[int, ...] = arg(Extent("taps of the window along each axis"))
    strides: tuple[int, ...] = arg(Extent("distance between windows in the output", four="strides"), 1)
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    output_padding: tuple[int, ...] | None = arg(
        Extent("positions added at the end of each axis; must be below the stride", optional=True, low=0), None
    )
    data_format: str | None = data_format()
    dilation_rate: tuple[int, ...] = arg(Extent("distance between taps"), 1)
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    use_bias: bool = arg(Flag("add one bias per map"), True)


@dataclass(frozen=True)
class Conv1DTranspose(_ConvTranspose):
    """
    >>> Conv1DTranspose(2, 4, strides=2, padding="same").output(((8, 3),))
    (16, 2)
    """

    rank = 1


@dataclass(frozen=True)
class Conv2DTranspose(_ConvTranspose):
    """
    >>> up = Conv2DTranspose(32, 2, strides=2)
    >>> up.output(((14, 14, 64),)), up.macs(((14, 14, 64),), ((28, 28, 32),))[0].count.derivation()
    ((28, 28, 32), '14 × 14 × 4 × (64 × 32) = 1,605,632')
    """

    rank = 2


@dataclass(frozen=True)
class Conv3DTranspose(_Transposed):
    """Keras has ``data_format`` before ``output_padding`` here.

    >>> Conv3DTranspose(1, 3).output(((4, 4, 4, 2),))
    (6, 6, 6, 1)
    """

    rank = 3

    filters: int = arg(Integer("output maps"))
    kernel_size: tuple[int, ...] = arg(Extent("taps of the window along each axis"))
    strides: tuple[int, ...] = arg(Extent("distance between windows in the output", four="strides"), 1)
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    data_format: str | None = data_format()
    output_padding: tuple[int, ...] | None = arg(
        Extent("positions added at the end of each axis; must be below the stride", optional=True, low=0), None
    )
    dilation_rate: tuple[int, ...] = arg(Extent("distance between taps"), 1)
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    use_bias: bool = arg(Flag("add one bias per map"), True)
