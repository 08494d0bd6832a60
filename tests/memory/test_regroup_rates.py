"""rate·(a·b) becomes (rate·a)·b in the update of a batch normalization's scale."""

from __future__ import annotations

import pytest

import cnncost
from cnncost.memory.constants import KEPT
from cnncost.memory.opgraph import UPDATE, Op
from cnncost.memory.simulation import Simulation

LAYERS = [
    {"Conv2D": {"filters": 8, "kernel_size": 3, "use_bias": False}},
    "BatchNormalization",
    "GlobalAveragePooling2D",
]


def _updates(optimizer: str) -> list[Op]:
    spec = {"input": [8, 8, 3], "layers": LAYERS}
    analysis = cnncost.analyze(spec, batch=2, mode="training", optimizer=optimizer)
    graph = Simulation(analysis, "training", optimizer).built()
    return [op for op in graph.ops if op.phase == UPDATE and op.type == "Mul" and KEPT in op.attrs]


def test_the_rate_is_multiplied_first() -> None:
    (update,) = _updates("sgd")
    inner, last = (value.op for value in update.inputs)
    assert [value.op.type for value in inner.inputs] == ["ReadVariableOp", "AddN"]
    assert last.type == "Rsqrt"
    assert inner.outputs == update.outputs


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_gradient_that_is_read_twice_stays(optimizer: str) -> None:
    assert not _updates(optimizer)
