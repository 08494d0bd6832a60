"""Gradients that are rows of a table: TensorFlow's IndexedSlices, which an embedding's look-up gives.

They are no op of the graph: a ``Value`` of this pseudo op holds (values, indices) as its inputs and the table's shape
as its output. Keras's optimizers keep them sparse through operations that leave zero at zero and make them dense, by
UnsortedSegmentSum, where a dense tensor is added (keras/src/backend/tensorflow/sparse.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.spec import Spec

SPARSE = "IndexedSlices"
_ZERO_STAYS = frozenset(("Square", "Abs", "Neg", "Sign", "Sqrt", "Cast"))


def rows(values: Value, indices: Value, table: Spec) -> Value:
    """Rows ``values`` of a tensor ``table``, at ``indices``."""
    return Value(Op(-1, SPARSE, SPARSE, values.op.layer, values.op.phase, [values, indices], (table,), {}), 0)


def is_sparse(value: Value) -> bool:
    return value.op.type == SPARSE


def dense(graph: OpGraph, value: Value) -> Value:
    """The whole tensor."""
    return graph.add("UnsortedSegmentSum", value.op.inputs, (value.spec,)) if is_sparse(value) else value


def finite(graph: OpGraph, value: Value) -> Value:
    """Whether each number is finite. Of rows a whole table of flags is made: true where there is no row, and the rows'
    own are written into it (Keras's ``densifying_unary``)."""
    if not is_sparse(value):
        return graph.add("IsFinite", (value,))
    values, indices = value.op.inputs
    flags = graph.add("IsFinite", (values,))
    return graph.add("Fill", (flags, indices), (Spec(value.shape, "bool"),), "TensorScatterUpdate")


def each(value: Value, change: Callable[[Value], Value]) -> Value:
    """``change`` of a gradient, or of its rows and of their places."""
    if not is_sparse(value):
        return change(value)
    values, indices = value.op.inputs
    return rows(change(values), change(indices), value.spec)


def joined(graph: OpGraph, parts: Sequence[Value]) -> Value:
    """The sum of several sparse gradients: their rows one after the other."""
    made = []
    for place in (0, 1):
        read = [part.op.inputs[place] for part in parts]
        size = sum(value.shape[0] for value in read)
        made.append(graph.add("ConcatV2", read, (Spec((size, *read[0].shape[1:]), read[0].dtype),), axis=0))
    return rows(made[0], made[1], parts[0].spec)


def apply(graph: OpGraph, type_: str, operands: Sequence[Value]) -> Value | None:
    """An optimizer's operation with a sparse operand; None where it has to be made dense first."""
    place = next(i for i, value in enumerate(operands) if is_sparse(value))
    values, indices = operands[place].op.inputs
    table = operands[place].spec
    if len(operands) == 1:
        if type_ not in _ZERO_STAYS:
            return None
        return rows(graph.add(type_, (values,), (values.spec,)), indices, table)
    if len(operands) > 2 or type_ not in ("Mul", "RealDiv") or is_sparse(operands[1 - place]):
        return None
    other = operands[1 - place]
    if type_ == "RealDiv" and place == 1:
        return None
    if other.shape:
        other = _met(graph, type_, other, indices, values.spec)
    read = (values, other) if place == 0 else (other, values)
    return rows(graph.add(type_, read, (values.spec,)), indices, table)


def _met(graph: OpGraph, type_: str, other: Value, indices: Value, spec: Spec) -> Value:
    """The rows of a dense operand. Before a division Keras looks for zeros, which would make other rows count."""
    if type_ == "RealDiv":
        flags = Spec(other.shape, "bool")
        zero = graph.add("Equal", (other, graph.constant(0.0, Spec((), other.dtype))), (flags,))
        bad = graph.add("LogicalOr", (zero, graph.add("IsNan", (other,), (flags,))), (flags,))
        found = graph.add("Any", (bad,), axes=tuple(range(1, len(other.shape))))
        found = graph.add("Any", (found,), axes=(0,))
        gathered = graph.add("GatherV2", (other, indices), (Spec(spec.shape, other.dtype),), axis=0)
        gathered.op.controls.append(found.op)
        return gathered
    return graph.add("GatherV2", (other, indices), (Spec(spec.shape, other.dtype),), axis=0)
