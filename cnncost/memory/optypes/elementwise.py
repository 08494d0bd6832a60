"""Value-by-value ops: an output takes over the buffer of an input of its own size that nobody else reads."""

from __future__ import annotations

from functools import lru_cache
from itertools import zip_longest

from cnncost.memory.optypes.base import Attrs, OpType, Specs, same
from cnncost.memory.spec import Dims, Spec


@lru_cache(maxsize=1024)  # a network has many layers of a shape
def broadcast(a: Dims, b: Dims) -> Dims:
    """
    >>> broadcast((4, 7, 7, 8), (8,)), broadcast((4, 1, 1, 8), (4, 7, 7, 1))
    ((4, 7, 7, 8), (4, 7, 7, 8))
    """
    if a == b or not b:
        return a
    if not a:
        return b
    dims = [x if y == 1 else y for x, y in zip_longest(reversed(a), reversed(b), fillvalue=1)]
    return tuple(reversed(dims))


def _binary(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    a, b = inputs
    if a.shape == b.shape or not b.shape:
        return (a,)
    return (Spec(broadcast(a.shape, b.shape), a.dtype),)


def _compare(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec(broadcast(inputs[0].shape, inputs[1].shape), "bool"),)


def _predicate(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec(inputs[0].shape, "bool"),)


def _cast(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``attrs["to"]`` is the dtype."""
    return (Spec(inputs[0].shape, attrs["to"]),)


def _select(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    condition, a, b = inputs
    return (Spec(broadcast(condition.shape, broadcast(a.shape, b.shape)), a.dtype),)


_UNARY = (
    "Abs", "Ceil", "Cos", "Erf", "Erfc", "Exp", "Expm1", "Floor", "Inv", "Log", "Log1p", "Neg", "OnesLike",
    "Reciprocal", "Round", "Rsqrt", "Sigmoid", "Sign", "Sin", "Sqrt", "Square", "Tanh", "ZerosLike",
)  # fmt: skip
_ACTIVATIONS = ("Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Softplus", "Softsign")
_GRADIENTS = (
    "ReluGrad", "Relu6Grad", "EluGrad", "SeluGrad", "LeakyReluGrad", "SoftplusGrad", "SoftsignGrad", "RsqrtGrad",
    "SigmoidGrad", "SqrtGrad", "TanhGrad", "InvGrad", "ReciprocalGrad",
)  # fmt: skip
_BINARY = (
    "Add", "AddV2", "Sub", "Mul", "MulNoNan", "Div", "RealDiv", "DivNoNan", "FloorDiv", "FloorMod", "Maximum",
    "Minimum", "Pow", "SquaredDifference", "Xdivy",
)  # fmt: skip
_COMPARE = ("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr")
ROWS = (
    *(OpType(name, same, forwards=(0,)) for name in _UNARY),
    *(OpType(name, same, forwards=(0,)) for name in _ACTIVATIONS),
    *(OpType(name, same, forwards=(0, 1)) for name in _GRADIENTS),
    *(OpType(name, _binary, forwards=(0, 1)) for name in _BINARY),
    *(OpType(name, _compare) for name in _COMPARE),
    OpType("AddN", same, forwards=tuple(range(64))),
    OpType("IsFinite", _predicate),
    OpType("IsNan", _predicate),
    OpType("LogicalNot", _predicate),
    OpType("Cast", _cast),
    OpType("SelectV2", _select, forwards=(1, 2)),
    OpType("ClipByValue", same, forwards=(0,)),
    *(OpType(name, same) for name in ("_MklSwish", "_MklFusedMish")),  # oneDNN's kernels write a new buffer
)
