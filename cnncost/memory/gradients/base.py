"""The table of gradients, and what their rules share.

A rule emits ops and returns one gradient (or None) for each input. Inputs whose index is in ``skip`` lead to no
variable: TensorFlow computes some of their gradients all the same and grappler prunes them; here they are not emitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib import import_module

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.model import NotSimulated
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.spec import Dims, Spec, reduced, scalar

Grads = Sequence[Value | None]
Skip = frozenset[int]
Gradient = Callable[[OpGraph, Op, Value, Skip], Grads]
_UNREAD = ["looping", "matrix", "convolution", "shaping", "reduction", "broadcasting", "elementwise"]  # last first
_TABLE: dict[str, Gradient] = {}


def gradient_of(op: Op) -> Gradient:
    """The rule of an op's type; UnsupportedLayer names the layer when there is none."""
    name = op.attrs.get("gradient") or op.type
    rule = _TABLE.get(name)
    while rule is None and _UNREAD:
        _TABLE.update(import_module(f"cnncost.memory.gradients.{_UNREAD[-1]}").RULES)
        _UNREAD.pop()
        rule = _TABLE.get(name)
    if rule is None:
        unknown = UnsupportedLayer(
            f"the memory simulation does not know the gradient of TensorFlow's {op.type}",
            rule="it follows TensorFlow op by op and guesses nothing",
        )
        raise NotSimulated(unknown, op.layer)
    return rule


def has_gradient(op: Op) -> bool:
    """False for op types that pass no gradient on (comparisons, roundings)."""
    return op.type not in _NONE


def emit(graph: OpGraph, type_: str, inputs: Sequence[Value], spec: Spec, name: str = "") -> Value:
    """An op whose one output is known."""
    return graph.add(type_, inputs, (spec,), name)


def like(graph: OpGraph, type_: str, *inputs: Value, name: str = "") -> Value:
    """An op whose output is as its first input."""
    return graph.add(type_, inputs, (inputs[0].spec,), name)


def after(value: Value, grad: Value) -> Value:
    """``value`` is not computed before ``grad`` is there (TensorFlow's ``control_dependencies([grad])``)."""
    if all(read.op is not grad.op for read in value.op.inputs):
        value.op.controls.append(grad.op)
    return value


def reshape(graph: OpGraph, value: Value, shape: Dims) -> Value:
    """A view of another shape; grappler folds one of a constant, and drops a Reshape to the same shape where it knows
    the shape (``graph.shaped``): none is emitted."""
    if value.shape == shape and graph.shaped:
        return value
    if value.op.type == "Const":
        return graph.constant(value.op.attrs["value"], Spec(shape, value.dtype))
    return graph.add("Reshape", (value,), (Spec(shape, value.dtype),), shape=shape)


def constant(graph: OpGraph, number: float, dtype: str) -> Value:
    return graph.constant(number, scalar(dtype))


def reduce_to(graph: OpGraph, grad: Value, shape: Dims, other: Dims) -> Value:
    """The gradient of a broadcast operand: summed over the axes it was repeated along (``_ReduceGradientArg``)."""
    axes = () if shape == other else _repeated(shape, other)
    own, dtype = grad.spec
    if axes:
        grad = graph.add("Sum", (grad,), (Spec(reduced(own, axes, True), dtype),), axes=axes, keepdims=True)
    return reshape(graph, grad, shape) if axes or own != shape else grad


@lru_cache(maxsize=1024)  # a network has many layers of a shape
def _repeated(shape: Dims, other: Dims) -> tuple[int, ...]:
    """The axes along which an operand of this shape is repeated beside another."""
    rank = max(len(shape), len(other))
    mine = (1,) * (rank - len(shape)) + shape
    theirs = (1,) * (rank - len(other)) + other
    return tuple(i for i in range(rank) if mine[i] == 1 and theirs[i] != 1)


_NONE = frozenset(
    ("Equal", "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr", "LogicalNot",
     "Floor", "Ceil", "Round", "ArgMax", "Shape", "ZerosLike", "OnesLike", "FloorDiv", "IsFinite", "IsNan",
     "All", "Any")
)  # fmt: skip
