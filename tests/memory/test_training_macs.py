"""``training_macs`` against the convolutions and matrix products in the graph that TensorFlow traces for a step."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import cnncost

BATCH = 2


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("keras")


def _wanted(graph: Any, ends: list[Any]) -> list[Any]:
    """The ops that the ends need, in order of creation: grappler prunes the others."""
    seen: set[str] = set()
    stack = list(ends)
    while stack:
        op = stack.pop()
        if op.name not in seen:
            seen.add(op.name)
            stack += [value.op for value in op.inputs] + list(op.control_inputs)
    return [op for op in graph.get_operations() if op.name in seen]


def _inner(op: Any) -> Iterator[Any]:
    """The ops of the function that an op calls (a grouped convolution in reverse), for the outputs that are read."""
    from tensorflow.python.framework import function_def_to_graph

    name = op.get_attr("f").name
    definition = next(f for f in op.graph.as_graph_def().library.function if f.signature.name == name)
    shapes = [value.shape for value in op.inputs]
    graph = function_def_to_graph.function_def_to_graph(definition, input_shapes=shapes)
    read = [out.op for out, outer in zip(graph.outputs, op.outputs, strict=True) if outer.consumers()]
    return iter(_wanted(graph, read))


# For each op the tensor that is shaped as the filter, and the one of the strided side: an input's number, or an output.
# A grouped convolution is a call of a compiled function, which puts out its filter for the reverse pass.
_COUNTED = {
    "StatefulPartitionedCall": ("filter", "output"),
    "Conv2D": ("1", "output"),
    "Conv2DBackpropInput": ("1", "2"),
    "Conv2DBackpropFilter": ("output", "2"),
    "DepthwiseConv2dNative": ("1", "output"),
    "DepthwiseConv2dNativeBackpropInput": ("1", "2"),
    "DepthwiseConv2dNativeBackpropFilter": ("output", "2"),
    "MatMul": ("", ""),
}


def multiplications(op: Any) -> int:
    """Of one op: filter size × positions of the strided side; rows × columns × inner size. Positions that padding
    added count, as everywhere."""
    if op.type == "PartitionedCall":
        return sum(multiplications(inner) for inner in _inner(op))
    if op.type not in _COUNTED:
        return 0
    filter_, strided = _COUNTED[op.type]
    tensors = {
        "output": op.outputs[0],
        "filter": op.outputs[-1],
        **{str(i): value for i, value in enumerate(op.inputs)},
    }
    if op.type == "MatMul":
        inner = op.inputs[0].shape[0] if op.get_attr("transpose_a") else op.inputs[0].shape[1]
        return math.prod(op.outputs[0].shape) * inner
    return math.prod(tensors[filter_].shape) * math.prod(tensors[strided].shape[:-1])


def traced(keras: Any, model: Any) -> int:
    """Multiplications of one traced step for the whole batch."""
    import tensorflow as tf

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = keras.losses.MeanSquaredError()(y, model(x, training=True))
        return tape.gradient(loss, model.trainable_variables)

    function = tf.function(step, jit_compile=False).get_concrete_function(
        tf.TensorSpec((BATCH, *model.input_shape[1:])), tf.TensorSpec((BATCH, *model.output_shape[1:]))
    )
    return sum(multiplications(op) for op in _wanted(function.graph, [t.op for t in function.graph.outputs]))


def _plain(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(6, 3, activation="relu")(x)
    return layers.Conv2D(4, (3, 5), strides=(2, 1), padding="same")(x)


def _dilated(layers: Any, x: Any) -> Any:
    return layers.Conv2D(4, 3, dilation_rate=2, padding="same")(layers.Conv2D(4, 1)(x))


def _grouped(layers: Any, x: Any) -> Any:
    return layers.Conv2D(8, 3, groups=4, strides=2, padding="same")(layers.Conv2D(8, 3, padding="same")(x))


def _depthwise(layers: Any, x: Any) -> Any:
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, padding="same")(layers.Conv2D(4, 3)(x))
    return layers.SeparableConv2D(6, 3)(x)


def _separable_first(layers: Any, x: Any) -> Any:
    """The first layer needs no gradient of the data, but its second product needs that of the first's output."""
    return layers.SeparableConv2D(6, 3, padding="same")(x)


def _transposed(layers: Any, x: Any) -> Any:
    x = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(x)
    return layers.Conv2DTranspose(5, (2, 3), strides=(1, 2))(x)


def _dense(layers: Any, x: Any) -> Any:
    x = layers.Dense(7, activation="relu")(layers.Conv2D(5, 2)(x))
    return layers.Dense(3)(layers.Flatten()(x))


def _frozen_below(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(4, 3, trainable=False)(x)
    x = layers.BatchNormalization(trainable=False)(x)
    return layers.Conv2D(5, 3)(layers.Conv2D(6, 3)(x))


def _frozen_between(layers: Any, x: Any) -> Any:
    x = layers.DepthwiseConv2D(3, trainable=False)(layers.Conv2D(4, 3)(x))
    return layers.Dense(3)(layers.Conv2DTranspose(4, 3, trainable=False)(x))


def _frozen_above(layers: Any, x: Any) -> Any:
    return layers.Dense(3, trainable=False)(layers.Flatten()(layers.Conv2D(4, 3, strides=3)(x)))


def _frozen_branch(layers: Any, x: Any) -> Any:
    left = layers.Conv2D(4, 3, trainable=False, padding="same")(x)
    right = layers.Conv2D(4, 3, padding="same")(x)
    return layers.Conv2D(2, 1)(layers.Add()([layers.Conv2D(4, 1, trainable=False)(left), right]))


def _shared(layers: Any, x: Any) -> Any:
    shared = layers.Conv2D(3, 3, padding="same")
    return shared(layers.ReLU()(shared(x)))


BLOCKS: dict[str, Callable[[Any, Any], Any]] = {
    f.__name__[1:]: f
    for f in (
        _plain, _dilated, _grouped, _depthwise, _separable_first, _transposed, _dense, _frozen_below, _frozen_between,
        _frozen_above, _frozen_branch, _shared,
    )
}  # fmt: skip


@pytest.mark.keras
@pytest.mark.parametrize("name", list(BLOCKS))
def test_training_macs_are_those_of_the_traced_step(keras: Any, name: str) -> None:
    inputs = keras.Input((12, 10, 3))  # even: a dilated convolution is computed on 2 × 2 interleaved images
    model = keras.Model(inputs, BLOCKS[name](keras.layers, inputs))
    totals = cnncost.analyze(json.loads(model.to_json())).totals
    assert totals.training_macs * BATCH == traced(keras, model)
