"""Predicted × measured: every layer's shapes, params and bytes, the step's peak, its allocations in order, its time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import TYPE_CHECKING, Any

from cnncost.alignment import Allocations, Matching
from cnncost.errors import CnncostError
from cnncost.measure.checks import Claim, LayerCheck, checks, further_calls, rows
from cnncost.measure.records import SMALL, Job, Measurement
from cnncost.results import Analysis
from cnncost.scratch import Apart, apart
from cnncost.thinning import highest

if TYPE_CHECKING:
    from cnncost.memory.prediction import MemoryPrediction
    from cnncost.memory.timeline import Look

SCHEMA = "cnncost/verify/1"
TOLERANCES = {"inference": 0.01, "training": 0.10}  # relative error of the peak that is let pass


@dataclass(frozen=True, slots=True)
class Verification:
    """A prediction beside a real run."""

    analysis: Analysis
    job: Job
    measured: Measurement
    tolerance: float
    named: bool  # the user's own tolerance: it alone decides
    scratch: Apart | None  # what only one side has; None where it is not looked at: a named tolerance, not a graph
    layers: tuple[LayerCheck, ...]
    allocator: str  # whose bytes the peaks are: "requested", or "bfc" for its chunks
    predicted_peak: int | None
    interval: tuple[int, int] | None  # that the peak is predicted to lie in, where more than a point is claimed
    unpredicted: str | None  # why there is no predicted peak
    allocations: Matching
    resident: tuple[Claim, ...]  # bytes of weights, the optimizer's variables and inputs, where they are predicted
    predicted_live: tuple[int, ...]  # live bytes after each event of the simulated step; empty where there is none
    predicted_notes: tuple[str, ...] = ()

    @property
    def measured_live(self) -> tuple[int, ...]:
        """Live bytes after each allocation and release of the real step, above what was there before."""
        return tuple(accumulate(change.bytes for change in self.measured.changes))

    @property
    def measured_peak(self) -> int | None:
        """In the predicted one's bytes; of several processes the median."""
        return self.measured.chunk_bytes if self.allocator == "bfc" else self.measured.peak_bytes

    @property
    def measured_peaks(self) -> tuple[int, ...]:
        """The peak of each process."""
        column = 1 if self.allocator == "bfc" else 0
        found = [run[column] for run in self.measured.runs] if self.measured.runs else [self.measured_peak]
        return tuple(peak for peak in found if peak is not None)

    @property
    def peak_error(self) -> float | None:
        """Relative, positive when too much was predicted."""
        real = self.measured_peak
        if self.predicted_peak is None or real is None:
            return None
        return (self.predicted_peak - real) / real if real else float(self.predicted_peak > 0)

    @property
    def judged(self) -> bool:
        """Whether the peak counts: the simulation is of TensorFlow, whatever runs the model."""
        return self.peak_error is not None and self.job.backend == "tensorflow"

    @property
    def inside_interval(self) -> bool | None:
        """Whether the measured peak lies in the predicted interval; None where none is claimed."""
        real = self.measured_peak
        if self.interval is None or real is None:
            return None
        return self.interval[0] <= real <= self.interval[1]

    @property
    def off(self) -> int:
        """Bytes between the predicted and the measured peak; 0 where one is not known."""
        real = self.measured_peak
        return 0 if self.predicted_peak is None or real is None else self.predicted_peak - real

    @property
    def floor(self) -> int:
        """Bytes that a peak may be off where no tolerance was named: what is less is scalars and bookkeeping."""
        return 0 if self.named else SMALL

    @property
    def slack(self) -> int:
        """Bytes that a peak may be off for the largest scratch that one side alone has: 0 where the peaks without such
        scratch differ too, so that it is not what they differ by."""
        if self.scratch is None:
            return 0
        _, _, ours, theirs = self.scratch
        low, high = (end - (self.predicted_peak or 0) + ours for end in self.interval or (1, 0))
        agree = abs(ours - theirs) <= max(self.floor, self.tolerance * theirs) or low <= theirs <= high
        return (self.scratch.taken if self.off < 0 else self.scratch.simulated) if agree else 0

    @property
    def unchecked(self) -> bool:
        """A tolerance was named, and there is no peak to hold against it."""
        return self.named and self.job.backend == "tensorflow" and not self.judged

    @property
    def peak_ok(self) -> bool:
        error = self.peak_error
        if not self.judged or error is None:
            return not self.unchecked
        if abs(error) <= self.tolerance or self.named:
            return abs(error) <= self.tolerance
        return abs(self.off) <= max(self.floor, self.slack) or bool(self.inside_interval)

    @property
    def ok(self) -> bool:
        """Shapes, params and bytes exactly, the optimizer's too; the peak, where there is one to judge, within the
        tolerance; where none was named, less than 1 KiB, inside the interval or one kernel's scratch will do. A named
        tolerance without a peak to judge is not held."""
        return self.peak_ok and self.resident_ok and all(layer.ok for layer in self.layers)

    @property
    def resident_ok(self) -> bool:
        """The optimizer's counters have other sizes on other backends."""
        return self.job.backend != "tensorflow" or all(claim.ok for claim in self.resident)

    @property
    def temporary(self) -> tuple[int | None, int] | None:
        """(predicted, measured) bytes of the one allocation that XLA plans a step's buffers in; None elsewhere."""
        if self.job.executor != "xla" or not self.measured.changes:
            return None
        return _largest_rise(self.predicted_live), max(change.bytes for change in self.measured.changes)

    @property
    def step_seconds(self) -> tuple[float, float, float] | None:
        """(median, low, high): of the repeats, and the tenths that lie below and above. None: no step was timed."""
        times = sorted(self.measured.step_seconds)
        if not times:
            return None
        tenth = len(times) // 10
        return median(times), times[tenth], times[-1 - tenth]

    @property
    def macs(self) -> int:
        """Multiplications of one step over the whole batch."""
        totals = self.analysis.totals
        return self.job.batch * (totals.training_macs if self.job.mode == "training" else totals.macs)

    @property
    def gmacs_per_second(self) -> float | None:
        return self.macs / self.step_seconds[0] / 1e9 if self.step_seconds else None

    def to_dict(self) -> dict[str, Any]:
        """What ``verify --format json`` prints, without its verdict in words."""
        job, real = self.job, self.measured
        middle, low, high = self.step_seconds or (None, None, None)
        single = self.temporary
        return {
            "schema": SCHEMA, "model": self.analysis.model, "source": self.analysis.source, "mode": job.mode,
            "batch": job.batch, "dtype": self.analysis.dtype, "optimizer": job.optimizer, "executor": job.executor,
            "device": real.device, "backend": job.backend, "versions": real.versions, "ok": self.ok,
            "tolerance": self.tolerance, "tolerance_named": self.named, "slack_bytes": self.slack,
            "floor_bytes": self.floor,
            "peak": self._peak(),
            "step_seconds": {
                "predicted": None, "median": middle, "low": low, "high": high,
                "repeats": len(real.step_seconds), "gmacs_per_second": self.gmacs_per_second,
            },
            "resident": {
                "predicted": {claim.figure: claim.predicted for claim in self.resident} or None,
                "measured": real.resident, "ok": self.resident_ok,
            },
            "timeline": {"predicted": _thinned(self.predicted_live), "measured": _thinned(self.measured_live)},
            "allocations": self.allocations.to_dict() | {
                "temporary": None if single is None else {"predicted_bytes": single[0], "measured_bytes": single[1]},
            },
            "layers": [layer.to_dict() for layer in self.layers],
            "notes": [*real.notes, *self.predicted_notes],
        }  # fmt: skip

    def _peak(self) -> dict[str, Any]:
        real, (low, high) = self.measured, self.interval or (self.predicted_peak, self.predicted_peak)
        return {
            "allocator": self.allocator, "predicted_bytes": self.predicted_peak, "predicted_low_bytes": low,
            "predicted_high_bytes": high, "measured_bytes": self.measured_peak,
            "measured_low_bytes": min(self.measured_peaks, default=None),
            "measured_high_bytes": max(self.measured_peaks, default=None), "processes": max(1, len(real.runs)),
            "error": self.peak_error, "inside_interval": self.inside_interval, "ok": self.peak_ok,
            "requested_bytes": real.peak_bytes, "chunk_bytes": real.chunk_bytes,
            "process_bytes": real.process_bytes, "resident": real.resident, "unpredicted": self.unpredicted,
            "predicted_for": "tensorflow", "judged": self.judged,
            "predicted_without_scratch_bytes": self.scratch.predicted_peak if self.scratch else None,
            "measured_without_scratch_bytes": self.scratch.measured_peak if self.scratch else None,
        }  # fmt: skip


def compare(
    analysis: Analysis, job: Job, measured: Measurement, tolerance: float | None = None, allocator: str = "requested"
) -> Verification:
    """Set what the analysis says beside what the run measured. ``allocator`` "bfc": the peaks are in its chunks; the
    sequence of allocations is always of requested bytes.

    Where no tolerance is given, the peak may also lie in the predicted interval, or be off by the largest scratch that
    a kernel took for itself and the simulation has not, or the other way round, if the peaks agree without it: it
    depends on the processor, and of a tiny model it can be the most.
    """
    real = Allocations(measured.changes, _named(analysis, job), further_calls(analysis, job), measured.sequences)
    on_tensorflow = job.backend == "tensorflow"  # whose allocations are simulated
    requested, unpredicted = simulated(analysis, job, look=real.look if on_tensorflow else None)
    prediction = requested
    if allocator != "requested":
        prediction, unpredicted = simulated(analysis, job, allocator)
    looked = tolerance is None and job.executor == "graph"
    return Verification(
        analysis=analysis, job=job, measured=measured, named=tolerance is not None,
        tolerance=TOLERANCES[job.mode] if tolerance is None else tolerance,
        scratch=apart(requested, measured.changes) if looked and requested else None,
        layers=checks(analysis, job, measured), allocator=allocator,
        predicted_peak=None if prediction is None else prediction.peak_bytes, interval=_interval(prediction),
        unpredicted=unpredicted,
        allocations=real.match(requested if on_tensorflow else None),
        resident=_resident(analysis, measured),
        predicted_live=() if requested is None else tuple(event.live for event in requested.events),
        predicted_notes=() if prediction is None else tuple(prediction.notes),
    )  # fmt: skip


def _named(analysis: Analysis, job: Job) -> dict[str, str]:
    """Rows by the names that the profile gives its allocations: op by op it knows no layers, and sizes alone count."""
    return {} if job.executor == "eager" else rows(analysis, job)


def simulated(
    analysis: Analysis, job: Job, allocator: str = "requested", interval: bool = True, look: Look | None = None
) -> tuple[MemoryPrediction | None, str | None]:
    """The simulated step, or why there is none. ``look`` is shown the events of each order that bounds its peak."""
    from cnncost.memory import predict as memory

    try:
        return memory.predict(analysis, job.mode, job.optimizer, job.executor, allocator, interval, look), None
    except CnncostError as error:
        return None, error.message


def _interval(prediction: MemoryPrediction | None) -> tuple[int, int] | None:
    if prediction is None or prediction.low_bytes == prediction.high_bytes:
        return None
    return prediction.low_bytes, prediction.high_bytes


def _largest_rise(live: Iterable[int]) -> int | None:
    """The largest single allocation of a line of live bytes."""
    steps, before = [], 0
    for value in live:
        steps.append(value - before)
        before = value
    return max(steps, default=None)


def _resident(analysis: Analysis, measured: Measurement) -> tuple[Claim, ...]:
    predicted = getattr(analysis.memory, "resident", None)
    if predicted is None:
        return ()
    pairs = {"weights": predicted.weights, "optimizer": predicted.optimizer_slots, "inputs": predicted.inputs}
    return tuple(Claim(name, size, measured.resident.get(name, 0)) for name, size in pairs.items())


MOST_POINTS = 2000  # of a timeline in JSON


def _thinned(values: Sequence[int]) -> list[int]:
    return [values[i] for i in highest(values, MOST_POINTS)]
