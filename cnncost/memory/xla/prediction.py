"""What the prediction of a compiled step adds: XLA allocates once, and what lies in that allocation is a timeline of
its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from cnncost.memory.opgraph import FORWARD, Op
from cnncost.memory.prediction import Held, MemoryPrediction
from cnncost.memory.spec import Spec
from cnncost.memory.timeline import Event
from cnncost.memory.xla.assign import Buffer
from cnncost.memory.xla.compile import Compiled

HOLES = "holes"  # the op name of what no buffer fills


@dataclass(frozen=True)
class XlaPrediction(MemoryPrediction):
    """``events`` are the real allocations; ``inside`` is what lies in them, buffer by buffer, as the compiled code
    runs: the report of what lives at the peak and the timeline are of these."""

    inside: tuple[Event, ...] = ()

    @cached_property
    def within(self) -> MemoryPrediction:
        """The same prediction over ``inside``."""
        at = max(range(len(self.inside)), key=lambda number: self.inside[number].live, default=-1)
        return MemoryPrediction(
            self.mode, self.executor, self.allocator, self.peak_bytes, self.low_bytes, self.high_bytes, self.inside, at,
            self.notes,
        )  # fmt: skip

    @cached_property
    def alive_at_peak(self) -> tuple[Held, ...]:
        return self.within.alive_at_peak

    @property
    def peak_layer(self) -> str:
        return self.within.peak_layer

    def timeline(self) -> Iterator[tuple[Op, int, int, int]]:
        return self.within.timeline()


def allocations(compiled: Compiled, temporary: int, outputs: list[Buffer]) -> tuple[Event, ...]:
    """The temporary buffer, the table of outputs and the outputs; the first two are freed again."""
    whole = [(_op("XlaTemporary"), temporary), (_op("XlaOutputTable"), compiled.table)]
    whole += [(compiled.sequence[buffer.start].hlo.op, buffer.bytes) for buffer in outputs]
    events: list[Event] = []
    live = 0
    for number, (op, size) in enumerate(whole):
        if size:
            live += size
            events.append(Event(op, size, live, number))
    for number, (op, size) in enumerate(whole[:2]):
        if size:
            live -= size
            events.append(Event(op, -size, live, number))
    return tuple(events)


def contents(compiled: Compiled, chains: list[Buffer], holes: int, outputs: list[Buffer]) -> tuple[Event, ...]:
    """Buffers as they are born and die; ``holes``: bytes of the allocation that are free even at its fullest."""
    events: list[Event] = []
    live = 0
    for number, (name, size) in enumerate(((HOLES, holes), ("table", compiled.table))):
        if size:
            live += size
            events.append(Event(_op("Xla", name), size, live, -1 - number))
    changes: list[tuple[int, int, Buffer]] = []
    for buffer in chains:
        changes += [(buffer.start, 1, buffer), (buffer.end, 2, buffer)]
    for buffer in outputs:
        changes.append((-1, 1, buffer))  # allocated before the code runs
    changes.sort(key=lambda change: change[:2])
    for step, kind, buffer in changes:
        op = compiled.sequence[step if kind == 2 else buffer.start].hlo.op
        size = buffer.bytes if kind == 1 else -buffer.bytes
        live += size
        events.append(Event(op, size, live, buffer.number))
    return tuple(events)


def _op(type_: str, name: str = "") -> Op:
    return Op(-1, type_, name or type_, "", FORWARD, [], (Spec((), "int8"),), {})
