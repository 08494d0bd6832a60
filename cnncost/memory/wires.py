"""The edges of a graph of ops as lists of numbers, which are walked many times: by what grappler expects of the memory,
by the node order, by the executor's order and by the sweep.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import NamedTuple

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec


class Wires(NamedTuple):
    """``ops[i]`` has the number i. The lists are not to be changed.

    ``first``    the number of each op's first value (output), and one more at the end
    ``reads``    the values that each op reads, one for each edge
    ``sources``  the ops that each op waits for, one for each edge: those it reads from, then those without data
    ``sizes``    the bytes of each value
    ``kinds``    the numbers of the ops of each type, in order
    """

    ops: list[Op]
    first: list[int]
    reads: list[tuple[int, ...]]
    sources: list[Sequence[int]]
    sizes: list[int]
    kinds: dict[str, list[int]]

    def of(self, *types: str) -> list[Op]:
        """The ops of these types, in order."""
        found = [self.kinds[name] for name in types if name in self.kinds]
        return [self.ops[number] for number in (found[0] if len(found) == 1 else sorted(chain(*found)))]


def wires(ops: list[Op]) -> Wires:
    """Numbers the ops by their place.

    >>> from cnncost.memory.opgraph import OpGraph, Spec
    >>> graph = OpGraph()
    >>> x = graph.argument("x", Spec((4,), "float32"))
    >>> y = graph.add("Mul", [x, graph.add("Exp", [x])], (x.spec,))
    >>> wires(graph.ops)[1:5]
    ([0, 1, 2, 3], [(), (0,), (0, 1)], [(), (0,), (0, 1)], [16, 16, 16])
    """
    kinds: dict[str, list[int]] = defaultdict(list)
    for place, op in enumerate(ops):
        op.index = place
        kinds[op.type].append(place)
    first = list(accumulate([len(op.outputs) for op in ops], initial=0))
    reads: list[tuple[int, ...]] = []
    sources: list[Sequence[int]] = []
    for op in ops:
        own = op.inputs
        count = len(own)
        if count == 1:  # most ops read one value or two: nothing is built up for them
            value = own[0]
            place, index = value[0].index, value[1]
            places: tuple[int, ...] = (place,)
            values: tuple[int, ...] = (first[place] + index if index else first[place],)
        elif count == 2:
            value, again = own
            place, after, index, other = value[0].index, again[0].index, value[1], again[1]
            places = (place, after)
            values = (first[place] + index if index else first[place], first[after] + other if other else first[after])
        elif not count:
            places = values = ()
        else:
            places = tuple([source.index for source, _ in own])
            values = tuple([first[source.index] + index if index else first[source.index] for source, index in own])
        if op.controls:
            places += tuple([source.index for source in op.controls])
        reads.append(values)
        sources.append(places)
    known = Sizes()
    return Wires(ops, first, reads, sources, [known[spec] for op in ops for spec in op.outputs], kinds)


class Sizes(dict[Spec, int]):
    """The bytes of each shape and dtype: most values have those of another."""

    def __missing__(self, spec: Spec) -> int:
        size = self[spec] = spec.bytes
        return size


def readers_of(sources: Sequence[Sequence[int]], order: Sequence[int] | None = None) -> list[list[int]]:
    """For each op the ops that wait for it, one for each edge, as they stand in ``order`` (by number if none)."""
    readers: list[list[int]] = [[] for _ in sources]
    if order is None:
        for place, own in enumerate(sources):
            for source in own:
                readers[source].append(place)
    else:
        for place in order:
            for source in sources[place]:
                readers[source].append(place)
    return readers
