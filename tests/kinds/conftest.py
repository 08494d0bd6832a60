"""Keras as the oracle of one layer: built on symbolic inputs, nothing is run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import pytest


@pytest.fixture(scope="session")
def keras() -> Any:
    """The keras module, quiet and on the CPU."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def layer_class(keras: Any) -> Callable[[str], Any]:
    """The class behind a kind's name, those of keras.applications included; None where Keras has none."""

    def find(name: str) -> Any:
        from keras.src.applications import convnext, inception_resnet_v2

        places = (keras.layers, convnext, inception_resnet_v2)
        return next((getattr(place, name) for place in places if hasattr(place, name)), None)

    return find


@pytest.fixture(scope="session")
def oracle(keras: Any, layer_class: Callable[[str], Any]) -> Callable[..., dict[str, Any]]:
    """Build a layer in Keras and say what it is: output shapes, weights in order, params."""

    def build(
        name: str,
        args: dict[str, Any],
        shapes: Sequence[Sequence[int | None]],
        dtype: str = "float32",
        call: str = "list",
    ) -> dict[str, Any]:
        config = keras.saving.deserialize_keras_object
        args = {k: config(v) if isinstance(v, dict) and "class_name" in v else v for k, v in args.items()}
        layer = layer_class(name)(**args)
        tensors = [keras.KerasTensor((None, *shape), dtype=dtype) for shape in shapes]
        one = len(tensors) == 1 and not isinstance(layer, keras.src.layers.merging.base_merge.Merge)
        output = layer(*tensors) if one or call == "args" else layer(tensors)
        flat = output if isinstance(output, list | tuple) else [output]
        return {
            "outputs": [tuple(tensor.shape[1:]) for tensor in flat],
            "weights": [tuple(weight.shape) for weight in layer.weights],
            "params": layer.count_params(),
            "trainable": sum(prod(w.shape) for w in layer.trainable_weights),
        }

    return build
