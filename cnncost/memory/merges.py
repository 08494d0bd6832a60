"""How oneDNN's layout pass merges the gradients of filters and biases (``layout_order``) with the edges where they lie
in a process's memory (``edges``)."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.edge_set import FEWEST, EdgeSet, slot_order
from cnncost.memory.edges import Heap, Places, Read
from cnncost.memory.layout_order import LayoutPass
from cnncost.memory.walks import post_order


class Merges:
    """What is the same in every process."""

    def __init__(self, layout: LayoutPass) -> None:
        self.layout = layout
        sources = layout.sources
        self.read = Read([*(len(sources[place]) for place in layout.order), *layout.ends], len(layout.roots))
        merged = {*layout.biases, *layout.biases.values()}
        self.led: dict[int, list[tuple[int, int]]] = {place: [] for place in merged}  # readers, by place, with the edge
        counts = [0] * len(sources)
        for place in layout.order:
            for source in sources[place]:
                counts[source] += 1
        kept = layout.changed | {place for place, count in enumerate(counts) if count > FEWEST and layout.leads[place]}
        self.led.update((place, []) for place in kept)
        self.kept = kept  # what has a table, or loses edges
        self.first: dict[int, int] = {}  # the first edge to each that is merged
        edge = 0
        for place in layout.order:
            if place in merged:
                self.first[place] = edge
            for source in sources[place]:
                if source in self.led:
                    self.led[source].append((edge, place))
                edge += 1

    def merged(self, readers: list[list[int]], heap: Heap) -> list[int]:
        """The roots in their order; the readers are changed to what they are after the merges."""
        layout, places = self.layout, Places(heap)
        roots = [layout.roots[edge] for edge in self.read.source_order(places)]
        at = self.read.places
        sets: dict[int, EdgeSet] = {}
        for place in self.kept:
            led = self.led[place]
            addresses = [places(at[edge]) for edge, _ in led]
            readers[place] = [led[slot][1] for slot in slot_order(addresses)]
            if place in layout.changed:
                sets[place] = EdgeSet(zip(addresses, (reader for _, reader in led), strict=True))
        if layout.merging:
            self._merge(sets, places, post_order([place for place in roots if layout.leads[place]], readers))
            for place in layout.changed:
                readers[place] = sets[place].readers()
        for place in self.kept:
            readers[place] = [reader for reader in readers[place] if layout.leads[reader]]
        return roots

    def _merge(self, sets: dict[int, EdgeSet], places: Places, finished: Sequence[int]) -> None:
        """In the order of the walk. The new node's edges take the places of those that went last, if there are any."""
        layout, at = self.layout, self.read.places
        filters = {bias: place for place, bias in layout.biases.items()}
        further, free, done = self.read.extended(), list[int](), set[int]()

        def made() -> int:
            return free.pop() if free else places(next(further))

        for place in reversed(finished):
            both = place if place in layout.biases else filters.get(place, -1)
            if both < 0 or both in done:
                continue
            done.add(both)
            bias, sources = layout.biases[both], layout.sources
            for source in sources[both]:
                address = made()
                sets[source].add(address, both)
            for _ in (*self.led[bias], *self.led[both]):
                made()
            for old in (bias, both):
                for number, source in enumerate(sources[old], self.first[old]):
                    address = places(at[number])
                    sets[source].remove(address)
                    free.append(address)
                free += [places(at[edge]) for edge, _ in self.led[old]]
