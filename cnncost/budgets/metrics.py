"""Every figure that can be limited: its unit, where it stands in an analysis, and which layers it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.limitable import ALIASES, BYTES, FIGURES, LAYER
from cnncost.results import Analysis, LayerCost


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure. ``of_layer`` is a layer's part in it; ``step`` the mode whose simulated step it needs."""

    name: str
    unit: str
    doc: str
    read: Callable[[Analysis], int | None] | None = None  # None: a figure of each layer
    of_layer: Callable[[LayerCost], int | None] | None = None
    step: str | None = None

    @property
    def per_layer(self) -> bool:
        return self.read is None

    @property
    def bytes(self) -> bool:
        return self.unit == BYTES


def _total(name: str, layered: bool = True) -> Metric:
    return _metric(
        name, lambda analysis: int(getattr(analysis.totals, name)),
        (lambda row: int(getattr(row, name))) if layered else None,
    )  # fmt: skip


def _layer(name: str, step: str | None = None) -> Metric:
    def own(row: LayerCost) -> int | None:
        value: int | None = getattr(row, name)
        return value

    return _metric(LAYER + name, None, own, step)


def _metric(
    name: str, read: Callable[[Analysis], int | None] | None, of_layer: Callable[[LayerCost], int | None] | None = None,
    step: str | None = None,
) -> Metric:  # fmt: skip
    return Metric(name, FIGURES[name].unit, FIGURES[name].doc, read, of_layer, step)


def field_of(row: LayerCost) -> int | None:
    """The smaller side of what one neuron sees of the model's input; None where it sees no positions."""
    sides = [side for side in row.receptive_field or () if side is not None]
    return min(sides, default=None)


def model_field(analysis: Analysis) -> int | None:
    """The receptive field of the last layer whose neurons still have places: beyond it all see everything."""
    placed = [row for row in analysis.layers if row.receptive_field and len(row.outputs[0].shape) > 1]
    return field_of(placed[-1]) if placed else None


def _peak(mode: str) -> Metric:
    name = f"{mode}_peak_bytes"
    return _metric(name, lambda analysis: getattr(analysis.memory, name), lambda row: row.peak_bytes, mode)


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        *map(_total, ("params", "trainable_params", "macs", "training_macs", "flops", "weight_bytes",
                      "activation_bytes")),
        _total("layers", layered=False),
        _peak("inference"),
        _peak("training"),
        _metric("resident_bytes", lambda analysis: analysis.memory.resident_bytes, lambda row: row.weight_bytes),
        _metric("textbook_training_bytes", lambda analysis: analysis.memory.textbook.training_bytes,
                lambda row: row.activation_bytes),
        _metric("textbook_inference_bytes", lambda analysis: analysis.memory.textbook.inference_bytes,
                lambda row: row.activation_bytes),
        _metric("receptive_field", model_field),
        *map(_layer, ("params", "trainable_params", "macs", "training_macs", "flops", "weight_bytes",
                      "activation_bytes")),
        _layer("peak_bytes", "inference"),
        _metric("layer.receptive_field", None, field_of),
    )
}  # fmt: skip
_NAMES = ", ".join(name for name in METRICS if not name.startswith(LAYER))
LATENCY = ("latency", "inference_seconds", "training_step_seconds")


def metric(name: str, location: Location | None = None) -> Metric:
    """A figure by name or alias. Raises CnncostError naming the nearest.

    >>> metric("inference_peak").name
    'inference_peak_bytes'
    """
    known = name.strip().lower().replace("-", "_")
    found = METRICS.get(ALIASES.get(known, known))
    if found is not None:
        return found
    if known in LATENCY:
        raise CnncostError(
            f"'{printable(name)}' cannot be limited yet", rule="a time needs a device profile, and this version "
            "predicts no time", nearest="limit macs or flops", location=location,
        )  # fmt: skip
    raise CnncostError(
        f"there is no figure '{printable(name)}' to limit",
        rule=f"the figures are {_NAMES}; of single layers layer.params, …",
        nearest=nearest(known, [*METRICS, *ALIASES]), location=location,
    )  # fmt: skip
