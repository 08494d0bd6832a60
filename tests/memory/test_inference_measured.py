"""The simulated peak against TensorFlow's own allocations, in a child process for each model."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.export import keras_names, to_config
from cnncost.measure.child import run
from cnncost.measure.records import Job
from cnncost.memory.predict import predict_inference

BATCH = 2
# The scratch of oneDNN's convolutions depends on the processor, and how many weights are read before the input changes
# from run to run: 32 KiB, and 1 % of the peak, are left to them.
SCRATCH, SHARE = 32 * 1024, 0.01

CONV = {"Conv2D": {"filters": 32, "kernel_size": 3, "padding": "same", "use_bias": False}}
RESIDUAL: list[Any] = [
    {**CONV, "name": "stem"}, {"BatchNormalization": {"name": "norm"}}, {"ReLU": {"name": "act"}},
    CONV, "BatchNormalization", {"Add": None, "inputs": ["previous", "act"]}, "ReLU",
    {"AveragePooling2D": 2}, {"Concatenate": None, "inputs": ["previous", "previous"]},
]  # fmt: skip
EXCITED: list[Any] = [
    {"Rescaling": 0.1}, {"ZeroPadding2D": 1}, {"Conv2D": {"filters": 16, "kernel_size": 3, "activation": "silu"}},
    {"DepthwiseConv2D": {"kernel_size": 3, "strides": 2, "padding": "same", "name": "maps"}},
    {"GlobalAveragePooling2D": {"keepdims": True}}, {"Dense": {"units": 16, "activation": "sigmoid"}},
    {"Multiply": None, "inputs": ["previous", "maps"]},
]  # fmt: skip
MIXED: list[Any] = [
    {"SeparableConv2D": {"filters": 32, "kernel_size": 3, "padding": "same", "activation": "gelu"}},
    "LayerNormalization", {"GroupNormalization": 8}, {"MaxPooling2D": 2}, {"UpSampling2D": 2},
    {"Conv2DTranspose": {"filters": 8, "kernel_size": 2, "strides": 2, "activation": "relu"}}, "Flatten", {"Dense": 10},
]  # fmt: skip


@pytest.mark.keras
@pytest.mark.parametrize("layers", [RESIDUAL, EXCITED, MIXED], ids=["residual", "excited", "mixed"])
def test_peak_is_tensorflows(layers: list[Any]) -> None:
    pytest.importorskip("tensorflow")
    analysis = cnncost.analyze({"input": [96, 96, 3], "layers": layers}, batch=BATCH)
    job = Job(model={"config": to_config(analysis.graph)}, names=keras_names(analysis.graph), batch=BATCH, steps=1)
    measured = run(job).peak_bytes
    assert measured is not None
    assert abs(predict_inference(analysis).peak_bytes - measured) <= SCRATCH + SHARE * measured
