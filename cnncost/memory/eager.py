"""One step that runs op by op: no fusion, no op takes over a buffer, Python's references decide what lives.

- A tensor inside a layer lives until its last reader has run.
- A layer's output lives until the model's call returns: Keras keeps all of them in one dictionary
  (keras/src/ops/function.py, ``_run_through_graph``).
- The tape keeps what a gradient function may read: the inputs and outputs of every recorded op but for those that
  TensorFlow knows to be unused (pywrap_gradient_exclusions.cc), until the op's gradient is done; what leads to no loss
  until the reverse pass begins (tape.h, ``PrepareBackprop``).
- The gradient of a value lives until the gradient function that takes it has returned, a weight's until the step ends.
- What a sigmoid or a softmax was taken of lives as long as its output.
- A recurrent layer's loop is Python's: a cell for each step, and one before for the output's type.
- Adding to a variable and subtracting from it are in place; an assigned variable shares the value's buffer.

Left out: shapes, axes and other numbers of a few bytes that Python hands over.
"""

from __future__ import annotations

from cnncost.memory.eager_tape import Kept, run_backwards
from cnncost.memory.graph_mode import no_collection
from cnncost.memory.lowering import lower
from cnncost.memory.lowering.base import Lowered, policies
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.optypes.base import EACH, table_on
from cnncost.memory.prediction import MemoryPrediction
from cnncost.memory.timeline import Event
from cnncost.results import Analysis

_FOREIGN = -1  # the buffer of what is not the step's


def predict_eager(analysis: Analysis, mode: str, optimizer: str | None = None) -> MemoryPrediction:
    """Raises UnsupportedLayer, naming the layer, where a layer or its gradient is not known."""
    with no_collection():
        if mode == "inference":
            lowered = lower(analysis, training=False, eager=True)
            graph, kept = lowered.graph, Kept(lowered.graph)
            _hold_outputs(kept, lowered, len(graph.ops) - 1, _has_models(analysis))
        else:
            graph, kept = _training(analysis, optimizer or "sgd")
        for value in graph.results:
            kept.hold(value, len(graph.ops))
        kept.hold_locals(frozenset(row.name for row in analysis.layers if row.kind.endswith("Normalization")))
        kept.hold_activated()
        kept.hold_logits()
        events = _Run(graph, kept).events()
    peak = at = -1
    for index, event in enumerate(events):
        if event.live > peak:
            peak, at = event.live, index
    peak = max(peak, 0)
    return MemoryPrediction(mode, "eager", "requested", peak, peak, peak, tuple(events), at)


def _training(analysis: Analysis, choice: str) -> tuple[OpGraph, Kept]:
    from cnncost.memory.loss import add_loss
    from cnncost.memory.loss_scaling import scaled, tested_at_once
    from cnncost.memory.optimizers import optimizer, with_loss_scaling
    from cnncost.memory.training import accumulating, trainable_weights
    from cnncost.memory.updates import apply_updates

    lowered = lower(analysis, training=True, eager=True)
    graph, called = lowered.graph, len(lowered.graph.ops) - 1
    loss, starts = add_loss(graph, lowered.outputs, lowered.masks)
    trained = trainable_weights(analysis, graph)
    scales = with_loss_scaling(optimizer(choice), policies(analysis)).loss_scaling
    if scales:
        starts = scaled(graph, loss, starts)
    grads, ends = run_backwards(graph, starts, trained)
    updates = tested_at_once(graph, grads) if scales else grads
    sums = apply_updates(graph, accumulating(analysis, optimizer(choice)), trained, updates, eager=True)
    graph.results = [loss]
    kept = Kept(graph)
    _hold_outputs(kept, lowered, called, _has_models(analysis))
    kept.hold_captures(ends)
    for grad in (*grads, *updates, *sums):
        if grad is not None:
            kept.hold(grad, len(graph.ops))
    return graph, kept


def _has_models(analysis: Analysis) -> bool:
    """Whether a path names a model inside the model; in a spec it names a block, which Keras does not know."""
    return analysis.graph.dialect != "spec"


def _hold_outputs(kept: Kept, lowered: Lowered, called: int, models: bool) -> None:
    """Every layer's outputs until the model's call returns; a nested model's until its own does."""
    ends: dict[str, int] = {}
    for op in kept.graph.ops[: called + 1] if models else ():
        path = op.layer
        while "/" in path:
            path = path.rpartition("/")[0]
            ends[path] = op.index
    readers = kept.readers(called)
    for values in lowered.values:
        for value in values:
            path = value.op.layer.rpartition("/")[0]
            while path in ends and all(reader.startswith(f"{path}/") for reader in readers.get(value, ())):
                kept.hold(value, ends[path])
                break
            else:
                kept.hold(value, called)


class _Run:
    """The sweep: each op allocates its outputs and its scratch, then everything goes that nobody holds any longer."""

    def __init__(self, graph: OpGraph, kept: Kept) -> None:
        self.graph, self.kept = graph, kept
        self.types = table_on(graph.processor)
        self.buffers: list[list[int]] = [[_FOREIGN] * len(op.outputs) for op in graph.ops]
        self.bytes: list[int] = []
        self.last: list[int] = []  # for each buffer the op after which it goes
        self.found: list[Event] = []
        self.live = 0
        self.variables: dict[str, int] = {}

    def events(self) -> list[Event]:
        self._place()
        gone: list[list[int]] = [[] for _ in range(len(self.graph.ops) + 1)]
        for buffer, last in enumerate(self.last):
            gone[last].append(buffer)
        for op in self.graph.ops:
            own = self.buffers[op.index]
            made = self.types[op.type].allocates and not self.types[op.type].is_view(op)
            held = self._early(op)
            for buffer in own if made else ():
                self._change(op, self.bytes[buffer], buffer)
            self._scratch(op)
            for buffer in held:
                self._change(op, -self.bytes[buffer], buffer)
            for buffer in gone[op.index]:
                self._change(op, -self.bytes[buffer], buffer)
        return self.found

    def _place(self) -> None:
        """Give every output a buffer, and every buffer its end: the last of all values that share it."""
        for op in self.graph.ops:
            kind, own = self.types[op.type], self.buffers[op.index]
            if kind.is_view(op):
                for index in range(len(own)):
                    source, out = op.inputs[index if kind.shares == EACH else 0]
                    own[index] = self.buffers[source.index][out]
            elif kind.allocates:
                for index, spec in enumerate(op.outputs):
                    own[index] = len(self.bytes)
                    self.bytes.append(spec.bytes)
                    self.last.append(op.index)
            elif op.type == "ReadVariableOp":
                own[0] = self.variables.get(op.attrs["variable"].name, _FOREIGN)
            for index, buffer in enumerate(own):
                if buffer != _FOREIGN:
                    self.last[buffer] = max(self.last[buffer], self.kept.last(Value(op, index)))
            if op.type == "AssignVariableOp":
                self._assign(op)

    def _assign(self, op: Op) -> None:
        """The variable gives its buffer up and shares the value's, to the step's end at least."""
        source, index = op.inputs[1]
        value, name = self.buffers[source.index][index], op.attrs["variable"].name
        old = self.variables.get(name)
        if old is None:
            old = len(self.bytes)
            self.bytes.append(op.attrs["variable"].bytes)
            self.last.append(op.index)
        else:
            self.last[old] = op.index
        if value != _FOREIGN:
            self.last[value] = len(self.graph.ops)
            self.variables[name] = value

    def _early(self, op: Op) -> list[int]:
        """What an op allocates before its outputs and keeps until it has run."""
        held = []
        for size, stays in self.kept.early(op, self.types[op.type]):
            buffer = len(self.bytes)
            self.bytes.append(size)
            self._change(op, size, buffer)
            if stays:
                held.append(buffer)
            else:
                self._change(op, -size, buffer)
        return held

    def _scratch(self, op: Op) -> None:
        sizes = self.kept.scratch(op, self.types[op.type])
        first = len(self.bytes)
        for size in sizes:
            self._change(op, size, len(self.bytes))
            self.bytes.append(size)
        for place, size in enumerate(sizes):
            self._change(op, -size, first + place)

    def _change(self, op: Op, size: int, buffer: int) -> None:
        self.live += size
        self.found.append(Event(op, size, self.live, buffer))
