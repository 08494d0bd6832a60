"""What a sweep found: the allocations of a step in order, the bytes alive after each, and their peak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import accumulate
from typing import NamedTuple

from cnncost.memory.opgraph import Op


class Event(NamedTuple):
    """One allocation (``bytes`` > 0) or deallocation (< 0), by the op that was running; ``live`` after it. ``buffer``
    numbers what was allocated: its release bears the same number."""

    op: Op
    bytes: int
    live: int
    buffer: int


Look = Callable[[Sequence[Event]], object]  # what is shown the events of an order
Tell = Callable[[Sequence[int]], list[Op]]  # the ops that bear these numbers


class Sweep:
    """The timeline and its peak. ``at`` is the event that reached it. ``actors`` and ``marks``: the number of each
    event's op, and the buffer that it allocates or the complement of the one that it frees; ``sizes``: the bytes of
    each buffer; ``tell``: where ``ops`` does not have every op."""

    def __init__(
        self, actors: list[int], marks: list[int], sizes: list[int], ops: Sequence[Op], tell: Tell | None = None
    ) -> None:
        self.actors, self.marks, self.ops, self.tell = actors, marks, ops, tell or partial(_told, ops)
        self.changes = [sizes[mark] if mark >= 0 else -sizes[~mark] for mark in marks]
        self.lives = list(accumulate(self.changes))
        peak = max(self.lives, default=0)
        self.peak = max(peak, 0)
        self.at = self.lives.index(peak) if peak > 0 else -1

    @cached_property
    def events(self) -> list[Event]:
        """Made when they are first asked for: of most orders that are looked at only the peak is wanted."""
        buffers = [mark if mark >= 0 else ~mark for mark in self.marks]
        return list(map(_event, zip(self.tell(self.actors), self.changes, self.lives, buffers, strict=True)))


def _told(ops: Sequence[Op], numbers: Sequence[int]) -> list[Op]:
    return [ops[number] for number in numbers]


_event: Callable[[tuple[Op, int, int, int]], Event] = partial(tuple.__new__, Event)  # half the time of Event(…)
