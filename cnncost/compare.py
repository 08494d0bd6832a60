"""Predicted × measured: every layer's shapes, params and bytes, the step's peak, its allocations in order, its time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median
from typing import Any, NamedTuple

from cnncost.alignment import Matching, match
from cnncost.errors import UnsupportedLayer
from cnncost.measure.records import Job, Measurement, RealLayer, RealTensor
from cnncost.results import Analysis, LayerCost
from cnncost.tensor import DTYPES, product

SCHEMA = "cnncost/verify/1"
TOLERANCES = {"inference": 0.01, "training": 0.10}  # relative error of the peak that is let pass
MOST_SCRATCH = 2**20  # bytes; what is more than this is no detail of a processor


class Claim(NamedTuple):
    """One figure of a layer or of the model, as predicted and as the real model has it."""

    figure: str
    predicted: Any
    measured: Any

    @property
    def ok(self) -> bool:
        return bool(self.predicted == self.measured)


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One row: what was claimed of the layer, and the seconds of its ops in one step (None: not measured)."""

    name: str
    kind: str
    macs: int
    shapes: Claim
    params: Claim
    trainable: Claim
    activation_bytes: Claim
    weight_bytes: Claim
    seconds: float | None

    @property
    def claims(self) -> tuple[Claim, ...]:
        return self.shapes, self.params, self.trainable, self.activation_bytes, self.weight_bytes

    @property
    def ok(self) -> bool:
        return all(claim.ok for claim in self.claims)

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "kind": self.kind, "shape_ok": self.shapes.ok,
            "params_ok": self.params.ok and self.trainable.ok,
            "bytes_ok": self.activation_bytes.ok and self.weight_bytes.ok, "seconds": self.seconds,
            "predicted": {claim.figure: claim.predicted for claim in self.claims},
            "measured": {claim.figure: claim.measured for claim in self.claims},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verification:
    """A prediction beside a real run."""

    analysis: Analysis
    job: Job
    measured: Measurement
    tolerance: float
    slack: int  # bytes that a peak may be off beside the tolerance
    layers: tuple[LayerCheck, ...]
    predicted_peak: int | None
    unpredicted: str | None  # why there is no predicted peak
    allocations: Matching
    resident: tuple[Claim, ...]  # bytes of weights and of the optimizer's variables, where they are predicted
    predicted_live: tuple[int, ...]  # live bytes after each event of the simulated step; empty where there is none

    @property
    def measured_live(self) -> tuple[int, ...]:
        """Live bytes after each allocation and release of the real step, above what was there before."""
        return tuple(accumulate(change.bytes for change in self.measured.changes))

    @property
    def peak_error(self) -> float | None:
        """Relative, positive when too much was predicted."""
        real = self.measured.peak_bytes
        if self.predicted_peak is None or real is None:
            return None
        return (self.predicted_peak - real) / real if real else float(self.predicted_peak > 0)

    @property
    def judged(self) -> bool:
        """Whether the peak counts: the simulation is of TensorFlow, whatever runs the model."""
        return self.peak_error is not None and self.job.backend == "tensorflow"

    @property
    def peak_ok(self) -> bool:
        error, real, predicted = self.peak_error, self.measured.peak_bytes, self.predicted_peak
        if not self.judged or error is None or real is None or predicted is None:
            return True
        return abs(error) <= self.tolerance or abs(predicted - real) <= self.slack

    @property
    def ok(self) -> bool:
        """Shapes, params and bytes exactly, the optimizer's too; the peak, where there is one to judge, within the
        tolerance."""
        return self.peak_ok and self.resident_ok and all(layer.ok for layer in self.layers)

    @property
    def resident_ok(self) -> bool:
        """The optimizer's counters have other sizes on other backends."""
        return self.job.backend != "tensorflow" or all(claim.ok for claim in self.resident)

    @property
    def step_seconds(self) -> tuple[float, float, float]:
        """(median, low, high): of the repeats, and the tenths that lie below and above."""
        times = sorted(self.measured.step_seconds)
        tenth = len(times) // 10
        return median(times), times[tenth], times[-1 - tenth]

    @property
    def macs(self) -> int:
        """Multiplications of one step over the whole batch."""
        totals = self.analysis.totals
        return self.job.batch * (totals.training_macs if self.job.mode == "training" else totals.macs)

    @property
    def gmacs_per_second(self) -> float:
        return self.macs / self.step_seconds[0] / 1e9

    def to_dict(self) -> dict[str, Any]:
        """The object that ``verify --format json`` prints."""
        job, real = self.job, self.measured
        middle, low, high = self.step_seconds
        return {
            "schema": SCHEMA, "model": self.analysis.model, "source": self.analysis.source, "mode": job.mode,
            "batch": job.batch, "dtype": self.analysis.dtype, "optimizer": job.optimizer, "executor": job.executor,
            "device": real.device, "backend": job.backend, "versions": real.versions, "ok": self.ok,
            "tolerance": self.tolerance, "slack_bytes": self.slack,
            "peak": {
                "predicted_bytes": self.predicted_peak, "measured_bytes": real.peak_bytes, "error": self.peak_error,
                "ok": self.peak_ok, "chunk_bytes": real.chunk_bytes, "process_bytes": real.process_bytes,
                "resident": real.resident, "unpredicted": self.unpredicted,
                "predicted_for": "tensorflow", "judged": self.judged,
            },
            "step_seconds": {
                "predicted": None, "median": middle, "low": low, "high": high,
                "repeats": len(real.step_seconds), "gmacs_per_second": self.gmacs_per_second,
            },
            "resident": {
                "predicted": {claim.figure: claim.predicted for claim in self.resident} or None,
                "measured": real.resident, "ok": self.resident_ok,
            },
            "allocations": self.allocations._asdict(),
            "layers": [layer.to_dict() for layer in self.layers],
            "notes": list(real.notes),
        }  # fmt: skip


def compare(analysis: Analysis, job: Job, measured: Measurement, tolerance: float | None = None) -> Verification:
    """Set what the analysis says beside what the run measured.

    Where no tolerance is given, a peak may also be off by the largest scratch that a kernel took for itself: its size
    depends on the processor, and of a tiny model it can be the most.
    """
    prediction, unpredicted = simulated(analysis, job)
    seconds = _seconds(analysis, job, measured)
    rows = tuple(
        _check(row, real, job, None if call else seconds.get(name))
        for row, real, (name, call) in zip(analysis.layers, measured.layers, job.names, strict=True)
    )
    return Verification(
        analysis=analysis, job=job, measured=measured,
        tolerance=TOLERANCES[job.mode] if tolerance is None else tolerance,
        slack=_scratch(measured) if tolerance is None and job.executor == "graph" else 0, layers=rows,
        predicted_peak=None if prediction is None else prediction.peak_bytes, unpredicted=unpredicted,
        allocations=match(prediction, measured.changes, _rows(analysis, job)),
        resident=_resident(analysis, measured),
        predicted_live=() if prediction is None else tuple(event.live for event in prediction.events),
    )  # fmt: skip


def _scratch(measured: Measurement) -> int:
    """The largest allocation of a kernel for itself, as far as it is small."""
    sizes = [change.bytes for change in measured.changes if change.region == "temp" and change.bytes <= MOST_SCRATCH]
    return max(sizes, default=0)


def _resident(analysis: Analysis, measured: Measurement) -> tuple[Claim, ...]:
    predicted = getattr(analysis.memory, "resident", None)
    if predicted is None:
        return ()
    pairs = {"weights": predicted.weights, "optimizer": predicted.optimizer_slots}
    return tuple(Claim(name, size, measured.resident.get(name, 0)) for name, size in pairs.items())


def _rows(analysis: Analysis, job: Job) -> dict[str, str]:
    """Keras's name of a layer → the row of its first call."""
    found: dict[str, str] = {}
    for row, (name, _) in zip(analysis.layers, job.names, strict=True):
        found.setdefault(name, row.name)
    return found


def simulated(analysis: Analysis, job: Job) -> tuple[Any, str | None]:
    """The simulated step (a MemoryPrediction), or why there is none."""
    from cnncost.memory.predict import predict

    try:
        return predict(analysis, job.mode, job.optimizer, job.executor), None
    except UnsupportedLayer as error:
        return None, error.message


def _seconds(analysis: Analysis, job: Job, measured: Measurement) -> dict[str, float]:
    """Keras's name of a layer → seconds. A fused op (convolution, bias, activation) bears the name of its last layer;
    its time belongs to the layer whose multiplications it does."""
    found = dict(measured.layer_seconds)
    fused = {change.layer for change in measured.changes if "Fused" in (change.kind or "")}
    keras = [name for name, _ in job.names]
    for row, name in zip(analysis.layers, keras, strict=True):
        if name not in fused or row.macs or name not in found:
            continue
        below, place = row, -1
        while not below.macs and len(below.layer.inputs) == 1:
            place = below.layer.inputs[0].layer
            below = analysis.layers[place]
        if below.macs:
            producer = keras[place]
            found[producer] = found.get(producer, 0.0) + found.pop(name)
    return found


def _check(row: LayerCost, real: RealLayer, job: Job, seconds: float | None) -> LayerCheck:
    weights = () if row.shared else real.weights
    sizes = [product(weight.shape) or 0 for weight in weights]
    trained = sum(size for size, trains in zip(sizes, real.trainable, strict=False) if trains)
    shapes = [list(tensor.shape) for tensor in row.outputs]
    found = [list(tensor.shape) for tensor in real.outputs]
    if _agree(shapes, found):
        found = shapes
    return LayerCheck(
        name=row.name, kind=row.kind, macs=row.macs, shapes=Claim("output_shapes", shapes, found),
        params=Claim("params", row.params, sum(sizes)),
        trainable=Claim("trainable_params", row.trainable_params, trained),
        activation_bytes=Claim("activation_bytes", row.activation_bytes,
                               job.batch * sum(_bytes(t, s) for t, s in zip(real.outputs, found, strict=True))),
        weight_bytes=Claim("weight_bytes", row.weight_bytes, sum(_bytes(w, w.shape) for w in weights)),
        seconds=seconds,
    )  # fmt: skip


def _agree(predicted: list[list[int | None]], real: list[list[int | None]]) -> bool:
    """A dimension that Keras itself leaves open contradicts nothing."""
    return [len(shape) for shape in predicted] == [len(shape) for shape in real] and all(
        theirs is None or ours == theirs
        for shape, found in zip(predicted, real, strict=True)
        for ours, theirs in zip(shape, found, strict=True)
    )


def _bytes(tensor: RealTensor, shape: Sequence[int | None]) -> int:
    size = DTYPES.get(tensor.dtype)
    return (product(shape) or 0) * (size.bytes if size else 0)
