"""Constants in trees of products (constant_folding.cc of TensorFlow 2.21: ConstantPushDown): C·(a·b), where nobody else
reads a·b, becomes a·(C·b), and of two constants one. In a reverse pass a is the gradient, so that C·b hangs on the
forward pass alone: it is computed there, early, and lives until the gradient comes. Seen in captured steps of GELU.
Dividing by a constant is multiplying by its reciprocal (ReduceDivToReciprocalMul), and some powers are ops of one
operand (ConvertPow).
"""

from __future__ import annotations

from cnncost.memory.opgraph import BACKWARD, Op, OpGraph, Value

INVERTED = "inverted"  # of a product that was a division: by the reciprocal of the constant that stands there

_POWERS = {0.5: "Sqrt", 2.0: "Square", -0.5: "Rsqrt", -1.0: "Reciprocal"}


def push_constants(graph: OpGraph) -> None:
    """Change the products of the reverse pass in place. What is left over is read by nobody."""
    for place, op in enumerate(graph.ops):
        op.index = place
    reads = [0] * len(graph.ops)
    for op in graph.ops:
        for value in op.inputs:
            reads[value.op.index] += 1
    for value in graph.results:
        reads[value.op.index] += 1
    for op in graph.ops:
        if op.type == "RealDiv" and _plain(op.inputs[1]) and op.inputs[0].spec == op.outputs[0]:
            op.type, op.inputs = "Mul", [op.inputs[1], op.inputs[0]]
            op.attrs[INVERTED] = True
        elif op.type == "Pow" and _plain(op.inputs[1]) and op.inputs[1].op.attrs["value"] in _POWERS:
            op.type, op.inputs = _POWERS[op.inputs[1].op.attrs["value"]], [op.inputs[0]]
        if op.type == "Mul" and op.phase == BACKWARD and not op.controls:
            _push(op, reads)


def _push(op: Op, reads: list[int]) -> None:
    factor, product = op.inputs
    if factor.op.type != "Const":
        factor, product = product, factor
    inner = product.op
    if not _plain(factor) or inner.type != "Mul" or reads[inner.index] != 1 or inner.controls:
        return
    if any(value.spec != op.outputs[0] for value in (product, *inner.inputs) if value.op.type != "Const"):
        return
    a, b = inner.inputs
    if a.op.type == "Const" or b.op.type == "Const":
        scaled = a if b.op.type == "Const" else b
        if _plain(a) or _plain(b):
            op.inputs = [factor, scaled]
            reads[inner.index] = 0
        return
    if _scaled(a, reads) or (b.op.phase == BACKWARD and a.op.phase != BACKWARD):
        a, b = b, a
    if _scaled(b, reads):  # the two constants are one
        op.inputs = [a, b]
        reads[inner.index] = 0
        return
    if b.op.phase == BACKWARD:
        return
    inner.inputs = [factor, b]
    op.inputs = [a, product]


def _plain(value: Value) -> bool:
    """A constant that waits for nothing."""
    return value.op.type == "Const" and not value.op.controls


def _scaled(value: Value, reads: list[int]) -> bool:
    """A value that is multiplied by a constant already, for this reader alone."""
    op = value.op
    return op.type == "Mul" and reads[op.index] == 1 and any(_plain(operand) for operand in op.inputs)
