"""The printed rows of every column sum to the printed total, however the rows are folded, sorted and cut."""

from __future__ import annotations

import csv
import io
import re
from functools import cache

import pytest

import cnncost
from cnncost.analysis import Analysis
from cnncost.report import Options, render
from cnncost.report.columns import COLUMNS
from cnncost.units import interval

SUMS = tuple(column for column in COLUMNS if column.sums)
KEYS = ("name", *(column.key for column in SUMS))
VIEWS = {
    "plain": Options(),
    "depth 1": Options(depth=1),
    "depth 2": Options(depth=2),
    "sorted": Options(sort="params"),
    "top 1": Options(top=1),
    "top 3 of depth 1": Options(depth=1, top=3, sort="activation_bytes"),
    "folded on a terminal": Options(terminal=True, width=100),
    "narrow": Options(width=60, depth=1),
}
MODELS = ("memory-example", "alexnet-table", "resnet50")


@cache
def analysis(name: str) -> Analysis:
    return cnncost.analyze(f"zoo:{name}", batch=3)


def holds(cells: list[str], total: str) -> None:
    """The intervals that the printed cells stand for enclose the interval of the printed total."""
    ends = [interval(cell.rstrip("▲ "), bytes="B" in cell) for cell in cells if cell.strip("▲ ")]
    low, high = interval(total.strip("* ▲"), bytes="B" in total)
    assert ends
    assert sum(end[0] for end in ends) <= high
    assert sum(end[1] for end in ends) >= low


CELL = re.compile(r"(?:^|\s)([0-9][0-9,.]*[kMGT]?(?: [KMGTP]?i?B)?)▲?\s*$")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("model", MODELS)
def test_table(model: str, view: str) -> None:
    text = render(analysis(model), "table", VIEWS[view]._replace(columns=KEYS)).split("\n\n")[1]
    title, _, *rows, _, total = text.splitlines()
    edge = len("Layer")
    for column in SUMS:
        edge = title.index(f" {column.title}", edge) + len(column.title) + 1
        cells = [found[1] for row in rows if (found := CELL.search(row[:edge])) and len(row) >= edge - 1]
        whole = CELL.search(total[:edge])
        assert whole
        holds(cells, whole[1])


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("model", MODELS)
def test_markdown(model: str, view: str) -> None:
    text = render(analysis(model), "markdown", VIEWS[view]._replace(columns=KEYS)).split("\n\n")[3]
    _, _, *rows, total = [line.strip("| ").split(" | ") for line in text.splitlines()]
    for place in range(1, len(KEYS)):
        holds([row[place] for row in rows], total[place])


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("model", MODELS)
def test_csv(model: str, view: str) -> None:
    found = analysis(model).with_peaks()
    rows = list(csv.DictReader(io.StringIO(render(found, "csv", VIEWS[view]._replace(columns=KEYS)))))
    for column in SUMS:
        assert sum(int(row[column.key]) for row in rows) == column.total(found)


def test_every_layer_is_in_one_row() -> None:
    from cnncost.report.rows import rows_of

    found = analysis("resnet50")
    for view in VIEWS.values():
        rows, _ = rows_of(found.layers, view)
        names = sorted(layer.name for row in rows for layer in row.layers)
        assert names == sorted(layer.name for layer in found.layers)
