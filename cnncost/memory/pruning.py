"""Which ops run: those that a result or an effect needs; and who reads them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import TypeVar

from cnncost.memory.opgraph import Op, OpGraph

T = TypeVar("T")


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
            for value in op.inputs:
                needed[value[0].index] += 1
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
    return needed if 0 not in needed else _left(graph, needed, needed)


def drop(graph: OpGraph, needed: list[int]) -> list[int]:
    """The same, where it is known how often each op is ``needed`` by others, by those too that nobody needs: a pass
    that looks at all inputs in any case counts them. An op's number is its place."""
    ops = graph.ops
    for value in graph.results:
        needed[value.op.index] += 1
    for op in graph.kept:
        needed[op.index] += 1
    if 0 not in needed:
        return needed
    unneeded = [op for op, often in zip(ops, needed, strict=True) if not often]
    for op in unneeded:  # grows while it is walked
        for source in (*[source for source, _ in op.inputs], *op.controls):
            needed[source.index] -= 1
            if not needed[source.index]:
                unneeded.append(source)
    return _left(graph, needed, needed)


def pruned_readers(graph: OpGraph) -> list[list[Op | None]]:
    """Prune. For each op that stays the ops that read it, one entry per edge, in the order of creation; None for the
    caller."""
    ops = graph.ops
    for place, op in enumerate(ops):
        op.index = place
    readers: list[list[Op | None]] = [[] for _ in ops]
    awaited = dict.fromkeys((op.index for op in graph.kept), 1)  # what is needed without data, and how often
    for op in ops:
        for value in op.inputs:
            readers[value[0].index].append(op)
        if op.controls:
            for source in op.controls:
                awaited[source.index] = awaited.get(source.index, 0) + 1
    for value in graph.results:
        readers[value.op.index].append(None)
    unneeded = [op for op, own in zip(ops, readers, strict=True) if not own and op.index not in awaited]
    needed = bytearray(b"\1" * len(ops))
    for op in unneeded:  # grows while it is walked
        needed[op.index] = 0
        for source, _ in op.inputs:
            readers[source.index].remove(op)
        for source in op.controls:
            awaited[source.index] -= 1
        for source in {*[source for source, _ in op.inputs], *op.controls}:
            if not readers[source.index] and not awaited.get(source.index):
                unneeded.append(source)
    return _left(graph, needed, readers) if unneeded else readers


def _left(graph: OpGraph, needed: Sequence[int], told: Sequence[T]) -> list[T]:
    """Number what stays; what is ``told`` of it."""
    graph.ops = list(compress(graph.ops, needed))
    for place, op in enumerate(graph.ops):
        op.index = place
    return list(compress(told, needed))
