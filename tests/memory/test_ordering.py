"""The order of nodes: grappler's walk over names, oneDNN's walk from the source; workspaces between the passes."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.edges import Heap
from cnncost.memory.opgraph import Op
from cnncost.memory.optimizers import optimizer
from cnncost.memory.ordering import graph_order
from cnncost.memory.predict import predict
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_training import rewrite_training
from cnncost.memory.training import training_step

LAYERS: list[Any] = [
    {"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "relu"}},
    {"MaxPooling2D": {"pool_size": 2}},
    "Flatten",
    {"Dense": {"units": 64, "activation": "relu"}},
    {"Dense": {"units": 64, "activation": "relu"}},
    {"Dense": {"units": 4, "activation": "softmax"}},
]


def _analysis(name: str = "functional") -> cnncost.Analysis:
    return cnncost.analyze({"name": name, "input": [12, 12, 3], "layers": LAYERS}, batch=2, mode="training")


def _ordered(name: str = "functional", process: int = 0) -> list[Op]:
    analysis = _analysis(name)
    graph = training_step(analysis, optimizer("sgd")).graph
    rewrite(graph, last=False)
    return graph_order(
        rewrite_training(graph), graph.results, graph.kept, name, "sgd", Heap(process) if process else None
    )


def _keys(ops: list[Op]) -> list[tuple[str, str, str]]:
    return [(op.type, op.layer, op.phase) for op in ops]


@pytest.mark.parametrize("process", [0, 1, 2])
@pytest.mark.parametrize("name", ["functional", "vgg16"])
def test_an_order_runs_every_op_once_inputs_first(name: str, process: int) -> None:
    ops = _ordered(name, process)
    assert sorted(_keys(ops)) == sorted(_keys(_ordered()))
    assert [op.index for op in ops] == list(range(len(ops)))
    replaced = [op.type in ("MatMul", "_FusedMatMul", "_FusedConv2D", "MaxPool") for op in ops]
    assert replaced.index(True) > 0 and not any(op.type == "Relu" for op in ops[replaced.index(True) :])


def test_the_process_decides_which_gradient_of_a_layer_comes_first() -> None:
    orders = {tuple(key for key in _keys(_ordered("vgg16", process)) if key[0] == "MatMul") for process in range(12)}
    assert len(orders) > 1


def test_the_models_name_decides_the_walk() -> None:
    assert _keys(_ordered("functional")) != _keys(_ordered("vgg16"))
    assert _keys(_ordered("functional")) == _keys(_ordered("conv"))


def test_a_workspace_lives_from_the_pooling_to_its_gradient() -> None:
    prediction = predict(_analysis(), "training", "sgd")
    size = 2 * 5 * 5 * 8  # a byte for each maximum
    made = next(e for e in prediction.events if e.op.type == "MaxPool" and e.bytes == size)
    gone = next(e for e in prediction.events if e.buffer == made.buffer and e.bytes < 0)
    assert gone.op.type == "MaxPoolGrad"


def test_a_workspace_that_no_gradient_reads_goes_at_once() -> None:
    analysis = cnncost.analyze({"input": [12, 12, 3], "layers": LAYERS}, batch=2)
    events = predict(analysis).events
    made = next(e for e in events if e.op.type == "MaxPool" and e.bytes == 2 * 5 * 5 * 8)
    assert next(e for e in events if e.buffer == made.buffer and e.bytes < 0).op is made.op
