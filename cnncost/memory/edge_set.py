"""The edges of a node as TensorFlow 2.21 keeps them, and the order in which it goes through them.

Up to eight stand in an array, where the last takes the place of one that is removed (edgeset.cc). More stand in an open
table over their addresses (flatset.h, flatrep.h): the hash is k + k/64, of which all but the last 8 bits are the slot,
so that nearly 8 neighbours want the same one; who comes later goes 1, 3, 6, 10, … slots on. The table has the least
power of two of slots, eight at least, of which fewer than 80 % are taken; it is filled anew each time it grows, in the
order of the old one, unless it was made for as many as come. Who is removed leaves the slot marked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

FEWEST = 8  # slots, and edges that go without a table
FULL = 0.8  # the share of slots that may be taken
_GONE = (-1, -1)
_Edge = tuple[int, int]  # its address, and who it leads to


class EdgeSet:
    """Edges that were made in this order; ``room``: how many the table was made for.

    >>> edges = EdgeSet((32 * place, place) for place in range(12))
    >>> edges.remove(32)
    >>> edges.readers()
    [0, 8, 4, 9, 6, 2, 10, 3, 11, 7, 5]
    """

    def __init__(self, edges: Iterable[_Edge] = (), room: int = 0) -> None:
        self.array: list[_Edge] = []
        self.table: list[_Edge | None] = [None] * _slots(room) if room > FEWEST else []
        self.taken = 0  # slots, marked ones as well
        for address, reader in edges:
            self.add(address, reader)

    def add(self, address: int, reader: int) -> None:
        edge = (address, reader)
        if self.table:
            self._insert(edge)
        elif len(self.array) < FEWEST:
            self.array.append(edge)
        else:
            self.table = [None] * FEWEST
            for each in (*self.array, edge):
                self._insert(each)

    def remove(self, address: int) -> None:
        edges = self.table or self.array
        place = next(place for place, edge in enumerate(edges) if edge and edge[0] == address)
        if self.table:
            self.table[place] = _GONE
        else:
            self.array[place] = self.array[-1]
            self.array.pop()

    def readers(self) -> list[int]:
        """In the order in which TensorFlow goes through them."""
        return [edge[1] for edge in self.table or self.array if edge and edge is not _GONE]

    def _insert(self, edge: _Edge) -> None:
        if self.taken >= int(len(self.table) * FULL):
            kept = [other for other in self.table if other and other is not _GONE]
            self.table = [None] * _slots(len(kept) + 1)
            self.taken = 0
            for other in kept:
                self._put(other)
        self._put(edge)

    def _put(self, edge: _Edge) -> None:
        table, address, step, gone = self.table, edge[0], 1, -1
        mask = len(table) - 1
        place = (address + (address >> 6)) >> 8 & mask
        while (found := table[place]) is not None:
            if found is _GONE and gone < 0:
                gone = place
            place, step = (place + step) & mask, step + 1
        self.taken += gone < 0
        table[place if gone < 0 else gone] = edge


def slot_order(addresses: Sequence[int], room: int = 0) -> list[int]:
    """The edges at these addresses, made in this order, in the order of their slots; up to eight have no table.
    ``room``: how many the table was made for.

    >>> slot_order(range(0, 12 * 32, 32)), slot_order(range(0, 8 * 4096, 4096))
    ([0, 1, 8, 4, 9, 6, 2, 10, 3, 11, 7, 5], [0, 1, 2, 3, 4, 5, 6, 7])
    """
    if len(addresses) <= FEWEST >= room:
        return list(range(len(addresses)))
    hashes = [address + (address >> 6) >> 8 for address in addresses]
    table = [-1] * (_slots(room) if room > FEWEST else FEWEST)
    limit = int(len(table) * FULL)
    for taken in range(len(hashes)):
        fresh: Sequence[int] = (taken,)
        if taken >= limit:  # the table is filled anew, in the order of the old one
            fresh = [edge for edge in table if edge >= 0]
            fresh.append(taken)
            table = [-1] * _slots(taken + 1)
            limit = int(len(table) * FULL)
        mask = len(table) - 1
        for edge in fresh:
            place, step = hashes[edge] & mask, 1
            while table[place] >= 0:
                place, step = (place + step) & mask, step + 1
            table[place] = edge
    return [edge for edge in table if edge >= 0]


def _slots(count: int) -> int:
    size = FEWEST
    while count >= FULL * size:
        size *= 2
    return size
