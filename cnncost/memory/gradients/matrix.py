"""Matrix products, bias additions and softmax."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnncost.memory.gradients.base import Gradient, Grads, Skip, like, reshape
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.optypes.einsum import ELLIPSIS
from cnncost.memory.spec import Dims, Spec

# Which operands the two gradients multiply, by (transpose_a, transpose_b): (left, right, transpose left, transpose
# right) for the first operand's gradient, then for the second's. "g" is the incoming gradient.
_FIRST = {
    (False, False): ("g", "b", False, True),
    (False, True): ("g", "b", False, False),
    (True, False): ("b", "g", False, True),
    (True, True): ("b", "g", True, True),
}
_SECOND = {
    (False, False): ("a", "g", True, False),
    (False, True): ("g", "a", True, False),
    (True, False): ("a", "g", False, False),
    (True, True): ("g", "a", True, True),
}


def _matmul(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    operands = {"a": op.inputs[0], "b": op.inputs[1], "g": grad}
    flags = bool(op.attrs.get("transpose_a")), bool(op.attrs.get("transpose_b"))

    def product(row: tuple[str, str, bool, bool], target: Value) -> Value:
        left, right = operands[row[0]], operands[row[1]]
        batch = grad.shape[:-2]
        spec = Spec((*batch, *target.shape[-2:]), target.dtype)
        result = graph.add(op.type, (left, right), (spec,), transpose_a=row[2], transpose_b=row[3])
        return _same_batch(graph, result, target.shape)

    first = None if 0 in skip else product(_FIRST[flags], op.inputs[0])
    return first, None if 1 in skip else product(_SECOND[flags], op.inputs[1])


def _same_batch(graph: OpGraph, value: Value, shape: Dims) -> Value:
    """Leading axes along which the operand was repeated are summed."""
    if value.shape == shape:
        return value
    extra = len(value.shape) - len(shape)
    mine = (1,) * extra + shape
    axes = tuple(i for i in range(len(mine) - 2) if mine[i] == 1 != value.shape[i])
    return reshape(graph, graph.add("Sum", (value,), axes=axes), shape)


def _einsum(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """Each operand's gradient is an Einsum of the gradient with the other operand (linalg_grad.py: _EinsumGrad). Where
    the output has an ellipsis and an operand has none, the operand is given one and summed over it."""
    operands, out = op.attrs["equation"].split("->")
    names = [name + ELLIPSIS * (ELLIPSIS in out and ELLIPSIS not in name) for name in operands.split(",")]

    def towards(place: int) -> Value:
        target, other = op.inputs[place], op.inputs[1 - place]
        kept = "".join(c for c in names[place] if c in out or c in names[1 - place])
        equation = f"{out},{names[1 - place]}->{kept}"
        result = graph.add("Einsum", (grad, other), equation=equation)
        if kept != names[place]:
            result = _spread(graph, result, kept, names[place], target.shape)
        if ELLIPSIS in out:
            result = _summed(graph, result, target.shape, names[place])
        return result

    made = [None if place in skip else towards(place) for place in range(2)]
    return made[0], made[1]


def _spread(graph: OpGraph, value: Value, kept: str, names: str, shape: Dims) -> Value:
    """Axes that the operand alone had were summed away: the gradient is repeated along them."""
    wide = tuple(n if c in kept else 1 for n, c in zip(shape, names, strict=True))
    return graph.add("BroadcastTo", (reshape(graph, value, wide),), shape=shape)


def _summed(graph: OpGraph, value: Value, shape: Dims, names: str) -> Value:
    """Sum over the ellipsis's axes that the operand was repeated along."""
    start = names.replace(ELLIPSIS, ".").index(".")
    extra = len(value.shape) - len(shape)
    length = len(value.shape) - (len(names) - len(ELLIPSIS))
    mine = (1,) * extra + shape[start : start + length - extra]
    axes = tuple(start + i for i in range(length) if mine[i] == 1 != value.shape[start + i])
    if axes:
        value = graph.add("Sum", (value,), axes=axes)
    return reshape(graph, value, shape)


def _bias_add(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    bias = None if 1 in skip else graph.add("BiasAddGrad", (grad,), (op.inputs[1].spec,), **op.attrs)
    return None if 0 in skip else grad, bias


def _softmax(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """(grad - Σ grad · y) · y over the last axis."""
    y = op.out()
    last = len(y.shape) - 1
    kept = Spec((*y.shape[:-1], 1), y.dtype)
    total = graph.add("Sum", (like(graph, "Mul", grad, y),), (kept,), axes=(last,), keepdims=True)
    return (like(graph, "Mul", like(graph, "Sub", grad, total), y),)


def _log_softmax(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """grad - exp(y) · Σ grad."""
    y = op.out()
    last = len(y.shape) - 1
    softmax = like(graph, "Exp", y)
    total = graph.add("Sum", (grad,), (Spec((*y.shape[:-1], 1), y.dtype),), axes=(last,), keepdims=True)
    return (like(graph, "Sub", grad, graph.add("Mul", (total, softmax), (y.spec,))),)


def _cross_entropy(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """The op has computed its logits' gradient already (output 1); each instance's row is scaled."""
    rows = reshape(graph, grad, (*grad.shape, 1))
    return (graph.add("Mul", (rows, op.out(1)), (op.outputs[1],)), *(None for _ in op.inputs[1:]))


RULES: Mapping[str, Gradient] = MappingProxyType(
    {
        "MatMul": _matmul,
        "BatchMatMulV2": _matmul,
        "Einsum": _einsum,
        "BiasAdd": _bias_add,
        "Softmax": _softmax,
        "LogSoftmax": _log_softmax,
        "SparseSoftmaxCrossEntropyWithLogits": _cross_entropy,
        "SoftmaxCrossEntropyWithLogits": _cross_entropy,
    }
)
