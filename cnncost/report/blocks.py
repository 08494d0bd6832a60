"""A long model as a short list of boxes: layers folded into blocks, and equal neighbours told once, times n."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from cnncost.analysis import LayerCost
from cnncost.report.rows import Row, fold, fold_to
from cnncost.report.text import clean

BOXES = 48  # a picture with more is not read
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
        if len(found) <= limit:
            return found
    return _of(fold_to(layers, limit), place, layers)


def _single(layers: Sequence[LayerCost]) -> list[Row]:
    return [Row(clean(layer.name), (layer,)) for layer in layers]


def _of(rows: Sequence[Row], place: dict[int, int], layers: Sequence[LayerCost]) -> list[Box]:
    stretches = [tuple(place[id(layer)] for layer in row.layers) for row in rows]
    signs = [_sign(stretch, layers) for stretch in stretches]
    found: list[Box] = []
    i = 0
    while i < len(rows):
        period, times = _repeats(signs, i)
        own = stretches[i : i + period * times]
        first = tuple(p for stretch in own[:period] for p in stretch)
        label = rows[i].label.rstrip("/")
        if period > 1:
            label += f" … {rows[i + period - 1].label.rstrip('/')}"
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


def _sign(stretch: Sequence[int], layers: Sequence[LayerCost]) -> tuple[object, ...]:
    """What makes two stretches equal: kinds, shapes, weights, and what reads what inside them."""
    begin = stretch[0]
    return tuple(
        (
            layers[p].kind, tuple(t.shape for t in layers[p].outputs), layers[p].input_shapes, layers[p].params,
            tuple(ref.layer - begin if ref.layer >= begin else "outside" for ref in layers[p].layer.inputs),
        )
        for p in stretch
    )  # fmt: skip
