"""Where a graph's edges lie in the memory of a process, and so in which order TensorFlow goes through those of a node
that has many (``edge_set``).

A graph's nodes, of 200 bytes, and edges, of 32, stand one behind the other in blocks of 8 KiB (graph.cc: AllocateNode,
AddEdge; arena.cc), beginning with the source, the sink and the edge between them. A graph that is read has each node
before the edges that lead to it; in a copy all nodes come first, and that edge is there once more for each time it was
copied (graph.cc: Copy; twice before it is run). The edges from the source come last: it is linked to what has no input
when all else is there, to the arguments first, in their order, then to the constants (algorithm.cc:
FixupSourceAndSinkEdges).

Where malloc puts the blocks is a matter of the process's memory: of a graph that is read anywhere, since each is asked
for between other small things, but the source's edges, which now and then lie in blocks one behind the other; of a copy
one behind the other, as far as the gap that they fill goes, small gaps first. The source's table of edges grows
meanwhile: one of 1,024 slots and more stands between two blocks, and leaves room there for others when it has grown out
of it (in all of 24 processes). (Read from the memory of real processes with a debugger; with the addresses found there,
three of three peaks of a step of VGG19, which has two, were predicted to the byte.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cnncost.memory.edge_set import FEWEST, FULL, slot_order

NODE = 200  # bytes
EDGE = 32  # bytes
_BLOCK = 8192  # bytes
_HEADER = 16  # bytes between two blocks, malloc's own
_FIRST = 2 * NODE + EDGE  # bytes: what a graph begins with
_EDGES = _BLOCK // EDGE  # in a block
_BUCKET = 72  # bytes of eight slots of a table
_LARGE = 1024  # slots of the smallest table that does not fit where a block was
_FOLLOWS = 3  # seen of 65 blocks of the source's edges in a graph that was read: 23
# How many of a copy's blocks were seen one behind the other, from and below: small gaps are filled first. Behind the
# last nodes' block, then by place.
_PIECES = (range(1), range(1, 9), range(2, 22), range(10, 64))


class Heap:
    """Addresses of blocks in the memory of one process; ``process`` tells those that are looked at apart.

    >>> first, again, other = Heap(1), Heap(1), Heap(2)
    >>> first.block() == again.block(), first.block() == other.block()
    (True, False)
    """

    def __init__(self, process: int) -> None:
        self.state = process

    def block(self) -> int:
        """As malloc's are: a multiple of 16."""
        self.state = _mixed(self.state)
        return self.state & -16

    def number(self, below: int) -> int:
        """One of the numbers below it."""
        self.state = _mixed(self.state)
        return self.state % below


class Read:
    """A graph that was read: the nodes, each before its edges; ``degrees``: how many edges lead to each. Then come the
    ``roots`` edges from the source, and one to the sink.

    >>> Read([1, 2], roots=1).places
    [632, 864, 896, 928, 960]
    """

    def __init__(self, degrees: Iterable[int], roots: int) -> None:
        self.places: list[int] = []  # of the edges: 8 KiB times the block, and where in it
        used = _FIRST
        for degree in degrees:
            for size in (NODE, *(EDGE,) * degree):
                place = self._place(used, size)
                used = place + size
                if size == EDGE:
                    self.places.append(place)
        self.linked = len(self.places)  # the number of the first edge from the source
        for _ in range(roots + 1):
            used = self._place(used, EDGE) + EDGE
            self.places.append(used - EDGE)
        self.used = used

    @staticmethod
    def _place(used: int, size: int) -> int:
        return used if used % _BLOCK + size <= _BLOCK else -(-used // _BLOCK) * _BLOCK

    def extended(self) -> Iterator[int]:
        """Where further edges go, behind another node."""
        used = self._place(self.used, NODE) + NODE
        while True:
            place = self._place(used, EDGE)
            yield place
            used = place + EDGE

    def source_order(self, places: Places) -> list[int]:
        """The edges from the source in the order of their slots."""
        own = self.places[self.linked : -1]
        places.follow(own)
        linked = [places(2 * NODE), *map(places, own)]
        return [edge - 1 for edge in slot_order(linked) if edge]


class Places:
    """Addresses, in one process, of places in blocks that lie anywhere."""

    def __init__(self, heap: Heap) -> None:
        self.heap, self.blocks = heap, dict[int, int]()

    def follow(self, linked: Sequence[int]) -> None:
        """The source's edges are made one after another: of each ``_FOLLOWS`` of their blocks one stands behind the one
        before it, or behind the table that the source got meanwhile."""
        tables, between = _large_tables(), 0
        edge, size = next(tables)
        last = linked[0] // _BLOCK if linked else 0
        for number, place in enumerate(linked, 1):
            block = place // _BLOCK
            if block != last:
                if not self.heap.number(_FOLLOWS):
                    self.blocks[block] = self(last * _BLOCK) + _BLOCK + _HEADER + between
                last, between = block, 0
            if number == edge:
                between = size
                edge, size = next(tables)

    def __call__(self, place: int) -> int:
        block, offset = divmod(place, _BLOCK)
        start = self.blocks.get(block)
        if start is None:
            start = self.blocks[block] = self.heap.block()
        return start + offset


class Copied:
    """A graph that was copied ``copies`` times: ``nodes``, then edges, ``edges`` of them not from the source.

    >>> Copied(40, 300).addresses(Heap(1))(100) - Copied(40, 300).addresses(Heap(1))(99)
    32
    """

    def __init__(self, nodes: int, edges: int, copies: int = 2) -> None:
        self.copies, self.edges = copies, copies + edges
        alone = 2 + (_BLOCK - _FIRST) // NODE  # nodes of the first block, which has an edge too
        self.one = nodes <= alone
        self.used = _FIRST + NODE * (nodes - 2) if self.one else ((nodes - alone - 1) % (_BLOCK // NODE) + 1) * NODE
        self.beside = (_BLOCK - self.used) // EDGE  # edges in the block of the last nodes

    def addresses(self, heap: Heap) -> Addresses:
        """Those of one process."""
        return Addresses(self, heap)


class Addresses:
    """Of a copy's edges by number, in one process."""

    def __init__(self, copy: Copied, heap: Heap) -> None:
        self.copy, self.start = copy, heap.block()
        self.first = (self.start if copy.one else heap.block()) + 2 * NODE
        self.blocks: list[int] = []  # of edges alone
        self.following = self._following(heap)

    def __call__(self, edge: int) -> int:
        """Number 0 is the copies' first from source to sink."""
        beside = self.copy.beside
        if edge < beside:
            return self.start + self.copy.used + EDGE * edge
        block, place = divmod(edge - beside, _EDGES)
        while block >= len(self.blocks):
            self.blocks.append(next(self.following))
        return self.blocks[block] + EDGE * place

    def _following(self, heap: Heap) -> Iterator[int]:
        """Where the blocks of edges are. A table of the source's stands behind the block that was the last when it was
        made, and what has grown out of it leaves room for others."""
        copy, room = self.copy, _BLOCK + _HEADER
        place, pieces = self.start + room, iter(_PIECES)
        lengths = next(pieces)
        left = _one_of(lengths, heap)
        tables, holes, old = _large_tables(), list[int](), range(0)
        edge, size = next(tables)
        made = copy.beside  # edges for which there is a place
        while True:
            # The source's edges: one to the sink for each copy and one more, then those that follow all others.
            while copy.edges + edge - copy.copies - 1 < made:
                holes += old[: 1 - room : room]
                old = range(place, place + size)
                place = old.stop
                edge, size = next(tables)
            if holes:
                yield holes.pop(0)
            else:
                if not left:
                    lengths = next(pieces, lengths)
                    place, left = heap.block(), _one_of(lengths, heap)
                yield place
                place, left = place + room, left - 1
            made += _EDGES

    def source_order(self, count: int) -> list[int]:
        """``count`` edges from the source, made last, in the order of their slots."""
        copies, edges = self.copy.copies, self.copy.edges
        linked = [self.first, *map(self, range(copies)), *map(self, range(edges, edges + count))]
        return [edge - 1 - copies for edge in slot_order(linked) if edge > copies]

    def tables(
        self, order: Sequence[int], sources: Sequence[Sequence[int]], told: Iterable[int] | None = None
    ) -> dict[int, list[int]]:  # fmt: skip
        """For each node with more readers than go without a table: the readers, in the order of their edges' slots. The
        edges are made node by node; a copy's tables are made for as many as come. ``told``: the nodes, or all."""
        counts = [0] * len(sources)
        for place in order:
            for source in sources[place]:
                counts[source] += 1
        many = {place for place in (range(len(counts)) if told is None else told) if counts[place] > FEWEST}
        made: dict[int, list[tuple[int, int]]] = {place: [] for place in many}
        edge = self.copy.copies
        for place in order:
            own = sources[place]
            if not many.isdisjoint(own):
                for number, source in enumerate(own, edge):
                    if source in many:
                        made[source].append((number, place))
            edge += len(own)
        return {
            source: [own[slot][1] for slot in slot_order([self(edge) for edge, _ in own], len(own))]
            for source, own in made.items()
        }


def _one_of(numbers: range, heap: Heap) -> int:
    return numbers[heap.number(len(numbers))]


def _large_tables() -> Iterator[tuple[int, int]]:
    """Of a node's edges the one, counted from 0, that each larger table is made for, and its bytes with malloc's own:
    those that do not fit where a block was."""
    slots = _LARGE
    while True:
        yield int(slots // 2 * FULL), slots // 8 * _BUCKET + _HEADER
        slots *= 2


def _mixed(number: int) -> int:
    """Whole numbers that follow no pattern, the same everywhere (the finalizer of MurmurHash3)."""
    number = (number + 1) * 0x9E3779B1 & 0xFFFFFFFF
    number = (number ^ number >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    number = (number ^ number >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return number ^ number >> 16
