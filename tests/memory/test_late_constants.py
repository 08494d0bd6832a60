"""Constants that are several, or no constants yet, until grappler's second round (seen in dumps of its passes)."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.constants import push_constants
from cnncost.memory.late_constants import FREED, MADE_OF, SEVERAL, SIZE, TOLD, Late
from cnncost.memory.names import Names
from cnncost.memory.node_sources import node_sources
from cnncost.memory.opgraph import BACKWARD, UPDATE, Op, OpGraph, Spec
from cnncost.memory.simulation import Simulation
from cnncost.memory.wires import wires

GELU: dict[str, Any] = {"kernel_size": 1, "activation": "gelu"}


def simulated(*layers: Any, shape: tuple[int, ...] = (40, 40, 1), optimizer: str = "sgd") -> Simulation:
    spec = {"input": list(shape), "layers": [*layers, "Flatten", {"Dense": 3}]}
    simulation = Simulation(cnncost.analyze(spec, mode="training", optimizer=optimizer), "training", optimizer)
    simulation.run()
    return simulation


def constants(simulation: Simulation) -> int:
    """How many nodes of the sorted graph are neither ops nor gradients of biases."""
    nodes = simulation.nodes
    assert nodes is not None
    return sum(place >= len(nodes.ops) + len(nodes.biases) for place in nodes.order)


def _bell(size: int) -> tuple[Op, Op]:
    """What ``erfc``'s gradient waits for, with two constants in its tree: the square and the tree's root."""
    wide = Spec((size // 4,), "float32")
    graph = OpGraph()
    x, grad = graph.add("Relu", (graph.argument("x", wide),)), graph.add("Neg", (graph.argument("g", wide),))
    graph.phase = BACKWARD
    inner = graph.add("Mul", (grad, x))
    square = graph.add("Square", (x,), bell=True)
    square.op.controls.append(inner.op)
    scaled = graph.add("Mul", (inner, graph.constant(2.0)))
    root = graph.add("Mul", (graph.add("Mul", (scaled, square)), graph.constant(3.0)))
    graph.results = [root]
    push_constants(graph, Names("model", "sgd"))
    return square.op, next(op for op in graph.ops if op.attrs.get("value") == 6.0)


@pytest.mark.parametrize(("size", "late"), [(SIZE - 4, False), (SIZE, False), (SIZE + 4, True)])
def test_what_stood_for_more_than_100_kib_is_folded_late(size: int, late: bool) -> None:
    square, six = _bell(size)
    assert not square.controls
    assert (square.attrs.get(FREED) is six) == late
    assert {part.attrs["value"] for part in six.attrs.get(MADE_OF, ())} == ({2.0, 3.0} if late else set())


def test_an_early_and_a_late_constant_are_two_nodes() -> None:
    """16 maps of 40 × 40 are 102,400 bytes, 17 are more: TensorFlow's step has -0.798 twice (batch 1)."""
    early, late, larger = ({"Conv2D": {"filters": filters, **GELU}} for filters in (16, 17, 18))
    alike = [constants(simulated(*pair)) for pair in ((late, late), (larger, larger), (early, early))]
    assert alike[0] == alike[1] == alike[2]
    both, parted = (constants(simulated(*pair)) for pair in ((late, larger), (early, late)))
    assert parted == both + 1


def test_rounds() -> None:
    """Nodes 0 and 1 are ops, 2 and 3 constants that 4 is made of, 5 and 6 two that become 7."""
    sources = [[2, 7], [0, 7], [], [], [], [], [], []]
    late = Late(made={4: [2, 3]}, freed={1: 4}, own={0: [2, 5], 1: [0, 6]}, equal={7: [5, 6]})
    assert late.second(sources)[1] == [0, 7, 4] and sources[1] == [0, 7]
    first = late.first(sources)
    assert (first[0], first[1], first[4]) == ([2, 5], [0, 6], [2, 3])
    assert late.merged([2, 3, 6, 4, 5, 0, 1], sources, ops=2) == [2, 7, 4, 0, 1]
    nothing = Late({}, {}, {}, {})
    assert nothing.first(sources) is nothing.second(sources) is sources
    assert nothing.merged([0, 1], sources, ops=2) == [0, 1]


def test_a_shape_that_ops_made_is_several_constants() -> None:
    drops = [{"Dropout": {"rate": 0.5, "noise_shape": shape}} for shape in ([None, 1, 1, 1], [1, 40, 40, 1])]
    told = [op.attrs.get(TOLD) for op in simulated(*drops).graph.ops if op.type == "StatelessRandomUniformV2"]
    assert told == [(1, 40, 40, 1), None]


def test_the_gradient_of_one_values_mean_is_not_divided() -> None:
    conv = {"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "valid", "name": "conv"}}
    for size, divided in ((3, False), (4, True)):
        spec = {"input": [size, size, 3], "layers": [conv, {"GlobalAveragePooling2D": None, "name": "gap"}]}
        simulation = Simulation(cnncost.analyze(spec, mode="training", optimizer="sgd"), "training", "sgd")
        ops = [op for op in simulation.built().ops if op.layer == "gap" and op.phase == BACKWARD]
        assert any(op.type == "Mul" for op in ops) == divided


def test_a_constant_that_the_update_has_too_bears_its_name() -> None:
    """0.001 is epsilon, and one less Adam's second beta: the node is adam/Const_N."""
    norm = {"BatchNormalization": {"epsilon": 0.001}, "name": "norm"}
    for optimizer, name in (("adam", "adam/Const"), ("sgd", "model_1/norm_1/")):
        simulation = simulated(norm, optimizer=optimizer)
        graph = simulation.graph
        assert graph is not None
        names = simulation.names(graph)
        names.learn(wires(graph.ops), range(len(graph.ops)))
        add = next(op for op in graph.ops if op.type == "AddV2" and op.layer == "norm" and op.phase != BACKWARD
                   and any(value.op.type == "Const" for value in op.inputs))  # fmt: skip
        epsilon = next(value.op for value in add.inputs if value.op.type == "Const")
        assert names.operand(epsilon, add)[0] == name


def test_each_square_of_a_shared_gradient_of_biases_waits_for_it_alone() -> None:
    """Two convolutions behind one sum have one gradient of the bias. In TensorFlow's step (nodes of this network, Adam)
    its readers are ca's Sub and Square, then cb's Sub; of the filters' gradients each has its own."""
    conv = {"filters": 8, "kernel_size": 3}
    layers = [
        {"Conv2D": conv, "name": "stem"}, {"Conv2D": conv, "name": "ca", "inputs": ["stem"]},
        {"Conv2D": conv, "name": "cb", "inputs": ["stem"]}, {"Add": None, "inputs": ["ca", "cb"]}, "ReLU",
    ]  # fmt: skip
    simulation = simulated(*layers, shape=(16, 16, 3), optimizer="adam")
    nodes, edges, graph = simulation.nodes, simulation.wires, simulation.graph
    assert nodes is not None and edges is not None and graph is not None
    square = next(op for op in nodes.ops if SEVERAL in op.attrs)
    sources, _, late = node_sources(edges, simulation.names(graph), nodes.biases)
    assert [sources[place] for place in late.equal[square.index]] == [sources[square.index]]
    assert sources[square.index] == [nodes.biases[square.inputs[0].op.index]]
    shared = square.inputs[0]
    found = [nodes.ops[place] for place in nodes.order if place < len(nodes.ops)]
    update = [(op.layer, op.type) for op in found if op.phase == UPDATE and shared in op.inputs]
    assert update == [("ca", "Sub"), ("ca", "Square"), ("cb", "Sub")]
    filters = [op.layer for op in found if op.type.startswith("Conv2DBackpropFilter")]
    assert sorted(filters) == ["ca", "cb", "stem"]


def test_squares_of_a_gradient_that_weights_share_are_several_until_the_second_round() -> None:
    """Two normalizations behind one sum have one gradient of beta; each one's update squares it. In TensorFlow's step
    (nodes of this network, Adam) its readers are ba's Sub and Square, then bb's Sub."""
    branch = {"filters": 8, "kernel_size": 3, "use_bias": False}
    layers = [
        {"Conv2D": branch, "name": "stem"},
        {"Conv2D": branch, "name": "ca", "inputs": ["stem"]}, {"BatchNormalization": {}, "name": "ba"},
        {"Conv2D": branch, "name": "cb", "inputs": ["stem"]}, {"BatchNormalization": {}, "name": "bb"},
        {"Add": None, "inputs": ["ba", "bb"]}, "ReLU",
    ]  # fmt: skip
    nodes = simulated(*layers, shape=(16, 16, 3), optimizer="adam").nodes
    assert nodes is not None
    square = next(op for op in nodes.ops if SEVERAL in op.attrs)
    shared = square.inputs[0].op
    found = [nodes.ops[place] for place in nodes.order if place < len(nodes.ops)]
    update = [(op.layer, op.type) for op in found if op.phase == UPDATE and shared in [v.op for v in op.inputs]]
    assert update == [("ba", "Sub"), ("ba", "Square"), ("bb", "Sub")]
