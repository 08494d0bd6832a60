"""The graph that TensorFlow's executor is given in one process: its edges' places in memory, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cnncost.memory.edges import Copied, Heap
from cnncost.memory.ordering import Sorted
from cnncost.memory.wires import Wires

_MORE = 2  # nodes of a graph that no op stands for: source and sink


class Tables(NamedTuple):
    """The order of edges: ``roots``, those from the source to what waits for nothing, the arguments first; ``readers``:
    of what has more readers than go without a table."""

    roots: list[int]
    readers: dict[int, list[int]]


class Executed:
    """What is the same in every process. Its ``sources`` have the gradients of biases merged with the filters'."""

    def __init__(self, nodes: Sorted) -> None:
        filters = {bias: place for place, bias in nodes.biases.items()}
        self.sources = nodes.sources
        if filters:
            self.sources = [[filters.get(source, source) for source in own] for own in nodes.sources]
        ops = nodes.edges.ops
        self.told = [op.index for op in ops if op.type != "Const"]  # whose readers have an order
        own = [place for place in nodes.order if place not in filters]
        self.constants = sum(not self.sources[place] for place in own if place >= len(ops))
        self.roots = sum(not self.sources[place] for place in own)
        edges = sum(len(self.sources[place]) for place in own) + sum(nodes.ends)
        self.copied = Copied(len(own) + _MORE + len(nodes.ends), edges)

    def tables(self, heap: Heap, places: Sequence[int], unrolled: Wires | None = None) -> Tables:
        """In one process. ``places``: the nodes in their order, or those of the ``unrolled`` ops."""
        addresses = self.copied.addresses(heap)
        if unrolled is None:
            return Tables(addresses.source_order(self.roots), addresses.tables(places, self.sources, self.told))
        roots = sum(not unrolled.sources[place] for place in places if unrolled.ops[place].type != "Const")
        return Tables(addresses.source_order(roots + self.constants), addresses.tables(places, unrolled.sources))
