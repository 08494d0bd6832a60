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

from collections import deque

from cnncost.memory.opgraph import Op, OpGraph, Spec, Value

MEMORY = 256 << 20  # bytes: memory_limit of the CPU device (Bytes(256 << 20) in threadpool_device_factory.cc)
SHARE = 0.8  # of it, above which sums are rewritten


def accumulate_sums(graph: OpGraph, memory: int = MEMORY) -> list[Op]:
    """Rewrite the sums of a graph that is otherwise as it runs; the ops that were rewritten. A rewritten sum holds no
    fewer bytes in grappler's eyes, so that its peak stays where it was, and one pass is enough."""
    sums = [op for op in graph.ops if op.type == "AddN" and len(op.inputs) > 2]
    if not sums:
        return []
    for place, op in enumerate(graph.ops):
        op.index = place
    peak, alive = expected_peak(graph)
    if peak <= SHARE * memory:
        return []
    found = [op for op in sums if not alive.isdisjoint(op.inputs)]
    made = {op.index: _accumulation(op) for op in found}
    if made:
        graph.ops = [new for op in graph.ops for new in (*made.get(op.index, ()), op)]
        for place, op in enumerate(graph.ops):
            op.index = place
    return found


def expected_peak(graph: OpGraph) -> tuple[int, set[Value]]:
    """What grappler takes for the most bytes that are alive at once, and the values that are. ``op.index`` must be the
    position in ``graph.ops``."""
    ops = graph.ops
    begins, sizes = [0], []  # the values are numbered: each op's first one; bytes
    for op in ops:
        sizes += [spec.bytes for spec in op.outputs]
        begins.append(len(sizes))
    reads = [[begins[source.index] + index for source, index in op.inputs] for op in ops]
    uses = _uses(len(sizes), [*reads, [begins[source.index] + index for source, index in graph.results]])
    waits, readers = _edges(ops)
    queue = deque(place for place, count in enumerate(waits) if not count)
    made, gone = [-1] * len(sizes), [len(ops) + 2] * len(sizes)  # at which turn
    live = peak = turn = at = ended = 0  # ended: bytes read for the last time by the op before
    while queue:
        place = queue.popleft()
        for value in range(begins[place], begins[place + 1]):
            live += sizes[value]
            made[value] = turn
        if live > peak:
            peak, at = live, turn
        live -= ended
        ended = 0
        for value in (*range(begins[place], begins[place + 1]), *reads[place]):
            if made[value] < turn:
                uses[value] -= 1
            if not uses[value]:
                ended += sizes[value]
                gone[value] = turn + 2
        for reader in readers[place]:
            waits[reader] -= 1
            if not waits[reader]:
                queue.append(reader)
        turn += 1
    alive = {
        Value(op, number - begins[op.index])
        for op in ops
        for number in range(begins[op.index], begins[op.index + 1])
        if 0 <= made[number] <= at < gone[number]
    }
    return peak, alive


def _edges(ops: list[Op]) -> tuple[list[int], list[list[int]]]:
    """For how many others each op waits; who waits for each op, once each, in the order of creation."""
    waits: list[int] = []
    readers: list[list[int]] = [[] for _ in ops]
    for place, op in enumerate(ops):
        sources = {source.index for source, _ in op.inputs}
        if op.controls:
            sources.update(source.index for source in op.controls)
        waits.append(len(sources))
        for source in sources:
            readers[source].append(place)
    return waits, readers


def _uses(count: int, reads: list[list[int]]) -> list[int]:
    """How often each value is read, by the caller too."""
    uses = [0] * count
    for own in reads:
        for value in own:
            uses[value] += 1
    return uses


def _accumulation(total: Op) -> list[Op]:
    """The ops to run before a sum, which itself becomes the end of its temporary variable."""
    spec = total.outputs[0]

    def new(type_: str, inputs: list[Value], outputs: tuple[Spec, ...] = (spec,), **attrs: float) -> Op:
        return Op(total.index, type_, total.name, total.layer, total.phase, inputs, outputs, attrs)

    zeros = new("Const", [], value=0.0)
    variable = new("TemporaryVariable", [])
    variable.controls = [_first(total).op]
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
