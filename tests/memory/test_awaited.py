"""What a step's result waits for begins anywhere among the assignments: measured orders, and laws."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnncost
from cnncost.memory.awaited import reduced, stateful
from cnncost.memory.opgraph import Op
from cnncost.memory.ordering import graph_order
from cnncost.memory.simulation import Simulation

CONV = {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"}}
WIDER = {"Conv2D": {"filters": 32, "kernel_size": 3, "padding": "same", "activation": "relu"}}
POOL: dict[str, Any] = {"MaxPooling2D": 2}
HEAD: list[Any] = [
    "Flatten",
    {"Dense": {"units": 64, "activation": "relu"}},
    {"Dense": {"units": 10, "activation": "softmax"}},
]
VGG: dict[str, Any] = {"name": "vgg", "input": [32, 32, 3], "layers": [CONV, CONV, POOL, WIDER, WIDER, POOL, *HEAD]}


def _updates(model: dict[str, Any], kind: str) -> list[Op]:
    """The reads of Adam's step counter, in the node order: they stand in the order of the walk."""
    analysis = cnncost.analyze(model, batch=4, mode="training", optimizer=kind)
    graph = Simulation(analysis, "training", kind).training_graph()
    ops = graph_order(graph.ops, graph.results, graph.kept, model["name"], kind)
    return [
        op
        for op in ops
        if op.type == "ReadVariableOp"
        and op.layer
        and op.attrs["variable"].name.endswith("/iteration")
        and op.phase == "update"
    ]


def test_the_walk_of_adams_updates_begins_where_it_was_measured_to() -> None:
    """A captured graph has adam/Add_16, 18, 0, 2, 20, 22, 4, …: the weights 8, 9, 0, 1, 10, 11, 2 to 7."""
    layers = [op.layer for op in _updates(VGG, "adam")]
    sequence = ("dense", "conv2d", "dense_1", "conv2d_1", "conv2d_2", "conv2d_3")
    assert layers == [name for name in sequence for _ in range(2)]


def test_a_dense_layers_input_gradient_runs_first_with_adam() -> None:
    """Measured in four of four processes: 1,075,424 bytes. Of the simulated processes about half have it."""
    analysis = cnncost.analyze(VGG, batch=4, mode="training", optimizer="adam")
    simulation = Simulation(analysis, "training", "adam")
    assert simulation.run().peak == 1_075_424
    assert sum(simulation.run(process).peak == 1_075_424 for process in range(1, 16)) > 3


@pytest.mark.parametrize(
    ("removed", "kept", "behind", "first"),
    [(36, 12, 72, [8, 9, "counter", 0, 1]), (48, 16, 96, [8, 9, "counter", 0, 1]), (18, 6, 36, [4, 5, "counter", 0])],
)
def test_the_list_as_captured(removed: int, kept: int, behind: int, first: list[Any]) -> None:
    """A read, the counter, reads and moments, the weights, reads. By name: 0, 1, 10, 11, … 2, 3, …"""
    weights = sorted(range(kept), key=str)
    entries: list[tuple[Any, bool]] = [("read", True), ("counter", False), *[("moment", True)] * removed]
    entries += [(weight, False) for weight in weights] + [("read", True)] * behind
    assert reduced(entries)[: len(first)] == first


@given(st.lists(st.booleans(), max_size=40))
def test_what_is_left_keeps_its_order_but_for_where_dropped_entries_stand_between(flags: list[bool]) -> None:
    entries = [(place, flag) for place, flag in enumerate(flags)]
    left = reduced(entries)
    assert sorted(left) == [place for place, flag in entries if not flag]
    swapped = list(range(len(flags)))  # as TensorFlow does it, place by place
    for place in reversed(range(len(flags))):
        if flags[place]:
            swapped[place] = swapped[-1]
            swapped.pop()
    assert left == swapped[-1:] + swapped[:-1]


def test_a_dropouts_seed_is_no_branch() -> None:
    """Its remainder is no optimizer's that counts steps: the order of a captured step with two dropouts needs it."""
    layers = [CONV, {"Dropout": 0.5}, "Flatten", {"Dense": 4}]
    analysis = cnncost.analyze({"input": [8, 8, 3], "layers": layers}, mode="training", optimizer="sgd")
    ops = Simulation(analysis, "training", "sgd").training_graph().ops
    assert any(op.type == "FloorMod" for op in ops) and len(stateful(ops)) > 8
