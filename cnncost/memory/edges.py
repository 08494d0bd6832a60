"""The order in which TensorFlow goes through the edges of a node that has more than eight: the slots of a hash table.

A node's set of edges is an open table over their addresses (edgeset.h, flatset.h, flatrep.h of TensorFlow 2.21): the
hash is k + k/64, of which all but the last 8 bits are the slot, so that nearly 8 neighbours want the same one; who
comes later goes 1, 3, 6, 10, … slots on. The table holds the least power of two of slots, eight at least, of which
fewer than 80 % are taken; it is filled anew each time it grows, in the order of the old one, unless it was made for as
many as come.

Edges are objects of 32 bytes, made one behind the other in blocks of 8 KiB (arena.cc, graph.cc). The edges from the
source come last: the source is linked to what has no input when all else is there, to the arguments first, in their
order, then to the constants (algorithm.cc: FixupSourceAndSinkEdges). Before all others it is linked to the sink, and
once more each time the graph is copied, twice before it is run (graph.cc: Copy).

Where they lie is a matter of the process's memory. With the places of three blocks found by search, this law gives all
60 variables of a captured order their place. Blocks are taken to follow each other: scattered ones would read the first
layers' weights before others, so that fewer normalizations were folded before the forward pass than were measured.
"""

from __future__ import annotations

from collections.abc import Sequence

EDGE = 32  # bytes
FEWEST = 8  # slots
FULL = 0.8  # the share of slots that may be taken
_BLOCK = 256  # edges
_HEADER = 16  # bytes between two blocks, malloc's own


class Arena:
    """Addresses of a graph's edges by number, in the memory of one process; ``process`` tells those that are looked at
    apart.

    >>> first, other = Arena(1), Arena(2)
    >>> first(7) - first(6), first(7) == other(7), first(7) == Arena(1)(7)
    (32, False, True)
    """

    def __init__(self, process: int) -> None:
        seed = _mixed(process)
        self.before = seed % _BLOCK  # edges that stand in the first block before number 0
        self.start = _address(seed)
        self.first = _address(_mixed(seed))  # the edge that the graph began with, among the nodes

    def __call__(self, edge: int) -> int:
        place = edge + self.before
        return self.start + EDGE * place + _HEADER * (place // _BLOCK)


def slot_order(addresses: Sequence[int], room: int = 0) -> list[int]:
    """The edges at these addresses, made in this order, in the order of their slots; up to eight have no table.
    ``room``: how many the table was made for.

    >>> slot_order(range(0, 12 * 32, 32)), slot_order(range(0, 8 * 4096, 4096))
    ([0, 1, 8, 4, 9, 6, 2, 10, 3, 11, 7, 5], [0, 1, 2, 3, 4, 5, 6, 7])
    """
    count = len(addresses)
    if count <= FEWEST:
        return list(range(count))
    homes = [(key + (key >> 6)) >> 8 for key in addresses]
    size = _slots(room)
    limit = int(size * FULL)
    table: list[int] = [-1] * size
    for edge in range(count):
        if edge >= limit:
            old, size = table, _slots(edge + 1)
            limit = int(size * FULL)
            table = [-1] * size
            for moved in old:
                if moved >= 0:
                    _put(table, moved, homes[moved])
        _put(table, edge, homes[edge])
    return [edge for edge in table if edge >= 0]


def source_order(count: int, arena: Arena, edges: int, copies: int) -> list[int]:
    """``count`` edges from the source, made behind ``edges`` others in a graph that was copied ``copies`` times, in the
    order of their slots."""
    sink = [arena.first, *map(arena, range(copies))]
    made = [*sink, *map(arena, range(edges, edges + count))]
    return [edge - len(sink) for edge in slot_order(made) if edge >= len(sink)]


def _slots(count: int) -> int:
    size = FEWEST
    while count >= FULL * size:
        size *= 2
    return size


def _put(table: list[int], edge: int, place: int) -> None:
    mask, step = len(table) - 1, 1
    place &= mask
    while table[place] >= 0:
        place, step = (place + step) & mask, step + 1
    table[place] = edge


def _address(number: int) -> int:
    """As malloc's are: a multiple of 16."""
    return number & -16


def _mixed(number: int) -> int:
    """Whole numbers that follow no pattern, the same everywhere (the finalizer of MurmurHash3)."""
    number = (number + 1) * 0x9E3779B1 & 0xFFFFFFFF
    number = (number ^ number >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    number = (number ^ number >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ number >> 16
