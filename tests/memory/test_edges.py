"""The hash table of edges, by law; and what reading late does to a step under Adam."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnncost
from cnncost.memory.edge_set import EdgeSet, slot_order
from cnncost.memory.edges import Copied, Heap, Places, Read
from cnncost.memory.graph_mode import interval
from cnncost.memory.simulation import Simulation

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
    addresses = Copied(40, 900).addresses(Heap(process))
    assert sorted(addresses.source_order(count)) == list(range(count))
    assert sorted(Read([2] * 40, count).source_order(Places(Heap(process)))) == list(range(count))
    assert sorted(slot_order([addresses(edge) for edge in range(count)], count)) == list(range(count))


def test_the_first_of_eight_neighbours_gets_the_slot_that_all_want() -> None:
    """Homes lie 8 apart, so that their first edges keep their order unless the table ends among them."""
    order = [edge for edge in slot_order(range(0, 90 * 32, 32)) if edge % 8 == 0 and edge < 16]
    assert order == sorted(order)


def test_processes_differ() -> None:
    copied = Copied(200, 400)
    assert len({tuple(copied.addresses(Heap(process)).source_order(60)) for process in range(10)}) == 10


# Read from the memory of a real process (VGG19 at 64 x 64, SGD): what each block of 8 KiB of the graph that oneDNN's
# pass was given holds, in bytes. The first has the source, the sink, the edge between them and 38 nodes without edges.
# The executor's copy has 9 nodes and 199 edges in the tenth block, 256 edges in the next.
BLOCKS = (8032, 8136, 8120, 8040, 8032, 8112, 8016, 8184, 8144, 8080, 8048, 8176, 1928)


def test_blocks_are_filled_as_a_real_process_filled_them() -> None:
    analysis = cnncost.analyze("keras:VGG19", input=(64, 64, 3), batch=2, mode="training", optimizer="sgd")
    simulation = Simulation(analysis, "training", "sgd")
    simulation.run(process=1)
    assert simulation.nodes is not None and simulation.executed is not None
    merges = simulation.nodes.layout.merges
    assert merges is not None
    read, copied = merges.read, simulation.executed.copied
    assert len(read.places) + 1 == 689 and read.used == 12 * 8192 + BLOCKS[-1]
    last = {place // 8192: place % 8192 + 32 for place in read.places}
    assert all(last.get(block, size) <= size for block, size in enumerate(BLOCKS))
    assert [last[block] for block in (8, 9, 10, 11)] == [8144, 8080, 8048, 8176]
    assert (copied.used, copied.beside, copied.edges) == (1800, 199, 2 + 624)


def test_edges_of_a_copy_stand_side_by_side_in_blocks_one_behind_the_other() -> None:
    """The first block behind that of the last nodes lies elsewhere, and now and then another one does."""
    beside = 0
    for process in range(40):
        addresses = Copied(369, 624).addresses(Heap(process))
        steps = [after - before for before, after in pairwise(addresses(edge) for edge in range(600))]
        assert {edge for edge, step in enumerate(steps) if step != 32} == {198, 454}
        beside += steps[454] == 48
    assert 20 < beside < 40


# Of executors' graphs of real processes under Adam (NASNetMobile at 96 x 96, DenseNet121 and MobileNetV2 at 64 x 64):
# how many nodes and edges, how many of these from the source, and the way from one edge to the next over the last
# blocks' ends, by the edge's number. The source's table of 1,024 slots, then of 2,048 and 4,096, stands between the
# blocks; what they leave has room for one block, then for two.
GROWN = [
    (34441, 61285, 2731, {58617: 48, 58873: 48, 59129: 9280, 59385: -17392, 59641: 27728, 59897: 48, 60153: 48,
                          60409: -43024, 60665: 48, 60921: 63584, 61177: 48}),
    (18572, 33052, 1529, {31669: 48, 31925: 48, 32181: 9280, 32437: -17392, 32693: 27728, 32949: 48}),
    (7812, 13777, 656, {12981: 48, 13237: 48, 13493: 48, 13749: 9280}),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "edges", "linked", "captured"), GROWN)
def test_a_large_table_stands_between_blocks(nodes: int, edges: int, linked: int, captured: dict[int, int]) -> None:
    copied = Copied(nodes, edges - linked)
    found = []
    for process in range(20):
        addresses = copied.addresses(Heap(process))
        places = [addresses(edge) for edge in range(min(captured) - 1, edges - 1)]
        steps = enumerate(pairwise(places), min(captured))
        found.append({edge: after - before for edge, (before, after) in steps if after - before != 32})
    assert all(list(steps) == list(captured) for steps in found)
    assert found.count(captured) > 5  # the others go on elsewhere in memory


def test_blocks_of_a_read_graphs_source_follow_one_another_now_and_then() -> None:
    read, after = Read([1] * 40, 1500), []
    for process in range(60):
        places = Places(Heap(process))
        read.source_order(places)
        starts = [start for _, start in sorted(places.blocks.items())]
        after += [end - start for start, end in pairwise(starts[1:])]
    close = sum(step in (8208, 8208 + 9232, 8208 + 18448) for step in after)
    assert 0.25 < close / len(after) < 0.42


def test_a_table_forgets_what_is_removed_and_uses_its_slot_again() -> None:
    addresses = range(1 << 20, (1 << 20) + 40 * 32, 32)
    edges = EdgeSet((address, number) for number, address in enumerate(addresses))
    for address in addresses[::2]:
        edges.remove(address)
    assert sorted(edges.readers()) == list(range(1, 40, 2))
    before = edges.taken
    edges.add(addresses[0], 0)
    assert sorted(edges.readers()) == [0, *range(1, 40, 2)] and edges.taken == before


def test_an_array_fills_the_gap_with_its_last_edge() -> None:
    edges = EdgeSet((32 * number, number) for number in range(5))
    edges.remove(32)
    assert edges.readers() == [0, 4, 2, 3]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1 << 16), unique=True, max_size=120), st.integers(0, 200), st.randoms())
def test_no_edge_is_lost(addresses: list[int], room: int, random: Random) -> None:
    edges, left = EdgeSet(room=room), set[int]()
    for address in addresses:
        edges.add(address * 16, address)
        left.add(address)
        if random.random() < 0.3:
            gone = random.choice(sorted(left))
            edges.remove(gone * 16)
            left.remove(gone)
    assert sorted(edges.readers()) == sorted(left)


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


@pytest.mark.parametrize("count", [0, 3, 8, 9, 14, 60, 700])
@pytest.mark.parametrize("room", [0, 9, 700])
def test_slots_are_those_of_edges_added_one_by_one(count: int, room: int) -> None:
    draw = Random(count)
    addresses = [32 * number for number in draw.sample(range(1 << 30), count)]
    assert slot_order(addresses, room) == EdgeSet(zip(addresses, range(count), strict=True), room).readers()
