"""Live bytes over the ops' order: what is allocated, what takes over an input's buffer, when a buffer is freed.

A buffer is held by one reference for each edge that still has to be read, and for ever by what the step returns. An op
allocates its outputs, unless one may take over the buffer of an input whose last reference is the op's own (same bytes,
same dtype), or is a view of it; then its scratch (some ops have scratch before that); when it has run, the scratch, the
outputs that nobody reads and the inputs that it was the last to read are freed. Arguments and constants are not the
step's to allocate.

A variable holds a reference to its buffer. Adding to it or subtracting from it happens in place where nobody else holds
the buffer, else in a new one; assigning a value makes the value's buffer the variable's, a constant's too. What a
variable gives up is freed with its last reader (resource_variable_ops.cc, dense_update_ops).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from itertools import accumulate
from typing import NamedTuple

from cnncost.memory.opgraph import Op, Value
from cnncost.memory.optypes.base import EACH, OpType, table_on
from cnncost.memory.spec import Spec
from cnncost.memory.wires import Wires, wires
from cnncost.processors import AVX512, Processor

_FOREIGN = -1  # the buffer id of what is not the step's


class Event(NamedTuple):
    """One allocation (``bytes`` > 0) or deallocation (< 0), by the op that was running; ``live`` after it. ``buffer``
    numbers what was allocated: its release bears the same number."""

    op: Op
    bytes: int
    live: int
    buffer: int


Look = Callable[[Sequence[Event]], object]  # what is shown the events of an order


class Sweep:
    """The timeline and its peak. ``at`` is the event that reached it. ``actors`` and ``marks``: each event's op, and
    the buffer that it allocates or the complement of the one that it frees; ``sizes``: the bytes of each buffer."""

    def __init__(self, actors: list[Op], marks: list[int], sizes: list[int]) -> None:
        self.actors, self.marks = actors, marks
        self.changes = [sizes[mark] if mark >= 0 else -sizes[~mark] for mark in marks]
        self.lives = list(accumulate(self.changes))
        peak = max(self.lives, default=0)
        self.peak = max(peak, 0)
        self.at = self.lives.index(peak) if peak > 0 else -1

    @cached_property
    def events(self) -> list[Event]:
        """Made when they are first asked for: of most orders that are looked at only the peak is wanted."""
        buffers = [mark if mark >= 0 else ~mark for mark in self.marks]
        return list(map(_event, zip(self.actors, self.changes, self.lives, buffers, strict=True)))


def sweep(
    ops: list[Op], order: list[Op], results: list[Value], edges: Wires | None = None, on: Processor = AVX512
) -> Sweep:
    """Run the order on paper. ``ops`` and ``edges`` as ``schedule`` took them; ``on``: whose kernels run."""
    run = _Run(edges or wires(ops), results, on)
    run.all(order)
    return Sweep(run.actors, run.marks, run.bytes)


class _Run:
    """The state of the sweep: for each value its buffer and readers, for each buffer its bytes and references. What
    happens is noted as the op, and the buffer that it allocates or the complement of one that it frees.
    """

    def __init__(self, edges: Wires, results: list[Value], on: Processor) -> None:
        self.types = table_on(on)
        _, self.first, self.reads, _, self.widths = edges
        self.readers = readers = [0] * self.first[-1]
        for own in self.reads:
            for value in own:
                readers[value] += 1
        for source, index in results:
            readers[self.first[source.index] + index] += 1
        self.buffers = [_FOREIGN] * self.first[-1]
        self.bytes: list[int] = []
        self.references: list[int] = []
        self.actors: list[Op] = []
        self.marks: list[int] = []
        self.sizes: dict[Spec, int] = {}
        self.variables: dict[str, int] = {}  # the buffer each holds; a reference of its own is counted

    def all(self, order: list[Op]) -> None:
        """Most ops are plain: they have one output, an input's buffer or a new one, and no scratch."""
        plain = {
            name: kind.forwards
            for name, kind in self.types.items()
            if kind.allocates
            and not kind.shares
            and kind.scratch is None
            and kind.early is None
            and not kind.into
            and name not in _EFFECTS
        }
        first, reads, readers, widths = self.first, self.reads, self.readers, self.widths
        buffers, references, sizes = self.buffers, self.references, self.bytes
        actor, mark = self.actors.append, self.marks.append
        for op in order:
            forwards = plain.get(op.type)
            if forwards is None or len(op.outputs) != 1:
                if op.type != "_Arg":
                    _EFFECTS.get(op.type, _Run.step)(self, op)
                continue
            index = op.index
            values, place = reads[index], first[index]
            taken = self.forwarded(op, place, forwards, values) if forwards else _FOREIGN
            made, count = taken, readers[place]
            if taken >= 0:
                references[made] = count
            else:
                made = len(references)
                sizes.append(widths[place])
                references.append(count)
                actor(op)
                mark(made)
            buffers[place] = made
            if not count:
                self.free(op, made)
            for value in values:
                buffer = buffers[value]
                if buffer < 0:
                    continue
                if buffer == taken:
                    taken = _FOREIGN  # that reference went to the output
                elif references[buffer] == 1:
                    references[buffer] = 0
                    actor(op)
                    mark(~buffer)
                else:
                    references[buffer] -= 1

    def step(self, op: Op) -> None:
        """An op that writes no variable."""
        first, buffers, references = self.first, self.buffers, self.references
        kind, start = self.types[op.type], first[op.index]
        values = self.reads[op.index]
        inputs = [buffers[value] for value in values]
        taken = _FOREIGN
        held = self.early(op, kind) if kind.early is not None else ()
        if op.outputs and kind.allocates:
            if kind.shares:
                self.view(op, kind, inputs, start)
            else:
                taken = self.forwarded(op, start + kind.into, kind.forwards, values)
                made: Iterable[int] = range(start, start + len(op.outputs))
                if kind.compiled:
                    made = sorted(made, key=lambda place: -self.widths[place])
                for place in made:
                    count = self.readers[place]
                    if place == start + kind.into and taken >= 0:
                        buffers[place] = taken
                        references[taken] = count
                        continue
                    buffers[place] = self.allocate(op, self.widths[place], count)
        if kind.scratch is not None:
            self.scratch(op, kind)
        for buffer in held:
            self.free(op, buffer)
        for place in range(start, first[op.index + 1]):
            if not self.readers[place]:
                buffer = buffers[place]
                if buffer >= 0 and not references[buffer]:
                    self.free(op, buffer)
        for buffer in inputs:
            if buffer < 0:
                continue
            if buffer == taken:
                taken = _FOREIGN  # that reference went to the output
                continue
            references[buffer] -= 1
            if not references[buffer]:
                self.free(op, buffer)

    def view(self, op: Op, kind: OpType, inputs: list[int], start: int) -> None:
        """Outputs that are their input's buffer."""
        for index in range(len(op.outputs)):
            buffer = self.buffers[start + index] = inputs[index if kind.shares == EACH else 0]
            if buffer >= 0:
                self.references[buffer] += self.readers[start + index]

    def size(self, spec: Spec) -> int:
        found = self.sizes.get(spec)
        if found is None:
            found = self.sizes[spec] = spec.bytes
        return found

    def forwarded(self, op: Op, output: int, forwards: tuple[int, ...], values: tuple[int, ...]) -> int:
        """The buffer of the first input that an output may take over."""
        for place in forwards:
            if place >= len(values):
                break
            value = values[place]
            buffer = self.buffers[value]
            if buffer < 0 or self.references[buffer] != 1 or self.widths[value] != self.widths[output]:
                continue
            source, index = op.inputs[place]
            if source.outputs[index].dtype == op.outputs[output - self.first[op.index]].dtype:
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

    def early(self, op: Op, kind: OpType) -> list[int]:
        """What an op allocates before its outputs and keeps until it has run."""
        assert kind.early is not None
        held: list[int] = []
        for size, stays in kind.early([source.outputs[index] for source, index in op.inputs], op.outputs, op.attrs):
            buffer = self.allocate(op, size, 0)
            if stays:
                held.append(buffer)
            else:
                self.free(op, buffer)
        return held

    def held(self, op: Op) -> int:
        """The buffer of the variable that an op reads or writes."""
        variable = op.attrs["variable"]
        buffer = self.variables.get(variable.name)
        if buffer is None:
            buffer = self.variables[variable.name] = len(self.bytes)
            self.bytes.append(self.size(variable.spec))
            self.references.append(2 if variable.constant else 1)  # the constant's own reference stays
        return buffer

    def read(self, op: Op) -> None:
        place = self.first[op.index]
        buffer = self.buffers[place] = self.held(op)
        if buffer != _FOREIGN:
            self.references[buffer] += self.readers[place]

    def update(self, op: Op) -> None:
        """Add or subtract: in place, or in a copy where somebody still holds the buffer."""
        buffer = self.held(op)
        if buffer == _FOREIGN or self.references[buffer] > 1:
            self.replace(op, buffer, self.allocate(op, self.size(op.attrs["variable"].spec), 1))
        self.release(op)

    def assign(self, op: Op) -> None:
        """The variable holds the value's buffer from now on, whoever else reads it: nothing is copied, as every later
        change copies what is shared. What the variable held is given up."""
        self.replace(op, self.held(op), self.buffers[self.reads[op.index][1]])

    def replace(self, op: Op, old: int, new: int) -> None:
        self.variables[op.attrs["variable"].name] = new
        if old == _FOREIGN:
            return
        self.references[old] -= 1
        if not self.references[old]:
            self.free(op, old)

    def release(self, op: Op) -> None:
        """The op's own references to what it read."""
        for value in self.reads[op.index]:
            buffer = self.buffers[value]
            if buffer != _FOREIGN:
                self.references[buffer] -= 1
                if not self.references[buffer]:
                    self.free(op, buffer)

    def allocate(self, op: Op, size: int, references: int) -> int:
        buffer = len(self.bytes)
        self.bytes.append(size)
        self.references.append(references)
        self.actors.append(op)
        self.marks.append(buffer)
        return buffer

    def free(self, op: Op, buffer: int) -> None:
        self.actors.append(op)
        self.marks.append(~buffer)


_event: Callable[[tuple[Op, int, int, int]], Event] = partial(tuple.__new__, Event)  # half the time of Event(…)
_EFFECTS = {
    "ReadVariableOp": _Run.read,
    "AssignVariableOp": _Run.assign,
    "AssignAddVariableOp": _Run.update,
    "AssignSubVariableOp": _Run.update,
}
