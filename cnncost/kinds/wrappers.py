"""Layers around a layer: TimeDistributed, Bidirectional, SpectralNormalization."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from cnncost.count import Count, count, plus, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Choice, Integer, arg
from cnncost.kinds.base import SCATTERED, WHOLE, Field, Kind, MacTerm, Scattered, Shapes, Weight, Whole
from cnncost.kinds.nested import LayerArg, inner_macs, inner_weights
from cnncost.kinds.recurrent import Sequence
from cnncost.tensor import Dim, DType, Shape, product, shape_text
from cnncost.window import Reach, Window

__all__ = ["Bidirectional", "LayerArg", "SpectralNormalization", "TimeDistributed"]


@dataclass(frozen=True)
class TimeDistributed(Kind):
    """The same layer for every index of the first axis: its weights once, its arithmetic for every time step.

    >>> layer = TimeDistributed(layer={"Conv2D": [8, 3]})
    >>> layer.outputs(((10, 32, 32, 3),))
    ((10, 30, 30, 8),)
    """

    layer: Kind = arg(LayerArg("the layer that every time step goes through"))  # noqa: RUF009

    @property
    def keeps(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.layer.keeps

    def _step(self, inputs: Shapes) -> tuple[Dim, Shapes]:
        """(time steps, one step of every input)."""
        if not inputs or any(len(shape) < 2 for shape in inputs):
            raise GeometryError(
                "TimeDistributed needs inputs of at least two axes [steps, …]",
                received=", ".join(shape_text(shape) for shape in inputs) or "no input",
            )
        steps = {shape[0] for shape in inputs} - {None}
        if len(steps) > 1:
            raise GeometryError(
                "TimeDistributed: its inputs have different numbers of time steps",
                received=", ".join(shape_text(shape) for shape in inputs),
            )
        return next(iter(steps), None), tuple(shape[1:] for shape in inputs)

    def outputs(self, inputs: Shapes) -> Shapes:
        steps, x = self._step(inputs)
        return tuple((steps, *shape) for shape in self.layer.outputs(x))

    def output_dtype(self, inputs: tuple[DType, ...], compute: DType) -> DType:
        return self.layer.output_dtype(inputs, compute)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return inner_weights(self.layer, self._step(inputs)[1])

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        steps, x = self._step(inputs)
        terms = self.layer.macs(x, tuple(shape[1:] for shape in outputs))
        return tuple(term._replace(count=times(count(steps, "time steps"), term.count)) for term in terms)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        steps, x = self._step(inputs)
        one = self.layer.other_flops(x, tuple(shape[1:] for shape in outputs))
        return times(steps, one) if one else one

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        return self.layer.windows(self._step(inputs)[1])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        """A step sees its own step, and of it what the layer sees."""
        _, x = self._step(inputs)
        inner = self.layer.field(x, tuple(shape[1:] for shape in outputs))
        if isinstance(inner, Scattered):
            return SCATTERED
        if isinstance(inner, Whole):
            first = getattr(self.layer, "data_format", None) == "channels_first"
            axes = x[0][1:] if first else x[0][:-1]
            return (Reach(), *(None if n is None else Reach(0, 0, n - 1) for n in axes))
        return (Reach(), *inner)

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        steps, x = self._step(inputs)
        times_ = "?" if steps is None else f"{steps:,}"
        return (f"{self.layer.name()} at each of {times_} time steps", *self.layer.notes(x))


@dataclass(frozen=True)
class Bidirectional(Kind):
    """Two recurrent layers with weights of their own, one reading from the end; their outputs are merged.

    Merging costs one operation per output element for ``sum`` and ``mul``, two for ``ave``, none for ``concat`` and
    null (two outputs).

    >>> Bidirectional(layer={"LSTM": {"units": 8, "return_sequences": True}}).outputs(((10, 3),))
    ((10, 16),)
    """

    layer: Kind = arg(LayerArg("the recurrent layer that reads forwards"))  # noqa: RUF009
    merge_mode: str | None = arg(
        Choice("how the two outputs become one; null: they stay two", "concat", "sum", "mul", "ave", optional=True),
        "concat",
    )
    backward_layer: Kind | None = arg(LayerArg("the layer that reads backwards", optional=True), None)  # noqa: RUF009

    passive = ("weights", "return_sequences", "return_state", "stateful")
    keeps = ("inputs", "outputs")

    def check(self) -> None:
        for name, layer in (("layer", self.layer), ("backward_layer", self.backward_layer)):
            if layer is not None and not isinstance(layer, Sequence):
                raise self.wrong(name, f"{layer.name()} is not recurrent",
                                 rule="it must be SimpleRNN, LSTM, GRU, RNN or ConvLSTM1D/2D/3D")  # fmt: skip
        forward, backward = self._both
        for name in ("return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise self.wrong(
                    "backward_layer", f"{name} differs from the forward layer's", rule="it must be the same"
                )
        if forward.go_backwards == backward.go_backwards:
            raise self.wrong("backward_layer", "both layers read in the same direction",
                             rule="their go_backwards must differ")  # fmt: skip

    @cached_property
    def _both(self) -> tuple[Sequence, Sequence]:
        assert isinstance(self.layer, Sequence)
        backward = self.backward_layer
        if backward is None:
            backward = replace(self.layer, go_backwards=True)  # type: ignore[call-arg]
        assert isinstance(backward, Sequence)
        return self.layer, backward

    def _reads(self, inputs: Shapes) -> tuple[tuple[str, Sequence, Shapes], ...]:
        """(name, layer, its inputs) of both directions; initial states are halved, the forward layer's first."""
        if not inputs:
            raise GeometryError("Bidirectional takes a sequence", received="no input")
        states = inputs[1:]
        if len(states) % 2:
            raise GeometryError(
                "Bidirectional: an odd number of initial states", rule="half of them go to each direction",
                received=f"{len(states)}",
            )  # fmt: skip
        half = len(states) // 2
        forward, backward = self._both
        return (
            ("forward", forward, (inputs[0], *states[:half])), ("backward", backward, (inputs[0], *states[half:])),
        )  # fmt: skip

    def outputs(self, inputs: Shapes) -> Shapes:
        (_, forward, x), (_, backward, x_back) = self._reads(inputs)
        (y, *states), (y_back, *states_back) = forward.outputs(x), backward.outputs(x_back)
        return (*self._merged(y, y_back), *states, *states_back)

    def _merged(self, y: Shape, y_back: Shape) -> Shapes:
        if self.merge_mode is None:
            return (y, y_back)
        if self.merge_mode == "concat" and y[:-1] == y_back[:-1]:
            a, b = y[-1], y_back[-1]
            return ((*y[:-1], None if a is None or b is None else a + b),)
        if y != y_back:
            raise GeometryError(
                f"Bidirectional: {self.merge_mode} needs outputs that fit",
                received=f"{shape_text(y)} and {shape_text(y_back)}",
            )
        return (y,)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return tuple(w for name, layer, x in self._reads(inputs) for w in inner_weights(layer, x, name))

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        return tuple(
            term for name, layer, x in self._reads(inputs) for term in inner_macs(layer.macs(x, layer.outputs(x)), name)
        )

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        each = {"sum": 1, "mul": 1, "ave": 2}.get(self.merge_mode or "", 0)
        merging = times(each, product(outputs[0])) if each else 0
        return plus(*(layer.other_flops(x, layer.outputs(x)) for _, layer, x in self._reads(inputs)), merging)

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        return self.layer.windows(inputs[:1])

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return (f"{self.layer.name()} in both directions", *self.layer.notes(inputs[:1]))


@dataclass(frozen=True)
class SpectralNormalization(Kind):
    """A layer whose kernel is divided by its largest singular value. Source: Miyato et al. 2018.

    The power iteration runs in training only, once per batch: 2·(power_iterations + 1) products of the kernel as a
    matrix with a vector. Prediction costs what the layer costs. ``vector_u`` has a value for each column of the
    kernel.
    """

    layer: Kind = arg(LayerArg("the layer whose kernel is normalized"))  # noqa: RUF009
    power_iterations: int = arg(Integer("iterations per training step"), 1)

    @property
    def keeps(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.layer.keeps

    def outputs(self, inputs: Shapes) -> Shapes:
        self._kernel(inputs)
        return self.layer.outputs(inputs)

    def output_dtype(self, inputs: tuple[DType, ...], compute: DType) -> DType:
        return inputs[0] if inputs else compute

    def _kernel(self, inputs: Shapes) -> Weight:
        for weight in inner_weights(self.layer, inputs):
            if weight.name in ("kernel", "embeddings"):
                return weight
        raise GeometryError(f"SpectralNormalization: {self.layer.name()} has neither kernel nor embeddings")

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        kernel = self._kernel(inputs)
        rest = (w for w in inner_weights(self.layer, inputs) if w != kernel)
        return (kernel, Weight("vector_u", (1, kernel.shape[-1]), trainable=False), *rest)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        return self.layer.macs(inputs, outputs)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return self.layer.other_flops(inputs, outputs)

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        return self.layer.windows(inputs)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return self.layer.field(inputs, outputs)

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return ("the kernel is normalized in training only", *self.layer.notes(inputs))
