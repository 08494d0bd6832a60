"""The ops of one step, kind by kind, against the graph that TensorFlow traces: types and shapes, in order of creation;
and the peaks of real steps of small models."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

import cnncost
from cnncost.measure import Job, run
from cnncost.memory.opgraph import OpGraph
from cnncost.memory.optimizers import optimizer
from cnncost.memory.training import training_step

PASSED = frozenset(
    ("Placeholder", "NoOp", "Identity", "IdentityN", "ShapeN", "StopGradient", "Shape", "_Arg", "Fill", "Squeeze",
     "ReadVariableOp", "ZerosLike", "Reshape", "ExpandDims")
)  # fmt: skip
SAME = {"Select": "SelectV2", "ReadVariableCopy": "ReadVariableOp"}
WHOLE = ("int32", "int64", "uint64")
Entry = tuple[str, tuple[int, ...]]
Node = tuple[Any, str, list[Any], list[tuple[tuple[int, ...], str]]]  # key, type, inputs' keys, outputs


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("keras")


SEQUENCES: dict[str, Callable[[Any, Any], Any]] = {
    "multi-head": lambda k, x: k.layers.MultiHeadAttention(2, 4)(x, x),
    "multi-head-dropout": lambda k, x: k.layers.MultiHeadAttention(2, 4, dropout=0.1)(x, x),
    "multi-head-window": lambda k, x: k.layers.MultiHeadAttention(2, 4, sliding_window=2)(x, x),
    "multi-head-gate": lambda k, x: k.layers.MultiHeadAttention(2, 4, use_gate=True, value_dim=3)(x, x),
    "group-query": lambda k, x: k.layers.GroupQueryAttention(4, 4, 2)(x, x),
    "attention": lambda k, x: k.layers.Attention(use_scale=True)([x, x]),
    "attention-concat": lambda k, x: k.layers.Attention(score_mode="concat")([x, x]),
    "additive": lambda k, x: k.layers.AdditiveAttention()([x, x]),
    "attention-causal": lambda k, x: k.layers.Attention()([x, x], use_causal_mask=True),
    "additive-causal": lambda k, x: k.layers.AdditiveAttention()([x, x], use_causal_mask=True),
    "multi-head-causal": lambda k, x: k.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True),
    "multi-head-causal-window": lambda k, x: k.layers.MultiHeadAttention(2, 4, sliding_window=2)(
        x, x, use_causal_mask=True
    ),
    "multi-head-causal-dropout": lambda k, x: k.layers.MultiHeadAttention(2, 4, dropout=0.1)(
        x, x, use_causal_mask=True
    ),
    "einsum": lambda k, x: k.layers.EinsumDense("...x,xy->...y", 5, bias_axes="y")(x),
    "dot": lambda k, x: k.layers.Dot((2, 2), normalize=True)([x, x]),
    "rms-scaling": lambda k, x: k.layers.LayerNormalization(rms_scaling=True)(x),
    "unit": lambda k, x: k.layers.UnitNormalization()(x),
    "softmax": lambda k, x: k.layers.Softmax(axis=1)(x),
    "softmax-two-axes": lambda k, x: k.layers.Softmax(axis=(1, 2))(x),
    "noise": lambda k, x: k.layers.AlphaDropout(0.1)(k.layers.GaussianDropout(0.1)(k.layers.GaussianNoise(0.1)(x))),
    "dropout": lambda k, x: k.layers.Dropout(0.1, noise_shape=(None, 1, 8))(x),
    "dilated": lambda k, x: k.layers.Conv1D(5, 3, dilation_rate=2, padding="causal")(x),
    "adaptive": lambda k, x: k.layers.AdaptiveMaxPooling1D(4)(x),
    "operations": lambda k, x: k.ops.where(x > 0.5, k.ops.sin(x), k.ops.logsumexp(x, axis=1, keepdims=True)),
    "power": lambda k, x: k.ops.power(x * x, 1.5) + k.ops.gelu(x),
    "take": lambda k, x: k.ops.take(x, [0, 2, 2], axis=1),
}
IMAGES: dict[str, Callable[[Any, Any], Any]] = {
    "renorm": lambda k, x: k.layers.BatchNormalization(renorm=True)(x),
    "grouped": lambda k, x: k.layers.Conv2D(8, 3, groups=2, activation="relu")(x),
    "bilinear": lambda k, x: k.layers.UpSampling2D(2, interpolation="bilinear")(x),
    "resizing": lambda k, x: k.layers.Resizing(5, 7, interpolation="bicubic")(x),
    "crop": lambda k, x: k.layers.CenterCrop(5, 7)(x),
    "adaptive-average": lambda k, x: k.layers.AdaptiveAveragePooling2D((3, 4))(x),
    "augmented": lambda k, x: k.layers.RandomContrast(0.1)(k.layers.RandomFlip()(x)),
    "maximum-kept": lambda k, x: k.layers.GlobalMaxPooling2D(keepdims=True)(x),
}
WORDS: dict[str, Callable[[Any, Any], Any]] = {
    "embedding": lambda k, x: k.layers.Embedding(20, 8)(x),
    "masked": lambda k, x: k.layers.Dense(8)(k.layers.Embedding(20, 8, mask_zero=True)(x)),
    "masked-attention": lambda k, x: _attended(k, k.layers.Embedding(20, 8, mask_zero=True)(x)),
    "masked-mean": lambda k, x: k.layers.Dense(10, activation="softmax")(
        k.layers.GlobalAveragePooling1D()(k.layers.Embedding(20, 8, mask_zero=True)(x))
    ),
    "masked-mean-kept": lambda k, x: k.layers.GlobalAveragePooling1D(keepdims=True)(
        k.layers.Embedding(20, 8, mask_zero=True)(x)
    ),
}


def _attended(keras: Any, x: Any) -> Any:
    return keras.layers.Add()([x, keras.layers.MultiHeadAttention(2, 4)(x, x)])


def sequence(keras: Any, block: Callable[[Any, Any], Any]) -> Any:
    inputs = keras.Input((6, 8))
    return _closed(keras, inputs, block(keras, keras.layers.Dense(8, use_bias=False)(inputs)))


def image(keras: Any, block: Callable[[Any, Any], Any]) -> Any:
    inputs = keras.Input((9, 10, 3))
    return _closed(keras, inputs, block(keras, keras.layers.Conv2D(8, 1, use_bias=False)(inputs)))


def words(keras: Any, block: Callable[[Any, Any], Any]) -> Any:
    inputs = keras.Input((6,), dtype="int32")
    return keras.Model(inputs, block(keras, inputs))


def _closed(keras: Any, inputs: Any, x: Any) -> Any:
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(x)))


def nodes(keras: Any, model: Any, name: str, batch: int) -> list[Node]:
    """One traced step, less what no result and no assignment needs."""
    import tensorflow as tf

    real = {"sgd": keras.optimizers.SGD, "adam": keras.optimizers.Adam}[name]()
    real.build(model.trainable_variables)
    flat = len(model.output_shape) == 2
    loss_of = keras.losses.SparseCategoricalCrossentropy() if flat else keras.losses.MeanSquaredError()

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        weights = model.trainable_variables
        real.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    given = tf.TensorSpec((batch, *model.input_shape[1:]), model.inputs[0].dtype)
    wanted = tf.TensorSpec((batch,), tf.int32) if flat else tf.TensorSpec((batch, *model.output_shape[1:]))
    graph = tf.function(step, jit_compile=False).get_concrete_function(given, wanted).graph
    ops = graph.get_operations()
    needed, stack = set(), [op for op in ops if op.type.startswith(("Assign", "ResourceScatter"))]
    stack += [value.op for value in graph.outputs]
    while stack:
        op = stack.pop()
        if op not in needed:
            needed.add(op)
            stack += [value.op for value in op.inputs] + list(op.control_inputs)
    return [
        (op.name, op.type, [value.op.name for value in op.inputs],
         [(tuple(v.shape.as_list()), v.dtype.name) for v in op.outputs if v.shape.rank is not None])
        for op in ops if op in needed
    ]  # fmt: skip


def simulated(graph: OpGraph) -> list[Node]:
    needed, stack = set(), [value.op for value in graph.results] + list(graph.kept)
    while stack:
        op = stack.pop()
        if op.index not in needed:
            needed.add(op.index)
            stack += [value.op for value in op.inputs] + op.controls
    return [
        (op.index, op.type, [value.op.index for value in op.inputs], [tuple(spec) for spec in op.outputs])
        for op in graph.ops if op.index in needed
    ]  # fmt: skip


def significant(found: list[Node]) -> list[Entry]:
    """Without scalars, constants and what is computed from them, whole numbers (shapes, seeds), sums over no axis."""
    constants, shapes, entries = set(), {}, []
    for key, name, inputs, outputs in found:
        type_ = SAME.get(name, name)
        shape, dtype = outputs[0] if outputs else ((-1,), "")
        shapes[key] = shape
        effect = type_.startswith(("Assign", "ResourceScatter"))
        if type_ == "Const" or (inputs and not effect and all(read in constants for read in inputs)):
            constants.add(key)
        elif type_ in PASSED or not shape or dtype in WHOLE or (type_ == "Sum" and shapes.get(inputs[0]) == shape):
            continue
        elif not effect:  # the updates' order is the optimizers' test
            entries.append((type_, shape))
    return entries


def compare(keras: Any, model: Any, name: str = "sgd", batch: int = 2) -> None:
    analysis = cnncost.analyze(json.loads(model.to_json()), batch=batch, mode="training")
    ours = significant(simulated(training_step(analysis, optimizer(name)).graph))
    real = significant(nodes(keras, model, name, batch))
    place = next((i for i, (a, b) in enumerate(zip(ours, real, strict=False)) if a != b), min(len(ours), len(real)))
    assert ours == real, f"op {place}: simulated {ours[place : place + 3]}, traced {real[place : place + 3]}"


@pytest.mark.keras
@pytest.mark.parametrize("name", list(SEQUENCES))
def test_sequences(keras: Any, name: str) -> None:
    keras.utils.clear_session()
    compare(keras, sequence(keras, SEQUENCES[name]))


@pytest.mark.keras
@pytest.mark.parametrize("name", list(IMAGES))
def test_images(keras: Any, name: str) -> None:
    keras.utils.clear_session()
    compare(keras, image(keras, IMAGES[name]))


@pytest.mark.keras
@pytest.mark.parametrize("name", list(WORDS))
@pytest.mark.parametrize("optimizer_", ["sgd", "adam"])
def test_words(keras: Any, name: str, optimizer_: str) -> None:
    """With gradients by rows, and masks that reach the loss."""
    keras.utils.clear_session()
    compare(keras, words(keras, WORDS[name]), optimizer_)


def _real(keras: Any) -> dict[str, Any]:
    layers = keras.layers

    def pooled(shape: tuple[int, ...], block: Callable[[Any], Any], pool: Any) -> Any:
        inputs = keras.Input(shape)
        return keras.Model(inputs, layers.Dense(10, activation="softmax")(pool()(block(inputs))))

    def attend(x: Any) -> Any:
        x = layers.Dense(64)(x)
        return layers.AdditiveAttention()([x, x])

    one, two = layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D
    return {
        "attention": pooled((64, 64), attend, one),
        "grouped": pooled((32, 32, 16), lambda x: layers.Conv2D(16, 3, groups=4)(layers.Conv2D(16, 1)(x)), two),
        "adaptive": pooled((32, 32, 16), lambda x: layers.AdaptiveAveragePooling2D(7)(layers.Conv2D(16, 3)(x)), two),
    }


@pytest.mark.keras
@pytest.mark.parametrize(("name", "mode"), [("attention", "training"), ("grouped", "training"),
                                            ("adaptive", "inference")])  # fmt: skip
def test_a_real_peak(keras: Any, name: str, mode: str) -> None:
    """Within 2 % of a real step."""
    keras.utils.clear_session()
    config = json.loads(_real(keras)[name].to_json())
    choice = "sgd" if mode == "training" else None
    analysis = cnncost.analyze(config, batch=8, mode=mode, optimizer=choice)
    names = tuple((row.name, 0) for row in analysis.layers)
    measured = run(Job({"config": config}, names, mode, choice, 8, steps=1, seconds=1.0), 300)
    memory = analysis.memory
    ours = memory.training_peak_bytes if mode == "training" else memory.inference_peak_bytes
    assert ours == pytest.approx(measured.peak_bytes, rel=0.02)
