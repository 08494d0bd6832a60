"""Sums that grappler turns into accumulations where it expects a step not to fit the CPU's 256 MiB."""

from __future__ import annotations

import pytest

import cnncost
from cnncost.memory.graph_mode import predict_graph
from cnncost.memory.opgraph import OpGraph, Spec
from cnncost.memory.rewrite_sums import MEMORY, accumulate_sums, expected_peak
from cnncost.memory.simulation import Simulation
from cnncost.memory.wires import wires

MIB = 2**20
ROW = Spec((MIB // 4,), "float32")


def _summed(extra_mib: int, terms: int = 3) -> OpGraph:
    """A sum of ``terms`` values of 1 MiB, beside a weight that is read at the end."""
    graph = OpGraph()
    x = graph.argument("x", ROW)
    weight = graph.variable("dense/kernel", Spec((extra_mib * MIB // 4,), "float32"))
    read = graph.read(weight)
    parts = [graph.add("Square", [x]) for _ in range(terms)]
    total = graph.add("AddN", parts, (ROW,))
    last = graph.add("Mean", [read], (ROW,), axes=(0,), keepdims=False)
    graph.results = [graph.add("AddV2", [total, last])]
    for place, op in enumerate(graph.ops):
        op.index = place
    return graph


def test_expected_peak_counts_reads_and_keeps_operands_until_the_next_op() -> None:
    graph = OpGraph()
    x = graph.argument("x", ROW)
    y = graph.add("Relu", [x])
    graph.results = [graph.add("Relu", [graph.add("Reshape", [y], (ROW,), shape=ROW.shape)])]
    for place, op in enumerate(graph.ops):
        op.index = place
    expected = expected_peak(graph, wires(graph.ops))
    assert expected.bytes == 3 * MIB  # an op's output beside its operand and the operand of the op before
    assert sum(expected.alive(op.out()) for op in graph.ops) == 3


@pytest.mark.parametrize(("extra", "rewritten"), [(150, 0), (220, 1)])
def test_only_above_eighty_percent(extra: int, rewritten: int) -> None:
    graph = _summed(extra)
    assert len(accumulate_sums(graph)) == rewritten
    assert [op.type for op in graph.ops].count("AssignAdd") == 3 * rewritten


def test_two_addends_stay() -> None:
    assert not accumulate_sums(_summed(300, terms=2))


def test_a_sum_that_is_not_alive_at_the_peak_stays() -> None:
    graph = OpGraph()
    x = graph.argument("x", ROW)
    small = graph.add("AddN", [graph.add("Square", [x]) for _ in range(3)], (ROW,))
    between = graph.add("Relu", [graph.add("Relu", [small])])
    wide = graph.add("Tile", [between], (Spec((MEMORY // 4,), "float32"),), multiples=(256,))
    graph.results = [graph.add("Mean", [wide], (ROW,), axes=(0,), keepdims=False)]
    assert not accumulate_sums(graph)


def test_the_accumulation_waits_for_its_last_operand() -> None:
    graph = _summed(220)
    parts = [op for op in graph.ops if op.type == "Square"]
    (total,) = accumulate_sums(graph)
    variable = next(op for op in graph.ops if op.type == "TemporaryVariable")
    assert total.type == "DestroyTemporaryVariable"
    assert variable.controls == [parts[-1]]
    assert {control.type for control in total.controls} == {"AssignAdd"}


@pytest.mark.parametrize(("name", "batch", "measured"), [
    ("zoo:alexnet-2012", 1, 5_237_136), ("zoo:alexnet-one-tower", 4, 20_948_544), ("zoo:googlenet", 1, 16_909_312),
])  # fmt: skip
def test_measured_peaks(name: str, batch: int, measured: int) -> None:
    """Real steps, TensorFlow 2.21: AlexNet's first normalization is accumulated, GoogLeNet's are not."""
    assert predict_graph(cnncost.analyze(name, batch=batch), "inference").peak_bytes == measured


def test_alexnets_first_normalization_alone() -> None:
    graph = Simulation(cnncost.analyze("zoo:alexnet-2012"), "inference", None).inference_graph()
    ends = [op.layer for op in graph.ops if op.type == "DestroyTemporaryVariable"]
    assert ends == ["local_response_normalization"]
