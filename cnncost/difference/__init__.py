"""Two or more models side by side: totals with their differences, and layers matched by name, then by structure.

It reads what ``Analysis.to_dict()`` says, so that a saved analysis is as good as a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnncost.difference.matching import matched, outputs, reads
from cnncost.difference.records import (
    ADDED,
    CHANGED,
    MOVED,
    REMOVED,
    RENAMED,
    SAME,
    Difference,
    LayerRow,
    Row,
    Side,
)
from cnncost.difference.saved import saved
from cnncost.errors import CnncostError

__all__ = ["ADDED", "CHANGED", "MOVED", "REMOVED", "RENAMED", "SAME", "Difference", "LayerRow", "Row", "difference",
           "saved"]  # fmt: skip

# A layer's own facts. Its receptive field and its part of the peak follow from the layers around it.
FACTS = ("kind", "params", "trainable_params", "macs", "flops", "activation_bytes", "weight_bytes", "dtype")
MEMORY = ("inference_peak_bytes", "training_peak_bytes", "resident_bytes")
TIMES = ("inference_seconds", "training_step_seconds")
CONDITIONS = ("batch", "dtype", "mode", "optimizer", "executor", "allocator", "input_shapes")
DEFAULT = "default"  # an argument that is not written


def difference(sides: Sequence[Side], labels: Sequence[str] | None = None) -> Difference:
    """What differs between analyses (as ``Analysis.to_dict()`` has them), the first being what the others are held
    against. Raises CnncostError for fewer than two.

    >>> import cnncost
    >>> one, two = (cnncost.analyze("zoo:resnet50", batch=n).to_dict() for n in (1, 2))
    >>> found = difference([one, two])
    >>> found.totals["params"].delta, found.totals["activation_bytes"].percent, found.conditions["batch"]
    (0, 100.0, (1, 2))
    """
    if len(sides) < 2:
        raise CnncostError("a difference needs two models", rule="the first is what the others are held against")
    names = _distinct(labels or [str(side["model"]) for side in sides])
    return Difference(names, tuple(sides), _totals(sides), tuple(_layers(sides)), _conditions(sides))


def _distinct(labels: Sequence[str]) -> tuple[str, ...]:
    """Equal names get numbers."""
    return tuple(
        f"{label} ({labels[: i + 1].count(label)})" if labels.count(label) > 1 else label
        for i, label in enumerate(labels)
    )


def _totals(sides: Sequence[Side]) -> dict[str, Row]:
    names = dict.fromkeys(name for side in sides for name in side["totals"])
    rows = {name: Row(tuple(side["totals"].get(name) for side in sides)) for name in names}
    parts = [(name, [side["memory"] for side in sides]) for name in MEMORY]
    parts += [(name, [side.get("time") or {} for side in sides]) for name in TIMES]
    for name, values in parts:
        row = Row(tuple(value.get(name) for value in values))
        if any(value is not None for value in row.values):
            rows[name] = row
    return rows


def _conditions(sides: Sequence[Side]) -> dict[str, tuple[Any, ...]]:
    found = {name: tuple(side.get(name) for side in sides) for name in CONDITIONS}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def _layers(sides: Sequence[Side]) -> list[LayerRow]:
    """The first model's layers in order, what others add behind the layer that they follow."""
    groups = _groups([side["layers"] for side in sides])
    read: list[list[tuple[int, ...]]] = []
    for number, side in enumerate(sides):
        pair = {group[number]: at for at, group in enumerate(groups) if len(group) == len(sides)}
        read.append(reads(side["layers"], pair))
    return [_row(sides, group, [read[number][place] for number, place in group.items()]) for group in groups]


def _groups(columns: Sequence[Sequence[Side]]) -> list[dict[int, int]]:
    """Number of a model → place of the layer in it, for each layer of any."""
    groups: list[dict[int, int]] = [{0: i} for i in range(len(columns[0]))]
    for number, layers in enumerate(columns[1:], 1):
        left = list(range(len(layers)))
        home: dict[int, dict[int, int]] = {}
        for earlier in range(number):  # what the first lacks may be in the second
            mine = [group for group in groups if earlier in group and min(group) == earlier]
            known = [columns[earlier][group[earlier]] for group in mine]
            for i, j in matched(known, [layers[j] for j in left]).items():
                home[left[j]] = mine[i]
            left = [j for j in left if j not in home]
        groups = _placed(groups, number, len(layers), home)
    return groups


def _placed(
    groups: list[dict[int, int]], number: int, count: int, home: Mapping[int, dict[int, int]]
) -> list[dict[int, int]]:  # fmt: skip
    """The groups with one more model's layers, new ones behind the layer that they follow."""
    behind: dict[int, list[dict[int, int]]] = {}
    after = -1
    for j in range(count):
        if j in home:
            home[j][number] = j
            after = id(home[j])
        else:
            behind.setdefault(after, []).append({number: j})
    found = behind.get(-1, [])
    for group in groups:
        found += [group, *behind.get(id(group), [])]
    return found


def _row(sides: Sequence[Side], group: Mapping[int, int], read: Sequence[tuple[int, ...]]) -> LayerRow:
    members = tuple(sides[n]["layers"][group[n]] if n in group else None for n in range(len(sides)))
    there = [member for member in members if member is not None]
    name = str(there[0]["name"])
    if len(there) < len(members):
        return LayerRow(name, ADDED if members[0] is None else REMOVED, members, {})
    own, around = _fields(there), {}
    if any(reading != read[0] for reading in read):
        around["inputs"] = tuple(member["inputs"] for member in there)
    if any(member["name"] != name for member in there):
        around["name"] = tuple(member["name"] for member in there)
    change = CHANGED if own else MOVED if "inputs" in around else RENAMED if around else SAME
    return LayerRow(name, change, members, {**own, **around})


def _fields(there: Sequence[Side]) -> dict[str, tuple[Any, ...]]:
    """The facts that differ; what one analysis does not say is no difference."""
    found = {"output_shape": tuple(_shape(member) for member in there)}
    found |= {fact: tuple(member.get(fact) for member in there) for fact in FACTS if all(fact in m for m in there)}
    if all("arguments" in member for member in there) and all(m["kind"] == there[0]["kind"] for m in there):
        meant = [_meant(member) for member in there]
        for name in dict.fromkeys(name for arguments in meant for name in arguments):
            values = tuple(arguments.get(name, DEFAULT) for arguments in meant)
            found.setdefault(f"arguments.{name}", values)
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def _shape(layer: Side) -> Any:
    shapes = outputs(layer)
    return shapes[0] if len(shapes) == 1 else shapes


def _meant(layer: Side) -> dict[str, Any]:
    """The arguments without those that only spell a default out, as Keras's files do."""
    arguments, rank = layer["arguments"], len(outputs(layer)[0])
    spelled: dict[str, list[Any]] = {
        "data_format": ["channels_last"],
        "activation": ["linear"],
        "axis": [-1, [-1], rank, [rank]],
    }
    if "Pooling" in layer["kind"]:
        strides = arguments.get("strides")
        size = arguments.get("pool_size", [2] * len(strides) if isinstance(strides, list) else 2)
        spelled["strides"] = [size]
    return {name: value for name, value in arguments.items() if value not in spelled.get(name, [])}
