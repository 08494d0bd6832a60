"""The walks by which grappler orders nodes: laws, and the orders of a captured step of TensorFlow 2.21."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnncost
from cnncost.memory.edges import Heap
from cnncost.memory.opgraph import Op
from cnncost.memory.simulation import Simulation
from cnncost.memory.walks import breadth_first, depth_first, last_first
from cnncost.memory.wires import readers_of


def _conv(filters: int, size: int, activation: str, padding: str = "same") -> dict[str, Any]:
    return {"Conv2D": {"filters": filters, "kernel_size": size, "padding": padding, "activation": activation}}


POOL: dict[str, Any] = {"AveragePooling2D": {"pool_size": 2}}
LAYERS: list[Any] = [
    _conv(32, 3, "elu"), "BatchNormalization", "ELU", POOL, {"Dropout": 0.25},
    _conv(64, 3, "relu"), "BatchNormalization", _conv(64, 5, "elu"), POOL, {"Dropout": 0.25},
    _conv(128, 3, "relu"), _conv(128, 5, "relu", "valid"), POOL,
    "Flatten", {"Dense": {"units": 64, "activation": "relu"}}, {"Dense": 10},
]  # fmt: skip
# The captured order of its updates with SGD: sgd/AssignSubVariableOp_17, 16, 15, …
UPDATES = [17, 16, 15, 14, 13, 12, 11, 10, 8, 9, 7, 6, 4, 5, 3, 2, 0, 1]
# What oneDNN's pass replaces of the reverse pass in two processes: the layer, and F for a convolution's filter, I for
# its input. In the first the step needs 2.33 MB (so in three of four processes), in the second 4.56 MB.
LOW = (
    "dense_1 dense average_pooling2d_2 conv2d_4F conv2d_4I conv2d_3F conv2d_3I average_pooling2d_1 conv2d_2I conv2d_1I "
    "average_pooling2d conv2dF conv2d_1F conv2d_2F dense dense_1"
)
HIGH = (
    "dense_1 dense_1 dense average_pooling2d_2 dense conv2d_4I conv2d_4F conv2d_3I average_pooling2d_1 conv2d_3F "
    "conv2d_2I conv2d_2F conv2d_1I average_pooling2d conv2dF conv2d_1F"
)
_REVERSE = {"MatMul": "", "AvgPoolGrad": "", "Conv2DBackpropInput": "I", "Conv2DBackpropFilterWithBias": "F"}


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    model = {"name": "sequential", "input": [48, 48, 1], "layers": LAYERS}
    analysis = cnncost.analyze(model, batch=1, mode="training", optimizer="sgd", processor="avx512")
    found = Simulation(analysis, "training", "sgd")
    found.run()
    return found


def _ordered(simulation: Simulation, process: int) -> list[Op]:
    assert simulation.nodes is not None
    nodes = simulation.nodes
    return nodes.passed(nodes.places(Heap(2 * process + 1) if process else None))


def _reverse(simulation: Simulation, process: int) -> str:
    ops = [op for op in _ordered(simulation, process) if op.phase == "backward" and op.type in _REVERSE]
    return " ".join(op.layer + _REVERSE[op.type] for op in ops)


def test_updates_stand_where_they_were_captured(simulation: Simulation) -> None:
    assert simulation.graph is not None
    made = [op for op in simulation.graph.ops if op.type == "AssignSubVariableOp"]
    order = [op for op in _ordered(simulation, 0) if op.type == "AssignSubVariableOp"]
    assert [made.index(op) for op in order] == UPDATES


def test_both_captured_orders_of_gradients_are_among_the_processes(simulation: Simulation) -> None:
    orders = {_reverse(simulation, process): process for process in range(60)}
    assert LOW in orders and HIGH in orders
    assert simulation.run(orders[HIGH]).peak > 1.9 * 2_326_956
    assert 2_326_956 in {simulation.peak(process) for process in range(1, 31)}


def _graphs() -> st.SearchStrategy[list[list[int]]]:
    def sources(count: int) -> st.SearchStrategy[list[list[int]]]:
        return st.tuples(
            *(st.lists(st.integers(0, max(place - 1, 0)), max_size=3 if place else 0) for place in range(count))
        ).map(list)

    return st.integers(1, 20).flatmap(sources)


@given(_graphs())
def test_every_walk_has_each_node_once_and_what_it_waits_for_first(sources: list[list[int]]) -> None:
    start = depth_first(sources, list(range(len(sources))))
    for order in (breadth_first(sources, start), last_first(sources, start, readers_of(sources, start), {})):
        assert sorted(order) == list(range(len(sources)))
        place = {node: at for at, node in enumerate(order)}
        assert all(place[source] < place[node] for node in order for source in sources[node])


def test_the_last_root_is_walked_first_and_readers_without_data_stand_last() -> None:
    """0 and 1 wait for nothing; 2, 3 and 4 read 0, 4 without data; 5 reads 1 and 2."""
    sources = [[], [], [0], [0], [0], [1, 2]]
    start = [0, 1, 4, 2, 3, 5]
    assert last_first(sources, start, readers_of(sources, start), {}) == [0, 4, 2, 3, 1, 5]
    assert last_first(sources, start, readers_of(sources, start), {0: {4: 1}}) == [0, 2, 3, 4, 1, 5]
