"""Rows of a rendering: layers, folded blocks, and the rest below ``--top``. Every layer is in exactly one row, so that
the rows of each column sum to its total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from cnncost.analysis import LayerCost
from cnncost.report.columns import Column, column
from cnncost.report.options import Options
from cnncost.report.text import clean

STRETCH = " … "  # between the first and the last layer of a stretch
AUTO_ROWS = 100  # more rows than this are folded on a terminal


class Row(NamedTuple):
    """One or several layers under one label. A heading has no layers and no figures."""

    label: str
    layers: tuple[LayerCost, ...]
    indent: int = 0
    rest: bool = False  # the layers below --top

    @property
    def folded(self) -> bool:
        return self.rest or len(self.layers) > 1


def rows_of(layers: Sequence[LayerCost], options: Options) -> tuple[list[Row], str]:
    """The rows that the options ask for, and a note when a long model was folded unasked."""
    note = ""
    asked = options.depth is not None or options.top is not None or options.sort is not None
    if options.depth:
        rows = fold(layers, options.depth)
    elif options.terminal and not asked and len(layers) > AUTO_ROWS:
        rows = fold_to(layers, AUTO_ROWS)
        note = f"{len(layers):,} layers folded into {len(rows):,} rows; --depth 0 shows every layer"
    else:
        rows = [Row(clean(layer.name), (layer,)) for layer in layers]
    if options.sort or options.top:
        rows = ordered(rows, column(options.sort or "macs"))
    if options.top is not None and len(rows) > options.top:
        below = tuple(layer for row in rows[options.top :] for layer in row.layers)
        rows = [*rows[: options.top], Row(f"{len(below):,} other layer{'s'[: len(below) > 1]}", below, rest=True)]
    return rows, note


def fold(layers: Sequence[LayerCost], depth: int) -> list[Row]:
    """Neighbouring layers whose names agree in their first ``depth`` levels become one row.

    A name's levels are its path's steps. Where no name is a path they are the words between underscores
    (``conv2_block1_add``), unless these say nothing (``conv2d_7``): then the graph itself has the blocks.
    """
    sign = _sign(layers)
    runs = [
        (prefix, tuple(layer for _, layer in run))
        for prefix, run in groupby(((tuple(y.name[:2000].split(sign)[:depth]), y) for y in layers), key=itemgetter(0))
    ]
    if sign == "_":
        labels = [prefix for prefix, members in runs if len(members) > 1]
        if len(set(labels)) < len(labels):
            return segments(layers)
    end = "/" if sign == "/" else ""
    return [
        Row(clean(members[0].name if len(members) == 1 else sign.join(prefix) + end), members)
        for prefix, members in runs
    ]


def _sign(layers: Sequence[LayerCost]) -> str:
    """What divides this model's names into levels; Keras allows no ``/`` in a name, ``.`` often stands for it."""
    return next((sign for sign in "/." if any(sign in layer.name for layer in layers)), "_")


def segments(layers: Sequence[LayerCost], narrow: int = 1) -> list[Row]:
    """The graph's own blocks: a segment ends at a layer that everything after it reads the model through; or
    through at most ``narrow`` layers. Of a part of a model what is read from outside of it does not count."""
    place = {layer.name: i for i, layer in enumerate(layers)}
    last_use = list(range(len(layers)))
    for i, layer in enumerate(layers):
        for name in layer.inputs:
            if name in place:
                last_use[place[name]] = i
    rows, begin, read = [], 0, 0  # read: how many of the layers so far are read later
    ended = [0] * len(layers)
    for i, last in enumerate(last_use):
        if last > i:
            ended[last] += 1
            read += 1
        read -= ended[i]
        if read <= narrow or i + 1 == len(layers):
            rows.append(_joined([Row(clean(y.name), (y,)) for y in layers[begin : i + 1]]))
            begin = i + 1
    return rows


def fold_to(layers: Sequence[LayerCost], limit: int) -> list[Row]:
    """The finest fold of at most ``limit`` rows; equal stretches of layers where neither names nor graph give one."""
    sign = _sign(layers)
    deepest = min(max(layer.name[:2000].count(sign) for layer in layers), 12)
    for depth in range(max(deepest, 1), 0, -1):
        rows = fold(layers, depth)
        if len(rows) <= limit:
            return rows
    step = -(-len(rows) // limit)
    return [_joined(rows[i : i + step]) for i in range(0, len(rows), step)]


def _joined(rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    first, last = rows[0].label.split(STRETCH)[0], rows[-1].label.split(STRETCH)[-1]
    return Row(first + STRETCH + last, tuple(layer for row in rows for layer in row.layers))


def ordered(rows: Sequence[Row], by: Column) -> list[Row]:
    """Numbers from the largest down, texts from A; equal ones keep the model's order."""
    if by.right:
        return sorted(rows, key=lambda row: -sum(by.get(layer) for layer in row.layers))
    return sorted(rows, key=lambda row: by.people(by.of(row.layers)))


def with_headings(rows: Sequence[Row]) -> Iterator[Row]:
    """The same rows indented by path, with a heading where a block begins."""
    open_: tuple[str, ...] = ()
    for row in rows:
        *path, leaf = [row.label] if STRETCH in row.label else row.label.rstrip("/").split("/")
        same = 0
        while same < min(len(open_), len(path)) and open_[same] == path[same]:
            same += 1
        for level in range(same, len(path)):
            yield Row(f"{path[level]}/", (), level)
        open_ = tuple(path)
        yield row._replace(label=leaf + "/" * (row.label.endswith("/") and not leaf.endswith("/")), indent=len(path))
