"""The wires of updates of which not all ops were made (``stamps``): rows of the first update's pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter

from cnncost.memory.opgraph import Op, Stamps, Updated, Value
from cnncost.memory.stamps import taking
from cnncost.memory.wires import Sizes, Wires

_Take = Callable[[tuple[int, ...]], tuple[int, ...]]


class Turns:
    """The ops of the first update, those that are ``made`` for all weights, then those that are ``left`` out. Of each
    update both have their numbers, and their values, in a row."""

    def __init__(self, stamps: Stamps) -> None:
        first, places = stamps.first.made, {*stamps.left}
        self.made = [op for place, op in enumerate(first) if place not in places]
        self.left = [first[place] for place in stamps.left]
        self.turns = {op: turn for turn, op in enumerate((*self.made, *self.left))}
        self.outputs = [len(op.outputs) for op in self.left]
        self.values = dict(zip(self.left, accumulate(self.outputs, initial=len(self.made)), strict=False))
        self.count = len(self.made) + sum(self.outputs)  # of the values
        self.placed = itemgetter(*[self.turns[op] for op in first])

    def taking(self, weight: Value) -> tuple[list[_Take], list[_Take], list[Value]]:
        """What takes the values that each op left out reads, and the numbers of what it waits for, of an update's own,
        and of what stands behind: the weight's argument, and what all updates read."""
        turns, behind = self.turns, {weight: 0}
        reading, waiting = list[_Take](), list[_Take]()
        for op in self.left:
            values, numbers = list[int](), list[int]()
            for value in op.inputs:
                turn = turns.get(value.op)
                if turn is None:
                    turn = behind.setdefault(value, len(behind))
                    values.append(self.count + turn)
                    numbers.append(len(turns) + turn)
                else:
                    values.append(self.values.get(value.op, turn))
                    numbers.append(turn)
            reading.append(taking(values))
            waiting.append(taking([*numbers, *(turns[before] for before in op.controls if before in turns)]))
        return reading, waiting, [*behind][1:]


class Rows:
    """``wires``: those of what was ``walked``, grown by what was not made; ``created``: all numbers, in the order of
    creation."""

    def __init__(self, walked: Wires, stamps: Stamps, turns: Turns) -> None:
        ops, first, reads, sources, sizes, _ = walked
        self.turns, self.known, weight = turns, Sizes(), stamps.first.weight
        self.count, self.done, self.created = len(ops), 0, list[int]()
        self.reading, self.waiting, shared = turns.taking(Value(weight.handle, 0))
        self.numbers = [source.index for source, _ in shared]
        self.values = [first[source.index] + index for source, index in shared]
        wide = (weight.spec,)
        self.widths = [None if op.outputs == wide else self.known[spec] for op in turns.left for spec in op.outputs]
        self.written = next(turn for turn, op in enumerate(turns.left) if op.attrs.get("variable") is weight)
        begins = accumulate(turns.outputs * len(stamps.others), initial=first[-1])
        left = turns.left * len(stamps.others)
        kinds = self._kinds(walked, len(stamps.others))
        self.wires = Wires([*ops, *left], [*first[:-1], *begins], reads[:], sources[:], sizes[:], kinds)
        for own in stamps.others:
            self._add(own)
        self.created += range(self.done, self.count)

    def _kinds(self, walked: Wires, others: int) -> dict[str, list[int]]:
        """The numbers of the ops of each type, in order."""
        kinds = {name: [*numbers] for name, numbers in walked.kinds.items()}
        left = self.turns.left
        for turn, op in enumerate(left):
            kinds.setdefault(op.type, []).extend(range(self.count + turn, self.count + len(left) * others, len(left)))
        for name in {op.type for op in left}:
            kinds[name].sort()
        return kinds

    def _add(self, own: Updated) -> None:
        """What another weight's update reads, waits for and makes."""
        _, first, reads, sources, sizes, _ = self.wires
        made, begin, weight = len(own.made), own.made[0].index, own.weight.handle.index
        number, value, start = len(sources), len(sizes), first[begin]
        left, size = len(self.waiting), self.known[own.weight.spec]
        every = (*range(begin, begin + made), *range(number, number + left), weight, *self.numbers)
        read = (*range(start, start + made), *range(value, value + len(self.widths)), first[weight], *self.values)
        reads += [take(read) for take in self.reading]
        rows = [take(every) for take in self.waiting]
        if own.waits:
            rows[self.written] = (*rows[self.written], *(op.index for op in own.waits))
        sources += rows
        sizes += [size if width is None else width for width in self.widths]
        self.created += range(self.done, begin)
        self.created += self.turns.placed(every)
        self.done = begin + made

    def close(self, tail: Op) -> None:
        """The last op waits for all updates: one of the first's that it waits for again stands for the next one's."""
        _, first, reads, sources, _, kinds = self.wires
        turns, left, often = self.turns, len(self.waiting), Counter[Op]()
        waits: list[int] = []
        for op in tail.controls:
            again = often[op]
            often[op] += 1
            begin = self.count + (again - 1) * left - len(turns.made)
            waits.append(begin + turns.turns[op] if again else op.index)
        tail.index = len(sources)
        self.wires.ops.append(tail)
        kinds[tail.type] = [*kinds.get(tail.type, ()), tail.index]
        self.created.append(tail.index)
        reads.append(tuple([first[source.index] + index for source, index in tail.inputs]))
        sources.append((*(source.index for source, _ in tail.inputs), *waits))
        first.append(first[-1])
