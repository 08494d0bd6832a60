"""How grappler's arithmetic optimizer regroups trees of sums and of products (arithmetic_optimizer.cc of TensorFlow
2.21: AddOpsRewriteStage, MinimizeBroadcasts, HoistCommonFactorOutOfAggregation, SimplifyAggregation,
HoistCWiseUnaryChainsStage).

A tree grows from its root over operands of the same kind that nobody else reads, broadcasts included. Sums of one shape
become one AddN, which waits for the last of them; where shapes differ, those of a shape become one AddN each and are
added from the smallest to the largest: a batch normalization's shift is added after the residual sum. Products of
several shapes are multiplied from the smallest to the largest. A factor that all addends share is taken out; x + x is
2·x. What is done to all parts of a concatenation is done to the whole. Where a shape is not known to grappler, as
behind what XLA compiles, nothing is regrouped. Products of gradients are left as they are: grappler moves their
constants first, and their captured order is the tape's.
"""

from __future__ import annotations

from cnncost.memory.compiled import rankless, shapeless
from cnncost.memory.opgraph import FORWARD, Op, OpGraph, Value
from cnncost.memory.optypes.elementwise import broadcast
from cnncost.memory.spec import Spec

REGROUPED = "ArithmeticOptimizer/AddOpsRewrite"  # what grappler names the sums that it makes
CAPITAL = frozenset(("Erf", "Erfc", "Neg"))  # beside operators, whose names are in small letters
_SUMS = frozenset({"AddV2", "AddN"})
_PRODUCTS = frozenset({"Mul"})
_TREES = {"AddV2": _SUMS, "AddN": _SUMS, "Mul": _PRODUCTS}
_UNARY = frozenset((
    "Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Expm1", "Floor", "Inv", "Log", "Log1p", "Neg", "Reciprocal", "Relu",
    "Relu6", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Square", "Tanh",
))  # fmt: skip
_FACTORED = {"Mul": (0, 1), "RealDiv": (1,)}  # the operands that may be taken out of a sum


def regroup(graph: OpGraph, count: list[int]) -> None:
    """Rewrite every tree, the roots first. Ops that are left over are read by nobody; ``prune`` drops them. ``count``:
    how often each op is needed, as ``prune`` counts."""
    _Regrouping(graph, count).run()


class _Regrouping:
    def __init__(self, graph: OpGraph, count: list[int]) -> None:
        self.graph, self.reads = graph, count
        self.before: dict[int, list[Op]] = {}  # by root: new ops, in the order they are to run
        unlike, unranked = shapeless(graph), rankless(graph)  # sums are of equal shapes, products of any
        self.done = {op.index for op in unlike if op.type != "Mul" or op in unranked}
        # what others wait for is never taken into a tree (DrivesControlDependency)
        self.awaited: set[int] = set()
        for op in graph.ops:
            if op.controls:
                for control in op.controls:
                    self.awaited.add(control.index)
                    count[control.index] -= 1  # that is no edge

    def run(self) -> None:
        ops = self.graph.ops
        for op in reversed(ops):
            kinds, own = _TREES.get(op.type), op.inputs
            if kinds is None:
                if op.type == "ConcatV2":
                    self.hoist_unary(op)
                continue
            if op.index in self.done or op.controls:
                continue
            if kinds is _PRODUCTS and op.phase != FORWARD:  # constants are pushed through those
                continue
            if kinds is _SUMS and own.count(own[0]) == len(own):
                self.multiply(op)
                continue
            for value in own:
                if value[0].type in kinds and self.reads[value[0].index] == 1:
                    self.regrow(op)
                    break
            if op.type in _SUMS and op.inputs[0].op.type in _FACTORED:
                self.hoist(op)
        if self.before:
            self.graph.ops = [new for op in ops for new in (*self.before.get(op.index, ()), op)]

    def regrow(self, root: Op) -> None:
        """What a root becomes that has a tree."""
        members, leaves = self.tree(root)
        if members:
            self.done.update(member.index for member in members)
            if root.type in _SUMS:
                _sum(self, root, leaves)
            else:
                _product(self, root, leaves, members)

    def tree(self, root: Op) -> tuple[list[Op], list[Value]]:
        """The ops below the root that belong to its tree, and the tree's leaves from left to right."""
        kinds = _TREES[root.type]
        members: list[Op] = []
        leaves: list[Value] = []
        stack = self.reversed(root)
        while stack:
            value = stack.pop()
            op = value.op
            free = not op.controls and op.index not in self.done and op.index not in self.awaited
            if op.type in kinds and self.reads[op.index] == 1 and free:
                members.append(op)
                stack.extend(self.reversed(op))
            else:
                leaves.append(value)
        return members, leaves

    def reversed(self, op: Op) -> list[Value]:
        """The operands, last first. Grappler has sorted those of a product by name: 0.5·x·erfc(…) is
        (0.5·erfc(…))·x."""
        if op.type == "Mul":
            return sorted(op.inputs, key=lambda value: self.name(value.op), reverse=True)
        return list(reversed(op.inputs))

    def name(self, op: Op) -> tuple[str, bool, int]:
        return self.graph.scopes.get(op.layer) or f"{op.layer}_1/", op.type not in CAPITAL, op.index

    def new(self, root: Op, type_: str, inputs: list[Value]) -> Value:
        """An op to run before the root."""
        name = REGROUPED if type_ in _SUMS else root.name
        made = Op(root.index, type_, name, root.layer, root.phase, inputs, (_spec(inputs),), {})
        self.before.setdefault(root.index, []).append(made)
        return Value(made, 0)

    def multiply(self, root: Op) -> None:
        """x + x = 2·x, which may be in place; the 2 waits for x."""
        count = Op(root.index, "Const", "Const", root.layer, root.phase, [], (Spec((), root.outputs[0].dtype),),
                   {"value": float(len(root.inputs))})  # fmt: skip
        count.controls = [root.inputs[0].op]
        self.before.setdefault(root.index, []).append(count)
        root.type, root.inputs = "Mul", [Value(count, 0), root.inputs[0]]

    def hoist_unary(self, joined: Op) -> None:
        """concat(f(a), f(b)) = f(concat(a, b)), chain by chain."""
        parts = [value.op for value in joined.inputs]
        kind = parts[0].type
        alike = kind in _UNARY and all(part.type == kind and self.reads[part.index] == 1 for part in parts)
        if not alike or len(set(parts)) < len(parts) or len(parts) < 2:
            return
        inner = Op(joined.index, "ConcatV2", joined.name, joined.layer, joined.phase,
                   [part.inputs[0] for part in parts], joined.outputs, joined.attrs)  # fmt: skip
        self.before.setdefault(joined.index, []).insert(0, inner)
        joined.type, joined.inputs, joined.attrs = kind, [Value(inner, 0)], parts[0].attrs
        self.hoist_unary(inner)

    def hoist(self, root: Op) -> None:
        """x·a + x·b = x·(a + b)."""
        first = root.inputs[0].op
        places = _FACTORED[first.type]
        if any(value.op.type != first.type for value in root.inputs):
            return
        common = {first.inputs[place] for place in places}
        for value in root.inputs[1:]:
            common &= {value.op.inputs[place] for place in places}
        if len(common) != 1:
            return
        (factor,) = common
        others = [_other(value.op, factor) for value in root.inputs]
        if root.type != "AddV2" and any(value.shape != others[0].shape for value in others):
            return
        inner = self.new(root, root.type, others)
        root.inputs = [inner, factor] if first.type == "RealDiv" else [factor, inner]
        root.type = first.type


def _sum(run: _Regrouping, root: Op, leaves: list[Value]) -> None:
    root.name = REGROUPED
    groups: dict[tuple[int, ...], list[Value]] = {}
    for value in leaves:
        groups.setdefault(value.shape, []).append(value)
    if len(groups) == 1:
        root.type, root.inputs = "AddN", leaves
        return
    parts = [
        run.new(root, "AddN", group) if len(group) > 1 else group[0]
        for group in sorted(groups.values(), key=lambda group: group[0].spec.elements)
    ]
    total = parts[0]
    for part in parts[1:-1]:
        total = run.new(root, "AddV2", [total, part])
    root.type, root.inputs = "AddV2", [total, parts[-1]]


def _product(run: _Regrouping, root: Op, leaves: list[Value], members: list[Op]) -> None:
    """The nodes of the tree are used again, and keep their layers."""
    if len({value.shape for value in leaves}) == 1:
        return
    queue = sorted(leaves, key=lambda value: value.spec.elements)
    last = [queue.pop()] if len(queue) % 2 else []
    while len(queue) + len(last) > 2:
        made, member = run.new(root, "Mul", queue[:2]), members.pop()
        made.op.layer, made.op.name = member.layer, member.name
        del queue[:2]
        if len(queue) > 1 and queue[0].spec.elements < queue[1].spec.elements:
            queue.insert(0, made)
        else:
            queue.append(made)
    root.inputs = [*queue, *last]


def _spec(inputs: list[Value]) -> Spec:
    shape = inputs[0].shape
    for value in inputs[1:]:
        shape = broadcast(shape, value.shape)
    return Spec(shape, inputs[0].dtype)


def _other(op: Op, factor: Value) -> Value:
    """The operand beside the factor."""
    a, b = op.inputs
    return a if b == factor and (op.type == "RealDiv" or a != factor) else b
