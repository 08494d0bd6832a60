"""Constants in trees of products (TensorFlow 2.21). Grappler pushes them down the tree, where they become one
(constant_folding.cc: ConstantPushDown); then the operands are multiplied two by two from the smallest to the largest
(arithmetic_optimizer.cc: MinimizeBroadcasts): with the constant c, c·(a·b) is (c·a)·b, and c·(a·(b·d)) (c·a)·(b·d).
In a reverse pass some operand comes from the forward pass, and what hangs on it alone is computed there, early, and
lives until the gradient comes. Seen in captured steps of GELU and of local response normalization.

Dividing by a constant is multiplying by its reciprocal (ReduceDivToReciprocalMul), and some powers are ops of one
operand (ConvertPow).
"""

from __future__ import annotations

from collections.abc import Container
from math import prod

from cnncost.memory.compiled import rankless
from cnncost.memory.late_constants import FREED, MADE_OF, made_late
from cnncost.memory.names import Names
from cnncost.memory.opgraph import BACKWARD, Op, OpGraph, Value
from cnncost.memory.pruning import prune

INVERTED = "inverted"  # of a product that was a division: by the reciprocal of the constant that stands there
BELL = "bell"  # of exp(-x²), which waits for the gradient that it is multiplied with
KEPT = "kept"  # of a product whose operands stand as they were put: nothing sorts them any more
_POWERS = {0.5: "Sqrt", 2.0: "Square", -0.5: "Rsqrt", -1.0: "Reciprocal"}


def push_constants(graph: OpGraph, names: Names, reads: list[int] | None = None) -> bool:
    """Change the products of the reverse pass in place; ``names`` sort operands. Returns whether something may be left
    over, which nobody reads, or new. ``reads``: how often each op is needed, as ``prune`` counts."""
    if reads is None:
        reads = prune(graph)
    over = False
    for op in graph.ops:
        if op.controls:
            own = op.controls
            for awaited in own:
                reads[awaited.index] += -1 if BELL in op.attrs else 1  # what others wait for stays as it is
            # nobody waits for a constant that is there
            op.controls = [source for source in own if source.type != "Const" or source.controls]
            over = over or len(op.controls) < len(own)
        if op.type == "RealDiv" and _plain(op.inputs[1]) and op.inputs[0].spec == op.outputs[0]:
            op.type, op.inputs = "Mul", [op.inputs[1], op.inputs[0]]
            op.attrs[INVERTED] = True
        elif op.type == "Pow" and _plain(op.inputs[1]) and op.inputs[1].op.attrs["value"] in _POWERS:
            op.type, op.inputs = _POWERS[op.inputs[1].op.attrs["value"]], [op.inputs[0]]
            over = True
    unranked = rankless(graph)
    members: set[int] = set()
    made: dict[Op, Op] = {}  # by the root before which it stands
    folded: dict[Op, Op] = {}  # by the product that became it
    for op in reversed(graph.ops):
        if op.type == "Mul" and op.index not in members and _root(op) and _grows(op, reads):
            one = _push(op, names, reads, members, folded, graph.shaped, unranked)
            if one is not None:
                made[op] = one
    if made:
        _free(graph.ops, folded)
        graph.ops = [new for op in graph.ops for new in ((made[op], op) if op in made else (op,))]
    return over or bool(members)


def _push(
    root: Op, names: Names, reads: list[int], members: set[int], folded: dict[Op, Op], ordered: bool,
    unranked: Container[Op] = (),
) -> Op | None:  # fmt: skip
    """The tree below a product whose operands stand by name; ``members``: ops that belong to another one's;
    ``unranked``: those with a shape of no known rank. Returns the constant that several became; ``folded`` has it by
    the products of the tree."""
    tree, leaves = _tree(root, names, reads)
    constants = [value for value in leaves if _plain(value) and value.shape in ((), root.outputs[0].shape)]
    others = [value for value in leaves if value not in constants]
    inverted = INVERTED in root.attrs
    if not constants or any(value.spec != root.outputs[0] for value in others) or (inverted and len(constants) > 1):
        return None
    members.update(op.index for op in tree)
    one = None
    if len(constants) > 1:
        one = _one(constants, root)
        folded.update(dict.fromkeys(tree, one))
    factor = constants[0] if one is None else Value(one, 0)
    if len(others) == 1:
        root.inputs = [factor, others[0]]
        return one
    if inverted:
        root.attrs = {name: value for name, value in root.attrs.items() if name != INVERTED}
    if root in unranked or tree[0] in unranked:
        _sink([root, *tree[: len(others) - 1]], others, factor, inverted)
        return one
    queue = [factor, *others]
    last = [queue.pop()] if len(queue) % 2 else []
    while len(queue) + len(last) > 2:
        made = tree.pop()
        made.inputs, queue = queue[:2], queue[2:]
        if made.inputs[0] == factor:
            if inverted:  # the reciprocal, which grappler made
                made.attrs = {**made.attrs, INVERTED: True}
            elif ordered:  # sorted once more
                made.inputs.reverse()
        queue.append(Value(made, 0))
        made.attrs = {**made.attrs, KEPT: True}
    root.inputs, root.attrs = [*queue, *last], {**root.attrs, KEPT: True}
    return one


def _sink(chain: list[Op], others: list[Value], factor: Value, inverted: bool) -> None:
    """Where nothing is sorted, the constant goes down to the last operand: c·(a·(b·d)) is a·(b·(d·c))."""
    product = factor
    for op, value in zip(reversed(chain), reversed(others), strict=True):
        own = {INVERTED: True} if inverted and product == factor else {}
        op.inputs, op.attrs = [value, product], {**op.attrs, KEPT: True, **own}
        product = Value(op, 0)


def _tree(root: Op, names: Names, reads: list[int]) -> tuple[list[Op], list[Value]]:
    """The products below, which nobody else reads, and the operands, from left to right."""
    tree: list[Op] = []
    leaves: list[Value] = []
    stack = _sorted(root, names)
    while stack:
        value = stack.pop()
        op = value.op
        if _below(value, reads):
            tree.append(op)
            stack += _sorted(op, names)
        else:
            leaves.append(value)
    return tree, leaves


def _grows(root: Op, reads: list[int]) -> bool:
    """Whether a tree stands below a root."""
    return any(map(_loose, [value[0] for value in root.inputs if reads[value[0].index] == 1]))


def _below(value: Value, reads: list[int]) -> bool:
    return reads[value.op.index] == 1 and _loose(value.op)


def _root(op: Op) -> bool:
    """Divisions are products in the second round alone, when those below have been regrouped."""
    return op.type == "Mul" and op.phase == BACKWARD and not op.controls


def _loose(op: Op) -> bool:
    return _root(op) and INVERTED not in op.attrs


def _sorted(product: Op, names: Names) -> list[Value]:
    """The operands by name, last first."""
    return sorted(product.inputs, key=lambda value: names.operand(value.op, product), reverse=True)


def _free(ops: list[Op], folded: dict[Op, Op]) -> None:
    """What waited for a product that became a constant waits no more, at the latest when that is folded."""
    for op in ops:
        if BELL in op.attrs and op.controls:
            one = folded.get(op.controls[0])
            if one is not None:
                op.controls = op.controls[1:]
                if MADE_OF in one.attrs:
                    op.attrs = {**op.attrs, FREED: one}


def _one(constants: list[Value], root: Op) -> Op:
    """The product of constants, of the widest one's shape; None where one of them is not known."""
    first = max(constants, key=lambda value: value.spec.elements).op
    numbers = [value.op.attrs["value"] for value in constants]
    number = prod(numbers) if all(isinstance(number, float | int) for number in numbers) else None
    late = made_late(root, [value.op for value in constants])
    return Op(first.index, "Const", first.name, first.layer, BACKWARD, [], first.outputs, {"value": number, **late})


def _plain(value: Value) -> bool:
    """A constant that waits for nothing."""
    return value.op.type == "Const" and not value.op.controls
