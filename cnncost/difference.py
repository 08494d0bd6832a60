"""Two or more models side by side: totals with their differences, and layers matched by name, then by structure.

It reads what ``Analysis.to_dict()`` says, so that a saved analysis is as good as a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from cnncost.errors import CnncostError, Location, printable

SCHEMA = "cnncost/diff/1"
ANALYSIS = "cnncost/analysis/1"
SAME, CHANGED, ADDED, REMOVED, MOVED = "same", "changed", "added", "removed", "moved"
FIGURES = ("params", "trainable_params", "macs", "flops", "activation_bytes", "weight_bytes", "peak_bytes")
FACTS = ("kind", "output_shape", "output_shapes", "params", "trainable_params", "macs", "flops", "activation_bytes",
         "weight_bytes", "dtype", "receptive_field")  # fmt: skip
MEMORY = ("inference_peak_bytes", "training_peak_bytes", "resident_bytes")
MOST = 3000  # layers without a namesake that are matched by structure
OWNERS = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of all models; ``delta`` is the last's minus the first's, None where one is not known."""

    values: tuple[int | float | None, ...]

    @property
    def delta(self) -> int | float | None:
        first, last = self.values[0], self.values[-1]
        return None if first is None or last is None else last - first

    @property
    def percent(self) -> float | None:
        """Of the first; None where that is nothing."""
        return 100 * self.delta / self.values[0] if self.delta is not None and self.values[0] else None

    def to_dict(self) -> dict[str, Any]:
        return {"values": list(self.values), "delta": self.delta, "percent": self.percent}


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer in all models (None: not there). ``change`` is from the first model to the last."""

    name: str
    change: str
    members: tuple[Mapping[str, Any] | None, ...]
    fields: tuple[str, ...] = ()  # what differs, of a changed layer

    def row(self, figure: str) -> Row:
        return Row(tuple(None if member is None else member.get(figure) for member in self.members))

    def to_dict(self) -> dict[str, Any]:
        names = [None if member is None else member["name"] for member in self.members]
        return {
            "name": self.name, "change": self.change, "names": names, "fields": list(self.fields),
            **{figure: self.row(figure).to_dict() for figure in FIGURES},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """The answer; ``labels`` name the models, each once."""

    labels: tuple[str, ...]
    sides: tuple[Mapping[str, Any], ...]
    totals: Mapping[str, Row]
    layers: tuple[LayerRow, ...]

    @property
    def same(self) -> bool:
        """No figure and no layer differs."""
        return all(len(set(row.values)) == 1 for row in self.totals.values()) and all(
            row.change == SAME for row in self.layers
        )

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
            "totals": {name: row.to_dict() for name, row in self.totals.items()},
            "peak_owners": [[list(part) for part in own] for own in self.owners()],
            "layers": [row.to_dict() for row in self.layers],
        }  # fmt: skip


def difference(sides: Sequence[Mapping[str, Any]], labels: Sequence[str] | None = None) -> Difference:
    """What differs between analyses (as ``Analysis.to_dict()`` has them), the first being what the others are held
    against. Raises CnncostError for fewer than two.

    >>> import cnncost
    >>> one, two = (cnncost.analyze("zoo:resnet50", batch=n).to_dict() for n in (1, 2))
    >>> found = difference([one, two])
    >>> found.totals["params"].delta, found.totals["activation_bytes"].percent
    (0, 100.0)
    """
    if len(sides) < 2:
        raise CnncostError("a difference needs two models", rule="the first is what the others are held against")
    found = tuple(labels or [str(side["model"]) for side in sides])
    return Difference(_distinct(found), tuple(sides), _totals(sides), tuple(_layers(sides)))


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """Equal names get numbers."""
    return tuple(
        f"{label} ({labels[: i + 1].count(label)})" if labels.count(label) > 1 else label
        for i, label in enumerate(labels)
    )


def _totals(sides: Sequence[Mapping[str, Any]]) -> dict[str, Row]:
    rows = {name: Row(tuple(side["totals"].get(name) for side in sides)) for name in sides[0]["totals"]}
    for name in MEMORY:
        values = tuple(side["memory"].get(name) for side in sides)
        if any(value is not None for value in values):
            rows[name] = Row(values)
    times = [side.get("time") for side in sides]
    if all(isinstance(time, Mapping) for time in times):
        for name in ("inference_seconds", "training_step_seconds"):
            rows[name] = Row(tuple(time.get(name) for time in times if isinstance(time, Mapping)))
    return rows


def _layers(sides: Sequence[Mapping[str, Any]]) -> list[LayerRow]:
    """The first model's layers in order, what others add behind the layer that they follow."""
    first = sides[0]["layers"]
    columns = [dict(_matched(first, side["layers"])) for side in sides[1:]]
    counterpart = [
        {first[i]["name"]: side["layers"][j]["name"] for i, j in column.items()}
        for column, side in zip(columns, sides[1:], strict=True)
    ]
    rows: list[tuple[tuple[int, int, int], LayerRow]] = []
    for i, layer in enumerate(first):
        others = [
            None if i not in column else side["layers"][column[i]]
            for column, side in zip(columns, sides[1:], strict=True)
        ]
        kept = all(
            other is None or _reads_alike(layer, other, names) for other, names in zip(others, counterpart, strict=True)
        )
        rows.append(((i, 0, 0), _row((layer, *others), kept)))
    for number, (column, side) in enumerate(zip(columns, sides[1:], strict=True), 1):
        taken = {j: i for i, j in column.items()}
        after = -1
        for j, layer in enumerate(side["layers"]):
            if j in taken:
                after = taken[j]
                continue
            members = tuple(layer if place == number else None for place in range(len(sides)))
            rows.append(((after, number, j), _row(members, True)))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _reads_alike(layer: Mapping[str, Any], other: Mapping[str, Any], names: Mapping[str, str]) -> bool:
    """Whether the counterpart reads the counterparts of what the layer reads, as far as these are there."""
    return all(
        names.get(ours, theirs) == theirs for ours, theirs in zip(layer["inputs"], other["inputs"], strict=False)
    )


def _row(members: tuple[Mapping[str, Any] | None, ...], in_place: bool) -> LayerRow:
    there = [member for member in members if member is not None]
    name = str(there[0]["name"])
    if members[0] is None:
        return LayerRow(name, ADDED, members)
    if members[-1] is None:
        return LayerRow(name, REMOVED, members)
    fields = tuple(fact for fact in FACTS if any(member.get(fact) != there[0].get(fact) for member in there[1:]))
    if fields:
        return LayerRow(name, CHANGED, members, fields)
    renamed = any(member["name"] != name for member in there[1:])
    return LayerRow(name, MOVED if renamed or not in_place else SAME, members)


def _matched(first: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Places of the first's layers → places of the other's: equal names of one kind, then equal structure in order,
    then what stands alone between matched neighbours."""
    places = {layer["name"]: j for j, layer in enumerate(other)}
    found: dict[int, int] = {}
    for i, layer in enumerate(first):
        j = places.get(layer["name"])
        if j is not None and other[j]["kind"] == layer["kind"]:
            found[i] = j
    left = [i for i in range(len(first)) if i not in found]
    taken = set(found.values())
    right = [j for j in range(len(other)) if j not in taken]
    if left and right and max(len(left), len(right)) <= MOST:
        for key in (_structure, _kind):
            found.update(_aligned(first, other, left, right, key))
            taken = set(found.values())
            left, right = [i for i in left if i not in found], [j for j in right if j not in taken]
    return found


def _aligned(
    first: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], left: Sequence[int],
    right: Sequence[int], key: Any,
) -> dict[int, int]:  # fmt: skip
    matcher = SequenceMatcher(None, [key(first[i]) for i in left], [key(other[j]) for j in right], autojunk=False)
    return {left[block.a + n]: right[block.b + n] for block in matcher.get_matching_blocks() for n in range(block.size)}


def _structure(layer: Mapping[str, Any]) -> tuple[Any, ...]:
    return (layer["kind"], str(layer.get("output_shape", layer.get("output_shapes"))), layer["params"], layer["macs"])


def _kind(layer: Mapping[str, Any]) -> tuple[Any, ...]:
    """Weaker: the same kind with the same rank of output."""
    return layer["kind"], len(layer.get("output_shape") or ())


def saved(path: str) -> dict[str, Any] | None:
    """A saved analysis, or None where the file is something else. Raises CnncostError for one that is not whole."""
    import json

    try:
        with open(path, "rb") as stream:
            head = stream.read(4096)
            if ANALYSIS.encode() not in head:
                return None
            data = json.loads((head + stream.read(2**28)).decode("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.get("schema") != ANALYSIS:
        return None
    rows, totals, memory = data.get("layers"), data.get("totals"), data.get("memory")
    whole = isinstance(totals, dict) and isinstance(memory, dict) and isinstance(rows, list) and all(
        isinstance(row, dict) and {"name", "kind", "inputs", "params", "macs"} <= row.keys() for row in rows
    )  # fmt: skip
    if not whole or not isinstance(data.get("model"), str):
        raise CnncostError("a saved analysis that is not whole", rule="it is what `cnncost analyze --format json` "
                           "wrote", received=printable(path, 200), location=Location(path))  # fmt: skip
    return data
