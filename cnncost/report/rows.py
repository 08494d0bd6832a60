"""Rows of a rendering: layers, folded blocks, and the rest below ``--top``. Every layer is in exactly one row, so that
the rows of each column sum to its total."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from cnncost.analysis import LayerCost
from cnncost.report.columns import Column, column
from cnncost.report.options import Options
from cnncost.report.text import clean

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
    depth = options.depth
    asked = depth is not None or options.top is not None or options.sort is not None
    if depth:
        rows = fold(layers, depth)
    elif options.terminal and not asked and len(layers) > AUTO_ROWS:
        rows, depth = fold_to(layers, AUTO_ROWS)
        note = f"{len(layers):,} layers folded into {len(rows):,} rows; --depth 0 shows every layer"
    else:
        rows = [Row(clean(layer.name), (layer,)) for layer in layers]
    if options.sort or options.top:
        rows = ordered(rows, column(options.sort or "macs"))
    if options.top is not None and len(rows) > options.top:
        below = tuple(layer for row in rows[options.top :] for layer in row.layers)
        rows = [*rows[: options.top], Row(f"the other {len(below):,} layer{'s'[: len(below) > 1]}", below, rest=True)]
    return rows, note


def levels(layers: Sequence[LayerCost]) -> list[tuple[str, ...]]:
    """Each name's levels: a path's steps, or the words between underscores where no name is a path."""
    sign = "/" if any("/" in layer.name for layer in layers) else "_"
    return [tuple(layer.name[:2000].split(sign)) for layer in layers]


def fold(layers: Sequence[LayerCost], depth: int) -> list[Row]:
    """Neighbouring layers whose names agree in their first ``depth`` levels become one row."""
    sign = "/" if any("/" in layer.name for layer in layers) else "_"
    keyed = zip(levels(layers), layers, strict=True)
    rows = []
    for prefix, run in groupby(keyed, key=lambda pair: pair[0][:depth]):
        members = tuple(layer for _, layer in run)
        alone = len(members) == 1
        rows.append(Row(clean(members[0].name if alone else sign.join(prefix) + "/" * (sign == "/")), members))
    return rows


def fold_to(layers: Sequence[LayerCost], limit: int) -> tuple[list[Row], int]:
    """The finest fold of at most ``limit`` rows; equal stretches of layers where names give none."""
    deepest = min(max(map(len, levels(layers))), 12)
    for depth in range(deepest, 0, -1):
        rows = fold(layers, depth)
        if len(rows) <= limit:
            return rows, depth
    rows = fold(layers, 1)
    step = -(-len(rows) // limit)
    stretches = [rows[i : i + step] for i in range(0, len(rows), step)]
    return [_joined(stretch) for stretch in stretches], 1


def _joined(rows: Sequence[Row]) -> Row:
    if len(rows) == 1:
        return rows[0]
    return Row(f"{rows[0].label} … {rows[-1].label}", tuple(layer for row in rows for layer in row.layers))


def ordered(rows: Sequence[Row], by: Column) -> list[Row]:
    """Numbers from the largest down, texts from A; equal ones keep the model's order."""
    if by.right:
        return sorted(rows, key=lambda row: -sum(by.get(layer) for layer in row.layers))
    return sorted(rows, key=lambda row: by.people(by.of(row.layers)))


def with_headings(rows: Sequence[Row]) -> Iterator[Row]:
    """The same rows indented by path, with a heading where a block begins."""
    open_: tuple[str, ...] = ()
    for row in rows:
        *path, leaf = row.label.rstrip("/").split("/")
        same = 0
        while same < min(len(open_), len(path)) and open_[same] == path[same]:
            same += 1
        for level in range(same, len(path)):
            yield Row(f"{path[level]}/", (), level)
        open_ = tuple(path)
        yield row._replace(label=leaf + "/" * row.label.endswith("/"), indent=len(path))
