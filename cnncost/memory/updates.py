"""The update of all weights, as Keras 3.15's optimizers run it on TensorFlow 2.21."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cnncost.memory.loss_scaling import counted, tested, unscaled
from cnncost.memory.opgraph import UPDATE, OpGraph, Value, Variable
from cnncost.memory.optimizers import Optimizer
from cnncost.memory.sparse import is_sparse
from cnncost.memory.spec import Spec
from cnncost.memory.stamps import Stamp
from cnncost.memory.update_ops import Updates
from cnncost.memory.update_rules import RULES, momentum_schedule

_SETTLED = frozenset(("sgd", "adam", "adamw"))


def is_settled(choice: Optimizer, grads: Sequence[Value | None]) -> bool:
    """Whether grappler leaves the ops of the update as they are, but for the squares of a gradient that two weights
    share: where two normalized branches are added, both shifts have the same. Nesterov's momentum computes a step
    twice."""
    return (
        choice.kind in _SETTLED
        and not (choice.nesterov or choice.loss_scaling or choice.accumulation)
        and not any(grad is not None and is_sparse(grad) for grad in grads)
    )


def apply_updates(
    graph: OpGraph, choice: Optimizer, trained: Sequence[Variable], grads: Sequence[Value | None],
    rewritten: bool = False, eager: bool = False, most: int | None = None,
) -> list[Value]:  # fmt: skip
    """Add the optimizer's update of every weight that has a gradient, and of the iteration counter. ``rewritten``: the
    graph has been rewritten, and will not be again; ``eager``: it is none, and zeros are made; ``most``: of a step with
    more ops not all are made (``stamps``). Returns the sums of accumulated gradients, which Keras has in a list until
    all weights are updated."""
    graph.phase = UPDATE
    updates = Updates(graph, choice, trained)
    if rewritten:
        updates.shared = {grad for grad, often in Counter(grads).items() if grad is not None and often > 1}
    pairs = [(weight, grad) for weight, grad in zip(trained, grads, strict=True) if grad is not None]
    if choice.loss_scaling and pairs:
        updates.gate = tested(graph, [grad for _, grad in pairs])
        pairs = [(weight, unscaled(graph, grad, updates.gate)) for weight, grad in pairs]
        counted(graph, updates.gate)
    if choice.accumulation:
        pairs = _accumulated(updates, pairs)
    if not choice.between:
        _update(updates, pairs, rewritten, most)
        if choice.accumulation:
            _reset(updates, trained, eager)
    graph.layer = ""
    if choice.use_ema:
        for weight in trained:
            _average(updates, weight)
    counter = updates.scalar("iteration")
    read = updates.read(counter)
    one = graph.constant(1, Spec((), "int64"))
    updates.assign(counter, graph.add("AddV2", (read, one), (read.spec,)))
    return [total for _, total in pairs] if choice.accumulation else []


def _update(u: Updates, pairs: Sequence[tuple[Variable, Value]], alike: bool, most: int | None) -> None:
    """The weights' decay, then every weight's own rule; ``alike``: nothing will change the ops."""
    if u.choice.weight_decay:
        for weight, _ in pairs:
            _decay(u, weight)
    if u.choice.kind == "nadam" and pairs:
        momentum_schedule(u, pairs[0][0])
    rule, ops = RULES[u.choice.kind], u.graph.ops
    stamp: Stamp | None = None
    met: set[str] = set()  # dtypes: the first weight's update makes the constants that others share
    for place, (weight, grad) in enumerate(pairs, 1):
        u.graph.layer = weight.handle.layer
        dtype = u.dtype = weight.spec.dtype
        plain = alike and Stamp.suits(u, weight, grad)
        if stamp is not None and plain and stamp.fits(weight):
            stamp.update(weight, grad)
            continue
        begin = len(ops)
        rule(u, weight, u.cast(grad))
        if stamp is None and plain and dtype in met:
            stamp = Stamp(u, weight, grad, ops[begin:], len(pairs) - place, most)
        met.add(dtype)


def _accumulated(u: Updates, pairs: Sequence[tuple[Variable, Value]]) -> list[tuple[Variable, Value]]:
    """``gradient_accumulation_steps`` = N: each gradient and what the steps before added up; at the N-th step their
    mean (grappler multiplies by 1/N), between updates the sums, which become the accumulators.

    Keras branches by ``tf.cond``; of the branch that is not taken nothing runs. The condition is (iteration + 1) mod N
    = 0, an int64 and a flag.
    """
    graph = u.graph
    flag = u.step_number()
    made = []
    for weight, grad in pairs:
        graph.layer, u.dtype = weight.handle.layer, weight.spec.dtype
        slot = u.accumulator(weight)
        total = u.add(grad, u.read(slot))
        total.op.controls.append(flag)
        made.append((weight, total if u.choice.between else u.mul(total, 1 / u.choice.accumulation)))
    for weight, total in made if u.choice.between else ():
        graph.layer = weight.handle.layer
        u.assign(u.accumulator(weight), total)
    return made


def _reset(u: Updates, trained: Sequence[Variable], eager: bool) -> None:
    """All accumulators to zeros, which grappler has folded to constants."""
    for weight in trained:
        u.graph.layer = weight.handle.layer
        slot = u.accumulator(weight)
        zeros = u.graph.add("Fill", (), (slot.spec,)) if eager else u.graph.constant(0.0, slot.spec, "zeros")
        u.assign(slot, zeros)


def _decay(u: Updates, weight: Variable) -> None:
    """weight -= weight · decay · rate, before the update."""
    u.graph.layer, u.dtype = weight.handle.layer, weight.spec.dtype
    rate = u.rate()
    u.assign(weight, u.mul(u.mul(u.read(weight), 0.004), rate), "Sub")


def _average(u: Updates, weight: Variable) -> None:
    """The exponential average of a weight, reset at the first step."""
    u.graph.layer, u.dtype = weight.handle.layer, weight.spec.dtype
    average = u.slot(weight, "average")
    read = u.read(u.scalar("iteration"))
    zero = u.graph.constant(0, Spec((), "int64"))
    later = u.graph.add("NotEqual", (read, zero), (Spec((), "bool"),))
    momentum = u.mul(u.cast(later), 0.99)
    kept = u.mul(momentum, u.read(average))
    u.assign(average, u.add(kept, u.mul(u.sub(1.0, momentum), u.read(weight))))
