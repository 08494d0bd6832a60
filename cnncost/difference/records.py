"""What a difference says, as typed records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = "cnncost/diff/1"
SAME, CHANGED, ADDED, REMOVED, MOVED, RENAMED = "same", "changed", "added", "removed", "moved", "renamed"
FIGURES = ("params", "trainable_params", "macs", "flops", "activation_bytes", "weight_bytes", "peak_bytes", "seconds")
OWNERS = 5
Side = Mapping[str, Any]
Number = int | float | None


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of all models; ``delta`` is the last's minus the first's, None where one is not known."""

    values: tuple[Number, ...]

    @property
    def delta(self) -> Number:
        first, last = self.values[0], self.values[-1]
        return None if first is None or last is None else last - first

    @property
    def percent(self) -> float | None:
        """Of the first; None where that is nothing."""
        return 100 * self.delta / self.values[0] if self.delta is not None and self.values[0] else None

    @property
    def same(self) -> bool:
        """No two known values differ."""
        return len({value for value in self.values if value is not None}) < 2

    def to_dict(self) -> dict[str, Any]:
        return {"values": list(self.values), "delta": self.delta, "percent": self.percent}


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer in all models (None: not there).

    ``change``: added is not in the first model, removed is in the first and not in all others; changed differs in its
    own facts; moved has equal facts and reads other layers; renamed differs by its name alone. ``fields`` says what
    differs: for each fact the values in all models.
    """

    name: str
    change: str
    members: tuple[Side | None, ...]
    fields: Mapping[str, tuple[Any, ...]]

    def row(self, figure: str) -> Row:
        return Row(tuple(None if member is None else member.get(figure) for member in self.members))

    def to_dict(self) -> dict[str, Any]:
        names = [None if member is None else member["name"] for member in self.members]
        figures = {figure: self.row(figure) for figure in FIGURES}
        return {
            "name": self.name, "change": self.change, "names": names,
            "fields": {name: list(values) for name, values in self.fields.items()},
            **{name: row.to_dict() for name, row in figures.items() if name != "seconds" or any(row.values)},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """The answer; ``labels`` name the models, each once. ``conditions`` are what the analyses assume and do not
    share (batch, dtype, mode, …)."""

    labels: tuple[str, ...]
    sides: tuple[Side, ...]
    totals: Mapping[str, Row]
    layers: tuple[LayerRow, ...]
    conditions: Mapping[str, tuple[Any, ...]]

    @property
    def same(self) -> bool:
        """No figure that is known and no layer differs."""
        return all(row.same for row in self.totals.values()) and all(row.change == SAME for row in self.layers)

    def owners(self) -> list[list[tuple[str, int]]]:
        """For each model the layers that hold the most of its simulated peak."""
        found = []
        for side in self.sides:
            parts = [(str(layer["name"]), int(layer.get("peak_bytes") or 0)) for layer in side["layers"]]
            found.append(sorted((part for part in parts if part[1]), key=lambda part: -part[1])[:OWNERS])
        return found

    def to_dict(self) -> dict[str, Any]:
        """The object that ``cnncost diff --format json`` prints."""
        return {
            "schema": SCHEMA, "models": list(self.labels), "same": self.same,
            "conditions": {name: list(values) for name, values in self.conditions.items()},
            "totals": {name: row.to_dict() for name, row in self.totals.items()},
            "peak_owners": [[list(part) for part in own] for own in self.owners()],
            "layers": [row.to_dict() for row in self.layers],
        }  # fmt: skip
