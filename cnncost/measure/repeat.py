"""The same run in several fresh processes: TensorFlow's own peak is not the same in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median_low

from cnncost.errors import OutsideError
from cnncost.measure.child import run
from cnncost.measure.records import Job, Measurement, sequence

Runner = Callable[[Job, float], Measurement]


def run_often(
    job: Job, timeout: float, processes: int = 1, first: Measurement | None = None, runner: Runner = run
) -> Measurement:  # fmt: skip
    """Run ``job`` once whole, unless that has been done, then ``processes`` − 1 times for its memory alone; each may
    take ``timeout`` seconds. Where one of those fails, what was measured before is the answer, with a note."""
    found = [first or runner(job, timeout)]
    again = replace(job, steps=0)
    for number in range(2, processes + 1):
        try:
            found.append(runner(again, timeout))
        except OutsideError as error:
            note = f"process {number} of {processes} failed and ended the repeats: {error.problem}"
            found[0] = replace(found[0], notes=(*found[0].notes, note))
            break
    return merged(found)


def merged(found: Sequence[Measurement]) -> Measurement:
    """One measurement of several, each of one process or merged before: the first one's layers and times, the median
    peaks of all processes (of an even number the lower of the middle two, which one process really had), and of the
    timelines that are there the one whose peak is nearest to the median; of all of them the sequences."""
    first = found[0]
    runs = tuple(run for one in found for run in one.runs or ((one.peak_bytes, one.chunk_bytes),))
    timelines = (one.sequences or (sequence(one.changes),) for one in found)
    sequences = tuple(own for timeline in timelines for own in timeline if own)
    requested = [peak for peak, _ in runs if peak is not None]
    chunks = [chunk for _, chunk in runs if chunk is not None]
    middle, nearest = median_low(requested) if requested else None, first
    if middle is not None:
        nearest = min((one for one in found if one.peak_bytes is not None), key=lambda one: _distance(one, middle))
    return replace(
        first, peak_bytes=middle, chunk_bytes=median_low(chunks) if chunks else None,
        changes=nearest.changes, process_bytes=max(one.process_bytes for one in found), runs=runs,
        sequences=sequences if len(sequences) > 1 else (),
    )  # fmt: skip


def _distance(one: Measurement, middle: int) -> int:
    return abs((one.peak_bytes or 0) - middle)
