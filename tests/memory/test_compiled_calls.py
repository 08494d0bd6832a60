"""Grouped convolutions: functions that XLA compiles, which read their weight themselves."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.compiled import COMPILED, shapeless
from cnncost.memory.simulation import Simulation

LAYERS: list[Any] = [
    {"Conv2D": {"filters": 8, "kernel_size": 3, "groups": 2, "use_bias": False}},
    "LayerNormalization",
    {"Conv2D": {"filters": 4, "kernel_size": 1}},
    "GlobalAveragePooling2D",
]


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_nothing_reads_the_weight_for_the_function(mode: str) -> None:
    simulation = Simulation(cnncost.analyze({"input": [8, 8, 4], "layers": LAYERS}, batch=2, mode=mode), mode, None)
    graph = simulation.built()
    (call,) = [op for op in graph.ops if op.type == COMPILED]
    assert call.inputs[0].op.type == "_Arg"
    assert call.attrs["variable"].name == "conv2d/kernel"
    read = [op.attrs["variable"].name for op in graph.ops if op.type == "ReadVariableOp"]
    assert "conv2d/kernel" not in read
    assert "conv2d_1/kernel" in read


def test_shapes_are_known_again_behind_what_says_them() -> None:
    analysis = cnncost.analyze({"input": [8, 8, 4], "layers": LAYERS}, batch=2, mode="training")
    graph = Simulation(analysis, "training", "sgd").built()
    unknown = shapeless(graph)
    assert {op.type for op in unknown} >= {COMPILED, "Mean", "Rsqrt"}
    forward = [op for op in graph.ops if op.layer == "conv2d_1" and op.phase == "backward" and op not in unknown]
    assert any(op.type == "Conv2DBackpropInput" for op in graph.ops if op.layer == "conv2d_1")
    assert forward
    # where they are unknown grappler drops no Reshape, so that a layer normalization's gradient has some more of them
    kept = [op for op in graph.ops if op.type == "Reshape" and op.inputs[0].shape == op.outputs[0].shape]
    assert kept
    assert {op.layer for op in kept} == {"layer_normalization"}
