"""The order in which TensorFlow goes through the edges of a node that has more than eight: the slots of a hash table.

A graph's edges are objects of 32 bytes, made side by side (arena.h, graph.h). A node's set of edges is an open
table over their addresses (edgeset.h, flatset.h, flatrep.h): the hash is k + k/64, of which all but the last 8 bits are
the slot, so that nearly 8 neighbours want the same one; who comes later goes 1, 3, 6, 10, … slots on. The table holds
the least power of two of slots, eight at least, of which fewer than 80 % are taken; it is filled anew each time it
grows. Where the first edge falls follows from the process's memory: that, ``start``, is a share of the table.
"""

from __future__ import annotations

EDGE = 32  # bytes
FEWEST = 8  # slots
GOLDEN = 0.618034  # multiples of it, less their whole parts, spread evenly and follow no other pattern
FULL = 0.8  # the share of slots that may be taken


def table_order(count: int, start: float) -> list[int]:
    """``count`` edges in the order of their slots; up to eight have no table.

    >>> table_order(12, 0.0), table_order(12, 0.97)
    ([0, 1, 8, 4, 9, 6, 2, 10, 3, 11, 7, 5], [3, 4, 2, 5, 9, 0, 6, 10, 7, 11, 8, 1])
    """
    if count <= FEWEST:
        return list(range(count))
    slots = _slots(count)
    first = slots * 256 * 64 + int(start * slots * 256 / EDGE) * EDGE  # the bits above the table's do not matter
    homes = [(key + (key >> 6)) >> 8 for key in range(first, first + count * EDGE, EDGE)]
    size = FEWEST
    table: list[int] = [-1] * size
    for edge in range(count):
        if edge >= int(size * FULL):
            old, size = table, _slots(edge + 1)
            table = [-1] * size
            for moved in old:
                if moved >= 0:
                    _put(table, moved, homes[moved])
        _put(table, edge, homes[edge])
    return [edge for edge in table if edge >= 0]


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
