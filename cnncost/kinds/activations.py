"""Activation functions, as layers and as the ``activation`` argument of others.

Operations per element count each addition, multiplication, comparison, clamp, division and transcendental function as
one; the table gives the formula. Shapes stay as they are, but for GLU, which halves the last axis.
"""

from __future__ import annotations

from typing import Any

from cnncost.count import ZERO, Count, times
from cnncost.errors import GeometryError, nearest, printable
from cnncost.kinds.arguments import Arg
from cnncost.tensor import Dim, Shape, shape_text

# operations per element, and the formula they count
FUNCTIONS: dict[str, tuple[int, str]] = {
    "linear": (0, "x"),
    "relu": (1, "max(x, 0)"),
    "relu6": (1, "clamp(x, 0, 6)"),
    "leaky_relu": (2, "max(a·x, x)"),
    "elu": (4, "x > 0 ? x : a·(exp(x) - 1)"),
    "selu": (5, "s·elu(x)"),
    "celu": (5, "max(x, 0) + min(a·(exp(x/a) - 1), 0)"),
    "softplus": (3, "log(1 + exp(x))"),
    "softsign": (3, "x/(1 + |x|)"),
    "sigmoid": (4, "1/(1 + exp(-x))"),
    "log_sigmoid": (5, "-softplus(-x)"),
    "hard_sigmoid": (3, "clamp(x/6 + 1/2, 0, 1)"),
    "tanh": (1, "tanh(x)"),
    "hard_tanh": (1, "clamp(x, -1, 1)"),
    "tanh_shrink": (2, "x - tanh(x)"),
    "soft_shrink": (4, "sign(x)·max(|x| - t, 0)"),
    "hard_shrink": (3, "|x| > t ? x : 0"),
    "threshold": (2, "x > t ? x : v"),
    "silu": (5, "x·sigmoid(x)"),
    "hard_silu": (4, "x·hard_sigmoid(x)"),
    "gelu": (8, "x/2·(1 + erf(x/sqrt 2)), or its tanh form"),
    "mish": (5, "x·tanh(softplus(x))"),
    "squareplus": (5, "(x + sqrt(x² + b))/2"),
    "sparse_plus": (5, "0 below -1, (x + 1)²/4 between, x above 1"),
    "sparse_sigmoid": (3, "clamp((x + 1)/2, 0, 1)"),
    "exponential": (1, "exp(x)"),
    "softmax": (5, "exp(x - max)/sum exp(x - max)"),
    "log_softmax": (5, "x - max - log sum exp(x - max)"),
    "sparsemax": (6, "the projection onto the simplex, without its sort"),
    "glu": (5, "a·sigmoid(b) for the halves a, b"),
}
ALIASES = {
    "swish": "silu", "hard_swish": "hard_silu", "hardswish": "hard_silu", "leakyrelu": "leaky_relu", "hsigmoid":
    "hard_sigmoid", "hardsigmoid": "hard_sigmoid", "exp": "exponential", "none": "linear", "logsigmoid": "log_sigmoid",
}  # fmt: skip


def canonical(name: str) -> str | None:
    """Keras's name of an activation function, however it is spelled; None when there is none.

    >>> canonical("ReLU"), canonical("swish")
    ('relu', 'silu')
    """
    low = name.lower()
    low = ALIASES.get(low, low)
    if low in FUNCTIONS:
        return low
    snake = "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))
    return snake if snake in FUNCTIONS else None


class Activation(Arg):
    """An activation function by name; null is none. A Keras activation layer's config is taken for its function."""

    rule = "the name of an activation function"

    def check(self, value: Any, rank: int | None) -> str:
        if isinstance(value, dict):
            config = value.get("config")
            value = config if isinstance(config, str) else value.get("class_name")
        name = canonical(value) if isinstance(value, str) and len(value) < 100 else None
        if name is None:
            raise self.fail(printable(value), nearest(value, [*FUNCTIONS, *ALIASES]) if isinstance(value, str) else "")
        return name

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"type": "string", "enum": sorted([*FUNCTIONS, *ALIASES])}


# What TensorFlow's gradient of the function reads: its output, its input, or nothing (nn_grad.py, math_grad.py).
_KEEPS_OUTPUT = {"relu", "relu6", "elu", "selu", "sigmoid", "tanh", "softmax", "log_softmax", "exponential"}


def activation_keeps(name: str | None) -> tuple[str, ...]:
    """What the reverse pass of an activation function needs: "outputs", or "inputs" of the function.

    >>> activation_keeps("relu"), activation_keeps("gelu"), activation_keeps("linear")
    (('outputs',), ('inputs',), ())
    """
    if name in (None, "linear"):
        return ()
    return ("outputs",) if name in _KEEPS_OUTPUT else ("inputs",)


class Activated:
    """A layer of weighted sums with an ``activation``: its reverse pass needs the layer's inputs, and the output or the
    sums before the activation ("sums"), whichever the activation's gradient reads."""

    def check(self) -> None:
        parts = {"inputs": "sums", "outputs": "outputs"}
        own = tuple(parts[part] for part in activation_keeps(getattr(self, "activation", None)))
        object.__setattr__(self, "keeps", ("inputs", *own))


def activated(shape: Shape, name: str | None) -> Shape:
    """A layer's output shape after its activation: GLU halves the last axis.

    >>> activated((7, 7, 64), "glu"), activated((7, 7, 64), "relu")
    ((7, 7, 32), (7, 7, 64))
    """
    if name != "glu" or not shape or shape[-1] is None:
        return shape
    if shape[-1] % 2:
        raise GeometryError(
            "glu needs two equal halves of the last axis", rule="its size must be even", received=shape_text(shape)
        )
    return (*shape[:-1], shape[-1] // 2)


def activation_flops(name: str | None, elements: Dim) -> Count:
    """Operations of an activation function over ``elements`` values.

    >>> activation_flops("softmax", 1000).derivation()
    '5 × 1,000 = 5,000'
    """
    each = FUNCTIONS[name][0] if name else 0
    return times(each, elements) if each > 1 else times(elements) if each else ZERO
