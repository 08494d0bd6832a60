"""The ops of a training step against the graph that TensorFlow traces: types and shapes, in order of creation."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import cnncost
from cnncost.memory.opgraph import OpGraph
from cnncost.memory.optimizers import OPTIMIZERS, optimizer
from cnncost.memory.training import training_step

# Views, constants, and what only steers other ops; grappler drops or folds them.
PASSED = frozenset(
    ("Placeholder", "Const", "NoOp", "Identity", "IdentityN", "ShapeN", "StopGradient", "Shape", "_Arg", "Fill",
     "Squeeze", "ReadVariableOp", "ZerosLike", "Reshape", "ExpandDims")
)  # fmt: skip
CLASSES = {
    "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta", "adam": "Adam", "adamw": "AdamW",
    "adamax": "Adamax", "nadam": "Nadam", "lion": "Lion", "ftrl": "Ftrl", "adafactor": "Adafactor",
}  # fmt: skip
Entry = tuple[str, tuple[int, ...]]


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("keras")


def _conv_bn(layers: Any, x: Any, filters: int = 8, act: str = "relu") -> Any:
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.Activation(act)(layers.BatchNormalization()(x))


def _residual(layers: Any, x: Any) -> Any:
    x = _conv_bn(layers, x)
    return layers.ReLU()(layers.Add()([x, _conv_bn(layers, x)]))


def _dense_block(layers: Any, x: Any) -> Any:
    for _ in range(2):
        x = layers.Concatenate()([x, _conv_bn(layers, x)])
    return x


def _squeeze(layers: Any, x: Any) -> Any:
    x = _conv_bn(layers, x)
    gate = layers.Reshape((1, 1, 8))(layers.GlobalAveragePooling2D()(x))
    gate = layers.Conv2D(2, 1, activation="relu")(gate)
    return layers.multiply([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])


def _depthwise(layers: Any, x: Any) -> Any:
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(_conv_bn(layers, x))
    return _conv_bn(layers, layers.ReLU(6.0)(layers.BatchNormalization()(x)))


def _pools(layers: Any, x: Any) -> Any:
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(_conv_bn(layers, x)))
    return layers.AveragePooling2D(2)(_conv_bn(layers, x))


def _layer_norm(layers: Any, x: Any) -> Any:
    x = layers.LayerNormalization()(layers.Conv2D(8, 4, 4)(x))
    y = layers.Dense(8)(layers.Dense(16, activation="tanh")(x))
    return layers.Add()([x, y])


def _frozen(layers: Any, x: Any) -> Any:
    """The first convolution and its normalization are frozen: nothing flows back below the second."""
    x = layers.Conv2D(8, 3, padding="same", trainable=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(trainable=False)(x))
    return _conv_bn(layers, layers.Conv2D(8, 3, activation="relu")(x))


def _frozen_above(layers: Any, x: Any) -> Any:
    """A frozen layer above a trained one passes the gradient on and keeps its own weights."""
    x = _conv_bn(layers, x)
    x = layers.BatchNormalization(trainable=False)(layers.Conv2D(8, 3, trainable=False)(x))
    return layers.ReLU()(x)


BLOCKS: dict[str, Callable[[Any, Any], Any]] = {
    "conv-bias-relu": lambda layers, x: layers.Conv2D(8, 3, activation="relu")(x),
    "conv-bn-relu": _conv_bn,
    "residual": _residual,
    "dense-block": _dense_block,
    "squeeze-and-excitation": _squeeze,
    "depthwise": _depthwise,
    "pools": _pools,
    "layer-norm": _layer_norm,
    "frozen": _frozen,
    "frozen-above": _frozen_above,
}


def build(keras: Any, block: Callable[[Any, Any], Any]) -> Any:
    keras.utils.clear_session()
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.GlobalAveragePooling2D()(block(keras.layers, inputs))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))


def traced(keras: Any, model: Any, name: str, batch: int) -> list[Entry]:
    """What TensorFlow traces for one step, less what no result and no assignment needs."""
    import tensorflow as tf

    choice = optimizer(name)
    real = getattr(keras.optimizers, CLASSES[choice.kind])
    real = real(momentum=choice.momentum, nesterov=choice.nesterov) if choice.momentum else real()
    real.build(model.trainable_variables)
    loss_of = keras.losses.SparseCategoricalCrossentropy()

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        weights = model.trainable_variables
        real.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    function = tf.function(step, jit_compile=False).get_concrete_function(
        tf.TensorSpec((batch, *model.input_shape[1:])), tf.TensorSpec((batch,), tf.int32)
    )
    ops = function.graph.get_operations()
    wanted, stack = set(), [op for op in ops if op.type.startswith("Assign")] + [t.op for t in function.graph.outputs]
    while stack:
        op = stack.pop()
        if op not in wanted:
            wanted.add(op)
            stack += [value.op for value in op.inputs] + list(op.control_inputs)
    kept = [op for op in ops if op in wanted and not (op.outputs and op.outputs[0].dtype == tf.int32)]
    return significant((op.type, tuple(op.outputs[0].shape) if op.outputs else (-1,)) for op in kept)


def simulated(graph: OpGraph) -> list[Entry]:
    wanted, stack = set(), [value.op for value in graph.results] + list(graph.kept)
    while stack:
        op = stack.pop()
        if op.index not in wanted:
            wanted.add(op.index)
            stack += [value.op for value in op.inputs] + op.controls
    kept = [op for op in graph.ops if op.index in wanted]
    return significant((op.type, op.outputs[0].shape if op.outputs else (-1,)) for op in kept)


def significant(entries: Any) -> list[Entry]:
    """No scalars: TensorFlow folds those of the loss; its constant gradient of the batch's mean is a Tile."""
    return [
        (type_, shape)
        for type_, shape in entries
        if type_ not in PASSED and shape and (type_ != "Tile" or len(shape) > 1)
    ]


def compare(keras: Any, model: Any, name: str, batch: int = 2) -> None:
    analysis = cnncost.analyze(json.loads(model.to_json()), batch=batch, mode="training")
    ours = simulated(training_step(analysis, optimizer(name)).graph)
    real = traced(keras, model, name, batch)
    assert ours == real, difference(ours, real)


def difference(ours: Sequence[Entry], real: Sequence[Entry]) -> str:
    place = next((i for i, (a, b) in enumerate(zip(ours, real, strict=False)) if a != b), min(len(ours), len(real)))
    return f"op {place}: simulated {ours[place : place + 3]}, traced {real[place : place + 3]}"


@pytest.mark.keras
@pytest.mark.parametrize("name", list(BLOCKS))
def test_the_step_has_the_ops_that_tensorflow_traces(keras: Any, name: str) -> None:
    compare(keras, build(keras, BLOCKS[name]), "sgd")


@pytest.mark.keras
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_the_update_ops_are_those_of_the_optimizer(keras: Any, name: str) -> None:
    compare(keras, build(keras, BLOCKS["conv-bias-relu"]), name)
