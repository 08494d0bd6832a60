"""Laws of the reverse pass and of a simulated step that need no TensorFlow."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.errors import UnsupportedLayer
from cnncost.memory.gradient import gradients
from cnncost.memory.gradients import gradient_of
from cnncost.memory.opgraph import BACKWARD, OpGraph, Spec
from cnncost.memory.optimizers import OPTIMIZERS, optimizer
from cnncost.memory.predict import predict_training
from cnncost.memory.simulation import Simulation
from cnncost.memory.training import training_step

CONV = {"filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"}


def model(*frozen: str, batch: int = 2, optimizer: str = "sgd") -> Any:
    names = ("a", "b", "c")
    layers: list[Any] = [{"Conv2D": CONV | {"name": name, "trainable": name not in frozen}} for name in names]
    spec = {"input": [32, 32, 3], "layers": [*layers, "GlobalAveragePooling2D", {"Dense": {"units": 5}}]}
    return cnncost.analyze(spec, batch=batch, mode="training", optimizer=optimizer)


def backward(analysis: Any) -> list[tuple[str, str]]:
    graph = training_step(analysis, optimizer("sgd")).graph
    return [(op.type, op.layer) for op in graph.ops if op.phase == BACKWARD and "Backprop" in op.type]


def test_no_gradient_of_the_models_input() -> None:
    assert ("Conv2DBackpropInput", "a") not in backward(model())
    assert backward(model()).count(("Conv2DBackpropFilter", "a")) == 1


def test_nothing_flows_below_the_lowest_trained_layer() -> None:
    assert backward(model("a", "b")) == [("Conv2DBackpropFilter", "c")]


def test_a_frozen_layer_between_trained_ones_passes_the_gradient_on() -> None:
    ops = backward(model("b"))
    assert ("Conv2DBackpropInput", "b") in ops and ("Conv2DBackpropFilter", "b") not in ops


def test_freezing_from_below_never_needs_more_memory() -> None:
    peaks = [model(*frozen).memory.training_peak_bytes for frozen in ((), ("a",), ("a", "b"))]
    assert peaks == sorted(peaks, reverse=True) and peaks[-1] < peaks[0]


def test_a_weight_that_is_read_twice_has_its_gradients_added() -> None:
    graph = OpGraph()
    x = graph.argument("x", Spec((4, 8), "float32"))
    kernel = graph.variable("d/kernel", Spec((8, 8), "float32"))
    first = graph.add("MatMul", (x, graph.read(kernel)))
    second = graph.add("MatMul", (first, graph.read(kernel)))
    (grad,) = gradients(graph, [(second, graph.argument("g", second.spec))], [kernel])
    assert grad is not None and grad.op.type == "AddN" and len(grad.op.inputs) == 2
    assert grad.shape == (8, 8)


def test_what_the_loss_does_not_read_has_no_gradient() -> None:
    graph = OpGraph()
    x = graph.argument("x", Spec((4, 8), "float32"))
    used, unused = (graph.variable(f"{name}/kernel", Spec((8, 8), "float32")) for name in "ab")
    y = graph.add("MatMul", (x, graph.read(used)))
    graph.add("MatMul", (y, graph.read(unused)))
    grads = gradients(graph, [(y, graph.argument("g", y.spec))], [used, unused])
    assert grads[0] is not None and grads[1] is None


def test_gradients_have_the_shape_of_their_weights() -> None:
    for name in sorted(OPTIMIZERS):
        step = training_step(model(optimizer=name), optimizer(name))
        for op in step.graph.kept:
            value = op.inputs[1]
            assert value.shape == op.attrs["variable"].spec.shape, (name, op)


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_timeline_adds_up(name: str) -> None:
    """Live bytes are the sum of what was taken and given back; the step leaves little behind: its result."""
    prediction = predict_training(model(optimizer=name), name)
    live = peak = 0
    for event in prediction.events:
        live += event.bytes
        peak = max(peak, live)
        assert event.live == live
    assert peak == prediction.peak_bytes
    given_up = sum(held.bytes for held in prediction.alive_at_peak) - peak  # old buffers of variables assigned before
    assert 0 <= given_up <= 4 * 1300
    assert abs(live) <= 64  # the loss, and a counter that took another's buffer


def test_activations_grow_with_the_batch_and_updates_do_not() -> None:
    peaks = [model(batch=batch).memory.training_peak_bytes for batch in (2, 4, 8)]
    assert peaks[2] - peaks[1] == pytest.approx(2 * (peaks[1] - peaks[0]), rel=0.01)


def test_what_lives_through_the_step() -> None:
    found = model(optimizer="adam")
    memory = found.memory.to_dict()
    weights = found.totals.weight_bytes
    assert memory["resident_weight_bytes"] == weights
    assert memory["resident_slot_bytes"] == 2 * weights + 12
    assert memory["resident_input_bytes"] == 2 * 32 * 32 * 3 * 4
    assert memory["resident_bytes"] == 3 * weights + 12 + 24576


def test_inference_has_no_slots() -> None:
    memory = cnncost.analyze({"input": [8], "layers": [{"Dense": 2}]}).memory
    assert memory.resident is not None and memory.resident.optimizer_slots == 0
    assert memory.runtime.training is None


def test_an_unknown_gradient_names_the_layer() -> None:
    graph = OpGraph()
    graph.layer = "odd"
    kernel = graph.variable("odd/kernel", Spec((8,), "float32"))
    y = graph.add("Prod", (graph.read(kernel),), axes=(0,))
    with pytest.raises(UnsupportedLayer, match="odd"):
        gradients(graph, [(y, graph.argument("g", y.spec))], [kernel])


@pytest.mark.parametrize(("side", "buffers"), [(64, 2), (420, 3)])
def test_a_large_mean_squared_error_makes_its_gradients_number_anew_in_each_step(side: int, buffers: int) -> None:
    """Measured: 2 × 524,288 and 3 × 22,579,200 bytes beside small ones."""
    conv = {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}}
    analysis = cnncost.analyze({"input": [side, side, 3], "layers": [conv]}, batch=2)
    size = 2 * side * side * 16 * 4
    assert Simulation(analysis, "training", "sgd").run().peak == pytest.approx(buffers * size, rel=0.01)


_ROW = Spec((4, 8), "float32")


@pytest.mark.parametrize(("exponent", "types", "less"), [
    (0.75, ["Mul", "Pow", "Mul"], -0.25), (2.0, ["Mul", "Mul"], None),
])  # fmt: skip
def test_power_of_a_constant_has_its_own_exponent(exponent: float, types: list[str], less: float | None) -> None:
    """x^y's slope reads x^(y - 1), which is no value that the forward pass has; of a square it is x."""
    graph = OpGraph()
    x = graph.argument("x", _ROW)
    power = graph.add("Pow", [x, graph.constant(exponent)], (_ROW,))
    before = len(graph.ops)
    gradient_of(power.op)(graph, power.op, graph.argument("grad", _ROW), frozenset({1}))
    made = [op for op in graph.ops[before:] if op.type not in ("Const", "_Arg")]
    assert [op.type for op in made] == types
    assert [op.inputs[1].op.attrs["value"] for op in made if op.type == "Pow"] == ([] if less is None else [less])
