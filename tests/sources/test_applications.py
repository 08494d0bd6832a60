"""Every architecture of keras.applications, layer by layer, against the Keras model itself."""

import math

import pytest

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError
from cnncost.sources.keras_live import (
    applications,
    build_application,
    import_keras,
    read_application,
    read_model,
    without_weights,
)

pytestmark = pytest.mark.keras
ARCHITECTURES = [
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121", "DenseNet169",
    "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3", "EfficientNetB4",
    "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0", "EfficientNetV2B1", "EfficientNetV2B2",
    "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M", "EfficientNetV2S", "InceptionResNetV2", "InceptionV3",
    "MobileNet", "MobileNetV2", "MobileNetV3Large", "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "ResNet101",
    "ResNet101V2", "ResNet152", "ResNet152V2", "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
]  # fmt: skip


@pytest.fixture(scope="module")
def keras():
    return import_keras()


def leaves(model, prefix=""):
    """(path, layer or operation) of a model, but for nested models themselves; inner inputs are placeholders."""
    for layer in getattr(model, "operations", model.layers):
        if hasattr(layer, "layers") and hasattr(layer, "inputs"):
            yield from leaves(layer, f"{prefix}{layer.name}/")
        elif not prefix or type(layer).__name__ != "InputLayer":
            yield prefix + layer.name, layer


def size(weights):
    return sum(math.prod(w.shape) for w in weights)


def multiplications(layer):
    """Kernel size × output positions, from the weights and the output that Keras made."""
    kind, positions = type(layer).__name__, math.prod(layer.output.shape[1:-1])
    if kind in ("Conv2D", "DepthwiseConv2D", "Dense"):
        return positions * math.prod(layer.kernel.shape)
    if kind == "SeparableConv2D":
        return positions * (math.prod(layer.depthwise_kernel.shape) + math.prod(layer.pointwise_kernel.shape))
    assert not any(word in kind for word in ("Conv", "Dense", "Attention")), kind
    return 0


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_layer_equals_keras(keras, name):
    with without_weights(keras):
        model, _ = build_application(applications(keras)[name])
        rows = {row.name: row for row in analyze_graph(read_model(model)).layers}
        expected = dict(leaves(model))
        assert set(rows) == set(expected)
        for path, layer in expected.items():
            row = rows[path]
            assert (path, row.output_shape) == (path, tuple(layer.output.shape[1:]))
            trainable = size(getattr(layer, "trainable_weights", ()))
            assert (path, row.params, row.trainable_params) == (path, size(getattr(layer, "weights", ())), trainable)
            assert (path, row.macs) == (path, multiplications(layer))
        assert sum(row.params for row in rows.values()) == model.count_params()


def test_the_list_is_complete(keras):
    assert set(applications(keras)) >= set(ARCHITECTURES)
    assert not set(applications(keras)) - set(ARCHITECTURES), "a new architecture: add it to the list"


def test_reference_case_by_name_whatever_the_case(keras):
    """SEED: Keras's ResNet152."""
    graph = read_application("resnet152")
    totals = analyze_graph(graph).totals
    assert graph.source == "keras:ResNet152"
    assert (totals.params, totals.trainable_params, totals.macs) == (60_419_944, 60_268_520, 11_282_415_616)


def test_a_typo_names_the_nearest(keras):
    with pytest.raises(CnncostError) as caught:
        read_application("ResNet151")
    assert "no architecture 'ResNet151'" in str(caught.value) and "did you mean 'ResNet152'" in str(caught.value)


def test_an_open_size_is_filled_and_said(keras):
    graph = read_application("MobileNetV3Small")
    assert analyze_graph(graph).layers[0].output_shape == (224, 224, 3)
    (finding,) = graph.findings
    assert finding.severity == "info" and "224" in finding.message


def test_building_leaves_keras_as_it_was(keras):
    from keras.src.backend.common import global_state

    before = list(global_state.get_global_attribute("uninitialized_variables", []))
    read_application("MobileNet")
    assert list(global_state.get_global_attribute("uninitialized_variables", [])) == before
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert layer.get_weights()[0].shape == (3, 2)
