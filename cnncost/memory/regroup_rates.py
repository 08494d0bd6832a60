"""What grappler makes of a product that an optimizer multiplies by its rate (MinimizeBroadcasts, in the second round of
TensorFlow 2.21's arithmetic_optimizer.cc): rate·(a·b), where nobody else reads a·b, becomes (rate·a)·b.

Seen in captured steps of plain SGD, where a·b is the gradient of a batch normalization's scale. With a Reshape between
them, as where the axis is not the last, or with an optimizer that reads a gradient twice, nothing changes.
"""

from __future__ import annotations

from cnncost.memory.compiled import rankless
from cnncost.memory.constants import KEPT
from cnncost.memory.names import Names
from cnncost.memory.opgraph import BACKWARD, UPDATE, Op, OpGraph, Value


def regroup_rates(graph: OpGraph, names: Names) -> None:
    """Change the products in place; ``names`` says which operand comes first."""
    stamps = graph.stamps
    if stamps is not None and all(stamps.first.made[place].type != "Mul" for place in stamps.gradients):
        return
    found: list[tuple[Op, Value, Value]] = []
    ops = _behind_forward(graph.ops)
    for op in ops:
        if op.type == "Mul" and op.phase == UPDATE and not op.controls:
            one, two = op.inputs
            product, rate = (one, two) if _of_gradient(one) else (two, one)
            if _of_gradient(product) and product.shape and not rate.shape:
                found.append((op, product, rate))
    if not found:
        return
    held = rankless(graph)
    held.update(value.op for value in graph.results)
    reads = {product.op: 0 for _, product, _ in found}
    for op in ops:
        if op.controls:
            held.update(op.controls)
        for value in op.inputs:
            if value[0].type == "Mul" and value[0] in reads:
                reads[value[0]] += 1
    for root, product, rate in found:
        if reads[product.op] == 1 and root not in held and product.op not in held:
            _regroup(root, product, rate, names)


def _behind_forward(ops: list[Op]) -> list[Op]:
    """Those that may read or wait for what the reverse pass makes."""
    for place, op in enumerate(ops):
        if op.phase == BACKWARD:
            return ops[place:]
    return []


def _of_gradient(value: Value) -> bool:
    return value.op.type == "Mul" and value.op.phase == BACKWARD and not value.op.controls


def _regroup(root: Op, product: Value, rate: Value, names: Names) -> None:
    inner = product.op
    leaves = [*sorted(inner.inputs, key=lambda value: names.of(value.op)), rate]
    leaves.sort(key=lambda value: value.spec.elements)
    first, second, last = leaves
    if first.op is not rate.op or second.spec != root.outputs[0] or last.spec != root.outputs[0]:
        return
    inner.inputs, root.inputs = [rate, second], [product, last]
    for op in (inner, root):
        op.attrs = {**op.attrs, KEPT: True}
