"""Recurrent cells: what one time step computes.

Source of the equations: Keras's SimpleRNNCell, LSTMCell (Hochreiter & Schmidhuber 1997, with a forget gate) and
GRUCell (Cho et al. 2014). Every step multiplies its input by ``kernel`` and the state before it by
``recurrent_kernel``; the first state counts like any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cnncost.count import Count, count, plus, times
from cnncost.errors import GeometryError
from cnncost.kinds.activations import Activation, activation_flops
from cnncost.kinds.arguments import Flag, Integer, Number, arg
from cnncost.kinds.base import WHOLE, Field, Kind, MacTerm, Shapes, Weight
from cnncost.kinds.nested import LayersArg, inner_macs, inner_weights
from cnncost.tensor import Dim, shape_text

CELL_OPTIONS = (
    "kernel_initializer", "recurrent_initializer", "bias_initializer", "unit_forget_bias", "kernel_regularizer",
    "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint", "seed",
)  # fmt: skip
CELLS = "a cell is SimpleRNNCell, LSTMCell, GRUCell or StackedRNNCells"


class Cell(Kind):
    """One time step. Called on (input, state, …); gives (output, state, …). Its counts are those of one step."""

    keeps = ("inputs", "outputs")

    def states(self) -> tuple[int, ...]:
        """Size of each state; the first one is also the output's."""
        raise NotImplementedError

    def width(self) -> int:
        """Features of the output."""
        return self.states()[0]

    def features(self, inputs: Shapes) -> int:
        shape = inputs[0] if inputs else ()
        if len(shape) != 1:
            raise GeometryError(f"{self.name()} needs an input of one axis [features]", received=shape_text(shape))
        return self.known(shape[0], "number of features")

    def outputs(self, inputs: Shapes) -> Shapes:
        self.features(inputs)
        self.check_states(inputs[1:])
        return ((self.width(),), *((size,) for size in self.states()))

    def check_states(self, given: Shapes) -> None:
        """States that come as further inputs must be the cell's own, one for one."""
        own = tuple((size,) for size in self.states())
        fits = all(len(g) == 1 and g[0] in (None, o[0]) for g, o in zip(given, own, strict=False))
        if given and (len(given) != len(own) or not fits):
            raise GeometryError(
                f"{self.name()}: the states it is called with are not its own",
                rule="the states are " + ", ".join(shape_text(shape) for shape in own),
                received=", ".join(shape_text(shape) for shape in given),
            )

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE


class GatedCell(Cell):
    """A cell of ``gates`` weighted sums of the input and as many of the state."""

    units: int
    use_bias: bool
    gates: ClassVar[int]

    def states(self) -> tuple[int, ...]:
        return (self.units,)

    def bias(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self.gates * self.units,)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        columns = self.gates * self.units
        kernels = (
            Weight("kernel", (self.features(inputs), columns)), Weight("recurrent_kernel", (self.units, columns)),
        )  # fmt: skip
        return (*kernels, Weight("bias", self.bias())) if self.use_bias else kernels

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        gates, units = count(self.gates, "gates"), count(self.units, "units")
        return (
            MacTerm("input", times(count(self.features(inputs), "features"), gates, units)),
            MacTerm("state", times(count(self.units, "units"), gates, units), "recurrent_kernel", inner=True),
        )


@dataclass(frozen=True)
class SimpleRNNCell(GatedCell):
    """h' = activation(x·kernel + bias + h·recurrent_kernel).

    Other operations per unit: the bias, the sum, the activation.
    """

    units: int = arg(Integer("size of the state"))
    activation: str | None = arg(Activation("function applied to the sums", optional=True), "tanh")
    use_bias: bool = arg(Flag("add one bias per unit"), True)
    dropout: float = arg(Number("share of the inputs dropped in training", 0, 1), 0.0)
    recurrent_dropout: float = arg(Number("share of the state dropped in training", 0, 1), 0.0)

    passive = CELL_OPTIONS
    gates = 1

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return plus(times(1 + self.use_bias, self.units), activation_flops(self.activation, self.units))


@dataclass(frozen=True)
class LSTMCell(GatedCell):
    """i, f, o = recurrent_activation(x·W + b + h·U), g = activation(…), c' = f·c + i·g, h' = o·activation(c').

    Other operations per unit: a bias and a sum for each of the 4 gates, 3 recurrent activations, 2 activations, and
    the 4 of c' and h'.

    >>> LSTMCell(units=2).weights(((3,),))[0].shape
    (3, 8)
    """

    units: int = arg(Integer("size of the two states"))
    activation: str | None = arg(Activation("function of the candidate and the output", optional=True), "tanh")
    recurrent_activation: str | None = arg(Activation("function of the gates", optional=True), "sigmoid")
    use_bias: bool = arg(Flag("add one bias per unit and gate"), True)
    dropout: float = arg(Number("share of the inputs dropped in training", 0, 1), 0.0)
    recurrent_dropout: float = arg(Number("share of the state dropped in training", 0, 1), 0.0)

    passive = CELL_OPTIONS
    gates = 4

    def states(self) -> tuple[int, ...]:
        return (self.units, self.units)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return lstm_flops(self.units, self.activation, self.recurrent_activation, self.use_bias)


def lstm_flops(elements: Dim, activation: str | None, recurrent_activation: str | None, use_bias: bool) -> Count:
    """What an LSTM step adds to its weighted sums, for a state of ``elements``."""
    gates = Count(None) if elements is None else count(3 * elements)
    twice = None if elements is None else 2 * elements
    return plus(
        times(4 + 4 * use_bias + 4, elements),
        activation_flops(recurrent_activation, gates.value),
        activation_flops(activation, twice),
    )


@dataclass(frozen=True)
class GRUCell(GatedCell):
    """z, r = recurrent_activation(x·W + b + h·U), g = activation(x·W + b + r·(h·U + b')), h' = z·h + (1 - z)·g.

    With ``reset_after`` (the default) the state's product has its own bias and is reset after it; without, r·h is
    multiplied. Other operations per unit: the biases (6 with ``reset_after``, else 3), 3 sums, the reset, 2 recurrent
    activations, an activation, and the 4 of h'.
    """

    units: int = arg(Integer("size of the state"))
    activation: str | None = arg(Activation("function of the candidate", optional=True), "tanh")
    recurrent_activation: str | None = arg(Activation("function of the gates", optional=True), "sigmoid")
    use_bias: bool = arg(Flag("add one bias per unit and gate"), True)
    dropout: float = arg(Number("share of the inputs dropped in training", 0, 1), 0.0)
    recurrent_dropout: float = arg(Number("share of the state dropped in training", 0, 1), 0.0)
    reset_after: bool = arg(Flag("reset the state after its product, with a bias of its own"), True)

    passive = CELL_OPTIONS
    gates = 3

    def bias(self) -> tuple[int, ...]:
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        biases = (6 if self.reset_after else 3) if self.use_bias else 0
        return plus(
            times(biases + 8, self.units),
            activation_flops(self.recurrent_activation, 2 * self.units),
            activation_flops(self.activation, self.units),
        )


@dataclass(frozen=True)
class StackedRNNCells(Cell):
    """Cells one above the other: each step's output of one is the input of the next."""

    cells: tuple[Cell, ...] = arg(LayersArg("the cells, lowest first"))

    keeps = ("inputs", "outputs")

    def check(self) -> None:
        for i, cell in enumerate(self.cells):
            if not isinstance(cell, Cell):
                error = self.wrong("cells", f"{cell.name()} is no recurrent cell", rule=CELLS)
                error.key = ("cells", i)
                raise error

    def states(self) -> tuple[int, ...]:
        return tuple(size for cell in self.cells for size in cell.states())

    def width(self) -> int:
        return self.cells[-1].width()

    def _steps(self, inputs: Shapes) -> list[tuple[str, Cell, Shapes]]:
        below = self.features(inputs)
        steps: list[tuple[str, Cell, Shapes]] = []
        for i, cell in enumerate(self.cells):
            steps.append((f"cell_{i}", cell, ((below,),)))
            below = cell.width()
        return steps

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return tuple(w for name, cell, x in self._steps(inputs) for w in inner_weights(cell, x, name))

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        terms: list[MacTerm] = []
        for i, (name, cell, x) in enumerate(self._steps(inputs)):
            own = inner_macs(cell.macs(x, cell.outputs(x)), name)
            terms += own if i == 0 else tuple(term._replace(inner=True) for term in own)
        return tuple(terms)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return plus(*(cell.other_flops(x, cell.outputs(x)) for _, cell, x in self._steps(inputs)))
