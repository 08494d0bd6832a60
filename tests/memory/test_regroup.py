"""What grappler's arithmetic optimizer makes of sums, products and concatenations."""

from __future__ import annotations

import pytest

import cnncost
from cnncost.memory.lowering import lower
from cnncost.memory.opgraph import OpGraph, Spec, Value
from cnncost.memory.rewrite import rewrite

BIG, SMALL, WIDE = Spec((2, 4, 4, 8), "float32"), Spec((8,), "float32"), Spec((2, 4, 4, 16), "float32")


def values(graph: OpGraph, *specs: Spec) -> list[Value]:
    return [graph.argument(f"x{index}", spec) for index, spec in enumerate(specs)]


def chain(graph: OpGraph, type_: str, read: list[Value]) -> Value:
    total = read[0]
    for value in read[1:]:
        total = graph.add(type_, (total, value))
    return total


def types(graph: OpGraph) -> list[str]:
    return [op.type for op in rewrite(graph) if op.type not in ("_Arg", "Const")]


def test_a_tree_of_equal_shapes_becomes_one_sum() -> None:
    graph = OpGraph()
    graph.results = [chain(graph, "AddV2", values(graph, BIG, BIG, BIG, BIG))]
    assert types(graph) == ["AddN"] and len(graph.ops[-1].inputs) == 4


def test_a_broadcast_shift_is_added_last_to_the_sum_of_the_large() -> None:
    """Two normalizations' products and shifts: the shifts first, the products first, then both."""
    graph = OpGraph()
    a, b, c, d = values(graph, BIG, SMALL, BIG, SMALL)
    graph.results = [graph.add("AddV2", (graph.add("AddV2", (a, b)), graph.add("AddV2", (c, d))))]
    assert types(graph) == ["AddN", "AddN", "AddV2"]
    assert [value.spec for value in graph.ops[-1].inputs] == [SMALL, BIG]


def test_a_sum_that_somebody_else_reads_stays() -> None:
    graph = OpGraph()
    a, b, c = values(graph, BIG, BIG, BIG)
    inner = graph.add("AddV2", (a, b))
    graph.results = [graph.add("AddV2", (inner, c)), graph.add("Relu", (inner,))]
    assert types(graph) == ["AddV2", "AddV2", "Relu"]


def test_a_common_factor_is_taken_out() -> None:
    graph = OpGraph()
    x, a, b = values(graph, SMALL, BIG, BIG)
    graph.results = [graph.add("AddV2", (graph.add("Mul", (x, a)), graph.add("Mul", (b, x))))]
    assert types(graph) == ["AddV2", "Mul"]


def test_twice_a_value_is_a_product() -> None:
    graph = OpGraph()
    (x,) = values(graph, BIG)
    graph.results = [graph.add("AddV2", (x, x))]
    assert types(graph) == ["Mul"]


def test_products_go_from_the_smallest_to_the_largest() -> None:
    graph = OpGraph()
    a, b, c = values(graph, BIG, BIG, SMALL)
    graph.results = [graph.add("Mul", (graph.add("Mul", (a, b)), c))]
    assert types(graph) == ["Mul", "Mul"]
    assert [value.spec for value in graph.ops[-2].inputs] == [SMALL, BIG]


def test_what_is_done_to_all_parts_is_done_to_the_whole() -> None:
    graph = OpGraph()
    parts = [graph.add("Relu", (value,)) for value in values(graph, BIG, BIG)]
    graph.results = [graph.add("ConcatV2", parts, axis=3)]
    assert types(graph) == ["ConcatV2", "Relu"] and graph.ops[-1].outputs == (WIDE,)


def test_parts_treated_differently_stay() -> None:
    graph = OpGraph()
    a, b = values(graph, BIG, BIG)
    graph.results = [graph.add("ConcatV2", [graph.add("Relu", (a,)), graph.add("Tanh", (b,))], axis=3)]
    assert types(graph) == ["Relu", "Tanh", "ConcatV2"]


def test_behind_what_xla_compiles_no_shape_is_known() -> None:
    graph = OpGraph()
    a, b, c = values(graph, BIG, BIG, BIG)
    compiled = graph.add("StatefulPartitionedCall", (a,), (BIG,))
    graph.results = [chain(graph, "AddV2", [compiled, b, c])]
    assert types(graph) == ["StatefulPartitionedCall", "AddV2", "AddV2"]


def test_equal_branches_merge_to_their_ends() -> None:
    """The second branch's ops become the first's one after the other, although each had a single reader."""
    graph = OpGraph()
    (x,) = values(graph, BIG)
    ends = [graph.add("Tanh", (graph.add("Abs", (graph.add("Relu", (x,)),)),)) for _ in range(2)]
    graph.results = [graph.add("Maximum", ends)]
    assert types(graph) == ["Relu", "Abs", "Tanh", "Maximum"]


def test_mish_is_one_op() -> None:
    graph = OpGraph()
    (x,) = values(graph, BIG)
    graph.results = [graph.add("Mul", (x, graph.add("Tanh", (graph.add("Softplus", (x,)),))))]
    assert types(graph) == ["_MklFusedMish"]


@pytest.mark.parametrize("name, fused", [("mish", "Mish"), ("hard_silu", "_FusedHardSwish")])
def test_a_convolution_with_bias_takes_the_activation_in(name: str, fused: str) -> None:
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "activation": name}}
    graph = lower(cnncost.analyze({"input": [8, 8, 3], "layers": [conv]}, batch=1)).graph
    (op,) = [op for op in rewrite(graph) if op.type not in ("_Arg", "Const", "ReadVariableOp", "Reshape", "Squeeze")]
    assert op.type == "_FusedConv2D" and op.attrs["fused"] == ("BiasAdd", fused)


def test_gelu_halves_what_comes_second() -> None:
    """(0.5·x)·erfc(…) = (0.5·erfc(…))·x at inference: Gelu/Erfc is before Gelu/mul, and x is not kept twice."""
    layers = [{"name": "a", "Conv2D": {"filters": 8, "kernel_size": 1}}, {"name": "g", "Activation": "gelu"},
              {"Concatenate": None, "inputs": ["a", "g"]}]  # fmt: skip
    graph = lower(cnncost.analyze({"input": [8, 8, 3], "layers": layers}, batch=1)).graph
    halves = [
        op for op in rewrite(graph) if op.type == "Mul" and any(v.op.attrs.get("value") == 0.5 for v in op.inputs)
    ]
    (half,) = halves
    assert {value.op.type for value in half.inputs} == {"Const", "Erfc"} and half.layer == "g"


def test_a_product_taken_into_another_keeps_its_layer() -> None:
    """Dropout's factor goes into the product before it: c·(x·t) = (c·t)·x, whose first product is the activation's."""
    layers = [{"name": "z", "Conv2D": {"filters": 8, "kernel_size": 1}}, {"name": "m", "Activation": "mish"},
              {"name": "d", "Dropout": 0.5}]  # fmt: skip
    analysis = cnncost.analyze({"input": [8, 8, 3], "layers": layers}, batch=1, mode="training")
    graph = lower(analysis, training=True).graph
    scaled = next(op for op in rewrite(graph, last=False) if any(v.op.attrs.get("value") == 2.0 for v in op.inputs))
    assert scaled.layer == "m" and {value.op.type for value in scaled.inputs} == {"Const", "Tanh"}
