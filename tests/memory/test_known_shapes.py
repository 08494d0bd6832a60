"""What grappler knows of shapes behind a compiled call, and what it does with it."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.compiled import rankless, shapeless, unsized
from cnncost.memory.known_shapes import Inference
from cnncost.memory.opgraph import OpGraph, Spec, Value
from cnncost.memory.simulation import Simulation
from cnncost.memory.wires import wires

MAP = Spec((2, 8, 8, 4), "float32")
GROUPED = {"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same", "groups": 2, "use_bias": False}}
PLAIN = {"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same", "use_bias": False}}


def _called() -> tuple[OpGraph, Value, Value]:
    """A graph, an argument, and what a compiled function returns."""
    graph = OpGraph()
    x = graph.argument("x", MAP)
    return graph, x, graph.add("StatefulPartitionedCall", (x,), (MAP,))


def _known(graph: OpGraph, value: Value) -> tuple[int, ...] | None:
    found = Inference()
    for op in graph.ops:
        found.add(op)
    return found.of(*value)


def test_all_is_known_where_nothing_is_compiled() -> None:
    graph = OpGraph()
    x = graph.argument("x", MAP)
    assert _known(graph, graph.add("Relu", (x,))) == MAP.shape
    assert not shapeless(graph) and not rankless(graph) and not unsized(wires(graph.ops))


def test_a_convolution_knows_rank_and_channels() -> None:
    graph, _, called = _called()
    assert _known(graph, graph.add("Relu", (called,))) is None
    kernel = graph.argument("k", Spec((3, 3, 4, 16), "float32"))
    shape = _known(graph, graph.add("Conv2D", (called, kernel), (Spec((2, 8, 8, 16), "float32"),)))
    assert shape is not None and len(shape) == 4 and shape[3] == 16 and len(set(shape)) == 4 and max(shape[:3]) < 0


def test_a_mean_over_what_is_not_known_is_known() -> None:
    graph, _, called = _called()
    kernel = graph.argument("k", Spec((1, 1, 4, 16), "float32"))
    y = graph.add("Conv2D", (called, kernel), (Spec((2, 8, 8, 16), "float32"),))
    assert _known(graph, graph.add("Mean", (y,), axes=(0, 1, 2), keepdims=False)) == (16,)
    assert _known(graph, graph.add("Mean", (called,), axes=(0, 1, 2), keepdims=False)) is None


@pytest.mark.parametrize("type_", ["AddN", "ReluGrad"])
def test_what_is_of_one_shape_is_known_by_any(type_: str) -> None:
    graph, x, called = _called()
    assert _known(graph, graph.add(type_, (called, x), (MAP,))) == MAP.shape


def test_other_gradients_are_as_their_first_operand() -> None:
    graph, x, called = _called()
    assert _known(graph, graph.add("TanhGrad", (called, x), (MAP,))) is None
    assert _known(graph, graph.add("TanhGrad", (x, called), (MAP,))) == MAP.shape


def test_a_join_knows_what_its_parts_do() -> None:
    graph, x, called = _called()
    shape = _known(graph, graph.add("ConcatV2", (called, x), axis=3))
    assert shape is not None and shape[:3] == (2, 8, 8) and shape[3] < 0


def test_sizes_are_the_same_if_they_come_from_one() -> None:
    """x·scale + shift of a convolution's output: its sizes are its own."""
    graph, _, called = _called()
    kernel, scale = graph.argument("k", Spec((1, 1, 4, 16), "float32")), graph.argument("s", Spec((16,), "float32"))
    wide = Spec((2, 8, 8, 16), "float32")
    y = graph.add("Conv2D", (called, kernel), (wide,))
    scaled = graph.add("Mul", (y, scale), (wide,))
    total = graph.add("AddV2", (scaled, y), (wide,))
    other = graph.add("AddV2", (scaled, graph.add("Conv2D", (called, kernel), (wide,))), (wide,))
    unlike = shapeless(graph)
    assert scaled.op not in unlike and total.op not in unlike and other.op in unlike
    assert other.op not in rankless(graph) and called.op in rankless(graph)


def _graph(layers: list[Any], mode: str) -> OpGraph:
    analysis = cnncost.analyze({"input": [8, 8, 4], "layers": layers}, batch=2, mode=mode)
    return Simulation(analysis, mode, "sgd").built()


def _fused(graph: OpGraph) -> list[tuple[str, ...]]:
    return [op.attrs["fused"] for op in graph.ops if "fused" in op.attrs]


def test_an_addition_of_unknown_sizes_goes_into_no_convolution() -> None:
    """A residual sum behind a grouped convolution stays a sum; behind a plain one it is the convolution's."""
    biased = {"Conv2D": {"filters": 4, "kernel_size": 1}}

    def block(first: dict[str, Any]) -> list[Any]:
        return [{**first, "name": "a"}, {**biased, "name": "b"}, {"Add": None, "inputs": ["a", "b"]}, "Flatten"]

    assert ("BiasAdd", "Add") in _fused(_graph(block(PLAIN), "inference"))
    assert ("BiasAdd", "Add") not in _fused(_graph(block(GROUPED), "inference"))


@pytest.mark.parametrize("first", [PLAIN, GROUPED], ids=["known", "unknown"])
def test_an_op_of_its_own_tells_the_shape_to_a_gradient(first: dict[str, Any]) -> None:
    """ShapeN reads the image and then the filter. Where the image's shape is known a constant stands there, which waits
    for both by name."""
    analysis = cnncost.analyze({"input": [8, 8, 4], "layers": [first, PLAIN, "Flatten", {"Dense": 2}]}, mode="training")
    simulation = Simulation(analysis, "training", "sgd")
    simulation.run()
    nodes = simulation.nodes
    assert nodes is not None
    forward = next(op for op in nodes.ops if op.type == "Conv2D" and op.layer == "conv2d_1" and op.phase == "forward")
    back = next(op for op in nodes.ops if op.type == "Conv2DBackpropInput" and op.layer == "conv2d_1")
    image, kernel = (value.op for value in forward.inputs)
    told = nodes.sources[nodes.sources[back.index][0]]
    assert sorted(told) == sorted((image.index, kernel.index))
    waiting = unsized(nodes.edges)
    assert (image in waiting) == (first is GROUPED)
    assert first is PLAIN or told == [image.index, kernel.index]
    assert {op.type for op in waiting} >= ({"StatefulPartitionedCall"} if first is GROUPED else set())
