"""Reductions: the gradient is tiled back to the operand's shape."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from cnncost.memory.gradients.base import Gradient, Grads, Skip, constant, like, reshape
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.spec import Dims, Spec, reduced


def _tiled(graph: OpGraph, op: Op, grad: Value) -> Value:
    shape = op.inputs[0].shape
    short, multiples = _repetition(shape, op.attrs["axes"])
    grad = reshape(graph, grad, short)
    if multiples is None:
        return grad
    return graph.add("Tile", (grad,), (Spec(shape, grad.dtype),), multiples=multiples)


@lru_cache(maxsize=1024)  # a network has many layers of a shape
def _repetition(shape: Dims, axes: tuple[int, ...]) -> tuple[Dims, Dims | None]:
    """The shape without the reduced axes, which are kept as ones, and how often it is repeated; None: not at all."""
    short = reduced(shape, axes, True)
    multiples = tuple(n // max(k, 1) for n, k in zip(shape, short, strict=True))
    return short, None if all(n == 1 for n in multiples) else multiples


def _sum(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (_tiled(graph, op, grad),)


def _mean(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """The tiled gradient over the number of values; grappler makes the division a product."""
    factor = constant(graph, op.inputs[0].spec.elements / max(op.outputs[0].elements, 1), grad.dtype)
    return (like(graph, "RealDiv", _tiled(graph, op, grad), factor),)


def _extremum(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """Shared among all values that equal the extremum."""
    x, axes = op.inputs[0], op.attrs["axes"]
    whole = reduced(x.shape, axes, True)
    y, grad = reshape(graph, op.out(), whole), reshape(graph, grad, whole)
    equal = graph.add("Equal", (y, x), (Spec(x.shape, "bool"),))
    indicators = graph.add("Cast", (equal,), (Spec(x.shape, grad.dtype),), to=grad.dtype)
    short = Spec(reduced(x.shape, axes), grad.dtype)
    count = graph.add("Sum", (indicators,), (short,), axes=axes)
    share = like(graph, "RealDiv", indicators, reshape(graph, count, whole))
    return (like(graph, "Mul", share, grad),)


RULES: Mapping[str, Gradient] = MappingProxyType({"Sum": _sum, "Mean": _mean, "Max": _extremum, "Min": _extremum})
