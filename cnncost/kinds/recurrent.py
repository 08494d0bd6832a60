"""Recurrent layers: a cell makes one step (``cells.py``); the layer repeats it for every time step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cnncost.count import Count, count, times
from cnncost.errors import ArgumentError, GeometryError
from cnncost.kinds.activations import Activation
from cnncost.kinds.arguments import Flag, Integer, Number, arg
from cnncost.kinds.base import WHOLE, Field, Kind, MacTerm, Shapes, Weight
from cnncost.kinds.cells import CELL_OPTIONS, CELLS, Cell, GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from cnncost.kinds.nested import LayerArg, LayersArg, inner_weights
from cnncost.tensor import Dim, Shape, shape_text

LAYER_OPTIONS = ("stateful", "unroll", "zero_output_for_mask")
RECURRENT_OPTIONS = (*CELL_OPTIONS, *LAYER_OPTIONS, "activity_regularizer", "use_cudnn")


class Sequence(Kind):
    """Repeats a step along the first axis. Called on (sequence, initial state, …)."""

    return_sequences: bool
    return_state: bool
    go_backwards: bool

    keeps = ("inputs", "outputs")

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        steps = inputs[0][0]
        return (f"every time step counts: {'?' if steps is None else f'{steps:,}'}",)

    def result(self, steps: Dim, output: Shape, states: Shapes) -> Shapes:
        """What the layer returns, of a step's output and states."""
        first = (steps, *output) if self.return_sequences else output
        return (first, *states) if self.return_state else (first,)


class Recurrent(Sequence):
    """A layer over a sequence of feature vectors [steps, features]."""

    @cached_property
    def rules(self) -> Cell:
        """The cell that every step goes through."""
        raise NotImplementedError

    def state_count(self) -> int:
        return len(self.rules.states())

    def _step(self, inputs: Shapes) -> tuple[Dim, Shapes]:
        """(time steps, the cell's inputs)."""
        if not inputs or len(inputs[0]) != 2:
            raise GeometryError(
                f"{self.name()} needs an input of two axes [steps, features]",
                received=", ".join(shape_text(shape) for shape in inputs) or "no input",
            )
        self.rules.check_states(inputs[1:])
        return inputs[0][0], ((inputs[0][1],),)

    def outputs(self, inputs: Shapes) -> Shapes:
        steps, x = self._step(inputs)
        output, *states = self.rules.outputs(x)
        return self.result(steps, output, tuple(states))

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return inner_weights(self.rules, self._step(inputs)[1])

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        steps, x = self._step(inputs)
        terms = self.rules.macs(x, self.rules.outputs(x))
        return tuple(term._replace(count=times(count(steps, "time steps"), term.count)) for term in terms)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        steps, x = self._step(inputs)
        return times(steps, self.rules.other_flops(x, self.rules.outputs(x)))


class CellArg(LayerArg):
    """A cell, or a list of cells that are stacked."""

    rule = "a recurrent cell, such as {LSTMCell: {units: 10}}, or a list of cells"

    def check(self, value: Any, rank: int | None) -> Kind:
        if not isinstance(value, list | tuple):
            return super().check(value, rank)
        try:
            return StackedRNNCells(cells=value)  # type: ignore[arg-type]
        except ArgumentError as error:
            error.key = error.key[1:]
            raise

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"anyOf": [super().schema(rank), LayersArg().schema(rank)]}


@dataclass(frozen=True)
class RNN(Recurrent):
    """Any cell, or a list of cells that are stacked, over a sequence."""

    cell: Cell = arg(CellArg("the cell that makes one step"))  # noqa: RUF009
    return_sequences: bool = arg(Flag("return the output of every step"), False)
    return_state: bool = arg(Flag("return the last states too"), False)
    go_backwards: bool = arg(Flag("read the sequence from its end"), False)

    passive = (*LAYER_OPTIONS, "activity_regularizer")

    def check(self) -> None:
        if not isinstance(self.cell, Cell):
            raise self.wrong("cell", f"{self.cell.name()} is no recurrent cell", rule=CELLS)

    @cached_property
    def rules(self) -> Cell:
        return self.cell


@dataclass(frozen=True)
class SimpleRNN(Recurrent):
    """SimpleRNNCell over a sequence.

    >>> SimpleRNN(units=4).macs(((10, 3),), ((4,),))[1].count.derivation()
    '10 × (4 × 1 × 4) = 160'
    """

    units: int = arg(Integer("size of the state"))
    activation: str | None = arg(Activation("function applied to the sums", optional=True), "tanh")
    use_bias: bool = arg(Flag("add one bias per unit"), True)
    dropout: float = arg(Number("share of the inputs dropped in training", 0, 1), 0.0)
    recurrent_dropout: float = arg(Number("share of the state dropped in training", 0, 1), 0.0)
    return_sequences: bool = arg(Flag("return the output of every step"), False)
    return_state: bool = arg(Flag("return the last states too"), False)
    go_backwards: bool = arg(Flag("read the sequence from its end"), False)

    passive = RECURRENT_OPTIONS

    @cached_property
    def rules(self) -> Cell:
        return SimpleRNNCell(self.units, self.activation, self.use_bias)


@dataclass(frozen=True)
class LSTM(Recurrent):
    """LSTMCell over a sequence; ``return_state`` adds the last output and the last cell state.

    >>> sum(w.size for w in LSTM(units=32).weights(((None, 16),)))
    6272
    """

    units: int = arg(Integer("size of the two states"))
    activation: str | None = arg(Activation("function of the candidate and the output", optional=True), "tanh")
    recurrent_activation: str | None = arg(Activation("function of the gates", optional=True), "sigmoid")
    use_bias: bool = arg(Flag("add one bias per unit and gate"), True)
    dropout: float = arg(Number("share of the inputs dropped in training", 0, 1), 0.0)
    recurrent_dropout: float = arg(Number("share of the state dropped in training", 0, 1), 0.0)
    return_sequences: bool = arg(Flag("return the output of every step"), False)
    return_state: bool = arg(Flag("return the last states too"), False)
    go_backwards: bool = arg(Flag("read the sequence from its end"), False)

    passive = RECURRENT_OPTIONS

    @cached_property
    def rules(self) -> Cell:
        return LSTMCell(self.units, self.activation, self.recurrent_activation, self.use_bias)


@dataclass(frozen=True)
class GRU(Recurrent):
    """GRUCell over a sequence.

    >>> sum(w.size for w in GRU(units=32).weights(((None, 16),)))
    4800
    """

    units: int = arg(Integer("size of the state"))
    activation: str | None = arg(Activation("function of the candidate", optional=True), "tanh")
    recurrent_activation: str | None = arg(Activation("function of the gates", optional=True), "sigmoid")
    use_bias: bool = arg(Flag("add one bias per unit and gate"), True)
    dropout: float = arg(Number("share of the inputs dropped in training", 0, 1), 0.0)
    recurrent_dropout: float = arg(Number("share of the state dropped in training", 0, 1), 0.0)
    return_sequences: bool = arg(Flag("return the output of every step"), False)
    return_state: bool = arg(Flag("return the last states too"), False)
    go_backwards: bool = arg(Flag("read the sequence from its end"), False)
    reset_after: bool = arg(Flag("reset the state after its product, with a bias of its own"), True)

    passive = RECURRENT_OPTIONS

    @cached_property
    def rules(self) -> Cell:
        return GRUCell(
            self.units, self.activation, self.recurrent_activation, self.use_bias, reset_after=self.reset_after
        )
