"""``flops`` against TensorFlow's own profiler, on architectures where that profiler counts every operation.

The profiler counts no activation but softmax: architectures with costly activations (swish, GELU) are not among them.
"""

from __future__ import annotations

from typing import Any

import pytest

import cnncost


def profiled(model: Any) -> int:
    """TensorFlow's count of floating-point operations for one instance."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    step = tf.function(lambda x: model(x, training=False))
    concrete = step.get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    graph = convert_variables_to_constants_v2(concrete, lower_control_flow=False).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    with graph.as_default():
        return int(tf.compat.v1.profiler.profile(graph, options=options).total_float_ops)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["ResNet50", "InceptionV3", "DenseNet121", "MobileNetV2"])
def test_flops_within_one_percent(name: str) -> None:
    import keras

    model = getattr(keras.applications, name)(weights=None)
    theirs = profiled(model)
    assert abs(cnncost.analyze(model).totals.flops / theirs - 1) < 0.01


@pytest.mark.keras
def test_the_example_of_keras_flops() -> None:
    """The page of the keras-flops package shows 0.0338 G for this model."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, (3, 3), activation="relu"),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    ours = cnncost.get_flops(model, batch_size=1)
    assert ours == pytest.approx(0.0338e9, rel=0.01)
    assert cnncost.get_flops(model, batch_size=10) == 10 * ours
