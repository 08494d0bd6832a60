"""Live bytes over the ops' order: what is allocated, what takes over an input's buffer, when a buffer is freed.

A buffer is held by one reference for each edge that still has to be read, and for ever by what the step returns. An op
allocates its outputs, unless one may take over the buffer of an input whose last reference is the op's own (same bytes,
same dtype), or is a view of it; then its scratch; when it has run, the scratch, the outputs that nobody reads and the
inputs that it was the last to read are freed. Arguments and constants are not the step's to allocate.

A variable holds a reference to its buffer. Adding to it or subtracting from it happens in place where nobody else holds
the buffer, else in a new one; assigning a value takes over the value's buffer where the assignment is its only reader,
else copies. What a variable gives up is freed with its last reader (resource_variable_ops.cc, dense_update_ops).
"""

from __future__ import annotations

from typing import NamedTuple

from cnncost.memory.opgraph import Op, Value
from cnncost.memory.optypes.base import EACH, OpType, table

_FOREIGN = -1  # the buffer id of what is not the step's


class Event(NamedTuple):
    """One allocation (``bytes`` > 0) or deallocation (< 0), by the op that was running; ``live`` after it. ``buffer``
    numbers what was allocated: its release bears the same number."""

    op: Op
    bytes: int
    live: int
    buffer: int


class Sweep(NamedTuple):
    """The timeline and its peak. ``at`` is the event that reached it."""

    events: list[Event]
    peak: int
    at: int


def sweep(ops: list[Op], order: list[Op], results: list[Value]) -> Sweep:
    """Run the order on paper. ``ops`` as ``schedule`` took them."""
    run = _Run(ops, results)
    for op in order:
        run.step(op)
    return Sweep(run.events, run.peak, run.at)


class _Run:
    """The state of the sweep: for each buffer its bytes, owner and references."""

    def __init__(self, ops: list[Op], results: list[Value]) -> None:
        self.types = table()
        self.readers = [[0] * len(op.outputs) for op in ops]
        for op in ops:
            for source, index in op.inputs:
                self.readers[source.index][index] += 1
        for source, index in results:
            self.readers[source.index][index] += 1
        self.buffers: list[list[int]] = [[_FOREIGN] * len(op.outputs) for op in ops]
        self.bytes: list[int] = []
        self.owner: list[Op] = []
        self.references: list[int] = []
        self.events: list[Event] = []
        self.live = self.peak = 0
        self.at = -1
        self.variables: dict[str, int] = {}  # the buffer each holds; a reference of its own is counted

    def step(self, op: Op) -> None:
        effect = _EFFECTS.get(op.type)
        if effect is not None:
            effect(self, op)
            return
        kind = self.types[op.type]
        inputs = [self.buffers[source.index][index] for source, index in op.inputs]
        taken = self.outputs(op, kind, inputs) if kind.allocates and op.outputs else _FOREIGN
        if kind.scratch is not None:
            self.scratch(op, kind)
        readers = self.readers[op.index]
        for index, buffer in enumerate(self.buffers[op.index]):
            if buffer != _FOREIGN and not readers[index] and not self.references[buffer]:
                self.free(op, buffer)
        for buffer in inputs:
            if buffer == _FOREIGN:
                continue
            if buffer == taken:
                taken = _FOREIGN  # that reference went to the output
                continue
            self.references[buffer] -= 1
            if not self.references[buffer]:
                self.free(op, buffer)

    def outputs(self, op: Op, kind: OpType, inputs: list[int]) -> int:
        """Give every output a buffer; returns the input's buffer that an output took over."""
        own, readers = self.buffers[op.index], self.readers[op.index]
        if kind.shares:
            for index in range(len(own)):
                buffer = own[index] = inputs[index if kind.shares == EACH else 0]
                if buffer != _FOREIGN:
                    self.references[buffer] += readers[index]
            return _FOREIGN
        taken = self.forwarded(op, kind, inputs)
        for index, spec in enumerate(op.outputs):
            if index == 0 and taken != _FOREIGN:
                own[0] = taken
                self.references[taken] = readers[0]
            else:
                own[index] = self.allocate(op, spec.bytes, readers[index])
        return taken

    def forwarded(self, op: Op, kind: OpType, inputs: list[int]) -> int:
        """The buffer of the first input that output 0 may take over."""
        output = op.outputs[0]
        for place in kind.forwards:
            if place >= len(inputs):
                break
            buffer = inputs[place]
            if buffer == _FOREIGN or self.references[buffer] != 1:
                continue
            source, index = op.inputs[place]
            spec = source.outputs[index]
            if spec.dtype == output.dtype and (spec.shape == output.shape or spec.bytes == output.bytes):
                return buffer
        return _FOREIGN

    def scratch(self, op: Op, kind: OpType) -> None:
        assert kind.scratch is not None
        held = [
            self.allocate(op, size, 0)
            for size in kind.scratch([source.outputs[index] for source, index in op.inputs], op.outputs, op.attrs)
        ]
        for buffer in held:
            self.free(op, buffer)

    def held(self, op: Op) -> int:
        """The buffer of the variable that an op reads or writes."""
        variable = op.attrs["variable"]
        buffer = self.variables.get(variable.name)
        if buffer is None:
            buffer = self.variables[variable.name] = len(self.bytes)
            self.bytes.append(variable.spec.bytes)
            self.owner.append(variable.handle)
            self.references.append(1)
        return buffer

    def read(self, op: Op) -> None:
        buffer = self.buffers[op.index][0] = self.held(op)
        self.references[buffer] += self.readers[op.index][0]

    def update(self, op: Op) -> None:
        """Add or subtract: in place, or in a copy where somebody still holds the buffer."""
        buffer = self.held(op)
        if self.references[buffer] > 1:
            self.replace(op, buffer, self.allocate(op, self.bytes[buffer], 1))
        self.release(op)

    def assign(self, op: Op) -> None:
        """Take the value's buffer over, or copy it into the variable's (a new one where somebody holds that)."""
        source, index = op.inputs[1]
        value, buffer = self.buffers[source.index][index], self.held(op)
        if value != _FOREIGN and self.references[value] == 1:
            self.replace(op, buffer, value)
            return
        if self.references[buffer] > 1:
            self.replace(op, buffer, self.allocate(op, self.bytes[buffer], 1))
        self.release(op)

    def replace(self, op: Op, old: int, new: int) -> None:
        self.variables[op.attrs["variable"].name] = new
        self.references[old] -= 1
        if not self.references[old]:
            self.free(op, old)

    def release(self, op: Op) -> None:
        """The op's own references to what it read."""
        for source, index in op.inputs:
            buffer = self.buffers[source.index][index]
            if buffer != _FOREIGN:
                self.references[buffer] -= 1
                if not self.references[buffer]:
                    self.free(op, buffer)

    def allocate(self, op: Op, size: int, references: int) -> int:
        buffer = len(self.bytes)
        self.bytes.append(size)
        self.owner.append(op)
        self.references.append(references)
        self.live += size
        if self.live > self.peak:
            self.peak, self.at = self.live, len(self.events)
        self.events.append(Event(op, size, self.live, buffer))
        return buffer

    def free(self, op: Op, buffer: int) -> None:
        self.live -= self.bytes[buffer]
        self.events.append(Event(op, -self.bytes[buffer], self.live, buffer))


_EFFECTS = {
    "ReadVariableOp": _Run.read,
    "AssignVariableOp": _Run.assign,
    "AssignAddVariableOp": _Run.update,
    "AssignSubVariableOp": _Run.update,
}
