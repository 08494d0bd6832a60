"""Claims about the whole model: the difference, the layers that weigh most, and what the difference may be."""

from __future__ import annotations

from typing import Any

from cnncost.analysis import Analysis, LayerCost
from cnncost.errors import printable
from cnncost.expectations.metrics import LAYER, claim_text, figure_text, tuples
from cnncost.graph import Expected

HEAVIEST = 3


def message(analysis: Analysis, expected: Expected, actual: Any) -> str:
    """The whole finding about a claim on the model."""
    parts = [f"expected {expected.metric} {claim_text(expected)}, computed {figure_text(actual)}"]
    claimed = tuples(expected.value)
    if isinstance(actual, int) and (isinstance(claimed, int | float) or _interval(claimed)):
        nearest = claimed if not isinstance(claimed, tuple) else min(claimed, key=lambda end: abs(actual - end))
        delta = int(actual - nearest)
        share = f", {delta / nearest * 100:+,.2f} %" if nearest else ""
        parts[0] += f" (difference {delta:+,}{share})"
        parts += _explained(analysis, expected.metric, delta) + _heaviest(analysis, expected.metric, actual)
    return "; ".join(parts)


def _interval(claimed: Any) -> bool:
    return isinstance(claimed, tuple) and len(claimed) == 2 and all(isinstance(end, int | float) for end in claimed)


def _heaviest(analysis: Analysis, metric: str, whole: int) -> list[str]:
    """The layers that weigh most in the figure, with their shares."""
    figure = LAYER.get("activation_bytes" if metric.startswith("textbook") else metric)
    if figure is None or not whole:
        return []
    rows = sorted(analysis.layers, key=figure, reverse=True)[:HEAVIEST]
    listed = [
        f"'{printable(row.name)}' {figure(row):,} ({figure(row) / whole * 100:.1f} %)" for row in rows if figure(row)
    ]
    return [f"the heaviest layers are {', '.join(listed)}"] if listed else []


def _explained(analysis: Analysis, metric: str, delta: int) -> list[str]:
    """What the difference is exactly, where it is one thing: a layer, all biases, what is not trained."""
    if "params" not in metric or not delta:
        return []
    rows = [row for row in analysis.layers if not row.shared]
    frozen = analysis.totals.params - analysis.totals.trainable_params
    things = {
        "the biases of all convolutions": sum(_biases(row) for row in rows if row.windows),
        "the biases of all layers": sum(map(_biases, rows)),
        "the parameters that are not trained": frozen,
        **{f"layer '{printable(row.name)}'": row.params for row in analysis.layers},
    }
    exact = [what for what, size in things.items() if size == abs(delta)]
    more = "too many" if delta > 0 else "too few"
    return [f"{abs(delta):,} {more}: exactly {exact[0]}"] if exact else []


def _biases(row: LayerCost) -> int:
    return sum(weight.size for weight in row.weights if weight.name == "bias")
