"""Reductions: the gradient is tiled back to the operand's shape."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnncost.memory.gradients.base import Gradient, Grads, Skip, constant, like, reshape
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.spec import Dims, Spec


def _kept(op: Op) -> Dims:
    """The output's shape with the reduced axes kept as ones."""
    axes = op.attrs["axes"]
    return tuple(1 if i in axes else n for i, n in enumerate(op.inputs[0].shape))


def _tiled(graph: OpGraph, op: Op, grad: Value) -> Value:
    shape, kept = op.inputs[0].shape, _kept(op)
    multiples = tuple(n // max(k, 1) for n, k in zip(shape, kept, strict=True))
    grad = reshape(graph, grad, kept)
    if all(n == 1 for n in multiples):
        return grad
    return graph.add("Tile", (grad,), (Spec(shape, grad.dtype),), multiples=multiples)


def _sum(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (_tiled(graph, op, grad),)


def _mean(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """The tiled gradient over the number of values; grappler makes the division a product."""
    factor = constant(graph, op.inputs[0].spec.elements / max(op.outputs[0].elements, 1), grad.dtype)
    return (like(graph, "RealDiv", _tiled(graph, op, grad), factor),)


def _extremum(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """Shared among all values that equal the extremum."""
    x, kept, axes = op.inputs[0], _kept(op), op.attrs["axes"]
    y, grad = reshape(graph, op.out(), kept), reshape(graph, grad, kept)
    equal = graph.add("Equal", (y, x), (Spec(x.shape, "bool"),))
    indicators = graph.add("Cast", (equal,), (Spec(x.shape, grad.dtype),), to=grad.dtype)
    short = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    count = graph.add("Sum", (indicators,), (Spec(short, grad.dtype),), axes=axes)
    share = like(graph, "RealDiv", indicators, reshape(graph, count, kept))
    return (like(graph, "Mul", share, grad),)


RULES: Mapping[str, Gradient] = MappingProxyType({"Sum": _sum, "Mean": _mean, "Max": _extremum, "Min": _extremum})
