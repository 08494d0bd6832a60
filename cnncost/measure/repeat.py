"""The same run in several fresh processes: TensorFlow's own peak is not the same in each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import median_low

from cnncost.measure.child import run
from cnncost.measure.records import Job, Measurement

Runner = Callable[[Job, float], Measurement]


def run_often(job: Job, timeout: float, processes: int = 1, runner: Runner = run) -> Measurement:
    """Run ``job`` once whole, then ``processes`` − 1 times for its memory alone; each may take ``timeout`` seconds."""
    first = runner(job, timeout)
    again = replace(job, steps=0)
    return merged([first, *(runner(again, timeout) for _ in range(processes - 1))])


def merged(found: Sequence[Measurement]) -> Measurement:
    """One measurement of several: the first one's layers and times, the median peaks (of an even number the lower of
    the middle two, which one process really had), the timeline of the process with the median requested peak."""
    first = found[0]
    runs = tuple((one.peak_bytes, one.chunk_bytes) for one in found)
    requested = [one.peak_bytes for one in found if one.peak_bytes is not None]
    chunks = [one.chunk_bytes for one in found if one.chunk_bytes is not None]
    middle = next((one for one in found if requested and one.peak_bytes == median_low(requested)), first)
    return replace(
        first, peak_bytes=middle.peak_bytes, chunk_bytes=median_low(chunks) if chunks else None,
        changes=middle.changes, process_bytes=max(one.process_bytes for one in found), runs=runs,
    )  # fmt: skip
