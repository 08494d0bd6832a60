"""Networks of which TensorFlow 2.21 ignores what its graph optimizer made: found by the message that it then logs, and
measured (``cnncost verify``) where a figure stands."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.graph_mode import NOT_OPTIMIZED
from cnncost.memory.predict import predict
from cnncost.memory.simulation import Simulation

START = {"ReLU": {"max_value": 3.0}, "name": "x"}
DENSE, DEPTHWISE, CONV = {"Dense": 24}, {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}}, {
    "Conv2D": {"filters": 6, "kernel_size": 3, "padding": "same"}
}  # fmt: skip
PLAIN, ALL = ("relu", "relu6", "elu"), (None, "relu", "relu6", "elu", "leaky_relu", "tanh", "sigmoid")
# Which activations behind an addition were seen to be lost, by the contraction before it.
LOST: dict[str, tuple[str | None, ...]] = {"DENSE": PLAIN, "DEPTHWISE": ALL, "CONV": ()}


def written(*layers: Any, mode: str = "inference", shape: tuple[int, ...] = (12, 12, 6)) -> bool:
    spec = {"input": list(shape), "layers": [START, *layers, "Flatten", {"Dense": 3}]}
    graph = Simulation(cnncost.analyze(spec, batch=2, mode=mode), mode, "sgd").built()
    return graph.written


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("activation", ALL)
@pytest.mark.parametrize("kind", sorted(LOST))
def test_what_is_lost_behind_an_addition(kind: str, activation: str | None, pair: bool, mode: str) -> None:
    layer = globals()[kind]
    shape = (24,) if kind == "DENSE" else (12, 12, 6)
    other: list[Any] = [{**layer, "name": "b", "inputs": ["x"]}] if pair else []
    layers = [{**layer, "name": "a"}, *other, {"Add": None, "inputs": ["a", "b" if pair else "x"]}]
    layers += [{"Activation": activation}] if activation else []
    assert written(*layers, mode=mode, shape=shape) == (activation in LOST[kind])


ADDED: dict[str, Any] = {"Add": None, "inputs": ["a", "x"], "name": "sum"}
BEHIND = [
    ("no bias", [{"Dense": {"units": 24, "use_bias": False}, "name": "a"}, ADDED, "ReLU"], (24,), False),
    ("an axis more", [{**DENSE, "name": "a"}, ADDED, "ReLU"], (5, 24), False),
    ("an activation before", [{**DEPTHWISE, "name": "d"}, {"ReLU": None, "name": "a"}, ADDED], (8, 8, 6), False),
    ("the mean", [{**DEPTHWISE, "name": "a"}, {"Average": None, "inputs": ["a", "x"]}], (8, 8, 6), True),
    ("the difference", [{**DEPTHWISE, "name": "a"}, {"Subtract": None, "inputs": ["a", "x"]}], (8, 8, 6), False),
    ("the bias's sum read twice", [{**DEPTHWISE, "name": "a"}, ADDED, {"Concatenate": None, "inputs": ["sum", "a"]}],
     (8, 8, 6), False),
    ("the sum read twice", [{**DENSE, "name": "a"}, ADDED, {"ReLU": None, "name": "r"},
                            {"Concatenate": None, "inputs": ["sum", "r"]}], (24,), False),
    ("a convolution first by name", [{**CONV, "name": "a"}, {**DEPTHWISE, "name": "b", "inputs": ["x"]},
                                     {"Add": None, "inputs": ["b", "a"]}], (8, 8, 6), False),
    ("the remapper fails", [{**DEPTHWISE, "name": "a"}, ADDED, {**CONV, "name": "c"},
                            {"Add": None, "inputs": ["c", "sum"], "name": "more"}, {"ReLU": None, "name": "r"},
                            {"Concatenate": None, "inputs": ["r", "more"]}], (8, 8, 6), False),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "shape", "lost"), [case[1:] for case in BEHIND], ids=[case[0] for case in BEHIND])
def test_what_else_decides(layers: list[Any], shape: tuple[int, ...], lost: bool) -> None:
    assert written(*layers, shape=shape) == lost


RESIDUAL = {
    "input": [256],
    "layers": [
        {"Dense": {"units": 512, "activation": "relu"}, "name": "d0"},
        {"Dense": {"units": 512, "activation": "relu"}}, {"Dense": 512, "name": "d2"},
        {"Add": None, "inputs": ["d0", "d2"]}, {"ReLU": None, "name": "r"}, {"Dropout": 0.3},
        {"Dense": {"units": 512, "activation": "relu"}}, {"Dense": 512, "name": "e2"},
        {"Add": None, "inputs": ["r", "e2"]}, "ReLU", {"Dense": 10},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "optimizer", "measured"),
    [("inference", None, 49_152), ("training", "sgd", 4_823_392), ("training", "adam", 5_795_996)],
)
def test_a_residual_network_of_dense_layers(mode: str, optimizer: str | None, measured: int) -> None:
    """The median of five processes each; optimized it would be 32,768 bytes and 2.2 MB: all gradients live at once."""
    found = predict(cnncost.analyze(RESIDUAL, batch=8, mode=mode, optimizer=optimizer), mode, optimizer)
    assert abs(found.peak_bytes / measured - 1) < 0.001
    assert NOT_OPTIMIZED in found.notes
    if mode == "training":
        at_once = sum(event.op.type.startswith("MatMul") and event.bytes > 500_000 for event in found.events)
        assert at_once == 5


def test_what_is_optimized_says_nothing() -> None:
    assert NOT_OPTIMIZED not in predict(cnncost.analyze({"input": [24], "layers": [{"Dense": 3}]})).notes


def test_a_convolutions_input_has_its_gradient_before_the_filter() -> None:
    """As in the real processes of this network (SGD, batch 8), whose 39 allocations of 1 KiB and more then follow."""
    spec = {
        "input": [64, 64, 3],
        "layers": [
            {"Conv2D": {"filters": 32, "kernel_size": 3, "padding": "same", "strides": 2}}, "BatchNormalization",
            {"ReLU": None, "name": "x"}, {**DEPTHWISE, "name": "d"}, {"Add": None, "inputs": ["x", "d"]}, "ReLU",
            {"Conv2D": {"filters": 64, "kernel_size": 1, "strides": 2}, "name": "c"}, "BatchNormalization",
            {"ReLU": None, "name": "y"}, {"DepthwiseConv2D": {"kernel_size": 5, "padding": "same"}, "name": "e"},
            {"Add": None, "inputs": ["y", "e"]}, "BatchNormalization", "ReLU",
            {"Conv2D": {"filters": 96, "kernel_size": 3, "padding": "same"}, "name": "f"}, "ReLU",
            "GlobalAveragePooling2D", {"Dense": 10},
        ],
    }  # fmt: skip
    simulation = Simulation(cnncost.analyze(spec, batch=8, mode="training"), "training", "sgd")
    assert abs(simulation.typical().peak - 6_826_288) < 1024
    ahead = []
    for process in range(1, 16):
        order = [(event.op.layer, event.op.type) for event in simulation.run(process).events]
        for layer in ("c", "f"):
            image, filters = (order.index((layer, f"Conv2DBackprop{kind}")) for kind in ("Input", "FilterWithBias"))
            ahead.append(image < filters)
    assert sum(ahead) > 0.6 * len(ahead)  # in the others the walk began elsewhere


@pytest.mark.parametrize(("mode", "measured"), [("inference", 393_216), ("training", 5_399_296)])
def test_the_factor_of_a_swish_stays(mode: str, measured: int) -> None:
    """As measured, with all 9 and 34 allocations in order."""
    spec = {**RESIDUAL, "layers": [_with_silu(layer) for layer in RESIDUAL["layers"]]}
    simulation = Simulation(cnncost.analyze(spec, batch=64, mode=mode), mode, "sgd")
    assert simulation.typical().peak == measured
    scaled = [op for op in simulation.built().ops if op.name == "mul"]
    readers = [sum(op in (value.op for value in other.inputs) for other in simulation.built().ops) for op in scaled]
    assert readers == ([1, 1, 1] if mode == "inference" else [2, 2, 2])


def _with_silu(layer: Any) -> Any:
    dense = layer.get("Dense") if isinstance(layer, dict) else None
    return {**layer, "Dense": {**dense, "activation": "silu"}} if isinstance(dense, dict) else layer
