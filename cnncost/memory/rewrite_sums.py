"""How grappler saves memory in sums (memory_optimizer.cc of TensorFlow 2.21: SchedulingPass).

Where it expects a step to need more than 80 % of its device's memory, a sum of more than two values of which one is
alive at that peak becomes an accumulation: a temporary variable of zeros, to which each value is added as soon as it is
there, so that it can be freed before the next one comes.

The memory that grappler is told of is the CPU device's ``memory_limit``, 256 MiB whatever the machine has: a model with
50 million weights is above it. What it expects is a simulation of its own (graph_memory.cc, virtual_scheduler.cc): one
op at a time, first come, first served, so that all weights are read at the start; reads and views count as copies,
nothing is done in place, and an op's operands are freed when the next op has its outputs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from operator import sub
from typing import NamedTuple

from cnncost.memory.opgraph import Op, OpGraph, Spec, Value
from cnncost.memory.walks import breadth_first
from cnncost.memory.wires import Wires, wires

MEMORY = 256 << 20  # bytes: memory_limit of the CPU device (Bytes(256 << 20) in threadpool_device_factory.cc)
SHARE = 0.8  # of it, above which sums are rewritten
_UNREAD = -1


def accumulate_sums(
    graph: OpGraph, memory: int = MEMORY, edges: Wires | None = None, created: Sequence[int] | None = None
) -> list[Op]:
    """Rewrite the sums of a graph that is otherwise as it runs; the ops that were rewritten. A rewritten sum holds no
    fewer bytes in grappler's eyes, so that its peak stays where it was, and one pass is enough. ``created``: the order
    of creation, by number, where it is not that of ``edges``."""
    sums = [op for op in graph.ops if op.type == "AddN" and len(op.inputs) > 2]
    if not sums:
        return []
    edges = edges or wires(graph.ops)
    if sum(edges.sizes) <= SHARE * memory:  # all at once would fit
        return []
    expected = expected_peak(graph, edges, created)
    if expected.bytes <= SHARE * memory:
        return []
    found = [op for op in sums if any(map(expected.alive, op.inputs))]
    made = {op.index: _accumulation(op) for op in found}
    if made:
        graph.ops = [new for op in graph.ops for new in (*made.get(op.index, ()), op)]
        for place, op in enumerate(graph.ops):
            op.index = place
    return found


class Expected(NamedTuple):
    """What grappler expects of a step: the most ``bytes`` that are alive at once, and ``at`` which turn; the turn of
    each op (``turns``), and by value that of its last reader, or of the op that makes it where nobody reads it
    (``last``)."""

    bytes: int
    at: int
    first: list[int]  # the number of each op's first value
    turns: list[int]
    last: list[int]

    def alive(self, value: Value) -> bool:
        """At the peak. An op's operands are freed when the next op has its outputs."""
        place = value.op.index
        return self.turns[place] <= self.at < self.last[self.first[place] + value.index] + 2


def expected_peak(graph: OpGraph, edges: Wires, created: Sequence[int] | None = None) -> Expected:
    """First come, first served: an op's turn comes when all that it waits for has run; its readers stand in the order
    of creation."""
    ops, first, reads, sources, sizes, _ = edges
    turns = [0] * len(ops)
    order = breadth_first(sources, created or range(len(ops)))
    for turn, place in enumerate(order):
        turns[place] = turn
    last = [_UNREAD] * len(sizes)
    for turn, place in enumerate(order):
        for value in reads[place]:
            last[value] = turn
    for source, index in graph.results:
        last[first[source.index] + index] = len(ops)
    if _UNREAD in last:
        for value in [value for value, turn in enumerate(last) if turn == _UNREAD]:
            last[value] = turns[bisect_right(first, value) - 1]
    freed = [0] * (len(ops) + 3)
    for size, turn in zip(sizes, last, strict=True):
        freed[turn + 2] += size
    before = list(accumulate(sizes, initial=0))  # the bytes of all values before each
    ends = list(map(before.__getitem__, first))
    made = list(map(sub, ends[1:], ends))  # by each op
    lives = list(accumulate(map(sub, map(made.__getitem__, order), freed)))
    peak = max(lives, default=0)
    return Expected(peak, lives.index(peak) if peak > 0 else 0, first, turns, last)


def _accumulation(total: Op) -> list[Op]:
    """The ops to run before a sum, which itself becomes the end of its temporary variable."""
    spec = total.outputs[0]

    def new(type_: str, inputs: list[Value], outputs: tuple[Spec, ...] = (spec,), **attrs: float) -> Op:
        return Op(total.index, type_, total.name, total.layer, total.phase, inputs, outputs, attrs)

    zeros = new("Const", [], value=0.0)
    variable = new("TemporaryVariable", [])
    zeros.controls = variable.controls = [_first(total).op]
    filled = new("Assign", [variable.out(), zeros.out()])
    parts = [new("AssignAdd", [filled.out(), value]) for value in total.inputs]
    # Without its operands the sum waits for the parts alone.
    total.type, total.inputs = "DestroyTemporaryVariable", [filled.out()]
    total.controls = [*parts, *total.controls]
    return [zeros, variable, filled, *parts]


def _first(total: Op) -> Value:
    """The operand that a depth-first walk from the sum, last operand first, leaves first: the last one, unless that one
    follows from another."""
    operands = {value.op: value for value in reversed(total.inputs)}
    seen: set[Op] = set()
    stack: list[tuple[Op, bool]] = [(value.op, False) for value in total.inputs]
    while stack:
        op, done = stack.pop()
        if done:
            if op in operands:
                return operands[op]
        elif op not in seen:
            seen.add(op)
            stack.append((op, True))
            stack.extend((value.op, False) for value in op.inputs)
    return total.inputs[-1]
