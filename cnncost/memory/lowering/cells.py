"""One time step of each recurrent cell as ops (keras/src/layers/rnn: simple_rnn, lstm, gru, conv_lstm, stacked)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.activation import activate
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.convolution import conv1d, dilated
from cnncost.memory.lowering.dropping import drop
from cnncost.memory.lowering.merging import ops_add
from cnncost.memory.opgraph import Spec, Value
from cnncost.memory.spec import Dims
from cnncost.results import LayerCost

Masks = Sequence[Value]
Call = Callable[[Step, Value, list[Value], Masks], "tuple[Value, list[Value]]"]


class Cell(NamedTuple):
    """A cell's rules: the shapes of its states, what one step does, and the masks that it makes once before."""

    states: tuple[Dims, ...]
    call: Call
    masks: Callable[[Step, Spec, Sequence[Value]], list[Value]]


class _Weights:
    """A cell's weights by name, read in the step's graph."""

    def __init__(self, row: LayerCost, prefix: str) -> None:
        self.row, self.prefix = row, prefix

    def read(self, step: Step, name: str) -> Value:
        return step.weight(self.row, self.prefix + name)

    def shape(self, name: str) -> Dims:
        return next(w.shape for w in self.row.weights if w.name == self.prefix + name)


def cell_of(step: Step, row: LayerCost, kind: Any, prefix: str) -> Cell:
    """The cell of a recurrent layer. All its weights are declared, in Keras's order."""
    for weight in row.weights:
        step.variable(row, weight.name)
    if hasattr(kind, "filters"):
        return _convolutional(row, kind, prefix)
    return _cell(row, kind.rules if not hasattr(kind, "units") else kind, prefix)


def _cell(row: LayerCost, kind: Any, prefix: str) -> Cell:
    maker = _CELLS.get(kind.name().removesuffix("Cell"))
    if maker is None:
        raise UnsupportedLayer(f"the memory simulation does not know the cell '{kind.name()}'")
    return maker(row, kind, prefix)


def _add_bias(step: Step, value: Value, bias: Value) -> Value:
    return step.add("AddV2" if bias.shape == (1,) else "BiasAdd", (value, bias))


# -- dropout ---------------------------------------------------------------------------------------------------


def _ones(step: Step, like: Spec, rate: float, count: int) -> list[Value]:
    """``dropout(ones)``: masks that all time steps share."""
    ones = [step.graph.constant(1.0, like) for _ in range(count)]
    return [drop(step, one, rate, like.shape) for one in ones]


def _maker(kind: Any, count: int) -> Callable[[Step, Spec, Sequence[Value]], list[Value]]:
    """The input's masks, then the state's; none where the rate is 0."""

    def masks(step: Step, x: Spec, states: Sequence[Value]) -> list[Value]:
        own = _ones(step, x, kind.dropout, count) if 0 < kind.dropout < 1 else []
        again = kind.recurrent_dropout
        return own + (_ones(step, states[0].spec, again, count) if 0 < again < 1 else [])

    return masks


def _dropped(step: Step, kind: Any, x: Value, h: Value, masks: Masks, count: int) -> tuple[list[Value], list[Value]]:
    """``count`` copies of the input and of the state, each with its mask."""
    left = list(masks)
    xs, hs = [x] * count, [h] * count
    if left and 0 < kind.dropout < 1:
        xs = [step.add("Mul", (x, mask)) for mask in left[:count]]
        left = left[count:]
    if left:
        hs = [step.add("Mul", (h, mask)) for mask in left]
    return xs, hs


# -- cells -----------------------------------------------------------------------------------------------------


def _simple(row: LayerCost, kind: Any, prefix: str) -> Cell:
    weights = _Weights(row, prefix)

    def call(step: Step, x: Value, states: list[Value], masks: Masks) -> tuple[Value, list[Value]]:
        (x,), (h,) = _dropped(step, kind, x, states[0], masks, 1)
        sums = step.add("MatMul", (x, weights.read(step, "kernel")))
        if kind.use_bias:
            sums = _add_bias(step, sums, weights.read(step, "bias"))
        again = step.add("MatMul", (h, weights.read(step, "recurrent_kernel")))
        output = activate(step, step.add("AddV2", (sums, again)), kind.activation)
        return output, [output]

    return Cell(((kind.units,),), call, _maker(kind, 1))


def _split(step: Step, value: Value, parts: int, axis: int = -1) -> list[Value]:
    axis %= len(value.shape)
    shape = tuple(n // parts if i == axis else n for i, n in enumerate(value.shape))
    part = Spec(shape, value.dtype)
    type_ = "_SplitView" if axis == 0 and part.bytes // shape[0] % 64 == 0 else "Split"
    op = step.add(type_, (value,), (part,) * parts, axis=axis).op
    return [op.out(index) for index in range(parts)]


def _lstm(row: LayerCost, kind: Any, prefix: str) -> Cell:
    weights = _Weights(row, prefix)
    apart = kind.recurrent_dropout != 0  # then Keras multiplies gate by gate

    def sums(step: Step, x: Value, h: Value, masks: Masks) -> list[Value]:
        if apart:
            return _gates(step, kind, weights, x, h, masks)
        (x,), _ = _dropped(step, kind, x, h, masks, 1)
        z = step.add("MatMul", (x, weights.read(step, "kernel")))
        z = ops_add(step, z, step.add("MatMul", (h, weights.read(step, "recurrent_kernel"))))
        if kind.use_bias:
            z = _add_bias(step, z, weights.read(step, "bias"))
        return _split(step, z, 4)

    def call(step: Step, x: Value, states: list[Value], masks: Masks) -> tuple[Value, list[Value]]:
        gates = sums(step, x, states[0], masks)
        made = _gated(step, kind, gates, states[1])
        step.hold(*gates)
        return made

    return Cell(((kind.units,),) * 2, call, _maker(kind, 4 if apart else 1))


def _gates(step: Step, kind: Any, weights: _Weights, x: Value, h: Value, masks: Masks) -> list[Value]:
    """``implementation=1``: four products of the input, four of the state."""
    xs, hs = _dropped(step, kind, x, h, masks, 4)
    kernels = _split(step, weights.read(step, "kernel"), 4)
    left = [step.add("MatMul", pair) for pair in zip(xs, kernels, strict=True)]
    if kind.use_bias:
        biases = _split(step, weights.read(step, "bias"), 4)
        left = [step.add("BiasAdd", pair) for pair in zip(left, biases, strict=True)]
    units = kind.units
    recurrent = [_columns(step, weights.read(step, "recurrent_kernel"), units, i * units) for i in range(4)]
    right = [step.add("MatMul", pair) for pair in zip(hs, recurrent, strict=True)]
    return [step.add("AddV2", pair) for pair in zip(left, right, strict=True)]


def _columns(step: Step, value: Value, count: int, start: int = 0) -> Value:
    """``value[:, start : start + count]``."""
    return step.add("StridedSlice", (value,), (Spec((*value.shape[:-1], count), value.dtype),), place=start)


def _gated(step: Step, kind: Any, sums: Sequence[Value], c: Value) -> tuple[Value, list[Value]]:
    """c' = f·c + i·g, h' = o·activation(c')."""
    i = activate(step, sums[0], kind.recurrent_activation)
    f = activate(step, sums[1], kind.recurrent_activation)
    candidate = activate(step, sums[2], kind.activation)
    carry = step.add("AddV2", (step.add("Mul", (f, c)), step.add("Mul", (i, candidate))))
    o = activate(step, sums[3], kind.recurrent_activation)
    step.hold(i, f)
    output = step.add("Mul", (o, activate(step, carry, kind.activation)))
    return output, [output, carry]


def _gru(row: LayerCost, kind: Any, prefix: str) -> Cell:
    if kind.recurrent_dropout:
        raise UnsupportedLayer("the memory simulation does not know a GRU's recurrent dropout")
    weights = _Weights(row, prefix)

    def call(step: Step, x: Value, states: list[Value], masks: Masks) -> tuple[Value, list[Value]]:
        h = states[0]
        biases = _gru_biases(step, kind, weights)
        (x,), _ = _dropped(step, kind, x, h, masks, 1)
        sums = step.add("MatMul", (x, weights.read(step, "kernel")))
        if biases:
            sums = _add_bias(step, sums, biases[0])
        x_z, x_r, x_h = _split(step, sums, 3)
        kernel = weights.read(step, "recurrent_kernel")
        if kind.reset_after:
            inner = step.add("MatMul", (h, kernel))
            if biases:
                inner = _add_bias(step, inner, biases[1])
            parts = [_columns(step, inner, kind.units, i * kind.units) for i in range(3)]
        else:
            inner = step.add("MatMul", (h, _columns(step, kernel, 2 * kind.units)))
            parts = [_columns(step, inner, kind.units, i * kind.units) for i in range(2)]
        z = activate(step, step.add("AddV2", (x_z, parts[0])), kind.recurrent_activation)
        r = activate(step, step.add("AddV2", (x_r, parts[1])), kind.recurrent_activation)
        if kind.reset_after:
            again = step.add("Mul", (r, parts[2]))
        else:
            again = step.add("MatMul", (step.add("Mul", (r, h)), _columns(step, kernel, kind.units, 2 * kind.units)))
        candidate = activate(step, step.add("AddV2", (x_h, again)), kind.activation)
        one = step.graph.constant(1.0, Spec((), h.dtype))
        old = step.add("Mul", (z, h))
        output = step.add("AddV2", (old, step.add("Mul", (step.add("Sub", (one, z), (z.spec,)), candidate))))
        step.hold(sums, x_z, x_r, x_h, inner, *parts[:2], z, r, again, candidate)
        return output, [output]

    return Cell(((kind.units,),), call, _maker(kind, 1))


def _gru_biases(step: Step, kind: Any, weights: _Weights) -> list[Value]:
    """The input's bias, and with ``reset_after`` the state's: the two rows of one weight."""
    if not kind.use_bias:
        return []
    bias = weights.read(step, "bias")
    if not kind.reset_after:
        return [bias]
    return [step.add("Squeeze", (part,), shape=part.shape[1:]) for part in _split(step, bias, 2, 0)]


def _convolutional(row: LayerCost, kind: Any, prefix: str) -> Cell:
    """Four convolutions of the input and four of the state, with the kernels split."""
    if kind.data_format == "channels_first":
        raise UnsupportedLayer("the memory simulation does not know ConvLSTM in channels_first")
    weights = _Weights(row, prefix)
    rank = len(kind.kernel_size)
    shape = (*(window.output for window in row.windows), kind.filters)
    ones = (1,) * rank
    own = {"strides": kind.strides, "padding": kind.padding, "dilations": kind.dilation_rate}
    again = {"strides": ones, "padding": "same", "dilations": ones}

    def call(step: Step, x: Value, states: list[Value], masks: Masks) -> tuple[Value, list[Value]]:
        dims = step.shape(shape)
        xs, hs = _dropped(step, kind, x, states[0], masks, 4)
        kernels = _split(step, weights.read(step, "kernel"), 4)
        recurrent = _split(step, weights.read(step, "recurrent_kernel"), 4)
        biases = _split(step, weights.read(step, "bias"), 4) if kind.use_bias else [None] * 4
        left = []
        for value, kernel, bias in zip(xs, kernels, biases, strict=True):
            sums = _convolve(step, row, value, kernel, dims, own)
            if bias is not None:
                sums = step.add("AddV2", (sums, step.reshape(bias, (1,) * (rank + 1) + bias.shape)))
            left.append(sums)
        right = [_convolve(step, row, *pair, dims, again) for pair in zip(hs, recurrent, strict=True)]
        gates = [step.add("AddV2", pair) for pair in zip(left, right, strict=True)]
        made = _gated(step, kind, gates, states[1])
        step.hold(*left, *right, *kernels, *recurrent, *(bias for bias in biases if bias is not None))
        return made

    return Cell((shape, shape), call, _maker(kind, 4))


def _convolve(step: Step, row: LayerCost, x: Value, kernel: Value, dims: Dims, attrs: dict[str, Any]) -> Value:
    rank = len(x.shape) - 2
    if rank == 1:
        return conv1d(step, row, x, kernel, dims, attrs)
    return dilated(step, row, f"Conv{rank}D", x, kernel, dims, attrs)


def _stacked(row: LayerCost, kind: Any, prefix: str) -> Cell:
    """Cells one after the other, each with its states."""
    cells = [_cell(row, cell, f"{prefix}cell_{i}/") for i, cell in enumerate(kind.cells)]
    if any(cell.dropout or cell.recurrent_dropout for cell in kind.cells if hasattr(cell, "dropout")):
        raise UnsupportedLayer("the memory simulation does not know dropout in stacked cells")

    def call(step: Step, x: Value, states: list[Value], masks: Masks) -> tuple[Value, list[Value]]:
        new: list[Value] = []
        left = list(states)
        for cell in cells:
            own, left = left[: len(cell.states)], left[len(cell.states) :]
            x, made = cell.call(step, x, own, ())
            new += made
        return x, new

    return Cell(tuple(shape for cell in cells for shape in cell.states), call, lambda step, x, states: [])


_CELLS: dict[str, Callable[[LayerCost, Any, str], Cell]] = {
    "SimpleRNN": _simple,
    "LSTM": _lstm,
    "GRU": _gru,
    "StackedRNNCells": _stacked,
}
