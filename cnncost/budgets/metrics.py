"""Every figure that can be limited: its unit, where it stands in an analysis, and which layers it is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.results import Analysis, LayerCost

COUNT, BYTES, PIXELS = "count", "bytes", "positions"
LAYER = "layer."  # begins the names of figures of single layers


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


def _total(name: str, unit: str, doc: str, layered: bool = True) -> Metric:
    return Metric(
        name, unit, doc, lambda analysis: int(getattr(analysis.totals, name)),
        (lambda row: int(getattr(row, name))) if layered else None,
    )  # fmt: skip


def _layer(name: str, unit: str, doc: str, step: str | None = None) -> Metric:
    def own(row: LayerCost) -> int | None:
        value: int | None = getattr(row, name)
        return value

    return Metric(LAYER + name, unit, doc, None, own, step)


def field_of(row: LayerCost) -> int | None:
    """The smaller side of what one neuron sees of the model's input; None where it sees no positions."""
    sides = [side for side in row.receptive_field or () if side is not None]
    return min(sides, default=None)


def model_field(analysis: Analysis) -> int | None:
    """The receptive field of the last layer whose neurons still have places: beyond it all see everything."""
    placed = [row for row in analysis.layers if row.receptive_field and len(row.outputs[0].shape) > 1]
    return field_of(placed[-1]) if placed else None


def _peak(mode: str) -> Metric:
    return Metric(
        f"{mode}_peak_bytes", BYTES, f"most bytes that one step of {mode} holds over weights and input, simulated",
        lambda analysis: getattr(analysis.memory, f"{mode}_peak_bytes"), lambda row: row.peak_bytes, mode,
    )  # fmt: skip


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        _total("params", COUNT, "scalars of all weights"),
        _total("trainable_params", COUNT, "scalars of the weights that training updates"),
        _total("macs", COUNT, "multiplications of the weighted sums, per instance"),
        _total("training_macs", COUNT, "multiplications of one training step, per instance"),
        _total("flops", COUNT, "floating-point operations, per instance"),
        _total("weight_bytes", BYTES, "bytes of the weights in their storage dtype"),
        _total("activation_bytes", BYTES, "bytes of all outputs, for the batch"),
        _total("layers", COUNT, "layers", layered=False),
        _peak("inference"),
        _peak("training"),
        Metric("resident_bytes", BYTES, "bytes of weights, optimizer slots and the input batch",
               lambda analysis: analysis.memory.resident_bytes, lambda row: row.weight_bytes),
        Metric("textbook_training_bytes", BYTES, "bytes of all outputs, as training keeps them in textbooks",
               lambda analysis: analysis.memory.textbook.training_bytes, lambda row: row.activation_bytes),
        Metric("textbook_inference_bytes", BYTES, "bytes of the largest pair of input and output",
               lambda analysis: analysis.memory.textbook.inference_bytes, lambda row: row.activation_bytes),
        Metric("receptive_field", PIXELS, "input positions that a neuron of the last layer with places sees (the "
               "smaller side)", model_field),
        _layer("params", COUNT, "scalars of one layer's weights"),
        _layer("trainable_params", COUNT, "scalars that training updates in one layer"),
        _layer("macs", COUNT, "multiplications of one layer, per instance"),
        _layer("training_macs", COUNT, "multiplications of one layer in a training step, per instance"),
        _layer("flops", COUNT, "floating-point operations of one layer, per instance"),
        _layer("weight_bytes", BYTES, "bytes of one layer's weights"),
        _layer("activation_bytes", BYTES, "bytes of one layer's outputs, for the batch"),
        _layer("peak_bytes", BYTES, "bytes that one layer's buffers add to the simulated peak", "inference"),
        Metric(LAYER + "receptive_field", PIXELS, "input positions that a neuron of one layer sees (the smaller side)",
               None, field_of),
    )
}  # fmt: skip
# What people write: the same names without their unit, and the plain words.
ALIASES: Mapping[str, str] = {
    "inference_peak": "inference_peak_bytes", "training_peak": "training_peak_bytes", "peak": "inference_peak_bytes",
    "resident": "resident_bytes", "weights": "weight_bytes", "weight": "weight_bytes",
    "activations": "activation_bytes", "activation": "activation_bytes", "parameters": "params", "mult_adds": "macs",
    "layer.activation": "layer.activation_bytes", "layer.activations": "layer.activation_bytes",
    "layer.weights": "layer.weight_bytes", "layer.weight": "layer.weight_bytes", "layer.peak": "layer.peak_bytes",
}  # fmt: skip
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
        f"there is no figure '{printable(name)}' to limit", rule=f"the figures are {', '.join(METRICS)}",
        nearest=nearest(known, [*METRICS, *ALIASES]), location=location,
    )  # fmt: skip
