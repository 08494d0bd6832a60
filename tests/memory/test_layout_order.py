"""The order of what oneDNN's layout pass replaces; the places of maxima and monotonic functions. Real orders are from
captured steps of TensorFlow 2.21."""

from __future__ import annotations

import pytest

import cnncost
from cnncost.memory.edges import Heap, Places, Read
from cnncost.memory.layout_order import LayoutPass, _merge, _remove
from cnncost.memory.lowering import lower
from cnncost.memory.monotonic import postpone_monotonic
from cnncost.memory.opgraph import OpGraph, Spec
from cnncost.memory.predict import predict
from cnncost.memory.rewrite import rewrite
from cnncost.memory.simulation import Simulation

MAP = Spec((2, 8, 8, 4), "float32")
HALF = Spec((2, 4, 4, 4), "float32")


@pytest.mark.parametrize(
    ("before", "after"),
    # F: the filter's gradient, b: the bias's, I: the input's, o: another reader; the orders of captured forks
    [("FbI", "IF"), ("IFb", "IF"), ("FbIo", "oFI"), ("IFbo", "IoF"), ("bFI", "FI"), ("FIb", "FI"), ("bIF", "FI")],
)
def test_merged_gradients_stand_where_removal_leaves_them(before: str, after: str) -> None:
    """Of F b I o: the new node N at the end; then b and F go, and the last edge takes each place: F b I o N, F N I o,
    o N I."""
    numbers = {"F": 3, "I": 4, "o": 5, "b": 6}
    sources: list[list[int]] = [[], [], [], [0, 1, 2], [2], [2], [2]]
    readers = [[3], [3], [numbers[letter] for letter in before], [], [], [], []]
    _merge(3, 6, sources, readers)
    assert readers[2] == [numbers[letter] for letter in after]
    assert readers[0] == readers[1] == [3]


def test_removal_is_what_an_array_of_edges_does() -> None:
    edges = [7, 8, 9]
    _remove(edges, 7)
    assert edges == [9, 8]
    _remove(edges, 8)
    assert edges == [9]


@pytest.mark.parametrize("process", [1, 2, 3])
def test_the_source_is_a_table(process: int) -> None:
    """Twenty products of arguments: the walk takes the roots in the order of the table's slots, last first; without a
    process as they were made. None is lost."""
    graph = OpGraph()
    values = [graph.argument(f"x{place}", Spec((4, 4), "float32")) for place in range(20)]
    products = [graph.add("MatMul", [value, value], (value.spec,)) for value in values]
    sources: list[list[int]] = [[] for _ in values] + [[value.op.index] * 2 for value in values]
    order = list(range(40))
    replaced = [False] * 20 + [True] * 20
    layout = LayoutPass(sources, order, {}, replaced)
    assert layout.replaced_order() == [product.op.index for product in products]
    read = Read([*map(len, sources), 1], roots=20)
    slots = read.source_order(Places(Heap(process)))
    assert layout.replaced_order(Heap(process)) == [20 + edge for edge in slots] != layout.replaced_order()


def _pooled(function: str, reader: bool = False) -> OpGraph:
    graph = OpGraph()
    x = graph.argument("x", MAP)
    risen = graph.add(function, [graph.add("Mul", [x, graph.constant(2.0)], (MAP,))])
    first = graph.add("MaxPool", [risen], (HALF,), ksize=(2, 2))
    second = graph.add("MaxPool", [first], (HALF,), ksize=(2, 2))
    graph.results = [second, *([risen] if reader else [])]
    return graph


@pytest.mark.parametrize("function", ["Relu", "Tanh", "Elu", "Sigmoid", "Softplus"])
def test_what_rises_comes_behind_the_maximum(function: str) -> None:
    graph = _pooled(function)
    postpone_monotonic(graph)
    assert [op.type for op in graph.ops][-3:] == ["MaxPool", "MaxPool", function]
    for op in graph.ops:
        assert all(value.op.index < op.index for value in op.inputs)
    assert graph.ops[-1].outputs == (HALF,) and graph.ops[-3].inputs[0].shape == MAP.shape


def test_what_others_read_or_falls_stays() -> None:
    for graph in (_pooled("Relu", reader=True), _pooled("LeakyRelu"), _pooled("Neg")):
        before = [op.type for op in graph.ops]
        postpone_monotonic(graph)
        assert [op.type for op in graph.ops] == before


def test_a_relu_behind_a_bias_stays_with_its_convolution() -> None:
    """Conv2D + bias + ReLU + pooling is fused; behind a normalization the ReLU moves."""
    conv = {"Conv2D": {"filters": 4, "kernel_size": 3, "activation": "relu"}}
    plain = rewrite(lower(cnncost.analyze({"input": [8, 8, 3], "layers": [conv, {"MaxPooling2D": 2}]}), False).graph)
    assert [op.type for op in plain][-2:] == ["_FusedConv2D", "MaxPool"]
    layers = [{"Conv2D": {"filters": 4, "kernel_size": 3}}, "BatchNormalization", "ReLU", {"MaxPooling2D": 2}]
    normed = rewrite(lower(cnncost.analyze({"input": [8, 8, 3], "layers": layers}), False).graph)
    assert [op.type for op in normed][-2:] == ["MaxPool", "Relu"]


def test_gradient_of_silu_is_named_outside_all_scopes() -> None:
    """Its ops' names ("Sigmoid", "mul_3") decide in which order a product's operands are walked."""
    conv = {"Conv2D": {"filters": 12, "kernel_size": 3, "activation": "silu"}}
    net = {"input": [24, 24, 3], "layers": [conv, "GlobalAveragePooling2D", {"Dense": 5}]}
    simulation = Simulation(cnncost.analyze(net, batch=2), "training", "sgd")
    simulation.run()
    assert simulation.graph is not None
    outside = [op.type for op in simulation.graph.ops if "outside" in op.attrs]
    assert sorted(outside) == ["AddV2", "Mul", "Mul", "Mul", "Sigmoid", "Sub"]


def test_point_lies_among_the_orders() -> None:
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"}}
    net = {"input": [24, 24, 3], "layers": [conv, conv, {"MaxPooling2D": 2}, conv, "Flatten", {"Dense": 10}]}
    found = predict(cnncost.analyze(net, batch=2), "training", "sgd", interval=True)
    assert found.low_bytes <= found.peak_bytes <= found.high_bytes
