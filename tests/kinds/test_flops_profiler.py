"""flops against TensorFlow's own profiler, on networks of ops that it counts."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost

pytestmark = pytest.mark.keras


def profiled(model: Any) -> int:
    """Floating-point operations of one forward pass, as the profiler's registry counts the graph's ops."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
    function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0])).get_concrete_function(*specs)
    graph = convert_variables_to_constants_v2(function).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(tf.compat.v1.profiler.ProfileOptionBuilder.float_operation())
    found = tf.compat.v1.profiler.profile(graph, cmd="op", options=options.with_empty_output().build())
    return int(found.total_float_ops)


def vgg(keras: Any) -> Any:
    """Convolutions with biases, maximum pooling, dense layers, softmax."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((48, 48, 3)), layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 3, padding="same", activation="relu"), layers.MaxPooling2D(),
        layers.Conv2D(128, 3, strides=2, activation="relu"), layers.AveragePooling2D(3, 2), layers.Flatten(),
        layers.Dense(256, activation="relu"), layers.Dropout(0.5), layers.Dense(10, activation="softmax"),
    ])  # fmt: skip


def residual(keras: Any) -> Any:
    """Batch normalization, additions, global pooling."""
    layers = keras.layers
    x = inputs = keras.Input((32, 32, 64))
    for filters in (64, 128):
        short = layers.Conv2D(filters, 1, strides=2, use_bias=False)(x)
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False)(y))
        x = layers.ReLU()(layers.Add()([short, y]))
    x = layers.Concatenate()([x, layers.MaxPooling2D(3, 1, padding="same")(x)])
    x = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Softmax()(x))


@pytest.mark.parametrize("build", [vgg, residual])
def test_within_one_percent(keras: Any, build: Any) -> None:
    model = build(keras)
    ours, theirs = cnncost.analyze(model).totals.flops, profiled(model)
    assert abs(ours / theirs - 1) < 0.01, (ours, theirs)


def test_layers_that_the_profiler_counts_exactly(keras: Any) -> None:
    """One layer each, equal to the operation."""
    layers = keras.layers
    for layer in (
        layers.Conv2D(8, 3), layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False), layers.MaxPooling2D(3, 2),
        layers.AveragePooling2D(2), layers.GlobalAveragePooling2D(), layers.Softmax(), layers.DepthwiseConv2D(3),
    ):  # fmt: skip
        model = keras.Sequential([keras.Input((16, 17, 6)), layer])
        assert cnncost.analyze(model).totals.flops == profiled(model), layer.name
