"""The greatest of f(x) is f of the greatest x, where f never decreases: grappler computes f behind the maximum
(arithmetic_optimizer.cc of TensorFlow 2.21: OptimizeMaxOrMinOfMonotonicStage). A pooling behind pooling takes it
further. Nobody else may read f(x), so that it happens where no gradient needs it; a ReLU behind a bias stays, for it is
fused with the convolution."""

from __future__ import annotations

from cnncost.memory.opgraph import Op, OpGraph, Value

_RISING = frozenset((
    "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Elu", "Erf", "Exp", "Expm1", "Floor", "Log", "Log1p", "Relu",
    "Relu6", "Rint", "Selu", "Sigmoid", "Sign", "Sinh", "Softplus", "Softsign", "Sqrt", "Tanh",
))  # fmt: skip
_GREATEST = frozenset(("Max", "Min", "MaxPool", "MaxPool3D"))
_FUSED = frozenset(("Relu", "Relu6"))


def postpone_monotonic(graph: OpGraph) -> None:
    """Change places, in the order of creation. ``op.index`` must be the position in ``graph.ops``."""
    if not any(op.inputs[0].op.type in _RISING for op in [op for op in graph.ops if op.type in _GREATEST]):
        return
    reads = _reads(graph)
    for op in graph.ops:  # a swap may make the next one possible
        if op.type in _GREATEST and _swappable(op.inputs[0].op, reads):
            _swap(op.inputs[0].op, op)


def _reads(graph: OpGraph) -> list[int]:
    """How often each op is read by what the step needs."""
    reads = [0] * len(graph.ops)
    for end in (*(value.op for value in graph.results), *graph.kept):
        reads[end.index] += 1
    for op in reversed(graph.ops):
        if reads[op.index]:
            for source in (*(value.op for value in op.inputs), *op.controls):
                reads[source.index] += 1
    return reads


def _swappable(inner: Op, reads: list[int]) -> bool:
    if inner.type not in _RISING or reads[inner.index] != 1 or inner.controls:
        return False
    return not (inner.type in _FUSED and inner.inputs[0].op.type == "BiasAdd")


def _swap(inner: Op, outer: Op) -> None:
    """The ops stay where they stand and take each other's work, so that who reads the result need not know."""
    for part in ("type", "name", "layer", "attrs"):
        mine, other = getattr(inner, part), getattr(outer, part)
        setattr(inner, part, other)
        setattr(outer, part, mine)
    inner.outputs = outer.outputs
    outer.inputs = [Value(inner, 0)]
