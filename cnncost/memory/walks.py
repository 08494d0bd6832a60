"""The walks over a graph's nodes by which grappler orders them. ``sources``: what each node waits for, one entry for an
edge; what is left out of ``start`` is no node of the graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

Sources = Sequence[Sequence[int]]


def depth_first(sources: Sources, ends: list[int]) -> list[int]:
    """Reverse of the walk from the ends, last input first."""
    seen = bytearray(len(sources))
    walk: list[int] = []
    stack = list(ends)
    while stack:
        place = stack.pop()
        if not seen[place]:
            seen[place] = 1
            walk.append(place)
            stack += sources[place]
    return walk[::-1]


def breadth_first(sources: Sources, start: Sequence[int]) -> list[int]:
    """Kahn's order, first in first out; readers in the order of ``start``."""
    waits = list(map(len, sources))
    readers: list[list[int]] = [[] for _ in sources]
    for place in start:
        for source in sources[place]:
            readers[source].append(place)
    order = [place for place in start if not waits[place]]
    for place in order:  # grows while it is walked
        for reader in readers[place]:
            left = waits[reader] - 1
            if left:
                waits[reader] = left
            else:
                order.append(reader)
    return order


def last_first(
    sources: Sources, start: Sequence[int], readers: Sequence[list[int]], ports: Mapping[int, Mapping[int, int]]
) -> list[int]:
    """Reverse post-order of a walk down the edges from what waits for nothing, the last of ``start`` first, and the
    last reader first (graph_view.cc: SortTopologically). A node's ``readers``, which stand in the order of ``start``,
    are sorted by the output that they read, those without data last: ``ports`` has the outputs behind the first, by
    source and reader."""
    for source, behind in ports.items():
        if len(readers[source]) > 1:
            readers[source].sort(key=partial(_port, behind))
    return post_order([place for place in start if not sources[place]], readers)[::-1]


def _port(behind: Mapping[int, int], reader: int) -> int:
    return behind.get(reader, 0)


def post_order(starts: Sequence[int], readers: Sources) -> list[int]:
    """A node behind all that are reached from it; the last of ``starts`` and of each node's readers first.

    >>> post_order([0], [[1, 2], [], []])
    [2, 1, 0]
    """
    seen = bytearray(len(readers))
    finished: list[int] = []
    stack = list(starts)
    while stack:
        place = stack.pop()
        if place < 0:
            finished.append(~place)
        elif not seen[place]:
            seen[place] = 1
            own = readers[place]
            if own:
                stack.append(~place)
                stack += own
            else:
                finished.append(place)
    return finished
