"""The order in which TensorFlow's executor runs the ops, with one worker thread (inter-op threads 1).

- The roots (arguments, and constants, which are left out here) run first, one after another.
- A finished op makes those of its readers ready that have nothing else to wait for, in out-edge order.
- Ready ops that are cheap run inline, in order. Of the expensive ones the last runs inline if nothing else does; the
  others, and that one too otherwise, go to the FRONT of the worker's queue: last in, first out.

Source: executor.cc (``ExecutorState::ScheduleReady``), Eigen's thread pool (own tasks are pushed to and popped from the
front); found to reproduce captured steps.

Reading a variable is expensive in this sense: the reads pile up in the queue while the arguments run and are taken from
it last first. What is at the bottom is read when nothing else can run: after the forward pass has started, if no layer
needs it, and at the end of the whole step, if only updates do. The arguments stand in the order of a hash table over
addresses, which are others in each process (``edges``): it decides how many weights are read, and folded into batch
normalization's scales and shifts, before the layers run, which branch of a fork waits for a weight, and for which
weights the optimizer's slots are read so late that their gradients stay until the end: with Adam, whose slots are more
than half of the arguments, this often is the peak. The inputs are the first arguments, then the targets, then the
variables. Given the order in which a real process read its arguments, its allocations follow one by one (all 41 of a
small network under Adam).

Without an ``arena`` all variables are read before the inputs: no layer waits for a weight, no update for a slot, and
all that follows from weights alone is kept.
"""

from __future__ import annotations

from collections import deque

from cnncost.memory.edges import FEWEST, Arena, slot_order, source_order
from cnncost.memory.opgraph import Op
from cnncost.memory.optypes.base import table
from cnncost.memory.optypes.looping import SILENT
from cnncost.memory.wires import Wires, readers_of, wires

_READS = frozenset(("ReadVariableOp", "ReadVariableCopy"))


_COPIES = 2  # of the graph, from the function to the executor


def schedule(ops: list[Op], edges: Wires | None = None, arena: Arena | None = None, constants: int = 0) -> list[Op]:
    """The ops in the order they run; they must stand in the executor's node order (``ordering.Sorted``), and have
    the numbers that ``edges`` has, their places without. ``arena``: where the edges of a process's graph lie, which has
    so many ``constants`` besides; None stands for inputs last.

    Constants never wait and stand nowhere: they are left out of the order.
    """
    types = table()
    numbered, _, _, sources = edges or wires(ops)
    places = [op.index for op in ops]
    readers = readers_of(sources, places)
    pending = list(map(len, sources))
    for op in ops:
        if op.type == "Const":
            for reader in readers[op.index]:
                pending[reader] -= 1
            readers[op.index] = []
    expensive = [types[op.type].expensive for op in numbered]
    silent = {op.index for op in ops if op.type in SILENT}
    roots = [op.index for op in ops if not pending[op.index] and op.type != "Const"]
    queue: deque[int] = deque()
    for op in ops if silent else ():  # inside a loop a read waits its turn in any case
        if op.type in _READS and "inside" in op.attrs:
            expensive[op.index] = True
    if arena is None:
        queue.extend(_inputs_last(numbered, roots))
        inline: deque[int] = deque()
    else:
        expensive = [costs or op.type in _READS for costs, op in zip(expensive, numbered, strict=True)]
        made = _tabled(readers, places, sources, arena)
        roots.sort(key=lambda index: ("variable" in numbered[index].attrs, index))
        linked = source_order(len(roots) + constants, arena, made, _COPIES)
        inline = deque(roots[edge] for edge in linked if edge < len(roots))
    order: list[Op] = []
    while inline or queue:
        if not inline:
            inline.append(queue.popleft())
        while inline:
            index = inline.popleft()
            order.append(numbered[index])
            last = -1
            ready = readers[index]
            for reader in ready:  # grows by the readers of what is no op
                pending[reader] -= 1
                if pending[reader]:
                    continue
                if not expensive[reader]:
                    if reader in silent:
                        order.append(numbered[reader])
                        ready += readers[reader]
                    else:
                        inline.append(reader)
                    continue
                if last >= 0:
                    queue.appendleft(last)
                last = reader
            if last >= 0:
                if inline:
                    queue.appendleft(last)
                else:
                    inline.append(last)
    return order


def _inputs_last(ops: list[Op], roots: list[int]) -> list[int]:
    """Variables, what begins with constants (loops, repeated numbers), inputs."""
    return sorted(roots, key=lambda index: 0 if "variable" in ops[index].attrs else 1 + (ops[index].type == "_Arg"))


def _tabled(readers: list[list[int]], places: list[int], sources: list[list[int]], arena: Arena) -> int:
    """Put the readers of each op that has more than eight in the order of their edges' slots. The edges are made op by
    op; a copy's tables are made for as many as come. Returns how many edges there are."""
    crowded: dict[int, list[tuple[int, int]]] = {place: [] for place, own in enumerate(readers) if len(own) > FEWEST}
    edge = _COPIES
    for place in places:
        for source in sources[place]:
            if source in crowded:
                crowded[source].append((arena(edge), place))
            edge += 1
    for place, own in crowded.items():
        addresses = [address for address, _ in own]
        readers[place] = [own[slot][1] for slot in slot_order(addresses, len(own))]
    return edge
