"""What the remapper takes into a contraction, and the step in which it fails."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.simulation import Simulation

CONV = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}


def _fused(activation: str, mode: str, reused: bool = False) -> list[tuple[str, ...]]:
    """What the convolutions of a residual block end with, forward."""
    layers: list[dict[str, Any]] = [
        {**CONV, "name": "first"},
        {**CONV, "name": "second"},
        {"Add": None, "inputs": ["first", "second"], "name": "sum"},
        {activation: None, "name": "risen"},
        *([{"Multiply": None, "inputs": ["sum", "risen"]}] if reused else []),
        "GlobalAveragePooling2D",
        {"Dense": 4},
    ]
    analysis = cnncost.analyze({"input": [16, 16, 3], "layers": layers}, batch=2, mode=mode)
    simulation = Simulation(analysis, mode, "sgd")
    graph = simulation.training_graph() if mode == "training" else simulation.inference_graph()
    return [op.attrs["fused"] for op in graph.ops if op.type == "_FusedConv2D"]


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_an_addition_and_its_activation_go_into_the_convolution(mode: str) -> None:
    assert ("BiasAdd", "Add", "Relu") in _fused("ReLU", mode)


def test_where_leaky_relus_gradient_reads_the_sum_nothing_is_fused() -> None:
    """TensorFlow 2.21 says so: "remapper failed: … fanout 'gradient_tape/…/LeakyReluGrad' exist for missing node"; all
    convolutions of the captured step have their biases alone, which oneDNN's pass merges."""
    assert ("BiasAdd", "Add", "LeakyRelu") in _fused("LeakyReLU", "inference")
    assert _fused("LeakyReLU", "training") == [("BiasAdd",), ("BiasAdd",)]


def test_so_it_is_at_inference_where_another_layer_reads_the_sum() -> None:
    """The same message, with 'functional_1/multiply_1/Mul'."""
    assert _fused("ReLU", "inference", reused=True) == [("BiasAdd",), ("BiasAdd",)]


@pytest.mark.parametrize(("activation", "parts"), [("relu", ("BiasAdd", "Relu")), ("sigmoid", ("BiasAdd",))])
@pytest.mark.parametrize("layer", ["Conv2D", "Dense"])
def test_the_bias_of_a_single_channel_is_one(layer: str, activation: str, parts: tuple[str, ...]) -> None:
    """Keras adds it as any other tensor; the remapper knows it for a bias."""
    own = {"filters": 1, "kernel_size": 1} if layer == "Conv2D" else {"units": 1}
    layers = [*(["Flatten"] if layer == "Dense" else []), {layer: {**own, "activation": activation}}]
    graph = Simulation(cnncost.analyze({"input": [8, 8, 3], "layers": layers}), "inference", None).built()
    fused = [op.attrs["fused"] for op in graph.ops if "fused" in op.attrs]
    assert fused == [parts if layer == "Conv2D" or activation == "relu" else ("BiasAdd", "Sigmoid")]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("one", "two", "first"), [("alpha", "zeta", "alpha"), ("zeta", "alpha", "alpha"),
                                                   ("conv_2", "conv_10", "conv_10"), ("a", "a0", "a0")])  # fmt: skip
def test_of_two_convolutions_the_first_by_name_takes_the_sum(one: str, two: str, first: str, turned: bool) -> None:
    """As TensorFlow 2.21 allocates: where "conv_2" and "conv_10" are added, conv_2 has an output of its own."""
    wide = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}
    layers: list[Any] = [
        {**wide, "name": "stem"},
        {**wide, "name": one},
        {"Conv2D": {"filters": 8, "kernel_size": 1}, "name": two, "inputs": "stem"},
        {"Add": None, "inputs": [two, one] if turned else [one, two]},
        "GlobalAveragePooling2D",
    ]
    analysis = cnncost.analyze({"input": [16, 16, 3], "layers": layers}, batch=2)
    graph = Simulation(analysis, "inference", None).inference_graph()
    (taking,) = (op for op in graph.ops if "Add" in op.attrs.get("fused", ()))
    assert taking.inputs[1].op.layer == first
