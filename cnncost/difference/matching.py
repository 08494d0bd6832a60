"""Which layer of one model is which of another: by name, then by structure."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from cnncost.subsequence import common

Layers = Sequence[Mapping[str, Any]]
MOST = 20_000  # layers without a namesake that are matched by structure
COMMUTATIVE = ("Add", "Average", "Maximum", "Minimum", "Multiply")  # the order of what they read means nothing
MOST_READ = 64  # layers that one reads, as far as they are compared


def matched(first: Layers, other: Layers) -> dict[int, int]:
    """Places of the first's layers → places of the other's.

    Equal names of one kind are one layer; what has no namesake is matched by equal structure in order, and then by its
    kind, or by its name alone. A name that was made by counting (``conv2d_5``) says little once a layer before it is
    added: where matching such layers by structure first makes more of them equal, that is taken.
    """
    plain = _by(first, other, lambda layer: True)
    chosen = _by(first, other, lambda layer: not counted(layer))
    return chosen if _alike(first, other, chosen) > _alike(first, other, plain) else plain


def counted(layer: Mapping[str, Any]) -> bool:
    """Whether a name is its kind and a number.

    >>> counted({"name": "block/max_pooling2d_3", "kind": "MaxPooling2D"}), counted({"name": "C1", "kind": "Conv2D"})
    (True, False)
    """
    name = re.sub(r"_?[0-9]+$", "", str(layer["name"]).rpartition("/")[2])
    kind = str(layer["kind"])
    return name.replace("_", "").lower() in (kind.lower(), re.sub(r"[0-9]+$", "", kind).lower())


def _by(first: Layers, other: Layers, trusted: Callable[[Mapping[str, Any]], bool]) -> dict[int, int]:
    found: dict[int, int] = {}
    _names(first, other, found, trusted)
    _sequences(first, other, found, structure)
    _names(first, other, found, lambda layer: True)
    _sequences(first, other, found, _kind)
    _names(first, other, found, lambda layer: True, kinds=False)
    return found


def _names(
    first: Layers, other: Layers, found: dict[int, int], trusted: Callable[[Mapping[str, Any]], bool],
    kinds: bool = True,
) -> None:  # fmt: skip
    """Equal names, and of one kind if ``kinds``."""
    taken = set(found.values())
    places: dict[Hashable, list[int]] = {}
    for j, layer in enumerate(other):
        if j not in taken and trusted(layer):
            places.setdefault((layer["name"], layer["kind"] if kinds else ""), []).append(j)
    for i, layer in enumerate(first):
        free = places.get((layer["name"], layer["kind"] if kinds else ""))
        if i not in found and free:
            found[i] = free.pop(0)


def _sequences(first: Layers, other: Layers, found: dict[int, int], key: Callable[..., Hashable]) -> None:
    """What is left on both sides, in order."""
    taken = set(found.values())
    left = [i for i in range(len(first)) if i not in found]
    right = [j for j in range(len(other)) if j not in taken]
    if left and right and max(len(left), len(right)) <= MOST:
        pairs = common([key(first[i]) for i in left], [key(other[j]) for j in right])
        found.update({left[a]: right[b] for a, b in pairs})


def structure(layer: Mapping[str, Any]) -> Hashable:
    """Equal for layers that compute the same on the same shapes, as far as every version of an analysis says."""
    return (layer["kind"], repr(outputs(layer)), layer["params"], layer["macs"])


def _kind(layer: Mapping[str, Any]) -> Hashable:
    """Weaker: the same kind with the same rank of output."""
    return layer["kind"], tuple(len(shape) for shape in outputs(layer))


def outputs(layer: Mapping[str, Any]) -> list[list[int | None]]:
    """The shapes of all outputs."""
    shapes: list[list[int | None]] = layer.get("output_shapes") or [layer.get("output_shape") or []]
    return shapes


def _alike(first: Layers, other: Layers, pairs: Mapping[int, int]) -> int:
    return sum(structure(first[i]) == structure(other[j]) for i, j in pairs.items())


def reads(layers: Layers, pair: Mapping[int, int]) -> list[tuple[int, ...]]:
    """For each layer the pairs that it reads; what has no counterpart stands for what it reads itself, so that a layer
    put between two others moves neither. ``pair`` numbers the layers that have one."""
    places = {layer["name"]: i for i, layer in enumerate(layers)}
    found: list[tuple[int, ...]] = []
    for i, layer in enumerate(layers):
        own: dict[int, None] = {}
        for name in layer["inputs"]:
            place = places.get(name, i)
            if place < i and len(own) < MOST_READ:
                own.update(dict.fromkeys((pair[place],) if place in pair else found[place]))
        read = tuple(own)[:MOST_READ]
        found.append(tuple(sorted(read)) if layer["kind"] in COMMUTATIVE else read)
    return found
