"""What the analysis claims of each layer beside what the real model's layer has, and the seconds of its ops."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from cnncost.measure.records import Job, Measurement, RealLayer, RealTensor
from cnncost.results import Analysis, LayerCost
from cnncost.tensor import DTYPES, product


class Claim(NamedTuple):
    """One figure of a layer or of the model, as predicted and as the real model has it."""

    figure: str
    predicted: Any
    measured: Any

    @property
    def ok(self) -> bool:
        return bool(self.predicted == self.measured)


class Times(NamedTuple):
    """Seconds of one step: the median of those that were recorded, the shortest and the longest."""

    seconds: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One row: what was claimed of the layer, and the time of its ops in one step (None: not measured)."""

    name: str
    kind: str
    macs: int
    shapes: Claim
    params: Claim
    trainable: Claim
    activation_bytes: Claim
    weight_bytes: Claim
    times: Times | None
    rate: float | None  # billions of multiplications a second, where the time is of these alone

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
            "bytes_ok": self.activation_bytes.ok and self.weight_bytes.ok,
            "seconds": self.times and self.times.seconds, "seconds_low": self.times and self.times.low,
            "seconds_high": self.times and self.times.high, "gmacs_per_second": self.rate,
            "predicted": {claim.figure: claim.predicted for claim in self.claims},
            "measured": {claim.figure: claim.measured for claim in self.claims},
        }  # fmt: skip


def checks(analysis: Analysis, job: Job, measured: Measurement) -> tuple[LayerCheck, ...]:
    """One check for each row of the analysis."""
    times = layer_times(analysis, job, measured)
    return tuple(
        _check(row, real, job, None if call else times.get(name))
        for row, real, (name, call) in zip(analysis.layers, measured.layers, job.names, strict=True)
    )


_NO_TIME = Times(0.0, 0.0, 0.0)


def rows(analysis: Analysis, job: Job) -> dict[str, str]:
    """Keras's name of a layer → the row of its first call."""
    found: dict[str, str] = {}
    for row, (name, _) in zip(analysis.layers, job.names, strict=True):
        found.setdefault(name, row.name)
    return found


def further_calls(analysis: Analysis, job: Job) -> dict[str, str]:
    """The row of a layer's second or later call → that of its first."""
    first = rows(analysis, job)
    names = {row.name: first[name] for row, (name, _) in zip(analysis.layers, job.names, strict=True)}
    return {name: own for name, own in names.items() if name != own}


def layer_times(analysis: Analysis, job: Job, measured: Measurement) -> dict[str, Times]:
    """Keras's name of a layer → its time. A fused op (convolution, bias, sum, activation) bears the name of its last
    layer; its time belongs to the layer whose multiplications it does."""
    spread = measured.layer_spread
    found = {name: Times(own, *spread.get(name, (own, own))) for name, own in measured.layer_seconds.items()}
    fused = {change.layer for change in measured.changes if "Fused" in (change.kind or "")}
    keras = [name for name, _ in job.names]
    for place, name in enumerate(keras):
        if name in fused and name in found and not analysis.layers[place].macs:
            multiplies = _multiplying(analysis, keras, fused, place)
            if multiplies is not None:
                producer = keras[multiplies]
                found[producer] = Times(*map(sum, zip(found.get(producer, _NO_TIME), found.pop(name), strict=True)))
    return found


def _multiplying(analysis: Analysis, keras: Sequence[str], fused: Set[str | None], place: int) -> int | None:
    """The row that multiplies for the fused op of a row without multiplications. Where branches meet below it, it is
    that of the one branch whose convolution is no op of its own."""
    chain = _chain(analysis, place)
    if analysis.layers[chain[-1]].macs:
        return chain[-1]
    branches = (_chain(analysis, source.layer) for source in analysis.layers[chain[-1]].layer.inputs)
    ends = [
        rows[-1] for rows in branches if analysis.layers[rows[-1]].macs and fused.isdisjoint(keras[row] for row in rows)
    ]
    return ends[0] if len(ends) == 1 else None


def _chain(analysis: Analysis, place: int) -> list[int]:
    """The rows below one, down to the first that multiplies or reads another number of inputs than one."""
    rows = [place]
    while not analysis.layers[rows[-1]].macs and len(analysis.layers[rows[-1]].layer.inputs) == 1:
        rows.append(analysis.layers[rows[-1]].layer.inputs[0].layer)
    return rows


def _check(row: LayerCost, real: RealLayer, job: Job, times: Times | None) -> LayerCheck:
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
        times=times, rate=_rate(row, job, times),
    )  # fmt: skip


def _rate(row: LayerCost, job: Job, times: Times | None) -> float | None:
    """In training the ops of a layer are its gradients', too."""
    if times is None or not times.seconds or not row.macs or job.mode != "inference":
        return None
    return row.macs * job.batch / times.seconds / 1e9


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
