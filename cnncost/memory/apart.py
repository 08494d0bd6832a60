"""The updates of many weights, which are alike, where not all of their ops are made (``stamps``): the others are
numbers, and left out of the walks that order the nodes (``ordering``).

What an update does behind what reads its gradient is read by no other op. So a walk that leaves it out meets all others
in the same order: none of them waits for it, and where a walk comes from it, it comes to what that waits for. One
weight's update is walked as a whole, and the others take its order: of what is left out nothing but ops of the same
update, and arguments and constants, is read by two, so that no other order is asked for; what is large of it waits for
the gradient. More than half of a large step with Adam is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Sequence
from itertools import accumulate
from operator import itemgetter

from cnncost.memory.awaited import stateful
from cnncost.memory.opgraph import Op, OpGraph, Stamps, Updated, Variable
from cnncost.memory.reduction import waited_for
from cnncost.memory.wires import Sizes, Wires, wires

_Take = Callable[[Sequence[int]], tuple[int, ...]]
State = tuple[int, Op]  # a number, and the op that has it or is like the one that would
_OTHER, _OWN, _WEIGHT = range(3)  # whose a node is: all weights', the update's, by its turn, or the weight's argument


def apart(graph: OpGraph) -> Apart | None:
    """None where all ops were made. Numbers the ops."""
    stamps = graph.stamps
    return Apart(graph.ops, stamps) if stamps is not None and stamps.others else None


class Apart:
    """``walked``: the wires of what was made, but for the ``tail``, which waits for what was not: the step's counter.
    ``wires``: those of all ops, what was not made behind the walked ones, then the tail; ``ops`` has the first update's
    in place of what was not made, which has the same type, dtype and attributes. ``created``: all numbers, in the order
    of creation."""

    def __init__(self, ops: list[Op], stamps: Stamps) -> None:
        self.stamps, first = stamps, stamps.first.made
        self.left = [first[own.place] for own in stamps.left]
        often = Counter(ops[-1].controls)
        self.tail = ops[-1:] if any(often[op] > 1 for op in self.left) else []
        self.walked = wires(ops[: len(ops) - len(self.tail)])
        self.count = len(self.walked.ops)
        self.end = self.count + len(self.left) * len(stamps.others)
        self.turns = {op.index: turn for turn, op in enumerate(self.left)}
        made = [op.index for op in first if op.index not in self.turns]
        self.made = {number: turn for turn, number in enumerate(made)}
        self.wires, self.created = self._filled()
        for op in self.tail:
            self._close(op)

    def _filled(self) -> tuple[Wires, list[int]]:
        """The rows of each update are the first's, on its own numbers."""
        ops, first, reads, sources, sizes = self.walked
        reads, sources, sizes, created = reads[:], sources[:], sizes[:], list[int]()
        stamps, made, left, known = self.stamps, len(self.made), len(self.left), Sizes()
        outputs = [len(op.outputs) for op in self.left]
        wanted = [(own.reads, own.sources) for own in stamps.left]
        widths = [
            None if own.wide else known[spec]
            for own, op in zip(stamps.left, self.left, strict=True)
            for spec in op.outputs
        ]
        written = next(
            turn for turn, op in enumerate(self.left) if not op.outputs and op.attrs["variable"] is stamps.first.weight
        )
        placed, valued = self._places(outputs)
        others = [value.op.index for value in stamps.shared]
        values = [first[source.index] + index for source, index in stamps.shared]
        number, value, done = self.count, first[-1], 0
        for own in stamps.others:
            begin, weight = own.made[0].index, own.weight.handle.index
            start, size = first[begin], known[own.weight.spec]
            places = placed((*range(begin, begin + made), *range(number, number + left)))
            every = (*places, *others, weight, -1)
            read = (
                *valued((*range(start, start + made), *range(value, value + len(widths) + 1))),
                *values, first[weight], -1,
            )  # fmt: skip
            reads += [reading(read) for reading, _ in wanted]
            rows = [waiting(every) for _, waiting in wanted]
            if own.waits:
                rows[written] = (*rows[written], *(op.index for op in own.waits))
            sources += rows
            sizes += [size if width is None else width for width in widths]
            created += range(done, begin)
            created += places
            number, value, done = number + left, value + len(widths), begin + made
        created += range(done, self.count)
        begins = accumulate(outputs * len(stamps.others), initial=first[-1])
        return Wires([*ops, *self.left * len(stamps.others)], [*first[:-1], *begins], reads, sources, sizes), created

    def _places(self, outputs: Sequence[int]) -> tuple[_Take, _Take]:
        """What puts an update's numbers, those that were made first, by place; the same of its values, one for each op:
        of what puts nothing out any."""
        made, places, values = len(self.made), list[int](), list[int]()
        begins = list(accumulate(outputs, initial=made))
        for op in self.stamps.first.made:
            turn = self.turns.get(op.index)
            places.append(self.made[op.index] if turn is None else made + turn)
            values.append(self.made[op.index] if turn is None else begins[turn])
        return itemgetter(*places), itemgetter(*values)

    def _close(self, tail: Op) -> None:
        """An op of the first update that the tail waits for again stands for that of the next weight."""
        _, first, reads, sources, _ = self.wires
        tail.index = self.end
        often = Counter[Op]()
        waits: list[int] = []
        for op in tail.controls:
            again = often[op]
            often[op] += 1
            waits.append(self._number(again - 1, self.turns[op.index]) if again else op.index)
        self.wires.ops.append(tail)
        first.append(first[-1])
        reads.append(tuple([first[source.index] + index for source, index in tail.inputs]))
        sources.append((*(source.index for source, _ in tail.inputs), *waits))
        self.created.append(self.end)

    def _number(self, update: int, turn: int) -> int:
        return self.count + update * len(self.left) + turn

    def states(self) -> list[State]:
        """What reads or assigns a variable, in the order of creation."""
        ops = self.wires.ops
        states = {*stateful(self.walked.ops), *self.tail}
        return [(number, ops[number]) for number in self.created if ops[number] in states]

    def ends(self, sources: Sequence[Sequence[int]], ends: Iterable[int]) -> list[int]:
        """Where a walk begins, last first, that begins at ``ends``: instead of what is left out, at the nodes that the
        walk comes to from there. ``sources``: what each node of the walk waits for."""
        found: list[int] = []
        known: dict[int, list[tuple[int, int]]] = {}
        for end in ends:
            if end < self.count:
                found.append(end)
                continue
            if end == self.end:
                found += self._waits()
                continue
            number, turn = divmod(end - self.count, len(self.left))
            if turn not in known:
                known[turn] = self._met(turn, sources)
            own = self.stamps.others[number]
            begin, weight = own.made[0].index, own.weight.handle.index
            for whose, node in known[turn]:
                found.append(node if whose == _OTHER else begin + node if whose == _OWN else weight)
        return found

    def _met(self, turn: int, sources: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
        """What a walk comes to from an op of the update that is walked, first what it comes to last."""
        weight = self.stamps.first.weight.handle.index
        found: list[tuple[int, int]] = []
        for node in _walk([self.left[turn].index], sources, self.turns):
            if node == weight:
                found.append((_WEIGHT, node))
            else:
                found.append((_OWN, self.made[node]) if node in self.made else (_OTHER, node))
        return found[::-1]

    def _waits(self) -> list[int]:
        """The same from the tail, but for what its data wait for."""
        (tail,), sources = self.tail, self.wires.sources
        kept, reads = set(waited_for(tail, bytearray(len(sources)))), len(tail.inputs)
        rest = sources[self.end][reads:]
        waits = [number for number, op in zip(rest, tail.controls, strict=True) if op in kept]
        return _walk([*sources[self.end][:reads], *waits], sources, range(self.count, self.end))[::-1]

    def ordered(self, walked: Sequence[int]) -> list[int]:
        """All numbers: behind those that were walked, in their order, the others."""
        turns = [self.turns[number] for number in walked if number in self.turns]
        begins = range(self.count, self.end, len(self.left))
        return [*walked, *(begin + turn for begin in begins for turn in turns), *(op.index for op in self.tail)]

    def told(self, numbers: Sequence[int]) -> list[Op]:
        """The ops of these numbers. Those that were not made are now, without what they read."""
        ops = self.wires.ops[:]
        for number in set(numbers):
            if self.count <= number < self.end:
                update, turn = divmod(number - self.count, len(self.left))
                ops[number] = self._told(number, self.stamps.others[update], turn)
        return [ops[number] for number in numbers]

    def _told(self, number: int, own: Updated, turn: int) -> Op:
        like, weight = self.left[turn], own.weight
        outputs = (weight.spec,) if self.stamps.left[turn].wide else like.outputs
        attrs = like.attrs
        if "variable" in attrs:
            attrs = {**attrs, "variable": self._variable(attrs["variable"], own)}
        return Op(number, like.type, like.name, weight.handle.layer, like.phase, [], outputs, attrs)

    def _variable(self, like: Variable, own: Updated) -> Variable:
        """The weight, a slot of its own, or a number that all share."""
        first = self.stamps.first
        if like.name == first.weight.name:
            return own.weight
        if not like.name.startswith(first.slots):
            return like
        spec = own.weight.spec if like.spec == first.weight.spec else like.spec
        return like._replace(spec=spec, name=own.slots + like.name[len(first.slots) :])


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
