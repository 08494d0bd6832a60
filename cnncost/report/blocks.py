"""A long model as a short list of boxes: layers folded into blocks, and equal neighbours told once, times n."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cnncost.analysis import LayerCost
from cnncost.report.rows import STRETCH, Row, fold, fold_to, segments
from cnncost.report.text import clean

BOXES = 48  # a picture with more is not read
MANY = 100  # layers: one box of half of them says little
NARROW = (2, 3, 4)  # layers that part a graph where no single one does
MOST_PERIOD = 4  # blocks that alternate


@dataclass(frozen=True)
class Box:
    """A stretch of layers that follow one another; ``times`` equal stretches stand for one."""

    label: str
    places: tuple[int, ...]  # of all its layers in the model
    first: tuple[int, ...]  # of the first stretch
    times: int = 1

    @cached_property
    def inside(self) -> frozenset[int]:
        return frozenset(self.places)


def boxes(layers: Sequence[LayerCost], limit: int = BOXES) -> list[Box]:
    """The finest boxes of which there are at most ``limit``, repeats told once."""
    place = {id(layer): i for i, layer in enumerate(layers)}
    found = _of(_single(layers), place, layers)
    if len(found) <= limit:
        return found
    for depth in range(8, 0, -1):
        found = _of(fold(layers, depth), place, layers)
        if len(found) <= limit and not lopsided([box.places for box in found], layers):
            return found
    cut = (_of(segments(layers, narrow), place, layers) for narrow in NARROW)
    fit = (found for found in cut if len(found) <= limit and not lopsided([box.places for box in found], layers))
    return next(fit, None) or _of(fold_to(layers, limit), place, layers)


def parted(layers: Sequence[LayerCost], limit: int) -> list[Row]:
    """A fold of at most ``limit`` rows. Where one row has most of the layers (in NASNet each cell reads two before it,
    so that no layer parts the graph) the graph is cut where two layers part it, or three, or four."""
    rows = fold_to(layers, limit)
    if not lopsided([row.layers for row in rows], layers):
        return rows
    cut = (segments(layers, narrow) for narrow in NARROW)
    return next(
        (found for found in cut if len(found) <= limit and not lopsided([r.layers for r in found], layers)), rows
    )


def lopsided(parts: Sequence[Sequence[object]], layers: Sequence[LayerCost]) -> bool:
    return len(layers) > MANY and 2 * max(map(len, parts)) > len(layers)


def _single(layers: Sequence[LayerCost]) -> list[Row]:
    return [Row(clean(layer.name), (layer,)) for layer in layers]


def _of(rows: Sequence[Row], place: dict[int, int], layers: Sequence[LayerCost]) -> list[Box]:
    stretches = [tuple(place[id(layer)] for layer in row.layers) for row in rows]
    names = {layer.name: p for layer, p in zip(layers, place.values(), strict=True)}
    signs = [_sign(stretch, layers, names) for stretch in stretches]
    found: list[Box] = []
    i = 0
    while i < len(rows):
        period, times = _repeats(signs, i)
        own = stretches[i : i + period * times]
        first = tuple(p for stretch in own[:period] for p in stretch)
        label = rows[i].label.rstrip("/")
        if period > 1:
            label = label.split(STRETCH)[0] + STRETCH + rows[i + period - 1].label.rstrip("/").split(STRETCH)[-1]
        found.append(Box(label, tuple(p for stretch in own for p in stretch), first, times))
        i += period * times
    return found


def _repeats(signs: Sequence[tuple[object, ...]], i: int) -> tuple[int, int]:
    """(blocks of a period, how often it stands here): the most blocks told by the fewest."""
    best = (1, 1)
    for period in range(1, MOST_PERIOD + 1):
        times = 1
        while signs[i + times * period : i + (times + 1) * period] == signs[i : i + period]:
            times += 1
        if times > 1 and period * (times - 1) > best[0] * (best[1] - 1):
            best = (period, times)
    return best


def _sign(stretch: Sequence[int], layers: Sequence[LayerCost], names: Mapping[str, int]) -> tuple[object, ...]:
    """What makes two stretches equal: kinds, shapes, weights, and what reads what inside them."""
    begin = stretch[0]
    return tuple(
        (
            layers[p].kind, tuple(t.shape for t in layers[p].outputs), layers[p].input_shapes, layers[p].params,
            tuple(names[name] - begin if names.get(name, -1) >= begin else "outside" for name in layers[p].inputs),
        )
        for p in stretch
    )  # fmt: skip
