"""Convolutions: one rule for 1, 2 and 3 spatial axes."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, count, plus, tight, times
from cnncost.errors import GeometryError
from cnncost.kinds.activations import Activated, Activation, activated, activation_flops
from cnncost.kinds.arguments import Choice, Extent, Flag, Integer, arg
from cnncost.kinds.base import Field, MacTerm, Shapes, Weight
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Shape, product
from cnncost.window import Window, reach, slide

CONV_OPTIONS = (
    "kernel_initializer", "bias_initializer", "kernel_regularizer", "bias_regularizer", "kernel_constraint",
    "bias_constraint", "activity_regularizer",
)  # fmt: skip
AXIS_NAMES = {1: ("steps",), 2: ("rows", "columns"), 3: ("depth", "rows", "columns")}


class Sliding(Spatial):
    """A window that slides over every spatial axis; needs ``kernel_size``, ``strides``, ``padding``."""

    kernel_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: str
    dilation_rate: tuple[int, ...]

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        spatial, _ = self.split(inputs)
        parts = zip(spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        return tuple(slide(n, k, s, self.padding, d) for n, k, s, d in parts)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(reach(window) for window in self.windows(inputs))

    def check(self) -> None:
        if any(s > 1 for s in self.strides) and any(d > 1 for d in self.dilation_rate):
            raise self.wrong(
                "dilation_rate", "strides and dilation_rate above 1 together", rule="one of them must be 1",
                received=f"strides {list(self.strides)}, dilation_rate {list(self.dilation_rate)}",
            )  # fmt: skip


@dataclass(frozen=True)
class _Conv(Activated, Sliding):
    """z[i, j, k] = b[k] + Σ x[i·s + u·d, j·s + v·d, k'] · w[u, v, k', k]: every output neuron sums its window over all
    input maps of its group. Multiplications: taps × channels per group × outputs (padded taps count)."""

    filters: int = arg(Integer("output maps"))
    kernel_size: tuple[int, ...] = arg(Extent("taps of the window along each axis"))
    strides: tuple[int, ...] = arg(Extent("step of the window along each axis", four="strides"), 1)
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    data_format: str | None = data_format()
    dilation_rate: tuple[int, ...] = arg(Extent("distance between taps"), 1)
    groups: int = arg(Integer("groups of maps that do not see each other"), 1)
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    use_bias: bool = arg(Flag("add one bias per map"), True)

    passive = CONV_OPTIONS

    def check(self) -> None:
        super().check()
        Sliding.check(self)
        if self.filters % self.groups:
            raise self.wrong("groups", "filters do not divide into the groups", rule="groups must divide filters",
                             received=f"filters {self.filters}, groups {self.groups}")  # fmt: skip

    def _fan_in(self, inputs: Shapes) -> int:
        """Input maps that one output map sees."""
        channels = self.known(self.split(inputs)[1])
        if channels % self.groups:
            raise GeometryError(
                f"{self.name()}: the input's {channels} channels do not divide into {self.groups} groups",
                rule="groups must divide the number of input channels",
            )
        return channels // self.groups

    def _sums(self, inputs: Shapes) -> Shape:
        """The shape before the activation, which may halve it (GLU)."""
        self._fan_in(inputs)
        return self.join(tuple(w.output for w in self.windows(inputs)), self.filters)

    def output(self, inputs: Shapes) -> Shape:
        return activated(self._sums(inputs), self.activation)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        kernel = Weight("kernel", (*self.kernel_size, self._fan_in(inputs), self.filters))
        return (kernel, Weight("bias", (self.filters,))) if self.use_bias else (kernel,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        spatial = self.spatial(self._sums(inputs))
        names = AXIS_NAMES[len(spatial)]
        positions = [count(dim, name) for dim, name in zip(spatial, names, strict=True)]
        taps = count(product((*self.kernel_size, self._fan_in(inputs))), "inputs of a neuron")
        return (MacTerm("convolution", times(*positions, count(self.filters, "maps"), taps)),)

    def params_count(self, inputs: Shapes) -> Count:
        """``(5×5×3 + 1) × 200``."""
        taps = tight(*self.kernel_size, self._fan_in(inputs))
        return times(plus(taps, 1) if self.use_bias else taps, self.filters)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        elements = product(self._sums(inputs))
        return plus(times(elements) if self.use_bias else 0, activation_flops(self.activation, elements))


@dataclass(frozen=True)
class Conv1D(_Conv):
    """1-D convolution.

    >>> Conv1D(filters=1, kernel_size=6, strides=5).output(((13, 1),))
    (2, 1)
    """

    rank = 1
    padding: str = arg(Choice("edges", "valid", "same", "causal"), "valid")


@dataclass(frozen=True)
class Conv2D(_Conv):
    """2-D convolution.

    >>> conv = Conv2D(filters=200, kernel_size=5, padding="same")
    >>> conv.output(((150, 100, 3),)), conv.params_count(((150, 100, 3),)).derivation()
    ((150, 100, 200), '(5×5×3 + 1) × 200 = 15,200')
    """

    rank = 2


@dataclass(frozen=True)
class Conv3D(_Conv):
    """3-D convolution.

    >>> Conv3D(filters=8, kernel_size=3, strides=2, padding="same").output(((16, 112, 112, 3),))
    (8, 56, 56, 8)
    """

    rank = 3
