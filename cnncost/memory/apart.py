"""The updates of many weights, which are alike, left out of the walks that order the nodes (``ordering``).

What an update does behind what reads its gradient is read by no other op. So a walk that leaves it out meets all others
in the same order: none of them waits for it, and where a walk comes from it, it comes to what that waits for. One
weight's update is walked as a whole, and the others take its order: of what is left out nothing but ops of the same
update, and arguments and constants, is read by two, so that no other order is asked for. The walks of a large step with
Adam are half as long.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from cnncost.memory.opgraph import Op, OpGraph, Stamps
from cnncost.memory.reduction import waited_for
from cnncost.memory.wires import Wires, wires

_SHARE = 0.25  # of the ops: where fewer are left out nothing is gained
_OTHER, _OWN, _WEIGHT = range(3)  # whose a node is: all weights', the update's, by place, or the weight's argument


def apart(graph: OpGraph) -> Apart | None:
    """None where too little could be left out. Numbers the ops."""
    stamps = graph.stamps
    if stamps is None or not stamps.others:
        return None
    left = _behind(stamps)
    if len(left) * len(stamps.others) < _SHARE * len(graph.ops):
        return None
    for place, op in enumerate(graph.ops):
        op.index = place
    last = stamps.others[-1][-1].index + 1
    for own in stamps.others:
        for place in left:
            own[place].index = -1
    tail: list[Op] = []
    for op in graph.ops[last:]:
        if any(value.op.index < 0 for value in op.inputs) or any(before.index < 0 for before in op.controls):
            op.index = -1
            tail.append(op)
    found = Apart(graph, stamps, left, tail)
    return found if len(tail) <= 1 else None


def _behind(stamps: Stamps) -> list[int]:
    """The places of an update's ops that no op reading the gradient waits for."""
    places = {op: place for place, op in enumerate(stamps.first)}
    before = set(stamps.gradients)
    for place in reversed(range(len(stamps.first))):
        if place in before:
            op = stamps.first[place]
            before.update(places[source] for source in (*(v.op for v in op.inputs), *op.controls) if source in places)
    return [place for place in range(len(stamps.first)) if place not in before]


class Apart:
    """``wires``: those of all ops, numbered so that the first ``count`` are those that are walked; ``left``: which ops
    of an update are not, by place; ``tail``: what waits for them, the step's counter."""

    def __init__(self, graph: OpGraph, stamps: Stamps, left: Sequence[int], tail: Sequence[Op]) -> None:
        walked = [op for op in graph.ops if op.index >= 0]
        self.created, self.stamps, self.left, self.tail = graph.ops, stamps, left, tail
        self.count = len(walked)
        self.wires = wires([*walked, *(own[place] for own in stamps.others for place in left), *tail])
        self.inner = {stamps.first[place].index for place in left}
        self.own = {op.index: place for place, op in enumerate(stamps.first)}

    def walked(self) -> Wires:
        ops, first, reads, sources, sizes = self.wires
        return Wires(ops[: self.count], first, reads[: self.count], sources[: self.count], sizes)

    def used(self, used: dict[int, str]) -> dict[int, str]:
        """What first reads each variable (``ordering``), of the walked update's ops, and so of those of the others."""
        first = [(place, self.stamps.first[place].index) for place in self.left]
        kinds = {place: used[index] for place, index in first if index in used}
        for own in self.stamps.others:
            used.update((own[place].index, kind) for place, kind in kinds.items())
        return used

    def ends(self, sources: Sequence[Sequence[int]], ends: Iterable[int]) -> list[int]:
        """Where a walk begins, last first, that begins at ``ends``: instead of what is left out, at the nodes that the
        walk comes to from there. ``sources``: what each node of the walk waits for."""
        found: list[int] = []
        known: dict[int, list[tuple[int, int]]] = {}
        for end in ends:
            if end < self.count:
                found.append(end)
                continue
            number, place = divmod(end - self.count, len(self.left))
            if number == len(self.stamps.others):
                found += self._tail(self.tail[place])
                continue
            place = self.left[place]
            if place not in known:
                known[place] = self._met(place, sources)
            own, weight = self.stamps.others[number], self.stamps.weights[number + 1].index
            for whose, node in known[place]:
                found.append(node if whose == _OTHER else own[node].index if whose == _OWN else weight)
        return found

    def _met(self, place: int, sources: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
        """What a walk comes to from an op of the update that is walked, first what it comes to last."""
        weight = self.stamps.weights[0].index
        found: list[tuple[int, int]] = []
        for node in _walk([self.stamps.first[place].index], sources, self.inner):
            if node == weight:
                found.append((_WEIGHT, node))
            else:
                found.append((_OWN, self.own[node]) if node in self.own else (_OTHER, node))
        return found[::-1]

    def _tail(self, op: Op) -> list[int]:
        waits = [before.index for before in waited_for(op, bytearray(len(self.wires.ops)))]
        start = [value.op.index for value in op.inputs] + waits
        return _walk(start, self.wires.sources, range(self.count, len(self.wires.ops)))[::-1]

    def ordered(self, walked: Sequence[int]) -> list[int]:
        """All numbers: behind those that were walked, in their order, the others."""
        first = self.stamps.first
        known = {first[place].index: place for place in self.left}
        order = [known[number] for number in walked if number in known]
        tail = [op.index for op in self.tail]
        return [*walked, *(own[place].index for own in self.stamps.others for place in order), *tail]


def _walk(start: Sequence[int], sources: Sequence[Sequence[int]], through: Container[int]) -> list[int]:
    """What is met, in order, of a walk from ``start``, last first, that goes on through some nodes alone."""
    stack, seen, found = list(start), set[int](), []
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in through:
            stack += sources[node]
        else:
            found.append(node)
    return found
