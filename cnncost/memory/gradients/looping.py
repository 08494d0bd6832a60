"""The gradient of a while loop: a loop from the last step to the first (while_v2.py, ``_WhileGrad``).

What it needs of the forward loop's values, that loop pushes to lists, one element for each step; it pops them. The
gradient of a weight is added up as a state of its own, which starts as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.gradients.base import Gradient, Grads, Skip
from cnncost.memory.loops import Loop, add_loop, element
from cnncost.memory.lowering.model import NotSimulated
from cnncost.memory.opgraph import BACKWARD, FORWARD, Op, OpGraph, Value
from cnncost.memory.spec import Spec


def while_gradient(reverse: Any, op: Op, grads: Sequence[Value | None]) -> list[Value | None]:
    """The gradients of a ``While`` op's inputs; those of the variables that its body reads go to ``reverse``."""
    graph: OpGraph = reverse.graph
    loop: Loop = op.attrs["loop"]
    body, states, phase = loop.graph, len(loop.states), graph.phase
    lists = op.inputs[states : states + len(loop.reads)]
    if any(reverse.taped[value.op.index] for value in op.inputs[states + len(lists) :]):
        unknown = UnsupportedLayer("the memory simulation does not know the gradient of what a loop captures")
        raise NotSimulated(unknown, op.layer)
    leaves = [
        *loop.states,
        *(get for get, value in zip(loop.reads, lists, strict=True) if reverse.taped[value.op.index]),
    ]
    body.phase, body.layer = BACKWARD, op.layer
    count = len(body.ops)
    taped = reverse.tape(body, leaves)
    written = grads[states] if loop.written is not None else None
    reads = [body.add("TensorListGetItem", (), (element(written.spec),)).op] if written is not None else []
    results, args = body.results, [body.argument("gradient", value.spec) for value in body.results[:states]]
    starts = [(results[states], get.out()) for get in reads] + list(zip(results, args, strict=False))
    run = reverse.inside(body, taped, starts)
    sums = [_state(body, run.leaves.get(arg), arg.outputs[0]) for arg in loop.states]
    weights, inits = [], []
    for name, values in run.variables.items():
        spec = values[0].spec
        sum_ = body.argument("sum", spec)
        args.append(sum_)
        weights.append(name)
        sums.append(body.add("AddN", (*values, sum_), (spec,)))
        inits.append(graph.add("Fill", (), (spec,), "zeros", zeros_of=body.variables[name]))
    list_grads, zeros = [], []
    for get, value in zip(loop.reads, lists, strict=True):
        if reverse.taped[value.op.index] and get in run.leaves:
            own = run.leaves[get]
            before = body.add("TensorListGetItem", (), (own.spec,))
            reads.append(before.op)
            zeros.append(_zeros(graph, value))
            list_grads.append(body.add("_ListAdd", (own, before), (own.spec,)))
    backward, captures = _split(body, loop, count)
    backward.results = [*sums, *list_grads]
    _prune_pops(backward, loop)
    body.phase = FORWARD
    made = Loop(backward, loop.trips, [arg.op for arg in args], reads, captures, reverse=True)
    seeds = [
        grad if grad is not None else graph.constant(0, value.spec)
        for grad, value in zip(grads[:states], results, strict=False)
    ]
    captured = [op.inputs[states + len(lists) + loop.captures.index(arg)] for arg in captures]
    graph.phase = phase
    given = [written] if written is not None else []
    new = add_loop(graph, made, [*seeds, *inits], [*given, *zeros], captured, "while_grad")
    new.controls.append(op)
    for place, name in enumerate(weights, start=states):
        reverse.variables.setdefault(name, []).append(new.out(place))
    found: list[Value | None] = [new.out(place) for place in range(states)]
    found += [new.out(len(args)) if list_grads and reverse.taped[value.op.index] else None for value in lists]
    return found + [None] * (len(op.inputs) - len(found))


def _zeros(graph: OpGraph, value: Value) -> Value:
    """The gradient of a list that is read begins as a list of zeros, made as soon as the list is there."""
    made = graph.add("_ListZeros", (), (value.spec,), "zeros_like")
    made.op.controls.append(value.op)
    return made


def _state(body: OpGraph, grad: Value | None, spec: Spec) -> Value:
    return grad if grad is not None else body.constant(0, spec)


def _split(body: OpGraph, loop: Loop, count: int) -> tuple[OpGraph, list[Op]]:
    """The body's reverse ops as a graph of their own, and the captures that they read; the forward body pushes what
    they read of it."""
    backward = OpGraph()
    own, body.ops = body.ops[count:], body.ops[:count]
    backward.phase, backward.layer = BACKWARD, body.layer
    popped: dict[Value, Value] = {}
    captures: list[Op] = []
    inside = set(own)

    def moved(value: Value) -> Value:
        if value.op in inside:
            return value
        if value in popped:
            return popped[value]
        if value.op.type == "Const":
            popped[value] = backward.constant(value.op.attrs.get("value"), value.spec)
        elif value.op in loop.captures:
            captures.append(value.op)
            popped[value] = value
        else:
            popped[value] = _pushed(body, backward, value)
        return popped[value]

    for op in own:
        op.inputs = [moved(value) for value in op.inputs]
        op.controls = [control for control in op.controls if control in inside]
        backward.ops.append(op)
    return backward, captures


def _pushed(body: OpGraph, backward: OpGraph, value: Value) -> Value:
    body.phase = FORWARD
    body.layer = value.op.layer
    push = body.add("TensorListPushBack", (value,), (value.spec,), own=True)
    body.kept.append(push.op)
    return backward.add("TensorListPopBack", (), (value.spec,), push=push.op)


def _prune_pops(backward: OpGraph, loop: Loop) -> None:
    """What the reverse pass does not need after all is not pushed; and of what is pushed, say whose buffer is its own:
    a weight's is the variable's, an element's is the list's, and a state's is counted where it was made."""
    from cnncost.memory.pruning import prune

    prune(backward)
    wanted = {op.attrs["push"] for op in backward.ops if op.type == "TensorListPopBack"}
    body = loop.graph
    body.kept = [op for op in body.kept if op in wanted]
    prune(body)
    made_of = dict(zip(loop.states, body.results, strict=False))
    seen = {loop.written} if loop.written is not None and loop.every else set()
    for push in body.kept:
        value = push.inputs[0]
        value = made_of.get(value.op, value)
        push.attrs["own"] = value not in seen and value.op.type not in _RESIDENT
        seen.add(value)


_RESIDENT = frozenset(("ReadVariableOp", "TensorListGetItem", "Const"))


def _slice(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (graph.add("StridedSliceGrad", (grad,), (op.inputs[0].spec,)),)


def _list(type_: str) -> Gradient:
    """A list's gradient is a list; a stacked list is taken apart, and the other way round."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        return (graph.add(type_, (grad,), (grad.spec,)),)

    return rule


RULES: Mapping[str, Gradient] = MappingProxyType(
    {
        "_SliceView": _slice,
        "TensorListStack": _list("TensorListFromTensor"),
        "TensorListFromTensor": _list("TensorListStack"),
    }
)
