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
from collections.abc import Container, Iterable, Sequence

from cnncost.memory.awaited import stateful
from cnncost.memory.opgraph import Op, Stamps, Updated, Variable
from cnncost.memory.reduction import waited_for
from cnncost.memory.unmade import Rows, Turns
from cnncost.memory.wires import wires

State = tuple[int, Op]  # a number, and the op that has it or is like the one that would
_OTHER, _OWN, _WEIGHT = range(3)  # whose a node is: all weights', the update's, by its turn, or the weight's argument's


class Apart:
    """``walked``: the wires of what was made, but for the ``tail``, which waits for what was not: the step's counter.
    ``wires``: those of all ops, what was not made behind the walked ones, then the tail; ``ops`` has the first update's
    in place of what was not made, which has the same type, dtype and attributes. ``created``: all numbers, in the order
    of creation."""

    def __init__(self, ops: list[Op], stamps: Stamps) -> None:
        self.stamps, turns = stamps, Turns(stamps)
        self.made, self.left = turns.made, turns.left
        often = Counter(ops[-1].controls)
        self.tail = ops[-1:] if any(often[op] > 1 for op in self.left) else []
        self.walked = wires(ops[: len(ops) - len(self.tail)])
        self.count = len(self.walked.ops)
        self.turns = {op.index: turn for op, turn in turns.turns.items()}
        rows = Rows(self.walked, stamps, turns)
        self.wires, self.created, self.end = rows.wires, rows.created, len(rows.wires.ops)
        for op in self.tail:
            rows.close(op)

    def states(self) -> list[State]:
        """What reads or assigns a variable, in the order of creation."""
        found: list[State] = []
        ops, made, done, number = self.walked.ops, len(self.made), 0, self.count - len(self.made)
        turns = [(self.turns[op.index], op) for op in stateful(self.stamps.first.made)]
        for own in self.stamps.others:
            begin = own.made[0].index
            found += [(op.index, op) for op in stateful(ops[done:begin])]
            for turn, op in turns:
                found.append((begin + turn, own.made[turn]) if turn < made else (number + turn, op))
            done, number = begin + made, number + len(self.left)
        return found + [(op.index, op) for op in (*stateful(ops[done:]), *self.tail)]

    def ends(self, sources: Sequence[Sequence[int]], ends: Iterable[int]) -> list[int]:
        """Where a walk begins, last first, that begins at ``ends``: instead of what is left out, at the nodes that the
        walk comes to from there. ``sources``: what each node of the walk waits for."""
        found: list[int] = []
        known: dict[int, list[tuple[int, int]]] = {}
        bases = [(0, own.made[0].index, own.weight.handle.index) for own in self.stamps.others]
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
            begins = bases[number]
            found += [begins[whose] + node for whose, node in known[turn]]
        return found

    def _met(self, turn: int, sources: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
        """What a walk comes to from an op of the update that is walked, first what it comes to last."""
        weight = self.stamps.first.weight.handle.index
        found: list[tuple[int, int]] = []
        for node in _walk([self.left[turn].index], sources, {op.index for op in self.left}):
            if node == weight:
                found.append((_WEIGHT, 0))
            else:
                found.append((_OWN, self.turns[node]) if node in self.turns else (_OTHER, node))
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
        known = {op.index: turn for turn, op in enumerate(self.left)}
        turns = [known[number] for number in walked if number in known]
        begins = range(self.count, self.end, len(self.left))
        return [*walked, *(begin + turn for begin in begins for turn in turns), *(op.index for op in self.tail)]

    def told(self, numbers: Sequence[int]) -> list[Op]:
        """The ops of these numbers. Those that were not made are now, without what they read."""
        ops, count, end, left = self.wires.ops[:], self.count, self.end, len(self.left)
        likes = [(op.type, op.name, op.phase, op.outputs, op.attrs) for op in self.left]
        wide = (self.stamps.first.weight.spec,)
        owns = [(own.weight.handle.layer, (own.weight.spec,), own) for own in self.stamps.others]
        for number in {*numbers}:
            if count <= number < end:
                update, turn = divmod(number - count, left)
                type_, name, phase, outputs, attrs = likes[turn]
                layer, spec, own = owns[update]
                if "variable" in attrs:
                    attrs = {**attrs, "variable": self._variable(attrs["variable"], own)}
                ops[number] = Op(number, type_, name, layer, phase, [], spec if outputs == wide else outputs, attrs)
        return [ops[number] for number in numbers]

    def _variable(self, like: Variable, own: Updated) -> Variable:
        """The weight, a slot of its own, or a number that all share."""
        first = self.stamps.first
        if like.name == first.weight.name:
            return own.weight
        if not like.name.startswith(first.slots):
            return like
        spec = own.weight.spec if like.spec == first.weight.spec else like.spec
        return Variable(like.handle, spec, own.slots + like.name[len(first.slots) :], like.trainable)


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
