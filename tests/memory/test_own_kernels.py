"""Where TensorFlow leaves oneDNN off: its own kernels, what grappler fuses for them, and whose processor is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import cnncost
from cnncost.cli import main
from cnncost.memory.predict import predict
from cnncost.memory.simulation import Simulation
from cnncost.processors import AVX2, AVX512, of_flags, processor


def conv(filters: int, size: int = 3, **more: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": filters, "kernel_size": size, "padding": "same", **more}}


def dense(units: int, activation: str | None = None) -> dict[str, Any]:
    return {"Dense": {"units": units, "activation": activation}}


ACTIVATIONS: dict[str, Any] = {
    "name": "acts", "input": [32, 32, 3],
    "layers": [
        *(conv(8, activation=name) for name in ("tanh", "elu", "relu6", "leaky_relu")),
        *(conv(8, activation=name) for name in ("silu", "hard_silu", "mish", "gelu")),
        "GlobalAveragePooling2D",
        dense(10),
    ],
}  # fmt: skip
POOLS: dict[str, Any] = {
    "name": "pool", "input": [33, 33, 3],
    "layers": [
        conv(16, 5), {"MaxPooling2D": {"pool_size": 3, "strides": 2}},
        conv(16), {"AveragePooling2D": {"pool_size": 2}},
        conv(8, 1, activation="relu"), {"MaxPooling2D": {"pool_size": 2, "padding": "same"}},
        "Flatten", dense(20, "relu"), {"Dropout": {"rate": 0.3}}, dense(5),
    ],
}  # fmt: skip
RESIDUAL: dict[str, Any] = {
    "name": "res", "input": [24, 24, 3],
    "layers": [
        conv(16), "BatchNormalization", "ReLU",
        {"residual": [conv(16), "BatchNormalization", "ReLU", conv(16), "BatchNormalization"]}, "ReLU",
        {"residual": [conv(16, activation="relu"), conv(16)]}, "ReLU", "GlobalAveragePooling2D", dense(10),
    ],
}  # fmt: skip
DEPTHWISE: dict[str, Any] = {
    "name": "dw", "input": [32, 32, 3],
    "layers": [
        conv(16, strides=2), "BatchNormalization", "ReLU",
        {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}}, "BatchNormalization", {"ReLU": {"max_value": 6}},
        conv(32, 1), {"SeparableConv2D": {"filters": 24, "kernel_size": 3, "activation": "relu"}},
        {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same", "strides": 2, "activation": "relu"}},
        "GlobalMaxPooling2D", dense(10),
    ],
}  # fmt: skip
TRANSPOSED: dict[str, Any] = {
    "name": "trans", "input": [16, 16, 4],
    "layers": [
        conv(8, strides=2),
        {"Conv2DTranspose": {"filters": 8, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}},
        {"UpSampling2D": {"size": 2}}, conv(3), "GlobalAveragePooling2D", dense(3),
    ],
}  # fmt: skip
LINE: dict[str, Any] = {
    "name": "one", "input": [40, 6],
    "layers": [
        {"Conv1D": {"filters": 16, "kernel_size": 3, "activation": "relu"}},
        {"Conv1D": {"filters": 16, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}},
        {"MaxPooling1D": {"pool_size": 2}}, {"Conv1D": {"filters": 8, "kernel_size": 1}},
        "GlobalAveragePooling1D", dense(4),
    ],
}  # fmt: skip
VOLUME: dict[str, Any] = {
    "name": "three", "input": [12, 12, 12, 2],
    "layers": [
        {"Conv3D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, {"MaxPooling3D": {"pool_size": 2}},
        {"Conv3D": {"filters": 6, "kernel_size": 3, "padding": "same"}}, "BatchNormalization", "Flatten", dense(4),
    ],
}  # fmt: skip
DENSE: dict[str, Any] = {
    "name": "dense", "input": [64],
    "layers": [
        dense(128, "tanh"), dense(64, "sigmoid"), dense(64, "relu"), dense(32, "elu"), dense(32, "leaky_relu"),
        dense(32, "silu"), dense(10, "softmax"),
    ],
}  # fmt: skip
ADDED: dict[str, Any] = {  # with oneDNN, the bias, the addition and the ReLU go into the second convolution
    "input": [8, 8, 4],
    "layers": [{"residual": [conv(4, activation="relu"), conv(4)]}, "ReLU"],
}
# Peaks of real steps (TensorFlow 2.21 on an EPYC without AVX-512, batch 2): graph, and op by op.
MEASURED = [
    (ACTIVATIONS, "float32", "graph", 131_072, 29_362_436, 29_362_500),
    (POOLS, "float32", "graph", 172_160, 27_095_260, 27_088_244),
    (RESIDUAL, "float32", "graph", 221_312, 28_690_008, 28_689_928),
    (DEPTHWISE, "float32", "graph", 116_864, 19_269_464, 19_317_760),
    (TRANSPOSED, "float32", "graph", 25_475_072, 30_487_448, 30_487_476),
    (LINE, "float32", "graph", 10_752, 16_397_576, 16_397_700),
    (VOLUME, "float32", "graph", 72_024, 150_064, 150_056),
    (DENSE, "float32", "graph", 1_536, 67_416, 67_696),
    ("zoo:lenet5-table", "float32", "graph", 47_040, 25_291_232, 25_292_876),
    ("zoo:mobilenet-v2", "float32", "graph", 19_575_456, 139_583_560, 143_286_788),
    (ACTIVATIONS, "bfloat16", "graph", 98_304, 28_689_650, None),
    (POOLS, "bfloat16", "graph", 86_080, 26_960_460, None),
    (RESIDUAL, "bfloat16", "graph", 147_712, 28_188_106, None),
    (DENSE, "bfloat16", "graph", 35_072, 52_148, None),
    (POOLS, "float32", "eager", 278_784, 27_095_288, 27_095_288),
    (RESIDUAL, "float32", "eager", 1_032_480, 29_069_332, 29_069_332),
    (DEPTHWISE, "float32", "eager", 349_952, 19_090_348, 19_090_348),
]


@pytest.mark.parametrize(("net", "dtype", "executor", "inference", "sgd", "adam"), MEASURED)
def test_peaks_of_real_steps(net: Any, dtype: str, executor: str, inference: int, sgd: int, adam: int | None) -> None:
    """To a thousandth; at inference kilobytes more or less are read before the input comes, by process."""
    for optimizer, measured in ((None, inference), ("sgd", sgd), ("adam", adam)):
        if measured is None:
            continue
        mode = "inference" if optimizer is None else "training"
        analysis = cnncost.analyze(net, batch=2, dtype=dtype, mode=mode, optimizer=optimizer, processor="avx2")
        peak = predict(analysis, mode, optimizer, executor).peak_bytes
        assert peak == pytest.approx(measured, rel=0.001 if optimizer else 0.011), optimizer


@pytest.mark.parametrize(("optimizer", "sizes"), [("sgd", [65_536, 131_072]), ("adam", [32_768, 65_536, 131_072])])
def test_where_maxima_are_is_found_before_the_output_is_there(optimizer: str, sizes: list[int]) -> None:
    """As measured: the maxima once more, in their own buffer if nobody else needs it, as the dense layer's gradient
    does that Adam lets wait; their places; the gradient."""
    net = {"name": "mp", "input": [32, 32, 3],
           "layers": [conv(16, activation="relu"), {"MaxPooling2D": 2}, "Flatten", dense(10)]}  # fmt: skip
    analysis = cnncost.analyze(net, batch=2, mode="training", optimizer=optimizer, processor="avx2")
    events = predict(analysis, "training", optimizer).events
    assert [event.bytes for event in events if event.op.type == "MaxPoolGrad" and event.bytes > 0] == sizes


def fused(net: Any, name: str, mode: str = "inference") -> list[tuple[str, ...]]:
    graph = Simulation(cnncost.analyze(net, batch=2, mode=mode, processor=name), mode, None).built()
    return [op.attrs["fused"] for op in graph.ops if "fused" in op.attrs]


def test_an_addition_stays_outside_the_convolution() -> None:
    assert fused(ADDED, "avx512") == [("BiasAdd", "Relu"), ("BiasAdd", "Add", "Relu")]
    assert fused(ADDED, "avx2") == [("BiasAdd", "Relu"), ("BiasAdd",)]


def test_what_a_convolution_and_a_matrix_product_take_in() -> None:
    """Of the activations the four that the kernels have; of convolutions those of images, no depthwise ones."""
    assert fused(ACTIVATIONS, "avx2") == [
        ("BiasAdd",), ("BiasAdd", "Elu"), ("BiasAdd", "Relu6"), ("BiasAdd", "LeakyRelu"),
        *[("BiasAdd",)] * 5,
    ]  # fmt: skip
    assert fused(DENSE, "avx2") == [
        ("BiasAdd",), ("BiasAdd",), ("BiasAdd", "Relu"), ("BiasAdd", "Elu"), ("BiasAdd", "LeakyRelu"),
        ("BiasAdd",), ("BiasAdd",),
    ]  # fmt: skip
    assert len(fused(DEPTHWISE, "avx512")) > len(fused(DEPTHWISE, "avx2"))
    assert fused(VOLUME, "avx2") == [("BiasAdd",)]  # the dense layer


def test_gradients_of_filters_and_of_biases_are_ops_of_their_own() -> None:
    graph = Simulation(cnncost.analyze(RESIDUAL, mode="training", processor="avx2"), "training", "sgd").built()
    types = [op.type for op in graph.ops]
    assert "Conv2DBackpropFilterWithBias" not in types
    assert types.count("BiasAddGrad") == 5 + 1 and types.count("Conv2DBackpropFilter") == 5


@pytest.mark.parametrize(
    ("flags", "switch", "name"),
    [
        ("avx2 avx512f avx512_vnni", "", "avx512"),
        ("avx2 avx512f avx512_vnni", "0", "avx2"),
        ("avx2 avx512f avx512_vnni", "FALSE", "avx2"),
        ("avx2 avx512f avx512_vnni", "perhaps", "avx512"),  # TensorFlow logs an error and goes on
        ("avx2 avx512f", "", "avx2"),  # the first with AVX-512 had no units for neural networks
        ("avx2 avx512f", "1", "avx512"),
        ("avx2", "", "avx2"),
        ("avx2", "true", "avx-vnni"),
        ("avx2 avx_vnni", "", "avx-vnni"),
        ("avx2 avx512f avx512_fp16 amx_tile amx_bf16", "", "amx"),
        ("avx2 avx512f amx_tile amx_bf16", "", "amx-without-fp16"),
    ],
)
def test_whether_tensorflow_uses_onednn(flags: str, switch: str, name: str) -> None:
    assert of_flags(f"model name : x\nflags\t\t: fpu {flags}\n", switch).name == name


def test_nothing_told_of_a_processor() -> None:
    assert of_flags("") is AVX512 and of_flags("", "0") is AVX2


def test_the_environment_decides_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert processor("host") is AVX2
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert "float32" in processor("host").onednn


def test_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "net.json"
    spec.write_text(json.dumps(RESIDUAL))
    args = ["analyze", str(spec), "--mode", "training", "--format", "json", "--processor"]
    found = {}
    for name in ("avx512", "avx2"):
        assert main([*args, name]) == 0
        found[name] = json.loads(capsys.readouterr().out)
    assert found["avx2"]["processor"] == "avx2" and "processor" not in found["avx512"]
    peaks = [found[name]["memory"]["training_peak_bytes"] for name in ("avx512", "avx2")]
    assert peaks[1] > 10 * peaks[0]
    notes = found["avx2"]["memory"]["training"]["notes"]
    assert any("oneDNN off" in note for note in notes)
    assert not any("oneDNN" in note for note in found["avx512"]["memory"]["training"]["notes"])


@pytest.mark.keras
@pytest.mark.parametrize(("mode", "executor"), [("inference", "graph"), ("training", "graph"), ("training", "eager")])
def test_verify_without_onednn(mode: str, executor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real run, on any processor, with oneDNN left off."""
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    spec, out = tmp_path / "net.json", tmp_path / "out.json"
    spec.write_text(json.dumps(RESIDUAL))
    args = ["verify", str(spec), "--batch", "2", "--mode", mode, "--executor", executor, "--steps", "1"]
    code = main([*args, "--tolerance", "1%", "--format", "json", "-o", str(out)])
    peak = json.loads(out.read_text())["peak"]
    assert code == 0 and (mode == "inference" or peak["measured_bytes"] > 20_000_000), peak
