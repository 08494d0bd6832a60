"""LossScaleOptimizer (keras/src/optimizers/loss_scale_optimizer.py): wrapped around the optimizer under mixed_float16.

The loss is multiplied by a variable; every gradient is tested for infinities, and a ``cond`` that waits for all tests
divides the gradients and updates the weights. The other branch, which halves the scale, is not the one that runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.opgraph import BACKWARD, LOSS, UPDATE, Op, OpGraph, Value, Variable
from cnncost.memory.sparse import apply, each, finite, is_sparse
from cnncost.memory.spec import Spec

SCALE, COUNTER = "loss_scale_optimizer/dynamic_scale", "loss_scale_optimizer/step_counter"
Starts = Sequence[tuple[Value, Value]]


def _scale(graph: OpGraph) -> Value:
    return graph.read(graph.variable(SCALE, Spec((), "float32"), trainable=False))


def scaled(graph: OpGraph, loss: Value, starts: Starts) -> list[tuple[Value, Value]]:
    """The loss times the scale, which nobody reads; the gradients that the tape starts from are times the scale too,
    and no constants any more."""
    graph.phase, graph.layer = BACKWARD, ""
    scale = _scale(graph)
    found = []
    for start, seed in starts:
        factor = scale if seed.dtype == scale.dtype else graph.add("Cast", (scale,), to=seed.dtype)
        found.append((start, graph.add("Mul", (seed, factor), (seed.spec,))))
    graph.phase = LOSS
    return found


def tested(graph: OpGraph, grads: Sequence[Value]) -> Op:
    """Whether all gradients are finite: the op that the update waits for."""
    flag = Spec((), "bool")
    flags = []
    for grad in grads:
        flags.append(graph.add("All", (finite(graph, grad),), (flag,), axes=tuple(range(len(grad.shape)))))
    packed = graph.add("Pack", flags, (Spec((len(flags),), "bool"),), axis=0)
    return graph.add("All", (packed,), (flag,), axes=(0,)).op


def unscaled(graph: OpGraph, grad: Value, test: Op) -> Value:
    """What the branch does first with a gradient; the ``Switch`` before it is a view."""

    def taken(value: Value) -> Value:
        made = graph.add("Switch", (value,), (value.spec,))
        made.op.controls.append(test)
        return made

    return _divided(graph, each(grad, taken), _scale(graph))


def _divided(graph: OpGraph, grad: Value, scale: Value) -> Value:
    """By the scale in the gradient's dtype; of a sparse one its rows."""
    if scale.dtype != grad.dtype:
        scale = graph.add("Cast", (scale,), to=grad.dtype)
    found = apply(graph, "RealDiv", (grad, scale)) if is_sparse(grad) else None
    return graph.add("RealDiv", (grad, scale), (grad.spec,)) if found is None else found


def tested_at_once(graph: OpGraph, grads: Sequence[Value | None]) -> list[Value | None]:
    """The same where nothing waits for a graph: the gradients are tested, then divided, all of them before the first
    update."""
    graph.phase = UPDATE
    tested(graph, [grad for grad in grads if grad is not None])
    scale = _scale(graph)
    return [None if grad is None else _divided(graph, grad, scale) for grad in grads]


def counted(graph: OpGraph, test: Op) -> Variable:
    """The step is counted, and the scale doubled every 2,000 of them."""
    counter = graph.variable(COUNTER, Spec((), "int64"), trainable=False)
    one = graph.constant(1, counter.spec)
    graph.assign("AssignAddVariableOp", counter, one).controls.append(test)
    return counter
