"""Activation functions, as layers and as arguments (keras/src/backend/tensorflow/nn.py)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.kinds.activationlayers import Activation, ReLU, Softmax
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost

Function = Callable[[Step, Value], Value]


def _op(type_: str) -> Function:
    def one(step: Step, x: Value) -> Value:
        return step.add(type_, (x,))

    return one


def _constant(step: Step, value: float, like: Value) -> Value:
    return step.graph.constant(value, Spec((), like.dtype))


def _silu(step: Step, x: Value) -> Value:
    """``tf.nn.silu`` has its own gradient: what it returns passes through IdentityN, which names it."""
    product = step.add("Mul", (x, step.add("Sigmoid", (x,))))
    return step.add("IdentityN", (product, x), gradient="swish")


def _gelu(step: Step, x: Value) -> Value:
    """0.5·x·erfc(-x/√2), as ``tf.nn.gelu`` without the approximation."""
    half = step.add("Mul", (_constant(step, 0.5, x), x))
    inner = step.add("Mul", (step.add("Neg", (x,)), _constant(step, 2**-0.5, x)))
    return step.add("Mul", (half, step.add("Erfc", (inner,))))


def _hard_sigmoid(step: Step, x: Value) -> Value:
    clamped = step.add("Relu6", (step.add("AddV2", (x, _constant(step, 3.0, x))),))
    return step.add("RealDiv", (clamped, _constant(step, 6.0, x)))


def _hard_silu(step: Step, x: Value) -> Value:
    return step.add("Mul", (x, _hard_sigmoid(step, x)))


def _mish(step: Step, x: Value) -> Value:
    return step.add("Mul", (x, step.add("Tanh", (step.add("Softplus", (x,)),))))


def _log_sigmoid(step: Step, x: Value) -> Value:
    return step.add("Neg", (step.add("Softplus", (step.add("Neg", (x,)),)),))


def _tanh_shrink(step: Step, x: Value) -> Value:
    return step.add("Sub", (x, step.add("Tanh", (x,))))


def gelu_by_tanh(step: Step, x: Value) -> Value:
    """0.5·x·(1 + tanh(√(2/π)·(x + 0.044715·x³))), ``tf.nn.gelu`` with the approximation."""
    add = step.add
    half = add("Mul", (_constant(step, 0.5, x), x))
    cube = add("Mul", (_constant(step, 0.044715, x), add("Pow", (x, _constant(step, 3.0, x)))))
    inner = add("Tanh", (add("Mul", (_constant(step, 0.7978845608028654, x), add("AddV2", (x, cube)))),))
    return add("Mul", (half, add("AddV2", (_constant(step, 1.0, x), inner))))


def _celu(step: Step, x: Value) -> Value:
    """max(x, 0) + α·expm1(min(x, 0)/α) with α = 1."""
    add = step.add
    positive = add("Maximum", (x, _constant(step, 0.0, x)))
    scaled = add("RealDiv", (add("Minimum", (x, _constant(step, 0.0, x))), _constant(step, 1.0, x)))
    return add("AddV2", (positive, add("Mul", (_constant(step, 1.0, x), add("Expm1", (scaled,))))))


def _squareplus(step: Step, x: Value) -> Value:
    """(x + √(x² + b))/2."""
    root = step.add("Sqrt", (step.add("AddV2", (step.add("Square", (x,)), _constant(step, 4.0, x))),))
    return step.add("RealDiv", (step.add("AddV2", (x, root)), _constant(step, 2.0, x)))


def _zeros(step: Step, like: Value) -> Value:
    """``tf.zeros_like``, of which a graph's optimizer makes a constant."""
    return step.add("ZerosLike", (like,)) if step.eager else _constant(step, 0.0, like)


def _hard_shrink(step: Step, x: Value) -> Value:
    far = step.add("Greater", (step.add("Abs", (x,)), _constant(step, 0.5, x)))
    return step.add("SelectV2", (far, x, _zeros(step, x)))


def _soft_shrink(step: Step, x: Value) -> Value:
    add = step.add
    above, lowered = add("Greater", (x, _constant(step, 0.5, x))), add("Sub", (x, _constant(step, 0.5, x)))
    below, raised = add("Less", (x, _constant(step, -0.5, x))), add("AddV2", (x, _constant(step, 0.5, x)))
    return add("SelectV2", (above, lowered, add("SelectV2", (below, raised, _zeros(step, x)))))


def _sparse_plus(step: Step, x: Value) -> Value:
    """0 up to -1, (x + 1)²/4 up to 1, then x."""
    add = step.add
    low, zeros = add("LessEqual", (x, _constant(step, -1.0, x))), _zeros(step, x)
    middle = add("Less", (x, _constant(step, 1.0, x)))
    square = add("Pow", (add("AddV2", (x, _constant(step, 1.0, x))), _constant(step, 2.0, x)))
    bent = add("Mul", (_constant(step, 0.25, x), square))
    return add("SelectV2", (low, zeros, add("SelectV2", (middle, bent, x))))


def _sparse_sigmoid(step: Step, x: Value) -> Value:
    """0 up to -1, (x + 1)/2 up to 1, then 1."""
    add = step.add
    low, high = add("LessEqual", (x, _constant(step, -1.0, x))), add("GreaterEqual", (x, _constant(step, 1.0, x)))
    line = add("Mul", (_constant(step, 0.5, x), add("AddV2", (x, _constant(step, 1.0, x)))))
    return add("SelectV2", (low, _constant(step, 0.0, x), add("SelectV2", (high, _constant(step, 1.0, x), line))))


def _threshold(step: Step, x: Value) -> Value:
    above = step.add("Greater", (x, _constant(step, 1.0, x)))
    return step.add("SelectV2", (above, x, _constant(step, 0.0, x)))


def clip(step: Step, x: Value, low: float, high: float) -> Value:
    """``tf.clip_by_value``."""
    return step.add("Maximum", (step.add("Minimum", (x, _constant(step, high, x))), _constant(step, low, x)))


ACTIVATED = "activated"  # of an activation's last op, op by op: what the function was called with
FUNCTIONS: dict[str, Function] = {
    "linear": lambda step, x: x,
    "silu": _silu,
    "gelu": _gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": _hard_silu,
    "mish": _mish,
    "log_sigmoid": _log_sigmoid,
    "tanh_shrink": _tanh_shrink,
    "hard_tanh": lambda step, x: clip(step, x, -1.0, 1.0),
    "celu": _celu,
    "squareplus": _squareplus,
    "hard_shrink": _hard_shrink,
    "soft_shrink": _soft_shrink,
    "sparse_plus": _sparse_plus,
    "sparse_sigmoid": _sparse_sigmoid,
    "threshold": _threshold,
    "leaky_relu": _op("LeakyRelu"),
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
    found = function(step, x)
    if step.eager and found != x:
        found.op.attrs[ACTIVATED] = x
    return found


def _activation(step: Step, row: LayerCost, kind: Activation, inputs: list[Value]) -> Value:
    return activate(step, inputs[0], kind.activation)


def _relu(step: Step, row: LayerCost, kind: ReLU, inputs: list[Value]) -> Value:
    """Every form of the layer (keras/src/activations/activations.py, ReLU.static_call)."""
    x = inputs[0]
    slope, threshold, top = kind.negative_slope, kind.threshold, kind.max_value
    if slope and top is None and not threshold:
        return step.add("LeakyRelu", (x,))
    negative = None
    if slope:
        shifted = step.add("Neg", (x,))
        if threshold:
            shifted = step.add("AddV2", (shifted, _constant(step, threshold, x)))
        negative = step.add("Relu", (shifted,))
    if threshold:
        above = step.add("Greater", (x, _constant(step, threshold, x)))
        y = step.add("SelectV2", (above, x, _constant(step, 0.0, x)))
    else:
        y = step.add("Relu6" if top == 6 else "Relu", (x,))
    if top is not None and (threshold or top != 6):
        y = clip(step, y, 0.0, top)
    if negative is None:
        return y
    return step.add("Sub", (y, step.add("Mul", (_constant(step, slope, x), negative))))


def _leaky_relu(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return step.add("LeakyRelu", inputs)


def _elu(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    y = step.add("Elu", (x,))
    if kind.alpha == 1:
        return y
    above = step.add("Greater", (x, _constant(step, 0.0, x)))
    return step.add("SelectV2", (above, y, step.add("Mul", (_constant(step, kind.alpha, x), y))))


def _prelu(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """relu(x) + (-alpha)·relu(-x)."""
    x = inputs[0]
    alpha = step.weight(row, "alpha")
    positive = step.add("Relu", (x,))
    slope = step.add("Neg", (alpha,))
    negative = step.add("Relu", (step.add("Neg", (x,)),))
    return step.add("AddV2", (positive, step.add("Mul", (slope, negative))))


def softmax(step: Step, x: Value, axes: tuple[int, ...]) -> Value:
    """Over one axis, brought to the end for it; over several by exp(x - log Σ exp x) (keras.layers.Softmax)."""
    rank, add = len(x.shape), step.add
    places = tuple(axis % rank for axis in axes)
    if len(places) > 1:
        return add("Exp", (add("Sub", (x, log_sum_exp(step, x, places))),))
    if places[0] == rank - 1:
        return add("Softmax", (x,))
    order = list(range(rank))
    order[places[0]], order[-1] = order[-1], order[places[0]]
    turned = add("Softmax", (add("Transpose", (x,), perm=tuple(order)),))
    return add("Transpose", (turned,), perm=tuple(order))


def log_sum_exp(step: Step, x: Value, axes: tuple[int, ...], keepdims: bool = True) -> Value:
    """``tf.reduce_logsumexp``: the maximum is taken out before, where it is finite."""
    add = step.add
    top = add("Max", (x,), axes=axes, keepdims=True)
    finite = add("SelectV2", (add("IsFinite", (top,)), top, _constant(step, 0.0, x)))
    finite = add("StopGradient", (finite,))
    total = add("Log", (add("Sum", (add("Exp", (add("Sub", (x, finite)),)),), axes=axes, keepdims=keepdims),))
    return add("AddV2", (total, finite if keepdims else step.reshape(finite, total.shape)))


def _softmax(step: Step, row: LayerCost, kind: Softmax, inputs: list[Value]) -> Value:
    return softmax(step, inputs[0], kind.axis if isinstance(kind.axis, tuple) else (kind.axis,))


RULES: dict[str, Any] = {
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _leaky_relu,
    "ELU": _elu,
    "PReLU": _prelu,
    "Softmax": _softmax,
}
