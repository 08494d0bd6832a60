"""A step op by op: what lives follows from Python's references. Laws, small cases by hand, and real steps."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnncost
from cnncost.errors import UnsupportedLayer
from cnncost.memory.predict import predict

NET = {
    "input": [32, 32, 3],
    "layers": [
        {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}},
        {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"}},
        "BatchNormalization",
        "ReLU",
        "MaxPooling2D",
        {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}},
        {"Activation": {"activation": "silu"}},
        {"Dropout": {"rate": 0.5}},
        "GlobalAveragePooling2D",
        {"Dense": {"units": 10, "activation": "softmax"}},
    ],
}
LAYERS = [
    {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}},
    {"Conv2D": {"filters": 8, "kernel_size": 1, "activation": "silu"}},
    "BatchNormalization",
    "LayerNormalization",
    "ReLU",
    {"Activation": {"activation": "gelu"}},
    {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same"}},
    {"Dropout": {"rate": 0.3}},
]
stacks = st.lists(st.sampled_from(LAYERS), min_size=1, max_size=6)


def eager(layers, mode, batch=2, optimizer=None):
    spec = {"input": [8, 8, 4], "layers": [{"Conv2D": [8, 3]}, *layers]} if isinstance(layers, list) else layers
    analysis = cnncost.analyze(spec, batch=batch, mode=mode, optimizer=optimizer)
    return analysis, predict(analysis, mode, optimizer, "eager")


@given(stacks, st.sampled_from(["inference", "training"]))
@settings(max_examples=40, deadline=None)
def test_every_buffer_comes_once_and_goes_at_most_once(layers, mode):
    _, found = eager(layers, mode)
    made = Counter(event.buffer for event in found.events if event.bytes > 0)
    gone = Counter(event.buffer for event in found.events if event.bytes < 0)
    assert set(made.values()) == {1}
    assert set(gone.values()) <= {1}
    live = 0
    for event in found.events:
        live += event.bytes
        assert event.live == live
    assert found.peak_bytes == max(event.live for event in found.events)
    assert found.executor == "eager"


@given(stacks)
@settings(max_examples=30, deadline=None)
def test_inference_keeps_every_layers_output(layers):
    """Nothing that a layer puts out goes before the model's call returns, so all of it lives at once in the end."""
    analysis, found = eager(layers, "inference")
    passed_on = {"Dropout"}  # returns its input
    kept = sum(row.activation_bytes for row in analysis.layers if row.kind not in {"InputLayer", *passed_on})
    assert found.peak_bytes >= kept


@given(stacks)
@settings(max_examples=30, deadline=None)
def test_training_holds_at_least_what_the_gradients_read(layers):
    """One step holds more than what its convolutions read, and its weights' gradients stay to the end."""
    analysis, found = eager(layers, "training")
    trained = sum(row.trainable_params for row in analysis.layers) * 4
    gradients = [event for event in found.events if event.bytes > 0 and event.op.phase == "backward"]
    freed = {event.buffer for event in found.events if event.bytes < 0}
    assert sum(event.bytes for event in gradients if event.buffer not in freed) == trained
    assert found.peak_bytes > trained


@pytest.mark.parametrize("count", [1, 3, 7])
def test_a_chain_of_activations_is_worth_its_outputs(count):
    """2 images of 8 × 8 × 4 floats are 2,048 bytes, each ReLU makes its own."""
    analysis = cnncost.analyze({"input": [8, 8, 4], "layers": ["ReLU"] * count}, batch=2)
    assert predict(analysis, "inference", None, "eager").peak_bytes == 2048 * count


def test_views_cost_nothing():
    analysis = cnncost.analyze({"input": [8, 8, 4], "layers": ["ReLU", "Flatten", {"Reshape": [[16, 16]]}]}, batch=2)
    assert predict(analysis, "inference", None, "eager").peak_bytes == 2048


def test_nothing_is_fused():
    """Convolution, bias and activation have a buffer each, two of which live at once in turn; in a graph there is
    one."""
    conv = {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same", "activation": "relu"}}
    analysis = cnncost.analyze({"input": [32, 32, 3], "layers": [conv]}, batch=4)
    size = 4 * 32 * 32 * 16 * 4
    assert predict(analysis, "inference", None, "eager").peak_bytes == 2 * size
    assert size <= predict(analysis).peak_bytes < 2 * size


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_eager_takes_more_than_a_graph(mode):
    analysis, found = eager(NET, mode, batch=4)
    assert found.peak_bytes > predict(analysis, mode).peak_bytes


@pytest.mark.parametrize(
    ("layers", "measured"),
    [(["LSTM"], 98_308), (["Masking", "LSTM"], 138_724)],
    ids=["lstm", "masked"],
)
def test_a_loop_runs_op_by_op(layers, measured):
    """Measured: TensorFlow 2.21, 12 steps of 16 features, batch 32. A layer of 32 units, 8 classes."""
    made = [{"LSTM": 32} if name == "LSTM" else {name: 0.0} for name in layers]
    spec = {"input": [12, 16], "layers": [*made, {"Dense": {"units": 8, "activation": "softmax"}}]}
    found = predict(cnncost.analyze(spec, batch=32), "inference", None, "eager").peak_bytes
    assert found == pytest.approx(measured, rel=0.0005 if len(layers) == 1 else 0.06)


def test_too_many_steps_op_by_op_are_named():
    spec = {"input": [800, 4], "layers": [{"LSTM": {"units": 4}}]}
    with pytest.raises(UnsupportedLayer, match="lstm"):
        predict(cnncost.analyze(spec), "inference", None, "eager")


@pytest.mark.keras
@pytest.mark.parametrize(("mode", "optimizer"), [("inference", None), ("training", "sgd"), ("training", "adam")])
def test_a_real_step(mode, optimizer, tmp_path):
    """To a thousandth: what is left out are Python's numbers of a few bytes."""
    from cnncost.cli import main

    spec, out = tmp_path / "net.json", tmp_path / "out.json"
    spec.write_text(json.dumps(NET))
    args = ["verify", str(spec), "--batch", "4", "--mode", mode, "--steps", "1", "--executor", "eager"]
    if optimizer:
        args += ["--optimizer", optimizer]
    code = main([*args, "--tolerance", "0.1%", "--format", "json", "-o", str(out)])
    answer = json.loads(out.read_text())
    assert code == 0, answer["peak"]
    assert answer["peak"]["predicted_bytes"] == pytest.approx(answer["peak"]["measured_bytes"], rel=1e-3)
    assert answer["allocations"]["large_matched"] >= 0.95 * answer["allocations"]["large_total"]


CONV = {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}}


@pytest.mark.parametrize(("behind", "measured"), [([], 131_688), (["ReLU"], 131_688), ([CONV], 164_456)])
def test_where_maxima_are_lasts_until_their_gradient_is_done(behind, measured) -> None:
    """Measured on TensorFlow 2.21 with SGD at batch 2, to Python's numbers of a few bytes."""
    layers = [CONV, *behind, "GlobalMaxPooling2D", {"Dense": 3}]
    analysis = cnncost.analyze({"input": [16, 16, 8], "layers": layers}, batch=2, mode="training")
    assert predict(analysis, "training", "sgd", "eager").peak_bytes == pytest.approx(measured, abs=32)


def test_zeros_beside_a_maximum_are_a_tensor() -> None:
    """Measured on TensorFlow 2.21 with SGD at batch 2: 205,040 bytes with Python's numbers."""
    larger = {"Maximum": None, "inputs": ["x", "y"]}
    layers = [{**CONV, "name": "x"}, {"ReLU": {"name": "y"}}, larger, "GlobalAveragePooling2D", {"Dense": 3}]
    analysis = cnncost.analyze({"input": [16, 16, 8], "layers": layers}, batch=2, mode="training")
    assert predict(analysis, "training", "sgd", "eager").peak_bytes == pytest.approx(205_040, abs=48)


def test_a_block_of_a_spec_is_no_model_that_returns() -> None:
    """Keras knows layers alone: their outputs last until the call returns. Measured on TensorFlow 2.21 at batch 2."""
    conv = {"filters": 16, "kernel_size": 3, "padding": "same"}
    block = {"residual": [{"Conv2D": conv}, {"Conv2D": {**conv, "filters": 3}}]}
    for named in (block, {**block, "name": "skip"}):
        analysis = cnncost.analyze(
            {"input": [32, 32, 3], "layers": [named, {"Conv2D": conv}]}, batch=2, processor="avx2"
        )
        assert predict(analysis, "inference", None, "eager").peak_bytes == 442_368


@pytest.mark.parametrize(
    ("name", "measured"),
    [("gelu", 262_144), ("celu", 262_144), ("mish", 196_608), ("hard_shrink", 212_992), ("soft_shrink", 360_448),
     ("sparse_plus", 294_912)],
)  # fmt: skip
def test_what_an_activation_is_taken_of_is_a_name(name: str, measured: int) -> None:
    """Measured on TensorFlow 2.21 at batch 2: gelu and celu read it before their last op."""
    conv = {"filters": 8, "kernel_size": 3, "padding": "same", "activation": name}
    layers = [{"Conv2D": conv}, {"Conv2D": {"filters": 8, "kernel_size": 1}}]
    analysis = cnncost.analyze({"input": [32, 32, 3], "layers": layers}, batch=2, processor="avx2")
    assert predict(analysis, "inference", None, "eager").peak_bytes == measured


def test_the_silu_of_a_sigmoid() -> None:
    """The sigmoid keeps what it was taken of. Measured on TensorFlow 2.21 with SGD at batch 2."""
    activated = [{"Activation": "sigmoid"}, {"Activation": "silu"}]
    layers = [CONV, *activated, "GlobalAveragePooling2D", {"Dense": 3}]
    analysis = cnncost.analyze({"input": [16, 16, 8], "layers": layers}, batch=2, mode="training")
    assert predict(analysis, "training", "sgd", "eager").peak_bytes == pytest.approx(295_120, abs=32)


def test_a_tape_goes_through_frozen_layers() -> None:
    """Freezing is Keras's flag; TensorFlow's variables are watched all the same. Measured on TensorFlow 2.21 with SGD
    at batch 4: 71,792 bytes."""
    frozen = {"trainable": False}
    spec = {
        "input": [16, 16, 3],
        "layers": [
            {"Conv2D": [4, 3], **frozen}, {"BatchNormalization": None, **frozen}, {"ReLU": None, **frozen},
            {"Conv2D": [4, 3]}, "Flatten", {"Dense": 2},
        ],
    }  # fmt: skip
    model = cnncost.analyze(spec, batch=4, mode="training")
    assert predict(model, "training", "sgd", "eager").peak_bytes == 71_792


def test_a_grouped_convolution_is_a_function() -> None:
    """The tape keeps no output of a function, whose bias is added in another buffer; what it read is in a cycle with
    its gradient, which nothing breaks before the step's end. Measured on TensorFlow 2.21 with SGD at batch 3: 92,144
    bytes, of which 8 are Python's numbers; it was 112,872 here."""
    same = {"kernel_size": 3, "padding": "same"}
    layers = [
        {"Conv2D": {"filters": 8, "activation": "relu", **same}}, {"Conv2D": {"filters": 12, "groups": 2, **same}},
        "GlobalAveragePooling2D", {"Dense": {"units": 5, "activation": "softmax"}},
    ]  # fmt: skip
    found = predict(cnncost.analyze({"input": [12, 12, 4], "layers": layers}, batch=3), "training", "sgd", "eager")
    assert found.peak_bytes == 92_136
    grouped = [event for event in found.events if event.op.type == "StatefulPartitionedCall" and event.bytes > 0]
    freed = {event.buffer: event.op for event in found.events if event.bytes < 0}
    assert freed[grouped[0].buffer].type == "BiasAdd"
