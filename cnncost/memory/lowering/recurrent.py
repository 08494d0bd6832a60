"""Recurrent layers (keras/src/layers/rnn, backend/tensorflow/rnn.py): on a CPU always the plain loop.

``rnn`` transposes the sequence to time first, makes a list of it and runs a ``tf.while_loop`` over cells; the cell that
it calls once before the loop, to learn the output's type, is pruned. A masked sequence's loop has the output before as
its first state. A layer that keeps its states has a variable for each, which is no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.loops import Loop, add_loop, element, take, time_first
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.cells import Cell, cell_of
from cnncost.memory.lowering.masked import chosen, mask_in_time, zeros
from cnncost.memory.opgraph import Op, OpGraph, Spec, Value, Variable
from cnncost.results import LayerCost

MOST_UNROLLED = 256  # steps that are unrolled op by op at most


def recur(step: Step, row: LayerCost, kind: Any, inputs: Sequence[Value], prefix: str = "") -> list[Value]:
    """A recurrent layer's output and last states. ``prefix`` is before its weights' names."""
    x, mask = inputs[0], step.mask(inputs[0])
    sequence = _turned(step, x)
    cell = cell_of(step, row, kind, prefix)
    trips = sequence.shape[0]
    kept = _kept_states(step, row, cell, prefix) if kind.options.get("stateful") else []
    states = list(inputs[1:]) or [step.cast(step.graph.read(variable), x.dtype) for variable in kept]
    states = given = states or [zeros(step, Spec((step.batch, *shape), x.dtype)) for shape in cell.states]
    if step.eager:  # a step's input, for masks of dropout that are none
        step.add("StridedSlice", (x,), (Spec((x.shape[0], *x.shape[2:]), x.dtype),), place=0)
    masks = cell.masks(step, element(sequence.spec), states) if step.training else ()
    if mask is not None:
        mask = mask_in_time(step, mask, kind.go_backwards)
    if kind.go_backwards:
        sequence = step.add("ReverseV2", (sequence,), (sequence.spec,))
    run = _unrolled if kind.options.get("unroll") else _stepped if step.eager else _looped
    outputs, states = run(step, kind, cell, sequence, states, masks, trips, mask)
    last = take(step.graph, outputs, outputs.shape[0] - 1)
    for variable, state in zip(kept, states, strict=False):
        step.graph.assign("AssignVariableOp", variable, step.cast(state, variable.spec.dtype))
    result = _turned(step, outputs) if kind.return_sequences or step.eager else last
    if step.eager:
        step.hold(last, result, sequence, *given, *outputs.op.inputs)  # the list has its elements to the end
        result = result if kind.return_sequences else last
    return [result, *states] if kind.return_state else [result]


def _turned(step: Step, value: Value) -> Value:
    """Batch and time change places; op by op every transpose runs."""
    if step.eager:
        return step.add("Transpose", (value,), perm=(1, 0, *range(2, len(value.shape))))
    return time_first(step.graph, value)


def _kept_states(step: Step, row: LayerCost, cell: Cell, prefix: str) -> list[Variable]:
    """The variables of a stateful layer, in the dtype of its weights."""
    dtype = step.variable(row, row.weights[0].name).spec.dtype
    return [
        step.graph.variable(f"{row.name}/{prefix}rnn_state_{place}", Spec((step.batch, *shape), dtype), False)
        for place, shape in enumerate(cell.states)
    ]


def _looped(
    step: Step, kind: Any, cell: Cell, sequence: Value, states: list[Value], masks: Sequence[Value], trips: int,
    mask: Value | None,
) -> tuple[Value, list[Value]]:  # fmt: skip
    """(list of outputs, stacked; last states). Without ``return_sequences`` the list has one element, written anew."""
    given = [sequence] if mask is None else [sequence, mask]
    lists = [step.add("TensorListFromTensor", (value,), (value.spec,)) for value in given]
    loop = Loop(OpGraph(), trips, every=kind.return_sequences)
    body = copy(step)
    body.graph, body.add = loop.graph, loop.graph.add
    body.graph.layer, body.graph.phase = step.graph.layer, step.graph.phase
    states = states if mask is None else [zeros(step, states[0].spec), *states]
    inner = [body.graph.argument("state", value.spec) for value in states]
    captured = [body.graph.argument("mask", value.spec) for value in masks]
    reads = [body.add("TensorListGetItem", (), (element(value.spec),)) for value in given]
    loop.states, loop.reads = [value.op for value in inner], [value.op for value in reads]
    loop.captures = [value.op for value in captured]
    output, new = cell.call(body, reads[0], inner if mask is None else inner[1:], captured)
    if mask is not None:
        before = zeros(body, output.spec) if kind.options.get("zero_output_for_mask") else inner[0]
        output, *new = chosen(body, reads[1], [output, *new], [before, *inner[1:]])
        new = [output, *new]
    loop.graph.results = [*new, output]
    made = add_loop(step.graph, loop, states, lists, masks, "while")
    stacked = step.add("TensorListStack", (made.out(len(states)),), (made.outputs[-1],))
    return stacked, [made.out(index) for index in range(0 if mask is None else 1, len(states))]


def _stepped(
    step: Step, kind: Any, cell: Cell, sequence: Value, states: list[Value], masks: Sequence[Value], trips: int,
    mask: Value | None,
) -> tuple[Value, list[Value]]:  # fmt: skip
    """Op by op: the loop is Python's. The cell that is called once before, for the output's type, runs too, and its
    results last until the end. A step's elements go when they have been read, the states before when it is done."""
    if trips > MOST_UNROLLED:
        raise UnsupportedLayer(f"the memory simulation runs {MOST_UNROLLED} time steps op by op at most")
    parts = _unpacked(step, sequence)
    first, kept = cell.call(step, take(step.graph, sequence, 0), states, masks)
    counts = None if mask is None else _unpacked(step, mask)
    before = first if counts is None else step.add("ZerosLike", (first,))
    none, output = before, before
    outputs: list[Value] = []
    for index in range(trips):
        output, new = cell.call(step, parts.out(index), states, masks)
        if counts is not None:
            other = none if kind.options.get("zero_output_for_mask") else before
            output, *chosen_states = chosen(step, counts.out(index), [output, *new], [other, *states])
            step.hold(*new)
            new, before = chosen_states, output
        step.hold(*states)
        states = new
        outputs = [*outputs, output] if kind.return_sequences else [output]
    spec = Spec((len(outputs), *output.shape), output.dtype)
    stacked = step.add("Pack", outputs, (spec,), axis=0)
    step.hold(first, none, *kept)
    return stacked, states


def _unrolled(
    step: Step, kind: Any, cell: Cell, sequence: Value, states: list[Value], masks: Sequence[Value], trips: int,
    mask: Value | None,
) -> tuple[Value, list[Value]]:  # fmt: skip
    """``unroll=True``: a cell for every step."""
    if trips > MOST_UNROLLED:
        raise UnsupportedLayer(f"the memory simulation unrolls {MOST_UNROLLED} time steps at most")
    parts = _unpacked(step, sequence)
    counts = None if mask is None else _unpacked(step, mask)
    outputs: list[Value] = []
    for index in range(trips):
        output, new = cell.call(step, parts.out(index), states, masks)
        if counts is not None:
            before = outputs[-1] if outputs else zeros(step, output.spec)
            output, *new = chosen(step, counts.out(index), [output, *new], [before, *states], fixed=1)
        states = new
        outputs.append(output)
    if counts is not None and kind.options.get("zero_output_for_mask"):
        zero = zeros(step, outputs[0].spec)
        places = range(trips) if kind.return_sequences else [trips - 1]
        for place in places:
            outputs[place] = chosen(step, counts.out(place), [outputs[place]], [zero], fixed=1)[0]
    if not kind.return_sequences:  # a stack of one is but a view
        wide = (1, *outputs[-1].shape)
        return step.add("ExpandDims", outputs[-1:], shape=wide), states
    spec = Spec((len(outputs), *outputs[0].shape), outputs[0].dtype)
    return step.add("Pack", outputs, (spec,), axis=0), states


def _unpacked(step: Step, value: Value) -> Op:
    """The steps of a sequence; views of it where they are aligned."""
    one = element(value.spec)
    type_ = "_UnpackView" if one.bytes % 64 == 0 else "Unpack"
    return step.add(type_, (value,), (one,) * value.shape[0], axis=0).op


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
