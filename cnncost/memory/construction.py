"""The order of nodes in the graph that the executor is given: it is built from a list of nodes.

Once oneDNN's pass is done, the function is written as a list and read again: of the nodes whose inputs are all there,
the one that stands first in the list comes next (graph_constructor.cc of TensorFlow 2.21: ``ready_`` is a sorted set).
So what the pass has put at the end goes back between its inputs and its readers. (The edges of running processes show
it; the order of the list itself is what a dumped graph shows.)
"""

from __future__ import annotations

from collections.abc import Sequence

Sources = Sequence[Sequence[int]]
_COMING = 1 << 60  # the turn of what still has to get one


def constructed(places: Sequence[int], sources: Sources, order: Sequence[int]) -> list[int]:
    """``places``, the list, in the new order. ``sources``: what each of them waits for, one entry for an edge;
    ``order``: these places, or more or less, if possible each behind its sources.

    What stands behind its sources keeps its turn, which is its place in the list. What does not comes in the turn of
    the last of its sources, behind it; several of one turn as they stand in the list, unless they wait for one another.

    >>> constructed([0, 2, 3, 1], [[], [0], [1], [0]], [0, 1, 2, 3])
    [0, 3, 1, 2]
    """
    rank = [-1] * len(sources)
    for number, place in enumerate(places):
        rank[place] = number
    turn = rank[:]
    for place in order:
        turn[place] = _COMING
    moved = False
    for place in order:
        own = latest = rank[place]
        for source in sources[place]:
            if turn[source] > latest:
                latest = turn[source]
        if latest == _COMING:
            return _one_by_one(places, sources, rank)
        if latest == own or own < 0:
            turn[place] = own
            continue
        turn[place] = latest
        moved = True
        for source in sources[place]:
            if turn[source] == latest > rank[source] > own:
                return _one_by_one(places, sources, rank)
    if not moved:
        return list(places)
    keys = [2 * last + (last > own) for last, own in zip(turn, rank, strict=True)]
    return sorted(places, key=keys.__getitem__)


def _one_by_one(places: Sequence[int], sources: Sources, rank: list[int]) -> list[int]:
    """Each time the first that is ready."""
    from heapq import heappop, heappush  # rarely needed

    pending = [0] * len(sources)
    readers: list[list[int]] = [[] for _ in sources]
    for place in places:
        own = sources[place]
        pending[place] = len(own)
        for source in own:
            readers[source].append(place)
    order: list[int] = []
    late: list[int] = []  # by rank: what got ready when its turn was over
    for number, place in enumerate(places):
        if pending[place]:
            continue
        order.append(place)
        fresh = readers[place]
        while True:
            for reader in fresh:
                pending[reader] -= 1
                if not pending[reader] and rank[reader] <= number:
                    heappush(late, rank[reader])
            if not late:
                break
            place = places[heappop(late)]
            order.append(place)
            fresh = readers[place]
    return order
