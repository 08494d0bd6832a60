"""Connections and parameters of LeNet-5, layer by layer, as the 1998 paper prints them."""

from __future__ import annotations

import pytest

import cnncost
from cnncost.kinds.historic import LENET5_TABLE, connections

PAPER = {
    "C1": (156, 122_304), "S2": (12, 5_880), "C3": (1_516, 151_600), "S4": (32, 2_000), "C5": (48_120, 48_120),
    "F6": (10_164, 10_164), "Out": (840, 840),
}  # fmt: skip


def test_the_table_has_sixty_pairs() -> None:
    assert len(LENET5_TABLE) == 16 and len(set(LENET5_TABLE)) == 16
    assert sorted(len(maps) for maps in LENET5_TABLE) == [3] * 6 + [4] * 9 + [6]
    assert sum(len(maps) for maps in LENET5_TABLE) == 60


@pytest.mark.parametrize("name", PAPER)
def test_parameters_and_connections(name: str) -> None:
    analysis = cnncost.analyze("zoo:lenet5-1998")
    row = next(row for row in analysis.layers if row.name == name)
    found = connections(row.layer.kind, row.input_shapes)
    assert (sum(w.size for w in row.weights), int(found)) == PAPER[name]


def test_sixty_thousand_are_trained() -> None:
    assert cnncost.analyze("zoo:lenet5-1998").totals.trainable_params == 60_000
    assert sum(connections for _, connections in PAPER.values()) == 340_908


def test_connections_of_a_table_convolution_by_enumeration() -> None:
    """One connection for each tap of each seen map of each output, and a bias for each output."""
    kind = cnncost.kinds.historic.TableConv2D([[0, 2], [1]], [3, 2], 2)
    rows, columns, maps = kind.outputs(((9, 8, 3),))[0]
    counted = sum(
        1 + sum(1 for _ in kind.table[k] for _ in range(3) for _ in range(2))
        for _ in range(rows) for _ in range(columns) for k in range(maps)
    )  # fmt: skip
    assert int(connections(kind, ((9, 8, 3),))) == counted
