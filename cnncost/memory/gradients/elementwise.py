"""Ops of one operand, value by value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnncost.memory.gradients.base import Gradient, Grads, Skip, after, constant, like
from cnncost.memory.opgraph import Op, OpGraph, Value


def _from_output(type_: str, grad_first: bool) -> Gradient:
    """One op that reads the gradient and the op's output."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        operands = (grad, op.out()) if grad_first else (op.out(), grad)
        return (like(graph, type_, *operands),)

    return rule


def _from_input(type_: str) -> Gradient:
    """One op that reads the gradient and the op's input."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        return (like(graph, type_, grad, op.inputs[0]),)

    return rule


def _times(type_: str) -> Gradient:
    """grad · type(x), by Python's operator."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        return (like(graph, "Mul", grad, like(graph, type_, op.inputs[0]), name="mul"),)

    return rule


def _times_after(type_: str) -> Gradient:
    """grad · type(x), computed no earlier than the gradient."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        return (like(graph, "Mul", grad, after(like(graph, type_, op.inputs[0]), grad)),)

    return rule


def _identity(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (grad,)


def _neg(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (like(graph, "Neg", grad, name="Neg_1"),)


def _square(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """grad · (x · 2); the 2 is not there before the gradient."""
    two = constant(graph, 2.0, grad.dtype)
    double = like(graph, "Mul", op.inputs[0], two)
    if grad.op.type == "Const":
        after(double, grad)
    else:
        two.op.controls.append(grad.op)
    return (like(graph, "Mul", grad, double),)


def _exp(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (like(graph, "Mul", grad, op.out()),)


def _erf(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """grad · c · exp(-x²), c = 2/√π (erf) or -2/√π (erfc)."""
    square = after(graph.add("Square", (op.inputs[0],), (grad.spec,), bell=True), grad)
    bell = like(graph, "Exp", square)  # with the sign: one _UnaryOpsComposition
    scaled = like(graph, "Mul", grad, constant(graph, 1.1283791670955126, grad.dtype))
    return (like(graph, "Mul", scaled, bell),)


def _swish(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """``tf.nn.silu``'s own gradient: sigmoid(x) is computed anew, after the gradient has arrived, so that the forward
    pass need not keep it: grad · sigmoid(x) · (1 + x · (1 - sigmoid(x))). Grappler has removed the factor beta = 1.
    The function is called outside all scopes: its ops' names begin there (``outside``)."""
    x = op.inputs[1]
    one = constant(graph, 1.0, grad.dtype)

    def made(type_: str, *inputs: Value) -> Value:
        return graph.add(type_, inputs, (x.spec,), outside=True)

    sigmoid = after(made("Sigmoid", x), grad)
    inner = made("Mul", x, made("Sub", one, sigmoid))
    slope = made("Mul", sigmoid, made("AddV2", one, inner))
    return (None, made("Mul", grad, slope), *(None for _ in op.inputs[2:]))


def _log1p(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """grad/(1 + x)."""
    raised = after(graph.add("AddV2", (constant(graph, 1.0, grad.dtype), op.inputs[0]), (grad.spec,)), grad)
    return (like(graph, "Mul", grad, like(graph, "Reciprocal", raised)),)


def _cos(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    negated = like(graph, "Neg", grad)
    return (like(graph, "Mul", negated, after(like(graph, "Sin", op.inputs[0]), grad)),)


def _cast(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    source = op.inputs[0]
    if source.dtype not in ("float16", "float32", "float64", "bfloat16"):
        return (None,)
    return (graph.add("Cast", (grad,), (source.spec,), to=source.dtype),)


def _zero(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """The slope is 0: what lies below gets zeros, which grappler folds."""
    return (like(graph, "ZerosLike", op.inputs[0]),)


RULES: Mapping[str, Gradient] = MappingProxyType(
    {
        "Identity": _identity,
        "Neg": _neg,
        "Square": _square,
        "Exp": _exp,
        "Erf": _erf,
        "Erfc": _erf,
        "swish": _swish,
        "Cast": _cast,
        "Sign": _zero,
        "Abs": _times("Sign"),
        "Softplus": _times("Sigmoid"),
        "Log": _times_after("Reciprocal"),
        "Log1p": _log1p,
        "Expm1": _times_after("Exp"),
        "Sin": _times_after("Cos"),
        "Cos": _cos,
    }
    | {name: _from_output(f"{name}Grad", True) for name in ("Relu", "Relu6", "Elu", "Selu")}
    | {name: _from_output(f"{name}Grad", False) for name in ("Sigmoid", "Tanh", "Sqrt", "Rsqrt", "Reciprocal")}
    | {name: _from_input(f"{name}Grad") for name in ("LeakyRelu", "Softsign")}
)
