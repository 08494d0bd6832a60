"""Scratch that one side alone has: a kernel took it and the simulation has none, or the other way round. It depends on
the processor, and of a tiny model it can be the most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cnncost.measure.records import Change
    from cnncost.memory.prediction import MemoryPrediction

MOST_SCRATCH = 2**20  # bytes; what is more than this is no detail of a processor
Step = tuple[int, bool]  # bytes of an allocation (positive) or release, and whether it is a kernel's scratch


class Apart(NamedTuple):
    """What one side alone has, in bytes, and both peaks without any of it."""

    taken: int = 0  # the largest scratch that a kernel took and the simulation has not
    simulated: int = 0  # the largest that the simulation has and no kernel took
    predicted_peak: int = 0
    measured_peak: int = 0


def apart(prediction: MemoryPrediction, changes: Sequence[Change]) -> Apart:
    """The scratch of a simulated and of a real step that finds no allocation of its size on the other side."""
    makers = {event.buffer: event.op for event in prediction.events if event.bytes > 0}
    own = {event.buffer for event in prediction.events if event.bytes < 0 and makers.get(event.buffer) is event.op}
    ours = [(event.bytes, event.buffer in own) for event in prediction.events]
    theirs = [(change.bytes, change.region == "temp") for change in changes]
    taken, measured_peak = _without(theirs, _sizes(theirs) - _sizes(ours))
    simulated, predicted_peak = _without(ours, _sizes(ours) - _sizes(theirs))
    return Apart(taken, simulated, predicted_peak, measured_peak)


def _sizes(steps: Sequence[Step]) -> Counter[int]:
    return Counter(size for size, _ in steps if size > 0)


def _without(steps: Sequence[Step], surplus: Counter[int]) -> tuple[int, int]:
    """(the largest of the scratch in surplus, the peak without all of it); of several of one size the highest go."""
    live, left = list(accumulate(size for size, _ in steps)), Counter(surplus)
    out: set[int] = set()
    for place in sorted(range(len(steps)), key=live.__getitem__, reverse=True):
        size, scratch = steps[place]
        if scratch and 0 < size <= MOST_SCRATCH and left[size]:
            left[size] -= 1
            out.add(place)
    now = most = 0
    freed: Counter[int] = Counter()  # releases to come of what was left out: the next ones of its size
    for place, (size, _) in enumerate(steps):
        if place in out:
            freed[size] += 1
        elif size < 0 and freed[-size]:
            freed[-size] -= 1
        else:
            now += size
            most = max(most, now)
    return max((steps[place][0] for place in out), default=0), most
