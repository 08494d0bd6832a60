"""Which ops run: those that a result or an effect needs; and who reads them."""

from __future__ import annotations

from itertools import compress

from cnncost.memory.opgraph import Op, OpGraph, Value


def prune(graph: OpGraph) -> list[int]:
    """Drop what neither a result nor an assignment needs; number what stays. Returns how often each op that stays is
    needed: the edges that read it, the results and effects that it is."""
    ops = graph.ops
    for place, op in enumerate(ops):
        op.index = place
    needed = [0] * len(ops)
    for value in graph.results:
        needed[value.op.index] += 1
    for op in graph.kept:
        needed[op.index] += 1
    passed: list[Op] = []
    # What an op reads stands before it, but for what a rewriting added.
    for op, often in zip(reversed(ops), reversed(needed), strict=True):
        if often:
            for source, _ in op.inputs:
                needed[source.index] += 1
            if op.controls:
                for source in op.controls:
                    needed[source.index] += 1
        else:
            passed.append(op)
    late = [op for op in passed if needed[op.index]]
    while late:
        op = late.pop()
        for source in (*(value.op for value in op.inputs), *op.controls):
            if not needed[source.index]:
                late.append(source)
            needed[source.index] += 1
    if 0 not in needed:
        return needed
    graph.ops = list(compress(ops, needed))
    for place, op in enumerate(graph.ops):
        op.index = place
    return list(filter(None, needed))


def readers_of(ops: list[Op], results: list[Value]) -> list[list[Op | None]]:
    """For each op the ops that read it, one entry per edge, in the order of creation; None for the caller."""
    readers: list[list[Op | None]] = [[] for _ in ops]
    for op in ops:
        for value in op.inputs:
            readers[value.op.index].append(op)
    for value in results:
        readers[value.op.index].append(None)
    return readers
