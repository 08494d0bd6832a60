"""Constants in trees of products, as grappler pushes them down."""

from __future__ import annotations

import pytest

from cnncost.memory.constants import INVERTED, KEPT, push_constants
from cnncost.memory.names import Names
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


def test_a_constant_goes_to_the_operand_that_is_first_by_name() -> None:
    """2·(g·x) = (2·g)·x where gradient_tape/ comes before model_1/."""
    graph, x, _, inner, outer = _tree()
    push_constants(graph, Names("model", "sgd"))
    assert outer.op.inputs == [inner, x]
    assert [value.op.type for value in inner.op.inputs] == ["Neg", "Const"]
    assert KEPT in outer.op.attrs


@pytest.mark.parametrize("shaped", [True, False])
def test_three_operands_and_two_constants_are_multiplied_two_by_two(shaped: bool) -> None:
    """((g·h)·c)·e·d = ((c·d)·e)·(g·h), as in the gradient of GELU; the two constants are one."""
    graph = OpGraph()
    graph.shaped = shaped
    h, e = (graph.add(type_, (graph.argument(type_, WIDE),)) for type_ in ("Relu", "Exp"))
    grad = graph.add("Neg", (graph.argument("g", WIDE),))
    e.op.phase = grad.op.phase = graph.phase = BACKWARD
    first = graph.add("Mul", (grad, h))
    second = graph.add("Mul", (first, graph.constant(2.0)))
    third = graph.add("Mul", (e, second))
    root = graph.add("Mul", (third, graph.constant(3.0)))
    graph.results = [root]
    push_constants(graph, Names("model", "sgd"))
    pairs = [{value.op.type for value in product.op.inputs} for product, _ in zip(root.op.inputs, "ab", strict=True)]
    assert {"Exp", "Const"} in pairs
    assert {"Neg", "Relu"} in pairs
    constant = next(op for op in graph.ops if op.type == "Const" and op.attrs["value"] == 6.0)
    small = next(value.op for value in root.op.inputs if any(v.op is constant for v in value.op.inputs))
    assert [value.op is constant for value in small.inputs] == ([False, True] if shaped else [True, False])


def test_what_others_wait_for_stays() -> None:
    graph, x, grad, inner, _ = _tree()
    waiting = graph.add("Relu", (x,))
    waiting.op.controls.append(inner.op)
    graph.results.append(waiting)
    push_constants(graph, Names("model", "sgd"))
    assert inner.op.inputs == [grad, x]


def test_a_constant_that_waits_stays() -> None:
    graph, x, grad, inner, outer = _tree(controlled=True)
    push_constants(graph, Names("model", "sgd"))
    assert inner.op.inputs == [grad, x]
    assert outer.op.inputs[1] == inner


def test_what_others_read_stays() -> None:
    graph, x, grad, inner, _ = _tree(shared=True)
    push_constants(graph, Names("model", "sgd"))
    assert inner.op.inputs == [grad, x]


def test_two_constants_are_one() -> None:
    graph = OpGraph()
    grad = graph.add("Neg", (graph.argument("g", WIDE),))
    graph.phase = BACKWARD
    inner = graph.add("Mul", (graph.constant(3.0), grad))
    outer = graph.add("Mul", (inner, graph.constant(2.0)))
    graph.results = [outer]
    push_constants(graph, Names("model", "sgd"))
    assert [value.op.type for value in outer.op.inputs] == ["Const", "Neg"]


def test_a_division_is_a_product_of_the_second_round() -> None:
    """(g·x)/6 = (g·(1/6))·x, as in the gradient of a hard swish; the reciprocal comes first and is not sorted."""
    graph, x, _, inner, _ = _tree()
    graph.ops.pop()
    divided = graph.add("RealDiv", (inner, graph.constant(6.0)))
    graph.results = [divided]
    push_constants(graph, Names("model", "sgd"))
    assert divided.op.inputs == [inner, x]
    assert [value.op.type for value in inner.op.inputs] == ["Const", "Neg"]
    assert INVERTED in inner.op.attrs and INVERTED not in divided.op.attrs


def test_where_no_rank_is_known_the_constant_goes_down_to_the_last() -> None:
    """c·(a·(b·d)) = a·(b·(d·c))."""
    graph = OpGraph()
    graph.layer = "layer"
    called = graph.add("StatefulPartitionedCall", (graph.argument("x", WIDE),), (WIDE,))
    a, b, d = (graph.add(type_, (called,)) for type_ in ("Abs", "Exp", "Log"))
    graph.phase = BACKWARD
    inner = graph.add("Mul", (b, d))
    outer = graph.add("Mul", (a, inner))
    root = graph.add("Mul", (graph.constant(2.0), outer))
    graph.results = [root]
    push_constants(graph, Names("a", "sgd"))  # a_1/ is before gradient_tape/
    assert root.op.inputs[0] == a
    middle = root.op.inputs[1].op
    assert middle.inputs[0] == b
    assert [value.op.type for value in middle.inputs[1].op.inputs] == ["Log", "Const"]


def test_a_constant_tensor_and_a_number_are_one() -> None:
    """The mean squared error's gradient: 1/n everywhere, times 2·(prediction - target)."""
    graph = OpGraph()
    x = graph.add("Relu", (graph.argument("x", WIDE),))
    graph.phase = BACKWARD
    every = graph.constant(0.5, WIDE)
    double = graph.add("Mul", (x, graph.constant(2.0)))
    double.op.controls.append(every.op)  # nobody waits for a constant
    root = graph.add("Mul", (every, double))
    graph.results = [root]
    push_constants(graph, Names("model", "sgd"))
    one, other = root.op.inputs
    assert other == x and one.op.attrs["value"] == 1.0 and one.spec == WIDE
