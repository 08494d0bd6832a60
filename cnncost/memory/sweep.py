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

from collections.abc import Iterable, Mapping, Sequence

from cnncost.memory.opgraph import Op, Value
from cnncost.memory.optypes.base import EACH, FIRST, OpType, table_on
from cnncost.memory.timeline import Sweep, Tell
from cnncost.memory.wires import Wires
from cnncost.processors import AVX512, Processor

_FOREIGN = -1  # the buffer id of what is not the step's


def sweep(
    order: Sequence[int], results: Sequence[Value], edges: Wires, on: Processor = AVX512, tell: Tell | None = None
) -> Sweep:
    """Run the order on paper. ``on``: whose kernels run; ``tell``: where ``edges`` does not have every op."""
    run = _Run(edges, results, on)
    run.all(order)
    return Sweep(run.actors, run.marks, run.bytes, edges.ops, tell)


def _simple(types: Mapping[str, OpType]) -> tuple[dict[str, tuple[int, ...]], frozenset[str]]:
    """The op types that take nothing beside their outputs: which inputs' buffers one output may take over, and those
    whose outputs are their first input's."""
    simple = [
        (name, kind)
        for name, kind in types.items()
        if kind.allocates and kind.scratch is None and kind.early is None and not kind.into and name not in _EFFECTS
    ]
    plain = {name: kind.forwards for name, kind in simple if not kind.shares}
    return plain, frozenset(name for name, kind in simple if kind.shares == FIRST)


class _Run:
    """The state of the sweep: for each value its buffer and readers, for each buffer its bytes and references. What
    happens is noted as the op's number, and the buffer that it allocates or the complement of one that it frees.
    """

    def __init__(self, edges: Wires, results: Sequence[Value], on: Processor) -> None:
        self.types = table_on(on)
        self.ops, self.first, self.reads, _, self.widths, kinds = edges
        self.loops = "Enter" in kinds
        self.readers = readers = [0] * self.first[-1]
        for own in self.reads:
            for value in own:
                readers[value] += 1
        for source, index in results:
            readers[self.first[source.index] + index] += 1
        self.buffers = [_FOREIGN] * self.first[-1]
        self.bytes: list[int] = []
        self.references: list[int] = []
        self.actors: list[int] = []
        self.marks: list[int] = []
        self.variables: dict[int, int] = {}  # by the handle's value: the buffer each holds, which counts a reference

    def all(self, order: Sequence[int]) -> None:
        """Most ops are plain: they have one output, an input's buffer or a new one, and no scratch."""
        plain, views = _simple(self.types)
        ops, first, reads, readers, widths = self.ops, self.first, self.reads, self.readers, self.widths
        buffers, references, sizes = self.buffers, self.references, self.bytes
        actor, mark = self.actors.append, self.marks.append
        for number in order:
            op = ops[number]
            forwards = plain.get(op.type)
            values, place = reads[number], first[number]
            if forwards is None or len(op.outputs) != 1:
                if op.type in views and len(op.outputs) == len(values) == 1:
                    made = buffers[place] = buffers[values[0]]
                    if made >= 0:
                        references[made] += readers[place] - 1
                        if not references[made]:
                            self.free(number, made)
                elif op.type != "_Arg":
                    _EFFECTS.get(op.type, _Run.step)(self, number)
                continue
            taken = self.forwarded(op, 0, place, forwards, values) if forwards else _FOREIGN
            made, count = taken, readers[place]
            if taken >= 0:
                references[made] = count
            else:
                made = len(references)
                sizes.append(widths[place])
                references.append(count)
                actor(number)
                mark(made)
            buffers[place] = made
            if not count:
                self.free(number, made)
            for value in values:
                buffer = buffers[value]
                if buffer < 0:
                    continue
                if buffer == taken:
                    taken = _FOREIGN  # that reference went to the output
                elif references[buffer] == 1:
                    references[buffer] = 0
                    actor(number)
                    mark(~buffer)
                else:
                    references[buffer] -= 1

    def step(self, number: int) -> None:
        """An op that writes no variable."""
        first, buffers, references = self.first, self.buffers, self.references
        op, start, values = self.ops[number], first[number], self.reads[number]
        kind = self.types[op.type]
        inputs = [buffers[value] for value in values]
        taken = _FOREIGN
        held = self.early(number, kind) if kind.early is not None else ()
        if op.outputs and kind.allocates:
            if kind.shares and kind.is_view(op):
                self.view(op, kind, inputs, start)
            else:
                taken = self.forwarded(op, kind.into, start + kind.into, kind.forwards, values)
                made: Iterable[int] = range(start, start + len(op.outputs))
                if kind.compiled:
                    made = sorted(made, key=lambda place: -self.widths[place])
                for place in made:
                    count = self.readers[place]
                    if place == start + kind.into and taken >= 0:
                        buffers[place] = taken
                        references[taken] = count
                        continue
                    buffers[place] = self.allocate(number, self.widths[place], count)
        if kind.scratch is not None:
            self.scratch(number, kind)
        for buffer in held:
            self.free(number, buffer)
        for place in range(start, first[number + 1]):
            if not self.readers[place]:
                buffer = buffers[place]
                if buffer >= 0 and not references[buffer]:
                    self.free(number, buffer)
        for buffer in inputs:
            if buffer < 0:
                continue
            if buffer == taken:
                taken = _FOREIGN  # that reference went to the output
                continue
            references[buffer] -= 1
            if not references[buffer]:
                self.free(number, buffer)

    def view(self, op: Op, kind: OpType, inputs: list[int], start: int) -> None:
        """Outputs that are their input's buffer."""
        for index in range(len(op.outputs)):
            buffer = self.buffers[start + index] = inputs[index if kind.shares == EACH else 0]
            if buffer >= 0:
                self.references[buffer] += self.readers[start + index]

    def forwarded(self, op: Op, into: int, output: int, forwards: tuple[int, ...], values: Sequence[int]) -> int:
        """The buffer of the first input that an output may take over. ``output``: the value of the output ``into``."""
        for place in forwards:
            if place >= len(values):
                break
            value = values[place]
            buffer = self.buffers[value]
            if buffer < 0 or self.references[buffer] != 1 or self.widths[value] != self.widths[output]:
                continue
            source, index = op.inputs[place]
            if source.outputs[index].dtype == op.outputs[into].dtype:
                return buffer
        return _FOREIGN

    def scratch(self, number: int, kind: OpType) -> None:
        assert kind.scratch is not None
        op = self.ops[number]
        held = [
            self.allocate(number, size, 0)
            for size in kind.scratch([source.outputs[index] for source, index in op.inputs], op.outputs, op.attrs)
        ]
        for buffer in held:
            self.free(number, buffer)

    def early(self, number: int, kind: OpType) -> list[int]:
        """What an op allocates before its outputs and keeps until it has run."""
        assert kind.early is not None
        op = self.ops[number]
        held: list[int] = []
        taken = kind.early([source.outputs[index] for source, index in op.inputs], op.outputs, op.attrs)
        if taken and kind.lends is not None:
            lent = self.buffers[self.reads[number][kind.lends]]
            taken = taken[lent >= 0 and self.references[lent] == 1 :]
        for size, stays in taken:
            buffer = self.allocate(number, size, 0)
            if stays:
                held.append(buffer)
            else:
                self.free(number, buffer)
        return held

    def handle(self, number: int) -> int:
        """The value by which the variable is known that an op reads or writes: its argument, which enters a loop."""
        if self.loops:
            source = self.ops[number].inputs[0].op
            if source.type == "Enter":
                return self.first[source.inputs[0].op.index]
        return self.reads[number][0]

    def held(self, number: int, size: int) -> int:
        """The buffer of the variable, of so many bytes, that an op reads or writes."""
        handle = self.handle(number) if self.loops else self.reads[number][0]
        buffer = self.variables.get(handle)
        if buffer is None:
            buffer = self.variables[handle] = len(self.bytes)
            self.bytes.append(size)
            constant = self.ops[number].attrs["variable"].constant
            self.references.append(2 if constant else 1)  # the constant's own reference stays
        return buffer

    def read(self, number: int) -> None:
        place = self.first[number]
        buffer = self.buffers[place] = self.held(number, self.widths[place])
        if buffer != _FOREIGN:
            self.references[buffer] += self.readers[place]

    def update(self, number: int) -> None:
        """Add or subtract: in place, or in a copy where somebody still holds the buffer."""
        size = self.widths[self.reads[number][1]]
        buffer = self.held(number, size)
        if buffer == _FOREIGN or self.references[buffer] > 1:
            self.replace(number, buffer, self.allocate(number, size, 1))
        self.release(number)

    def assign(self, number: int) -> None:
        """The variable holds the value's buffer from now on, whoever else reads it: nothing is copied, as every later
        change copies what is shared. What the variable held is given up."""
        value = self.reads[number][1]
        self.replace(number, self.held(number, self.widths[value]), self.buffers[value])

    def replace(self, number: int, old: int, new: int) -> None:
        self.variables[self.handle(number)] = new
        if old == _FOREIGN:
            return
        self.references[old] -= 1
        if not self.references[old]:
            self.free(number, old)

    def release(self, number: int) -> None:
        """The op's own references to what it read."""
        for value in self.reads[number]:
            buffer = self.buffers[value]
            if buffer != _FOREIGN:
                self.references[buffer] -= 1
                if not self.references[buffer]:
                    self.free(number, buffer)

    def allocate(self, number: int, size: int, references: int) -> int:
        buffer = len(self.bytes)
        self.bytes.append(size)
        self.references.append(references)
        self.actors.append(number)
        self.marks.append(buffer)
        return buffer

    def free(self, number: int, buffer: int) -> None:
        self.actors.append(number)
        self.marks.append(~buffer)


_EFFECTS = {
    "ReadVariableOp": _Run.read,
    "AssignVariableOp": _Run.assign,
    "AssignAddVariableOp": _Run.update,
    "AssignSubVariableOp": _Run.update,
}
