"""Which layers are to blame for a figure: those that hold the most of it."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from cnncost.budgets.limits import Limit
from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.results import Analysis, LayerCost

SHOWN = 3


@dataclass(frozen=True, slots=True)
class Blamed:
    """A layer and its part in the figure."""

    layer: str
    value: int
    location: Location | None

    def to_dict(self) -> dict[str, Any]:
        return {"layer": self.layer, "value": self.value, "location": str(self.location) if self.location else None}


def blamed(analysis: Analysis, limit: Limit) -> tuple[Blamed, ...]:
    """The layers with the largest parts, the largest first; none where the figure is not made of parts."""
    own = limit.metric.of_layer
    if own is None:
        return ()
    if limit.metric.step is not None:
        analysis = analysis.with_peaks()
    parts = [(own(row) or 0, row) for row in analysis.layers]
    found = sorted((part for part in parts if part[0]), key=lambda part: -part[0])
    return tuple(Blamed(row.name, value, row.layer.location) for value, row in found[:SHOWN])


def chosen(analysis: Analysis, limit: Limit) -> list[LayerCost]:
    """The layers that a rule on layers is about. Raises CnncostError where its patterns match none."""
    found = [
        row for row in analysis.layers
        if fnmatchcase(row.name, limit.layers or "*") and fnmatchcase(row.kind, limit.kind or "*")
    ]  # fmt: skip
    if found:
        return found
    words = f"'{printable(limit.layers or limit.kind)}'"
    names = [row.kind for row in analysis.layers] if limit.kind else [row.name for row in analysis.layers]
    raise CnncostError(
        f"{words} matches no layer of '{printable(analysis.model)}'", rule="every pattern must name a layer",
        nearest=nearest(limit.layers or limit.kind or "", names), location=limit.location,
    )  # fmt: skip
