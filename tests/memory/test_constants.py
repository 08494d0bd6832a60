"""Constants in trees of products, as grappler pushes them down."""

from __future__ import annotations

from cnncost.memory.constants import push_constants
from cnncost.memory.opgraph import BACKWARD, OpGraph, Spec, Value

WIDE = Spec((4, 8), "float32")


def _tree(controlled: bool = False, shared: bool = False) -> tuple[OpGraph, Value, Value, Value, Value]:
    """2·(grad·x): the graph, x, grad, the inner product and the outer one."""
    graph = OpGraph()
    x, grad = graph.add("Relu", (graph.argument("x", WIDE),)), graph.add("Neg", (graph.argument("g", WIDE),))
    grad.op.phase = graph.phase = BACKWARD
    inner = graph.add("Mul", (grad, x))
    two = graph.constant(2.0)
    if controlled:
        two.op.controls.append(grad.op)
    outer = graph.add("Mul", (two, inner))
    graph.results = [outer, inner] if shared else [outer]
    return graph, x, grad, inner, outer


def test_a_constant_goes_to_the_forward_value() -> None:
    graph, x, grad, inner, outer = _tree()
    push_constants(graph)
    assert outer.op.inputs == [grad, inner]
    assert inner.op.inputs[1] == x
    assert inner.op.inputs[0].op.type == "Const"


def test_a_constant_that_waits_stays() -> None:
    graph, x, grad, inner, outer = _tree(controlled=True)
    push_constants(graph)
    assert inner.op.inputs == [grad, x]
    assert outer.op.inputs[1] == inner


def test_what_others_read_stays() -> None:
    graph, x, grad, inner, _ = _tree(shared=True)
    push_constants(graph)
    assert inner.op.inputs == [grad, x]


def test_two_constants_are_one() -> None:
    graph = OpGraph()
    grad = graph.add("Neg", (graph.argument("g", WIDE),))
    graph.phase = BACKWARD
    inner = graph.add("Mul", (graph.constant(3.0), grad))
    outer = graph.add("Mul", (inner, graph.constant(2.0)))
    graph.results = [outer]
    push_constants(graph)
    assert [value.op.type for value in outer.op.inputs] == ["Const", "Neg"]
