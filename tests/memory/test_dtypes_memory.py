"""Dtype policies in the simulation: sizes, casts, loss scaling, and real steps."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.errors import UnsupportedLayer
from cnncost.memory.optimizers import OPTIMIZERS, with_loss_scaling
from cnncost.memory.predict import MemoryPrediction, predict
from cnncost.memory.training import training_step

CONV = {"filters": 16, "kernel_size": 3, "padding": "same"}
PLAIN: dict[str, Any] = {
    "input": [48, 48, 3],
    "layers": [{"Conv2D": {**CONV, "activation": "relu"}}, {"AveragePooling2D": 2}, "Flatten", {"Dense": 10}],
}
POOLED: dict[str, Any] = {
    "input": [48, 48, 3],
    "layers": [
        {"Conv2D": {**CONV, "use_bias": False}, "name": "stem"}, "BatchNormalization", {"ReLU": None, "name": "act"},
        {"Conv2D": {**CONV, "use_bias": False}}, "BatchNormalization", {"Add": None, "inputs": ["previous", "act"]},
        "ReLU", "GlobalAveragePooling2D", {"Dense": 10},
    ],
}  # fmt: skip
MEAN: dict[str, Any] = {"input": [32, 32, 8], "layers": ["GlobalAveragePooling2D"]}


def analysis(spec: dict[str, Any], dtype: str, mode: str = "inference") -> cnncost.Analysis:
    return cnncost.analyze(spec, batch=4, dtype=dtype, mode=mode)


def predicted(spec: dict[str, Any], dtype: str, mode: str = "inference") -> MemoryPrediction:
    return predict(analysis(spec, dtype, mode), mode)


def sizes(prediction: MemoryPrediction, *types: str) -> list[int]:
    return [event.bytes for event in prediction.events if event.bytes > 0 and event.op.type in types]


@pytest.mark.parametrize(("dtype", "size"), [("float16", 2), ("bfloat16", 2), ("float64", 8), ("mixed_float16", 2)])
def test_activations_have_the_compute_dtypes_size(dtype: str, size: int) -> None:
    wide = sizes(predicted(PLAIN, "float32"), "AvgPool")
    assert sizes(predicted(PLAIN, dtype), "AvgPool") == [n * size // 4 for n in wide]


def test_weights_are_cast_under_a_mixed_policy_alone() -> None:
    assert not sizes(predicted(PLAIN, "float16"), "Cast")
    casts = sizes(predicted(PLAIN, "mixed_float16"), "Cast")
    weights = [3 * 3 * 3 * 16, 16, 24 * 24 * 16 * 10, 10]
    assert sorted(casts) == sorted(2 * n for n in weights)


@pytest.mark.parametrize(
    ("dtype", "wide"), [("float16", True), ("bfloat16", True), ("float32", False), ("float64", False)]
)
def test_a_mean_is_taken_in_float32_at_least(dtype: str, wide: bool) -> None:
    casts = sizes(predicted(MEAN, dtype), "Cast")
    assert (4 * 32 * 32 * 8 * 4 in casts) is wide


@pytest.mark.parametrize("dtype", ["float32", "float16", "mixed_bfloat16", "mixed_float16"])
def test_the_loss_is_scaled_under_mixed_float16_alone(dtype: str) -> None:
    """Each gradient is tested, a bool a value, and no weight is updated before the last test."""
    step = training_step(analysis(POOLED, dtype, "training"), OPTIMIZERS["adam"])
    tests = [op for op in step.graph.ops if op.type == "IsFinite"]
    assert len(tests) == (len(step.trained) if dtype == "mixed_float16" else 0)
    order = [event.op.type for event in predict(analysis(POOLED, dtype, "training"), "training", "adam").events]
    if tests:
        last = max(i for i, type_ in enumerate(order) if type_ == "IsFinite")
        assert "Sqrt" not in order[:last] and "Sqrt" in order[last:]


def test_loss_scaling_follows_the_layers_policies() -> None:
    assert with_loss_scaling(OPTIMIZERS["sgd"], {"float32", "mixed_float16"}).loss_scaling
    assert not with_loss_scaling(OPTIMIZERS["sgd"], {"mixed_bfloat16"}).loss_scaling
    resident = analysis(PLAIN, "mixed_float16", "training").memory.resident
    plain = analysis(PLAIN, "mixed_bfloat16", "training").memory.resident
    assert resident is not None and plain is not None
    assert resident.optimizer_slots - plain.optimizer_slots == 8 + 4 + 8 + 4  # its own counter and rate, steps, scale


def test_double_precision_runs_tensorflows_own_kernels() -> None:
    """The filter's gradient takes as many images, laid out as columns, as fit 30 MiB of its working set."""
    image, kernel, out = 48 * 48 * 27, 27 * 16, 48 * 48 * 16
    images = -(-(30 * 2**20 // 8) // (image + kernel + out))
    assert images * image * 8 in sizes(predicted(PLAIN, "float64", "training"), "Conv2DBackpropFilterWithBias")
    assert not [event for event in predicted(PLAIN, "float64").events if event.bytes == 12_336]


def test_int8_says_what_it_means() -> None:
    small, wide = predicted(PLAIN, "int8"), predicted(PLAIN, "float32")
    assert sizes(small, "AvgPool") == [n // 4 for n in sizes(wide, "AvgPool")]
    assert any("int8" in note and "quantized" in note for note in small.notes)
    assert not any("int8" in note for note in wide.notes)
    with pytest.raises(UnsupportedLayer, match="int8"):
        predicted(PLAIN, "int8", "training")


@pytest.mark.keras
@pytest.mark.parametrize(
    ("dtype", "mode"),
    [("float16", "inference"), ("bfloat16", "training"), ("mixed_float16", "training"), ("float64", "training")],
)
def test_a_real_step(dtype: str, mode: str) -> None:
    pytest.importorskip("tensorflow")
    from cnncost.analysis import with_dtype
    from cnncost.export import keras_names, to_config
    from cnncost.measure import Job, run

    found = analysis(POOLED, dtype, mode)
    config = {"config": to_config(with_dtype(found.graph, dtype))}
    optimizer = "adam" if mode == "training" else None
    real = run(Job(config, keras_names(found.graph), mode, optimizer, 4, steps=1), 300)
    assert predict(found, mode, optimizer).peak_bytes == pytest.approx(real.peak_bytes, rel=0.03)
    if mode == "training":
        resident = cnncost.analyze(POOLED, batch=4, dtype=dtype, mode=mode, optimizer=optimizer).memory.resident
        assert resident is not None and real.resident["optimizer"] == resident.optimizer_slots
        assert real.resident["inputs"] == resident.inputs
