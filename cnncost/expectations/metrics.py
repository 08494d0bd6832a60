"""The figures that a claim may be about, of a layer and of the model, and whether a claim holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnncost.analysis import Analysis, LayerCost
from cnncost.choices import MODES
from cnncost.graph import Expected
from cnncost.tensor import shape_text


def _output_shape(row: LayerCost) -> Any:
    shapes = tuple(tensor.shape for tensor in row.outputs)
    return shapes[0] if len(shapes) == 1 else shapes


LAYER: dict[str, Callable[[LayerCost], Any]] = {
    "output_shape": _output_shape,
    "output_shapes": lambda row: tuple(tensor.shape for tensor in row.outputs),
    "params": lambda row: row.params,
    "trainable_params": lambda row: row.trainable_params,
    "non_trainable_params": lambda row: row.params - row.trainable_params,
    "macs": lambda row: row.macs,
    "training_macs": lambda row: row.training_macs,
    "flops": lambda row: row.flops,
    "activation_bytes": lambda row: row.activation_bytes,
    "weight_bytes": lambda row: row.weight_bytes,
    "receptive_field": lambda row: row.receptive_field,
    "jump": lambda row: row.jump,
    "start": lambda row: row.start,
    "padding": lambda row: tuple((w.before, w.after) for w in row.windows) or None,
    "ignored": lambda row: tuple(w.ignored for w in row.windows) or None,
    "dtype": lambda row: row.outputs[0].dtype.name,
}


def model_figures(analysis: Analysis, asked: set[str]) -> dict[str, Any]:
    """The model's figures by name: the totals', memory (``textbook.training_bytes``), the output shape.

    The runtime's memory is simulated only when a name in ``asked`` is none of the others.
    """
    figures: dict[str, Any] = dict(analysis.totals.to_dict())
    figures["non_trainable_params"] = analysis.totals.params - analysis.totals.trainable_params
    outputs = [analysis.layers[ref.layer].outputs[ref.output].shape for ref in analysis.graph.outputs]
    figures["output_shape"] = outputs[0] if len(outputs) == 1 else tuple(outputs)
    figures["output_shapes"] = tuple(outputs)
    if asked - figures.keys():
        for name, value in analysis.memory.to_dict().items():
            if name == "textbook":
                for inner, figure in value.items():
                    figures[f"{name}.{inner}"] = figures[f"{name}_{inner}"] = figure
            elif name not in MODES:  # a whole step, not a figure
                figures[name] = value
    return figures


def tuples(value: Any) -> Any:
    """Lists as tuples, all the way down, so that claims and figures compare."""
    return tuple(tuples(v) for v in value) if isinstance(value, list | tuple) else value


LARGEST = 2**200


def sensible(metric: str, value: Any) -> bool:
    """Whether a value can be claimed of a figure at all: a whole number or an interval, a list for a shape, a name.

    >>> sensible("params", 60_000), sensible("params", [1, None]), sensible("output_shape", [1, None])
    (True, False, True)
    """
    claimed = tuples(value)
    if metric == "dtype":
        return isinstance(claimed, str)
    if metric in SHAPED:
        parts = claimed if isinstance(claimed, tuple) else (claimed,)
        flat = [d for part in parts for d in (part if isinstance(part, tuple) else (part,))]
        return bool(flat) and all(d is None or _whole(d) for d in flat)
    return _whole(claimed) or (isinstance(claimed, tuple) and len(claimed) == 2 and all(map(_whole, claimed)))


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < LARGEST


def holds(expected: Expected, actual: Any) -> bool:
    """Whether a figure fulfils a claim: exact, within an interval for rounded text, ``None`` in a shape fits anything.

    >>> holds(Expected("params", (25_550_000, 25_649_999), "25.6M"), 25_610_152)
    True
    >>> holds(Expected("output_shape", [55, None, 96], ""), (55, 56, 96))
    True
    """
    claimed = tuples(expected.value)
    if isinstance(claimed, tuple) and isinstance(actual, int | float):
        return len(claimed) == 2 and claimed[0] <= actual <= claimed[1]
    return _fits(claimed, actual)


def _fits(claimed: Any, actual: Any) -> bool:
    if isinstance(claimed, tuple) and isinstance(actual, tuple):
        return len(claimed) == len(actual) and all(_fits(c, a) for c, a in zip(claimed, actual, strict=True))
    if isinstance(actual, tuple) and isinstance(claimed, int) and len(set(actual)) == 1:
        return bool(actual[0] == claimed)  # one number for every axis
    return claimed is None or bool(claimed == actual)


def figure_text(value: Any) -> str:
    """A figure as a person writes it.

    >>> figure_text(15200), figure_text((55, 55, 96))
    ('15,200', '55 × 55 × 96')
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, tuple) and value and all(d is None or isinstance(d, int) for d in value):
        return " × ".join("?" if d is None else str(d) for d in value) if len(value) > 1 else shape_text(value)
    return "unknown" if value is None else str(value)


def claim_text(expected: Expected) -> str:
    """What was claimed: the exact value, or the text as it was written where that was rounded."""
    claimed = tuples(expected.value)
    interval = isinstance(claimed, tuple) and len(claimed) == 2 and expected.text and expected.metric not in SHAPED
    return expected.text if interval else figure_text(claimed)


SHAPED = ("output_shape", "output_shapes", "receptive_field", "jump", "start", "padding", "ignored")


def same_axes(claimed: Any, shape: Any) -> bool:
    """Both are one shape, of as many axes."""
    return (
        isinstance(claimed, tuple)
        and isinstance(shape, tuple)
        and len(claimed) == len(shape)
        and all(dim is None or isinstance(dim, int) for dim in (*claimed, *shape))
    )
