"""Optimizer slots against the variables that Keras creates: path, shape and dtype of each, in order."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from cnncost.errors import CnncostError
from cnncost.memory.optimizers import (
    OPTIMIZERS,
    Optimizer,
    StateVariable,
    optimizer,
    slot_bytes,
    slots,
    with_loss_scaling,
)

WEIGHTS = (StateVariable("c/kernel", (3, 3, 3, 4)), StateVariable("c/bias", (4,)), StateVariable("d/kernel", (144, 2)))
CLASSES = {
    "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad", "adadelta": "Adadelta", "adam": "Adam", "adamw": "AdamW",
    "adamax": "Adamax", "nadam": "Nadam", "lion": "Lion", "ftrl": "Ftrl", "adafactor": "Adafactor",
}  # fmt: skip
OPTIONS = [
    ("adam", {"amsgrad": True}),
    ("adamw", {"amsgrad": True, "use_ema": True}),
    ("rmsprop", {"centered": True}),
    ("rmsprop", {"momentum": 0.9, "centered": True}),
    ("sgd", {"momentum": 0.5, "use_ema": True, "gradient_accumulation_steps": 2}),
    ("adafactor", {"use_ema": True}),
    ("nadam", {"gradient_accumulation_steps": 4}),
]


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return pytest.importorskip("keras")


@pytest.fixture(scope="module", params=["float32", "float16", "mixed_float16", "float64"])
def model(keras: Any, request: pytest.FixtureRequest) -> Any:
    keras.utils.clear_session()
    dtype = request.param
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, name="c", dtype=dtype)(x)
    x = layers.BatchNormalization(name="b", dtype=dtype)(x)
    x = layers.Dense(2, name="d", dtype=dtype)(layers.Flatten(dtype=dtype)(x))
    return keras.Model(inputs, x)


def described(variables: Any) -> list[tuple[str, tuple[int, ...], str]]:
    """Path without the counters that Keras appends to names, shape, dtype."""
    return [(re.sub(r"_\d+(?=/|$)", "", v.path), tuple(v.shape), str(v.dtype)) for v in variables]


def compare(choice: Optimizer, real: Any, model: Any) -> None:
    real.build(model.trainable_variables)
    weights = [StateVariable(v.path, tuple(v.shape), str(v.dtype)) for v in model.trainable_variables]
    ours = slots(choice, weights)
    assert described(ours) == described(real.variables)
    assert slot_bytes(choice, weights) == sum(v.numpy().nbytes for v in real.variables)


@pytest.mark.keras
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_variable_is_keras_own(keras: Any, model: Any, name: str) -> None:
    choice = optimizer(name)
    arguments = {"momentum": choice.momentum} if choice.momentum else {}
    compare(choice, getattr(keras.optimizers, CLASSES[choice.kind])(**arguments), model)


@pytest.mark.keras
@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_options_change_the_variables_as_in_keras(keras: Any, model: Any, kind: str, options: dict[str, Any]) -> None:
    real = getattr(keras.optimizers, CLASSES[kind])(**options)
    steps = options.get("gradient_accumulation_steps", 0)
    ours = {key: value for key, value in options.items() if key != "gradient_accumulation_steps"}
    compare(Optimizer(kind, accumulation=steps, **ours), real, model)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_loss_scaling_wraps_the_optimizer(keras: Any, model: Any, name: str) -> None:
    inner = getattr(keras.optimizers, CLASSES[name])()
    compare(with_loss_scaling(optimizer(name), "mixed_float16"), keras.optimizers.LossScaleOptimizer(inner), model)


@pytest.mark.keras
def test_keras_scales_the_loss_under_mixed_float16_only(keras: Any) -> None:
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
            model.compile("sgd", "mse")
            wrapped = type(model.optimizer).__name__ == "LossScaleOptimizer"
        finally:
            keras.config.set_dtype_policy(before)
        assert with_loss_scaling(optimizer("sgd"), policy).loss_scaling is wrapped


def test_slots_per_weight() -> None:
    counts = {"sgd": 0, "momentum": 1, "nesterov": 1, "rmsprop": 1, "adagrad": 1, "lion": 1} | dict.fromkeys(
        ("adadelta", "adam", "adamw", "adamax", "nadam", "ftrl"), 2
    )
    for name, count in counts.items():
        scalars = 12 + 4 * (name == "nadam")
        assert slot_bytes(optimizer(name), WEIGHTS) == scalars + count * sum(w.bytes for w in WEIGHTS)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(CnncostError, match="adamw"):
        optimizer("adamv")
