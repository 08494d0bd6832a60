"""Activation functions, as layers and as arguments (keras/src/backend/tensorflow/nn.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.kinds.activationlayers import Activation, ReLU, Softmax
from cnncost.memory.lowering.base import Rule, Step
from cnncost.memory.opgraph import Value
from cnncost.results import LayerCost

Function = Callable[[Step, Value], Value]


def _op(type_: str) -> Function:
    def one(step: Step, x: Value) -> Value:
        return step.add(type_, (x,))

    return one


FUNCTIONS: dict[str, Function] = {
    "linear": lambda step, x: x,
    "relu": _op("Relu"),
    "relu6": _op("Relu6"),
    "elu": _op("Elu"),
    "selu": _op("Selu"),
    "sigmoid": _op("Sigmoid"),
    "tanh": _op("Tanh"),
    "softplus": _op("Softplus"),
    "softsign": _op("Softsign"),
    "exponential": _op("Exp"),
    "softmax": _op("Softmax"),
    "log_softmax": _op("LogSoftmax"),
}


def activate(step: Step, x: Value, name: str | None) -> Value:
    """Apply an activation function by name; None is none."""
    if name is None:
        return x
    function = FUNCTIONS.get(name)
    if function is None:
        raise UnsupportedLayer(
            f"the memory simulation does not know activation '{name}'",
            rule="it follows TensorFlow op by op and guesses nothing",
        )
    return function(step, x)


def _activation(step: Step, row: LayerCost, kind: Activation, inputs: list[Value]) -> Value:
    return activate(step, inputs[0], kind.activation)


def _relu(step: Step, row: LayerCost, kind: ReLU, inputs: list[Value]) -> Value:
    if kind.max_value == 6 and not kind.negative_slope and not kind.threshold:
        return step.add("Relu6", inputs)
    return step.add("Relu", inputs)


def _softmax(step: Step, row: LayerCost, kind: Softmax, inputs: list[Value]) -> Value:
    return step.add("Softmax", inputs)


RULES: dict[str, Any] = {"Activation": _activation, "ReLU": _relu, "Softmax": _softmax}
__all__ = ["RULES", "Rule", "activate"]
