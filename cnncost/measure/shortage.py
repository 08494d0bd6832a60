"""What to change when a run did not fit: the remedies of the textbook, each with what this model would then take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from cnncost.errors import CnncostError
from cnncost.graph import Graph
from cnncost.measure.advice import devices_text, footprint
from cnncost.measure.records import Job
from cnncost.results import Analysis
from cnncost.units import bytes_text

MOST_STRIDES = 6  # layers whose stride is tried
WORTH = 0.95  # of what a step takes now: a change that leaves more is no remedy
MARGIN = 0.8  # of the room; allocators round up and leave gaps
_HALVES = {8: "float32", 4: "float16"}  # bytes of a number → the type of half of them


class Need(NamedTuple):
    """Bytes of one step: weights and the optimizer's variables, the input, and its own peak above these."""

    variables: int
    inputs: int
    step: int
    simulated: bool = True

    @property
    def total(self) -> int:
        return self.variables + self.inputs + self.step


def need_of(analysis: Analysis, job: Job) -> Need:
    """As simulated; by the textbook where there is no simulation."""
    from cnncost.memory.figures import resident
    from cnncost.memory.predict import predict

    try:
        held = resident(analysis)
        step = predict(analysis, job.mode, job.optimizer, job.executor).peak_bytes
        return Need(held.weights + held.optimizer_slots, held.inputs, step)
    except CnncostError:
        weights = analysis.totals.weight_bytes
        return Need(weights, 0, footprint(analysis, job.mode) - weights, False)


def remedies(analysis: Analysis, job: Job, room: int | None, now: Need) -> list[str]:
    """Smaller mini-batch, a stride, fewer layers, smaller numbers, several devices: each with what it would take.

    ``now`` is what does not fit, ``room`` the bytes that weights, input and step may take together, where that is
    known: then the batch, and the number of devices, that fit. What would not help is not advised.
    """
    fits = largest_batch(analysis, job, now, room)
    parts = []
    if fits:
        parts.append(f"a smaller batch (--batch {fits}: {_takes(_changed(analysis, batch=fits), job)})")
    parts.extend(_strides(analysis, job, now))
    parts.extend(_fewer(analysis, now))
    parts.extend(_smaller_numbers(analysis, job, now))
    if fits:
        parts.append(devices_text(analysis.batch, fits))
    elif room:
        least = need_of(_changed(analysis, batch=1), job).total
        parts.append(f"several devices (the layers spread over {max(2, -(-least // room)):,} of them)")
    return parts


def expected(need: Need, job: Job) -> str:
    """What was predicted, in words."""
    what = "weights, optimizer and input" if job.mode == "training" else "weights and input"
    step = "a peak of" if need.simulated else "by the textbook's estimate outputs of"
    whose = "" if job.backend == "tensorflow" else " for TensorFlow"
    held = bytes_text(need.variables + need.inputs)
    return f"predicted{whose}: {step} {bytes_text(need.step)} above {what} of {held}, {bytes_text(need.total)} in all"


def largest_batch(analysis: Analysis, job: Job, now: Need, room: int | None) -> int:
    """The largest batch that fits into ``room``, at most half of the one that did not; 0 where not even one does.

    A step's bytes are all but linear in the batch, so two simulations give the third, which is the check.
    """
    half = analysis.batch // 2
    if room is None or not half:
        return half
    usable, single = int(room * MARGIN), need_of(_changed(analysis, batch=1), job).total
    slope = (now.total - single) / max(analysis.batch - 1, 1)
    found = min(half, 1 + int((usable - single) / slope)) if slope > 0 else half
    for _ in range(3):
        if found < 1:
            return 0
        takes = need_of(_changed(analysis, batch=found), job).total
        if takes <= usable:
            return found
        found = min(found - 1, int(found * usable / takes))
    return 0


def _changed(
    analysis: Analysis, batch: int | None = None, graph: Graph | None = None, dtype: str | None = None
) -> Analysis:
    """The same analysis of another batch, graph or dtype."""
    from cnncost.analysis import analyze_graph

    own = analysis.dtype if analysis.dtype != analysis.graph.dtype else None
    found = analyze_graph(
        graph or analysis.graph, batch=batch or analysis.batch, dtype=dtype or own, mode=analysis.mode,
        optimizer=analysis.optimizer,
    )  # fmt: skip
    return replace(found, gradient_accumulation_steps=analysis.gradient_accumulation_steps)


def _takes(analysis: Analysis, job: Job) -> str:
    return bytes_text(need_of(analysis, job).total)


def _strides(analysis: Analysis, job: Job, now: Need) -> Iterator[str]:
    """Twice the stride of the layer with the largest output that can take it: in a residual branch none can."""
    rows = [row for row in analysis.layers if row.windows and getattr(row.layer.kind, "strides", None)]
    for row in sorted(rows, key=lambda row: -row.activation_bytes)[:MOST_STRIDES]:
        strides = _doubled(row.layer.kind.strides)  # type: ignore[attr-defined]
        try:
            kind = replace(row.layer.kind, strides=strides)  # type: ignore[call-arg]
            layers = tuple(replace(one, kind=kind) if one is row.layer else one for one in analysis.graph.layers)
            other = _changed(analysis, graph=replace(analysis.graph, layers=layers))
        except CnncostError:
            continue
        takes = need_of(other, job).total
        if takes < WORTH * now.total:
            step = max(strides) if isinstance(strides, tuple) else strides
            yield f"a stride of {step} in '{row.name}' ({bytes_text(takes)})"
            return


def _doubled(strides: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return tuple(2 * step for step in strides) if isinstance(strides, tuple) else 2 * strides


def _fewer(analysis: Analysis, now: Need) -> Iterator[str]:
    """The layer that has the most to do with it: by its weights where they are the most, else by its output."""
    rows = [row for row in analysis.layers if row.inputs] or list(analysis.layers)
    by_weights = now.variables > now.total // 2
    row = max(rows, key=lambda row: row.weight_bytes if by_weights else row.activation_bytes)
    what = (
        f"has {bytes_text(row.weight_bytes)} of weights"
        if by_weights
        else f"puts out {bytes_text(row.activation_bytes)}"
    )
    yield f"fewer or smaller layers ('{row.name}' alone {what})"


def _smaller_numbers(analysis: Analysis, job: Job, now: Need) -> Iterator[str]:
    widest = max((row.compute.bytes for row in analysis.layers), default=0)
    dtype = _HALVES.get(widest)
    if dtype is None:
        return
    takes = need_of(_changed(analysis, dtype=dtype), job).total
    if takes < WORTH * now.total:
        yield f"{widest * 4}-bit floats (--dtype {dtype}: {bytes_text(takes)})"
