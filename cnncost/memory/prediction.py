"""What a prediction says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from operator import eq
from typing import Any, NamedTuple, overload

from cnncost.memory.opgraph import BACKWARD, FORWARD, LOSS, UPDATE, Op
from cnncost.memory.timeline import Event, Sweep

KEPT, GRADIENTS, UPDATES, TEMPORARIES = "kept activations", "gradients", "updates", "temporaries"
CATEGORIES = (KEPT, GRADIENTS, UPDATES, TEMPORARIES)
_BEFORE = frozenset((FORWARD, LOSS))
_AFTER = frozenset((BACKWARD, UPDATE))


class Held(NamedTuple):
    """A buffer that lives at the peak: the op that allocated it, its bytes, and what it is (one of CATEGORIES)."""

    op: Op
    bytes: int
    category: str

    def to_dict(self) -> dict[str, Any]:
        return {"layer": self.op.layer, "op": self.op.name, "type": self.op.type, "phase": self.op.phase,
                "category": self.category, "bytes": self.bytes}  # fmt: skip


class Life(NamedTuple):
    """A buffer from the event that allocates it to the one that frees it; ``end`` None: it outlives the step."""

    op: Op
    bytes: int
    category: str
    begin: int
    end: int | None


class Timeline(Sequence[Event]):
    """Events that are made when they are first looked at: a budget asks for the peak alone."""

    def __init__(self, swept: Sweep) -> None:
        self._swept = swept

    @overload
    def __getitem__(self, place: int) -> Event: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...

    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        return self._swept.events[place]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._swept.events)

    def __len__(self) -> int:
        return len(self._swept.marks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(eq, self, other))

    def __hash__(self) -> int:
        return hash(tuple(self._swept.lives))


@dataclass(frozen=True)
class MemoryPrediction:
    """Bytes of one step over and above weights, slots and input.

    ``peak_bytes`` is what the simulated order asks for; ``low_bytes`` and ``high_bytes`` bound it where the runtime's
    own choice is not known, and are the same elsewhere. ``allocator``: "requested" bytes, or "bfc" for the chunks that
    TensorFlow's allocator makes of them.
    """

    mode: str
    executor: str
    allocator: str
    peak_bytes: int
    low_bytes: int
    high_bytes: int
    events: Sequence[Event]
    peak_event: int  # index into events; -1 where nothing was allocated
    notes: tuple[str, ...] = ()
    asked: tuple[int, ...] = field(default=(), kw_only=True)  # in chunks: what each event requested or gave back

    @cached_property
    def categories(self) -> dict[int, str]:
        """What each buffer is."""
        return categories(self.events)

    @cached_property
    def lives(self) -> tuple[Life, ...]:
        """The life of every buffer that the step allocates."""
        return lives(self.events, self.categories, self.asked)

    @cached_property
    def alive_at_peak(self) -> tuple[Held, ...]:
        """Every buffer that lives at the peak, the largest first; their bytes sum to the peak."""
        alive = [
            Held(life.op, life.bytes, life.category)
            for life in self.lives
            if life.begin <= self.peak_event and (life.end is None or life.end > self.peak_event)
        ]
        return tuple(sorted(alive, key=lambda held: -held.bytes))

    @property
    def peak_layer(self) -> str:
        """The layer that was running when the peak was reached."""
        return self.events[self.peak_event].op.layer if self.events else ""

    def by_layer(self) -> dict[str, int]:
        """What each layer's buffers add to the peak, largest first."""
        sums: dict[str, int] = {}
        for held in self.alive_at_peak:
            sums[held.op.layer] = sums.get(held.op.layer, 0) + held.bytes
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def by_category(self) -> dict[str, int]:
        """Bytes alive at the peak in each of CATEGORIES."""
        sums = dict.fromkeys(CATEGORIES, 0)
        for held in self.alive_at_peak:
            sums[held.category] += held.bytes
        return sums

    def timeline(self) -> Iterator[tuple[Op, int, int, int]]:
        """For each op that allocates or frees, in the order they run: the op, the bytes that it allocates, those that
        it frees, and the live bytes at its highest."""
        for op, own in groupby(self.events, key=lambda event: event.op):
            run = list(own)
            before = run[0].live - run[0].bytes
            made = sum(event.bytes for event in run if event.bytes > 0)
            freed = -sum(event.bytes for event in run if event.bytes < 0)
            yield op, made, freed, max(before, *(event.live for event in run))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; the timeline is a table of columns and rows."""
        return {
            "executor": self.executor, "allocator": self.allocator, "peak_bytes": self.peak_bytes,
            "low_bytes": self.low_bytes, "high_bytes": self.high_bytes, "peak_layer": self.peak_layer,
            "at_peak": self.by_category(), "alive_at_peak": [held.to_dict() for held in self.alive_at_peak],
            "timeline": {
                "columns": ["op", "type", "layer", "phase", "allocated_bytes", "freed_bytes", "live_bytes"],
                "rows": [[op.name, op.type, op.layer, op.phase, made, freed, live]
                         for op, made, freed, live in self.timeline()],
            },
            "notes": list(self.notes),
        }  # fmt: skip


def lives(events: Sequence[Event], kinds: dict[int, str], asked: Sequence[int] = ()) -> tuple[Life, ...]:
    """The lives of the buffers, in the order of their allocation. ``asked``: what each event requested or gave back,
    where its bytes are those of a chunk.

    Where an update gives up a variable's old buffer, which was there before the step, the youngest one of the same
    size takes its place: it is the variable's from then on, and no more the step's. Of chunks only the difference is,
    which is negative where the variable's new chunk is the smaller one.
    """
    found: dict[int, Life] = {}
    sizes: dict[int, list[int]] = {}
    moved: list[Life] = []
    for place, (event, size) in enumerate(zip(events, asked or [event.bytes for event in events], strict=True)):
        if event.bytes > 0:
            found[event.buffer] = Life(event.op, event.bytes, kinds[event.buffer], place, None)
            sizes.setdefault(size, []).append(event.buffer)
            continue
        alike = sizes.get(-size, [])
        ended = event.buffer
        if ended not in alike:  # a variable's: from before the step, or its own for some time already
            ended = next((buffer for buffer in reversed(alike) if found[buffer].category in _ADOPTED), -1)
            ended = alike[-1] if ended < 0 and alike else ended
        if ended >= 0:
            life = found[ended] = found[ended]._replace(end=place)
            alike.remove(ended)
            if life.bytes + event.bytes:
                moved.append(Life(life.op, life.bytes + event.bytes, UPDATES, place, None))
    return tuple(sorted((*found.values(), *moved), key=lambda life: life.begin) if moved else found.values())


_ADOPTED = frozenset((UPDATES, GRADIENTS))


def categories(events: Sequence[Event]) -> dict[int, str]:
    """What each buffer is, from the phase that allocates it and the phase that frees it: what the forward pass leaves
    for the reverse pass is a kept activation, what the reverse pass leaves for the update is a gradient, what the
    update allocates belongs to it, and all else is temporary."""
    made: dict[int, str] = {}
    found: dict[int, str] = {}
    for event in events:
        if event.bytes > 0:
            made[event.buffer] = event.op.phase
            found[event.buffer] = _LASTING.get(event.op.phase, TEMPORARIES)
        elif event.buffer in made:
            found[event.buffer] = _category(made[event.buffer], event.op.phase)
    return found


def _category(made: str, freed: str) -> str:
    if made in _BEFORE:
        return KEPT if freed in _AFTER else TEMPORARIES
    if made == BACKWARD:
        return GRADIENTS if freed == UPDATE else TEMPORARIES
    return UPDATES


# What nobody frees in the step: results, gradients that became slots, new buffers of weights.
_LASTING = {BACKWARD: GRADIENTS, UPDATE: UPDATES}
