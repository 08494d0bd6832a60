"""The hash table of edges, by law; and what reading late does to a step under Adam."""

from __future__ import annotations

import pytest

import cnncost
from cnncost.memory.edges import table_order
from cnncost.memory.graph_mode import interval

CONV = [{"Conv2D": {"filters": 64, "kernel_size": 3, "padding": "same", "use_bias": False}}, "BatchNormalization"]


@pytest.mark.parametrize("count", [0, 1, 8, 9, 102, 103, 700])
@pytest.mark.parametrize("start", [0.0, 0.4, 0.999])
def test_every_edge_has_one_place(count: int, start: float) -> None:
    assert sorted(table_order(count, start)) == list(range(count))


def test_up_to_eight_edges_stand_in_a_row() -> None:
    assert table_order(8, 0.7) == list(range(8))


def test_the_first_of_eight_neighbours_gets_the_slot_that_all_want() -> None:
    """Homes lie 8 apart, so that their first edges keep their order unless the table ends among them."""
    order = [edge for edge in table_order(90, 0.0) if edge % 8 == 0 and edge < 16]
    assert order == sorted(order)


def test_a_table_begins_anywhere() -> None:
    assert len({tuple(table_order(60, start / 10)) for start in range(10)}) == 10


def test_slots_that_are_read_late_keep_gradients() -> None:
    """Under Adam some orders hold the gradients of large weights until the end; under SGD, without slots, hardly."""
    layers = [*CONV * 6, "GlobalAveragePooling2D", {"Dense": 10}]
    spec = {"input": [8, 8, 3], "layers": layers}
    width = {}
    for optimizer in ("sgd", "adam"):
        analysis = cnncost.analyze(spec, batch=2, mode="training", optimizer=optimizer)
        low, high = interval(analysis, "training", optimizer)
        width[optimizer] = high / low
    assert width["adam"] > 1.1 and width["adam"] > width["sgd"]
