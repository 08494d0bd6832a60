"""The hash table of edges, by law; and what reading late does to a step under Adam."""

from __future__ import annotations

from itertools import pairwise

import pytest

import cnncost
from cnncost.memory.edges import Arena, slot_order, source_order
from cnncost.memory.graph_mode import interval

CONV = [{"Conv2D": {"filters": 64, "kernel_size": 3, "padding": "same", "use_bias": False}}, "BatchNormalization"]


# The order of the 60 variables among the arguments of a captured step of TensorFlow 2.21 (61 arguments, 17 constants),
# and where its edges lay, found by search: the first to the sink, the two of the copies, those to the arguments.
CAPTURED = [
    46, 53, 60, 54, 55, 2, 15, 19, 20, 25, 21, 8, 12, 22, 26, 33, 13, 23, 27, 34, 3, 16, 24, 28, 35, 41, 7, 14, 17, 29,
    36, 42, 48, 4, 9, 18, 30, 37, 43, 49, 56, 5, 10, 31, 38, 44, 50, 57, 6, 11, 32, 39, 47, 51, 58, 1, 40, 45, 52, 59,
]  # fmt: skip
SINK, FIRST = (10_096, 8_080, 8_112), 14_848 + (1 << 30)


def test_a_captured_order_follows_from_its_addresses() -> None:
    order = slot_order([*(address + (1 << 30) for address in SINK), *range(FIRST, FIRST + 78 * 32, 32)])
    assert [edge - 3 for edge in order if 3 < edge < 3 + 61] == CAPTURED


@pytest.mark.parametrize("count", [0, 1, 8, 9, 102, 103, 700])
@pytest.mark.parametrize("process", [1, 2, 15])
def test_every_edge_has_one_place(count: int, process: int) -> None:
    assert sorted(source_order(count, Arena(process), 900, copies=2)) == list(range(count))
    assert sorted(slot_order([Arena(process)(edge) for edge in range(count)], count)) == list(range(count))


def test_up_to_eight_edges_stand_in_a_row() -> None:
    assert slot_order([Arena(3)(edge) for edge in range(8)]) == list(range(8))


def test_the_first_of_eight_neighbours_gets_the_slot_that_all_want() -> None:
    """Homes lie 8 apart, so that their first edges keep their order unless the table ends among them."""
    order = [edge for edge in slot_order(range(0, 90 * 32, 32)) if edge % 8 == 0 and edge < 16]
    assert order == sorted(order)


def test_processes_differ() -> None:
    assert len({tuple(source_order(60, Arena(process), 200, copies=2)) for process in range(10)}) == 10


def test_edges_stand_side_by_side_in_blocks_one_behind_the_other() -> None:
    addresses = [Arena(5)(edge) for edge in range(600)]
    steps = [after - before for before, after in pairwise(addresses)]
    assert set(steps) == {32, 48} and steps.count(48) in (2, 3)


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
