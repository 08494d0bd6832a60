"""Convolutional LSTM in 1, 2 and 3 dimensions. Source: Shi et al. 2015, as Keras builds it (no peepholes)."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, count, times
from cnncost.errors import GeometryError
from cnncost.kinds.activations import Activation
from cnncost.kinds.arguments import Choice, Extent, Flag, Integer, Number, arg
from cnncost.kinds.base import MacTerm, Shapes, Weight
from cnncost.kinds.cells import lstm_flops
from cnncost.kinds.recurrent import RECURRENT_OPTIONS, Sequence
from cnncost.kinds.spatial import data_format
from cnncost.tensor import Dim, Shape, product, shape_text
from cnncost.window import Window, slide


@dataclass(frozen=True)
class _ConvLSTM(Sequence):
    """An LSTM whose products are convolutions: the input's with ``strides``, ``padding`` and ``dilation_rate``, the
    state's with the same kernel size, stride 1 and SAME. Multiplications per time step: positions × taps × channels ×
    4·filters for the input, positions × taps × filters × 4·filters for the state. Other operations: an LSTM step's
    per element of the state.
    """

    filters: int = arg(Integer("maps of the state"))
    kernel_size: tuple[int, ...] = arg(Extent("taps of the window along each axis"))
    strides: tuple[int, ...] = arg(Extent("step of the window along each axis", four="strides"), 1)
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    data_format: str | None = data_format()
    dilation_rate: tuple[int, ...] = arg(Extent("distance between taps"), 1)
    activation: str | None = arg(Activation("function of the candidate and the output", optional=True), "tanh")
    recurrent_activation: str | None = arg(Activation("function of the gates", optional=True), "sigmoid")
    use_bias: bool = arg(Flag("add one bias per map and gate"), True)
    dropout: float = arg(Number("share of the inputs dropped in training", 0, 1), 0.0)
    recurrent_dropout: float = arg(Number("share of the state dropped in training", 0, 1), 0.0)
    return_sequences: bool = arg(Flag("return the output of every step"), False)
    return_state: bool = arg(Flag("return the last states too"), False)
    go_backwards: bool = arg(Flag("read the sequence from its end"), False)

    passive = RECURRENT_OPTIONS

    def check(self) -> None:
        if any(s > 1 for s in self.strides) and any(d > 1 for d in self.dilation_rate):
            raise self.wrong(
                "dilation_rate", "strides and dilation_rate above 1 together", rule="one of them must be 1",
                received=f"strides {list(self.strides)}, dilation_rate {list(self.dilation_rate)}",
            )  # fmt: skip

    def state_count(self) -> int:
        return 2

    def _split(self, inputs: Shapes) -> tuple[Dim, Shape, int]:
        """(time steps, spatial axes, channels) of the sequence."""
        assert self.rank is not None
        if not inputs or len(inputs[0]) != self.rank + 2:
            raise GeometryError(
                f"{self.name()} needs an input of {self.rank + 2} axes: steps, {self.rank} of space, channels",
                received=", ".join(shape_text(shape) for shape in inputs) or "no input",
            )
        steps, *rest = inputs[0]
        first = self.data_format == "channels_first"
        channels = self.known(rest[0] if first else rest[-1])
        return steps, tuple(rest[1:] if first else rest[:-1]), channels

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        _, spatial, _ = self._split(inputs)
        parts = zip(spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        return tuple(slide(n, k, s, self.padding, d) for n, k, s, d in parts)

    def _state(self, inputs: Shapes) -> Shape:
        spatial = tuple(window.output for window in self.windows(inputs))
        return (self.filters, *spatial) if self.data_format == "channels_first" else (*spatial, self.filters)

    def outputs(self, inputs: Shapes) -> Shapes:
        steps, state = inputs[0][0] if inputs and inputs[0] else None, self._state(inputs)
        given = inputs[1:]
        if given and (len(given) != 2 or any(_differ(shape, state) for shape in given)):
            raise GeometryError(
                f"{self.name()}: the states it is called with are not its own",
                rule=f"there are two, each {shape_text(state)}",
                received=", ".join(shape_text(shape) for shape in given),
            )
        return self.result(steps, state, (state, state))

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        channels, gates = self._split(inputs)[2], 4 * self.filters
        kernels = (
            Weight("kernel", (*self.kernel_size, channels, gates)),
            Weight("recurrent_kernel", (*self.kernel_size, self.filters, gates)),
        )
        return (*kernels, Weight("bias", (gates,))) if self.use_bias else kernels

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        steps, _, channels = self._split(inputs)
        places = [count(window.output, "positions") for window in self.windows(inputs)]
        taps, maps = product(self.kernel_size), count(self.filters, "maps")
        each = (count(steps, "time steps"), *places, count(taps, "taps"))
        return (
            MacTerm("input", times(*each, count(channels, "channels"), count(4, "gates"), maps)),
            MacTerm("state", times(*each, maps, count(4, "gates"), maps), "recurrent_kernel", inner=True),
        )

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        elements = product(self._state(inputs))
        one = lstm_flops(elements, self.activation, self.recurrent_activation, self.use_bias)
        return times(self._split(inputs)[0], one)


def _differ(a: Shape, b: Shape) -> bool:
    return len(a) != len(b) or any(None not in (m, n) and m != n for m, n in zip(a, b, strict=True))


@dataclass(frozen=True)
class ConvLSTM1D(_ConvLSTM):
    """Over sequences of 1-D maps [steps, positions, channels]."""

    rank = 1


@dataclass(frozen=True)
class ConvLSTM2D(_ConvLSTM):
    """Over sequences of images [steps, rows, columns, channels].

    >>> ConvLSTM2D(filters=8, kernel_size=3, padding="same").outputs(((10, 32, 32, 3),))
    ((32, 32, 8),)
    """

    rank = 2


@dataclass(frozen=True)
class ConvLSTM3D(_ConvLSTM):
    """Over sequences of volumes [steps, depth, rows, columns, channels]."""

    rank = 3
