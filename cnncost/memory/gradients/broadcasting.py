"""Ops of two or three operands that broadcast: a repeated operand's gradient is summed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnncost.memory.gradients.base import Gradient, Grads, Skip, after, constant, like, reduce_to
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.spec import Spec


def _reduced(graph: OpGraph, op: Op, first: Value | None, second: Value | None) -> Grads:
    x, y = (value.shape for value in op.inputs)
    gx = None if first is None else reduce_to(graph, first, x, y)
    gy = None if second is None else reduce_to(graph, second, y, x)
    return gx, gy


def _add(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return _reduced(graph, op, None if 0 in skip else grad, None if 1 in skip else grad)


def _sub(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return _reduced(graph, op, None if 0 in skip else grad, None if 1 in skip else like(graph, "Neg", grad))


def _mul(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    x, y = op.inputs
    if x.shape == y.shape and grad.dtype in ("float32", "int32"):
        first = None if 0 in skip else like(graph, "Mul", grad, y)
        return first, None if 1 in skip else like(graph, "Mul", grad, x)
    gx = None if 0 in skip else like(graph, "Mul", grad, y)
    gy = None if 1 in skip else graph.add("Mul", (x, grad), (grad.spec,))
    return _reduced(graph, op, gx, gy)


def _quotient(type_: str) -> Gradient:
    """x/y: grad/y, and grad · ((-x/y)/y)."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        x, y = op.inputs
        gx = None if 0 in skip else like(graph, type_, grad, y)
        gy = None
        if 1 not in skip:
            ratio = graph.add(type_, (like(graph, "Neg", x), y), (op.outputs[0],))
            gy = like(graph, "Mul", grad, like(graph, type_, ratio, y))
        return _reduced(graph, op, gx, gy)

    return rule


def _pow(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """Of the base grad · y · x^(y - 1); of an exponent that is no constant grad · x^y · log x, 0 where x is not
    positive."""
    x, y = op.inputs
    gx = gy = None
    if 0 not in skip:
        scaled = like(graph, "Mul", grad, y)
        gx = like(graph, "Mul", scaled, _power_less_one(graph, op))
    if 1 not in skip and y.op.type != "Const":
        positive = graph.add("Greater", (x, constant(graph, 0.0, grad.dtype)), (Spec(x.shape, "bool"),))
        safe = graph.add("SelectV2", (positive, x, constant(graph, 1.0, grad.dtype)), (x.spec,))
        zero = constant(graph, 0.0, grad.dtype)
        log = graph.add("SelectV2", (positive, like(graph, "Log", safe), zero), (x.spec,))
        gy = like(graph, "Mul", like(graph, "Mul", grad, op.out()), log)
    return _reduced(graph, op, gx, gy)


def _power_less_one(graph: OpGraph, op: Op) -> Value:
    """x^(y - 1): x itself for a square."""
    x, y = op.inputs
    if y.op.type != "Const":
        less = like(graph, "Sub", y, constant(graph, 1.0, y.dtype))
    elif y.op.attrs["value"] == 2:
        return x
    else:
        value = y.op.attrs["value"]
        number = value - 1 if isinstance(value, int | float) else None
        less = graph.constant(number, y.spec)
    return graph.add("Pow", (x, less), (op.outputs[0],))


def _extremum(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return chosen(graph, op, grad, graph.constant(0.0, grad.spec), skip)  # zeros_like, folded: of the whole shape


def chosen(graph: OpGraph, op: Op, grad: Value, zeros: Value, skip: Skip = frozenset()) -> Grads:
    """Of a Maximum or a Minimum: the gradient goes where the operand was chosen, ``zeros`` go elsewhere."""
    x, y = op.inputs
    compare = "GreaterEqual" if op.type == "Maximum" else "LessEqual"
    mask = graph.add(compare, (x, y), (Spec(op.outputs[0].shape, "bool"),))
    gx = None if 0 in skip else graph.add("SelectV2", (mask, grad, zeros), (grad.spec,))
    gy = None if 1 in skip else graph.add("SelectV2", (mask, zeros, grad), (grad.spec,))
    return _reduced(graph, op, gx, gy)


def _squared_difference(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """(2 · grad) · (x - y), neither factor computed before the gradient is there."""
    x, y = op.inputs
    two = constant(graph, 2.0, grad.dtype)
    two.op.controls.append(grad.op)
    double = graph.add("Mul", (two, grad), (grad.spec,))
    difference = after(graph.add("Sub", (x, y), (op.outputs[0],)), grad)
    gx = like(graph, "Mul", double, difference)
    return _reduced(graph, op, None if 0 in skip else gx, None if 1 in skip else like(graph, "Neg", gx))


def _select(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    condition, x, y = op.inputs
    zeros = constant(graph, 0.0, grad.dtype)
    gx = gy = None
    if 1 not in skip:
        gx = graph.add("SelectV2", (condition, grad, zeros), (grad.spec,))
        gx = reduce_to(graph, gx, x.shape, grad.shape)
    if 2 not in skip:
        gy = graph.add("SelectV2", (condition, zeros, grad), (grad.spec,))
        gy = reduce_to(graph, gy, y.shape, grad.shape)
    return None, gx, gy


def _add_n(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return [grad] * len(op.inputs)


RULES: Mapping[str, Gradient] = MappingProxyType(
    {
        "Add": _add,
        "AddV2": _add,
        "Sub": _sub,
        "Mul": _mul,
        "Div": _quotient("RealDiv"),
        "RealDiv": _quotient("RealDiv"),
        "DivNoNan": _quotient("DivNoNan"),
        "Pow": _pow,
        "Maximum": _extremum,
        "Minimum": _extremum,
        "SquaredDifference": _squared_difference,
        "SelectV2": _select,
        "AddN": _add_n,
    }
)
