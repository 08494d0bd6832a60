"""Recurrent layers (keras/src/layers/rnn, backend/tensorflow/rnn.py): on a CPU always the plain loop.

``rnn`` transposes the sequence to time first, makes a list of it and runs a ``tf.while_loop`` over cells; the cell that
it calls once before the loop, to learn the output's type, is pruned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.loops import Loop, add_loop, element, take, time_first
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.cells import Cell, cell_of
from cnncost.memory.opgraph import OpGraph, Spec, Value
from cnncost.results import LayerCost

MOST_UNROLLED = 256  # steps that are unrolled op by op at most


def recur(step: Step, row: LayerCost, kind: Any, inputs: Sequence[Value], prefix: str = "") -> list[Value]:
    """A recurrent layer's output and last states. ``prefix`` is before its weights' names."""
    _known(step, kind)
    x = inputs[0]
    sequence = time_first(step.graph, x)
    cell = cell_of(step, row, kind, prefix)
    trips = sequence.shape[0]
    states = list(inputs[1:]) or [step.graph.constant(0, Spec((step.batch, *shape), x.dtype)) for shape in cell.states]
    masks = cell.masks(step, element(sequence.spec), states) if step.training else ()
    if kind.go_backwards:
        sequence = step.add("ReverseV2", (sequence,), (sequence.spec,))
    run = _unrolled if kind.options.get("unroll") else _looped
    outputs, states = run(step, kind, cell, sequence, states, masks, trips)
    last = take(step.graph, outputs, outputs.shape[0] - 1)
    result = time_first(step.graph, outputs) if kind.return_sequences else last
    return [result, *states] if kind.return_state else [result]


def _known(step: Step, kind: Any) -> None:
    if kind.options.get("stateful"):
        raise UnsupportedLayer("the memory simulation does not know recurrent layers that keep their state")
    if any(_masks(layer.kind) for layer in step.analysis.graph.layers):
        raise UnsupportedLayer("the memory simulation does not know recurrent layers whose sequence is masked")


def _masks(kind: Any) -> bool:
    return kind.name() == "Masking" or bool(getattr(kind, "mask_zero", False) or kind.options.get("mask_zero"))


Run = Callable[[Step, Any, Cell, Value, list[Value], Sequence[Value], int], tuple[Value, list[Value]]]


def _looped(
    step: Step, kind: Any, cell: Cell, sequence: Value, states: list[Value], masks: Sequence[Value], trips: int
) -> tuple[Value, list[Value]]:  # fmt: skip
    """(list of outputs, stacked; last states). Without ``return_sequences`` the list has one element, written anew."""
    listed = step.add("TensorListFromTensor", (sequence,), (sequence.spec,))
    loop = Loop(OpGraph(), trips, every=kind.return_sequences)
    body = copy(step)
    body.graph, body.add = loop.graph, loop.graph.add
    body.graph.layer, body.graph.phase = step.graph.layer, step.graph.phase
    inner = [body.graph.argument("state", value.spec) for value in states]
    captured = [body.graph.argument("mask", value.spec) for value in masks]
    x = body.add("TensorListGetItem", (), (element(sequence.spec),))
    loop.states, loop.reads = [value.op for value in inner], [x.op]
    loop.captures = [value.op for value in captured]
    output, new = cell.call(body, x, inner, captured)
    loop.graph.results = [*new, output]
    made = add_loop(step.graph, loop, states, [listed], masks, "while")
    stacked = step.add("TensorListStack", (made.out(len(states)),), (made.outputs[-1],))
    return stacked, [made.out(index) for index in range(len(states))]


def _unrolled(
    step: Step, kind: Any, cell: Cell, sequence: Value, states: list[Value], masks: Sequence[Value], trips: int
) -> tuple[Value, list[Value]]:  # fmt: skip
    """``unroll=True``: a cell for every step."""
    if trips > MOST_UNROLLED:
        raise UnsupportedLayer(f"the memory simulation unrolls {MOST_UNROLLED} time steps at most")
    one = element(sequence.spec)
    type_ = "_UnpackView" if one.bytes % 64 == 0 else "Unpack"
    parts = step.add(type_, (sequence,), (one,) * trips, axis=0).op
    outputs = []
    for index in range(trips):
        output, states = cell.call(step, parts.out(index), states, masks)
        outputs.append(output)
    if not kind.return_sequences:  # a stack of one is but a view
        wide = (1, *outputs[-1].shape)
        return step.add("ExpandDims", outputs[-1:], shape=wide), states
    spec = Spec((len(outputs), *outputs[0].shape), outputs[0].dtype)
    return step.add("Pack", outputs, (spec,), axis=0), states


def _recurrent(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> tuple[Value, ...]:
    return tuple(recur(step, row, kind, inputs))


def _bidirectional(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> tuple[Value, ...]:
    """Two layers; the second's sequence of outputs is turned round, then they are merged."""
    states = inputs[1:]
    half = len(states) // 2
    forward, backward = kind._both
    y, *left = recur(step, row, forward, [inputs[0], *states[:half]], "forward/")
    back, *right = recur(step, row, backward, [inputs[0], *states[half:]], "backward/")
    if forward.return_sequences:
        back = step.add("ReverseV2", (back,), (back.spec,))
    merged = _MERGES[kind.merge_mode](step, y, back)
    return (*merged, *left, *right)


def _concat(step: Step, a: Value, b: Value) -> tuple[Value, ...]:
    return (step.add("ConcatV2", (a, b), axis=len(a.shape) - 1),)


def _mean(step: Step, a: Value, b: Value) -> tuple[Value, ...]:
    two = step.graph.constant(2.0, Spec((), a.dtype))
    return (step.add("RealDiv", (step.add("AddV2", (a, b)), two)),)


_MERGES: dict[str | None, Callable[[Step, Value, Value], tuple[Value, ...]]] = {
    "concat": _concat,
    "sum": lambda step, a, b: (step.add("AddV2", (a, b)),),
    "mul": lambda step, a, b: (step.add("Mul", (a, b)),),
    "ave": _mean,
    None: lambda step, a, b: (a, b),
}
RULES: dict[str, Any] = {
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), _recurrent),
    "Bidirectional": _bidirectional,
}
