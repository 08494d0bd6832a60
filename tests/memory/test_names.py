"""Names as Keras and TensorFlow give them, as far as they decide an order."""

from __future__ import annotations

import random

import pytest

import cnncost
from cnncost.memory.names import Names, entered, number
from cnncost.memory.opgraph import BACKWARD, FORWARD, UPDATE, Op, OpGraph, Scoped, Spec
from cnncost.memory.simulation import Simulation

WIDE = Spec((2, 8), "float32")


@pytest.mark.parametrize("seed", range(20))
def test_scopes_are_tensorflows(seed: int) -> None:
    """Keras enters each layer's scope twice; ops have the second."""
    tf = pytest.importorskip("tensorflow")
    names = [f"{kind}{number}" for kind in ("conv", "add") for number in ("", "_1", "_2", "_1_1", "_11")]
    random.Random(seed).shuffle(names)
    graph = tf.Graph()
    real = {}
    for name in names:
        graph.unique_name(name)
        real[name] = f"{graph.unique_name(name)}/"
    found = entered(names)
    assert {name: found.get(name, f"{name}_1/") for name in names} == real


def _gradients(*types: str) -> list[Op]:
    graph = OpGraph()
    x = graph.argument("x", WIDE)
    graph.layer, graph.phase = "layer", BACKWARD
    made = []
    for type_ in types:
        name, _, own = type_.partition(":")
        inputs = (x, x) if name.endswith("Grad") or name == "Mul" else (x,)
        made.append(graph.add(name, inputs, (WIDE,), own).op)
    return made


@pytest.mark.parametrize(
    "types", [("Mul", "Mul:mul"), ("Mul", "Relu6Grad"), ("TanhGrad", "Sigmoid"), ("Mul", "Neg:Neg_1")], ids=str
)
def test_which_of_a_layers_gradients_is_first(types: tuple[str, str]) -> None:
    """mul/Mul is behind mul, and capitals are before it: Relu6/Relu6Grad, Neg_1; Sigmoid is before TanhGrad."""
    first, second = _gradients(*types)
    names = Names("model", "sgd")
    assert names.of(second) < names.of(first)


@pytest.mark.parametrize("model", ["model", "a", "gradient_tape/x"])
def test_operands_are_turned_as_their_names_are_sorted(model: str) -> None:
    """Also those whose names need not be made."""
    graph = OpGraph()
    found = []
    for phase in (FORWARD, BACKWARD, Scoped(BACKWARD, "again/"), UPDATE):
        for layer in ("", "b", "a", Scoped("a", "inner/")):
            graph.phase, graph.layer = phase, layer
            found += [graph.add(type_, (), (WIDE,)).op for type_ in ("Abs", "Squeeze", "AddN", "_Arg", "ReluGrad")]
            found += [graph.constant(1.5).op, graph.constant(2.5, name="made").op]
            found.append(graph.add("Abs", (), (WIDE,), outside=True).op)
    for phase, layer in ((FORWARD, "a"), (BACKWARD, "b"), (UPDATE, "")):
        graph.phase, graph.layer = phase, layer
        for one in found:
            for two in found:
                reader = graph.add("Mul", (one.out(), two.out()), (WIDE,)).op
                names, other = Names(model, "sgd"), Names(model, "sgd")
                first = other.operand(one, reader)
                assert names.turned(one, two, reader) == (other.operand(two, reader) < first), (one, two)


def test_the_gradient_of_a_compiled_call_has_no_scope() -> None:
    call = _gradients("Abs")[0]
    call.type = "PartitionedCall"
    assert Names("model", "sgd").of(call)[0] == "PartitionedCall"


def test_equal_numbers_are_one_constant() -> None:
    graph = OpGraph()
    whole, real = graph.constant(1).op, graph.constant(1.0).op
    assert number(whole) == number(real) != number(graph.constant(1, Spec((), "int64")).op)


def _edges(layers: list[object], mode: str) -> tuple[int, ...]:
    simulation = Simulation(cnncost.analyze({"input": [8, 8, 3], "layers": layers}, batch=2, mode=mode), mode, "sgd")
    simulation.run()
    assert simulation.nodes is not None
    return simulation.nodes.ends


def test_what_a_result_waits_for() -> None:
    """At inference grappler drops what leads to the result in any case: one node returns it. A training step's waits
    for three assignments and the loss, behind an identity."""
    layers = ["Flatten", {"Dense": 4}]
    assert _edges(layers, "inference") == (1,)
    assert _edges(layers, "training") == (4, 1)


def test_gradients_of_a_layer_normalization_stand_by_their_names() -> None:
    """The scale's gradient adds mul_1/Mul_1, from the negated mean, to mul_2/Mul_1, from the input, which the tape
    makes first (nodes 125 and 126 of a captured step)."""
    spec = {"input": [8, 8, 3], "layers": [{"Conv2D": {"filters": 4, "kernel_size": 3}}, "LayerNormalization", "ReLU"]}
    step = Simulation(cnncost.analyze(spec, batch=2, mode="training"), "training", "sgd")
    step.run()
    assert step.nodes is not None
    ops = [step.nodes.ops[place] for place in step.nodes.places() if place < len(step.nodes.ops)]
    products = [{value.op.type for value in op.inputs} for op in ops if op.type == "Mul"]
    assert products.index({"Neg", "ReluGrad"}) < products.index({"_FusedConv2D", "ReluGrad"})
