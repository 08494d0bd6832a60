"""The zoo's families are Keras's own models, layer by layer; U-Net is a model built by hand from the paper.

Two graphs are compared by structure, not by name or order: a layer's signature is its kind, shape, parameters and
telling arguments together with its inputs' signatures, so that equal multisets of signatures are equal graphs.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pytest

import cnncost
from cnncost.kinds.registry import lookup

pytestmark = pytest.mark.keras

FAMILIES = {
    "vgg16": "VGG16",
    "resnet50": "ResNet50",
    "resnet152": "ResNet152",
    "mobilenet-v2": "MobileNetV2",
    "efficientnet-b0": "EfficientNetB0",
    "densenet121": "DenseNet121",
    "inception-v3": "InceptionV3",
}
TELLING = ("kernel_size", "strides", "padding", "pool_size", "dilation_rate", "groups", "activation", "use_bias",
           "epsilon", "momentum", "max_value", "scale", "center", "rate", "cropping", "target_shape")  # fmt: skip
COMMUTATIVE = ("Add", "Multiply", "Maximum", "Minimum", "Average")


class Node(NamedTuple):
    """One layer of either side."""

    name: str
    what: tuple[Any, ...]  # kind, output shape, params, trainable params, telling arguments
    inputs: tuple[str, ...]


class Side(NamedTuple):
    nodes: tuple[Node, ...]  # in topological order
    macs: int


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("keras")


def telling(kind: str, values: Any) -> tuple[tuple[str, Any], ...]:
    """Telling arguments in their normal form, whatever form they were given in; ``values(name)`` gives the raw one."""
    cls = lookup(kind)
    found = {}
    for name, type_ in cls.arguments().items():
        if name in TELLING:
            raw = values(name)
            found[name] = raw if raw is None else type_.check(raw, cls.rank)
    # Different words for the same thing: one tap needs no padding, no activation is the linear one, and a pooling
    # without strides moves by its window.
    if set(found.get("kernel_size", ())) == {1}:
        found["padding"] = "same"
    if "activation" in found:
        found["activation"] = found["activation"] or "linear"
    if isinstance(found.get("rate"), float):
        found["rate"] = round(found["rate"], 12)  # Keras's is a quotient
    if "pool_size" in found:
        found["strides"] = found["strides"] or found["pool_size"]
    return tuple(found.items())


def keras_side(model: Any) -> Side:
    """A live Keras model; multiplications are positions × kernel weights, from the variables that Keras created."""
    nodes, macs = [], 0
    for layer in model.layers:
        kind, config = layer.__class__.__name__, layer.get_config()
        shape = tuple(layer.output.shape[1:])
        trainable = sum(math.prod(w.shape) for w in layer.trainable_weights)
        what = (kind, shape, layer.count_params(), trainable, telling(kind, config.get))
        tensors = [] if kind == "InputLayer" else layer.input
        tensors = tensors if isinstance(tensors, list) else [tensors]
        nodes.append(Node(layer.name, what, tuple(t._keras_history.operation.name for t in tensors)))
        kernels = [w for w in layer.weights if "kernel" in w.name]
        positions = layer.input.shape[1:-1] if kind.endswith("Transpose") else shape[:-1]
        macs += sum(math.prod(positions) * math.prod(w.shape) for w in kernels)
    return Side(tuple(nodes), macs)


def spec_side(name: str) -> Side:
    result = cnncost.analyze(f"zoo:{name}")
    nodes = []
    for row in result.layers:
        arguments = telling(row.kind, lambda argument, kind=row.layer.kind: getattr(kind, argument))
        what = (row.kind, row.output_shape, row.params, row.trainable_params, arguments)
        nodes.append(Node(row.name, what, row.inputs))
    return Side(tuple(nodes), result.totals.macs)


def signatures(nodes: Sequence[Node], known: dict[Any, int]) -> list[int]:
    """A number for each node; the same number on both sides is the same layer on the same inputs, all the way down."""
    numbers: dict[str, int] = {}
    result = []
    for node in nodes:
        inputs: Iterable[int] = [numbers[name] for name in node.inputs]
        if node.what[0] in COMMUTATIVE:
            inputs = sorted(inputs)
        number = known.setdefault((node.what, tuple(inputs)), len(known))
        numbers[node.name] = number
        result.append(number)
    return result


def assert_equal(spec: Side, real: Side) -> None:
    known: dict[Any, int] = {}
    theirs, ours = signatures(real.nodes, known), signatures(spec.nodes, known)
    missing, extra = Counter(theirs) - Counter(ours), Counter(ours) - Counter(theirs)
    first_missing = next((n for n, s in zip(real.nodes, theirs, strict=True) if s in missing), None)
    first_extra = next((n for n, s in zip(spec.nodes, ours, strict=True) if s in extra), None)
    assert (first_missing, first_extra) == (None, None)
    assert len(spec.nodes) == len(real.nodes)
    assert spec.macs == real.macs


@pytest.mark.parametrize("name", FAMILIES)
def test_family_equals_keras(name: str, keras: Any) -> None:
    keras.backend.clear_session()
    model = getattr(keras.applications, FAMILIES[name])(weights=None)
    assert_equal(spec_side(name), keras_side(model))
    totals = cnncost.analyze(f"zoo:{name}").totals
    assert totals.params == model.count_params()
    assert totals.layers == len(model.layers)


def test_comparison_sees_a_difference(keras: Any) -> None:
    """ResNet50 is not ResNet152, nor a ResNet50 whose first skip adds something else."""
    real = keras_side(keras.applications.ResNet50(weights=None))
    spec = spec_side("resnet50")
    with pytest.raises(AssertionError):
        assert_equal(spec_side("resnet152"), real)
    nodes = list(spec.nodes)
    at = next(i for i, node in enumerate(nodes) if node.what[0] == "Add" and nodes[i - 1].name in node.inputs)
    skip = next(
        n.name for n in reversed(nodes[:at]) if n.what[1] == nodes[at].what[1] and n.name not in nodes[at].inputs
    )
    nodes[at] = nodes[at]._replace(inputs=(nodes[at].inputs[0], skip))
    with pytest.raises(AssertionError):
        assert_equal(Side(tuple(nodes), spec.macs), real)


def unet(keras: Any) -> Any:
    """Figure 1 of the paper: convolutions without padding; what is skipped is cropped, then concatenated."""
    layers = keras.layers

    def two(x: Any, filters: int) -> Any:
        x = layers.Conv2D(filters, 3, activation="relu")(x)
        return layers.Conv2D(filters, 3, activation="relu")(x)

    x = entry = keras.Input((572, 572, 1))
    skips = []
    for filters in (64, 128, 256, 512):
        x = two(x, filters)
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = two(x, 1024)
    for filters in (512, 256, 128, 64):
        x = layers.Conv2DTranspose(filters, 2, 2, activation="relu")(x)
        skip = skips.pop()
        skip = layers.Cropping2D((skip.shape[1] - x.shape[1]) // 2)(skip)
        x = two(layers.Concatenate()([skip, x]), filters)
    return keras.Model(entry, layers.Conv2D(2, 1, activation="softmax")(x))


def test_unet_equals_the_papers(keras: Any) -> None:
    model = unet(keras)
    assert model.output_shape[1:] == (388, 388, 2)
    assert_equal(spec_side("unet"), keras_side(model))
