"""The order in which TensorFlow's executor runs the ops, with one worker thread (inter-op threads 1).

- The roots (arguments, and constants, which are left out here) run first, one after another.
- A finished op makes those of its readers ready that have nothing else to wait for, in out-edge order.
- Ready ops that are cheap run inline, in order. Of the expensive ones the last runs inline if nothing else does; the
  others, and that one too otherwise, go to the FRONT of the worker's queue: last in, first out.
- The queue has 1,024 places; what finds none runs at once, before all else. 500 ops and more that are ready at once are
  queued as one task of each 500, which queues them when its turn comes.

Source: executor.cc (``ExecutorState::ScheduleReady``), Eigen's thread pool (RunQueue.h: own tasks are pushed to and
popped from the front); found to reproduce captured steps, and the full queue in two of ResNet-50 with 752 arguments.

Reading a variable is expensive in this sense: the reads pile up in the queue while the arguments run and are taken from
it last first. What is at the bottom is read when nothing else can run: after the forward pass has started, if no layer
needs it, and at the end of the whole step, if only updates do. The arguments stand in the order of a hash table over
addresses, which are others in each process (``edges``): it decides how many weights are read, and folded into batch
normalization's scales and shifts, before the layers run, which branch of a fork waits for a weight, and for which
weights the optimizer's slots are read so late that their gradients stay until the end: with Adam, whose slots are more
than half of the arguments, this often is the peak. The inputs are the first arguments, then the targets, then the
variables. Given the order in which a real process read its arguments, its allocations follow one by one (all 41 of a
small network under Adam).

Without ``tables`` all variables are read before the inputs: no layer waits for a weight, no update for a slot, and
all that follows from weights alone is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnncost.memory.awaited import READS
from cnncost.memory.opgraph import Op
from cnncost.memory.optypes.base import table
from cnncost.memory.optypes.looping import SILENT
from cnncost.memory.wires import Wires, readers_of

if TYPE_CHECKING:
    from cnncost.memory.executed import Tables

ROOM = 1024  # tasks in a worker's queue
CROWD = 500  # expensive ops that are ready at once and are queued in one task
Task = int | tuple[int, ...]
_SILENT = frozenset(SILENT)


def schedule(places: Sequence[int], edges: Wires, tables: Tables | None = None) -> list[int]:
    """The numbers of the ops in the order they run. ``places``: in the executor's node order (``ordering.Sorted``);
    ``tables``: the order of a process's edges; None stands for inputs last.

    Constants that wait for nothing stand nowhere: they are left out of the order.
    """
    numbered, _, _, sources, _, kinds = edges
    readers = readers_of(sources, places)
    pending = list(map(len, sources))
    constants = {place for place in kinds.get("Const", ()) if not pending[place]}
    for place in constants:
        for reader in readers[place]:
            pending[reader] -= 1
        readers[place] = []
    roots = [place for place in places if not pending[place] and place not in constants]
    costly = {name for name, row in table().items() if row.expensive}
    if tables is not None:
        costly |= READS
    expensive = [False] * len(sources)
    for name in costly & kinds.keys():
        for place in kinds[name]:
            expensive[place] = True
    silent = {place for name in _SILENT & kinds.keys() for place in kinds[name]}
    queue: deque[Task] = deque()
    unqueued: deque[int] = deque()  # roots that begin when all else has run, one by one
    for name in READS & kinds.keys() if silent else ():  # inside a loop a read waits its turn in any case
        for place in kinds[name]:
            expensive[place] = expensive[place] or "inside" in numbered[place].attrs
    if tables is None:
        inline: deque[int] = deque()
        unqueued = deque(_inputs_last(numbered, roots))
    else:
        _tabled(readers, tables.readers)
        inline = deque(_linked(numbered, sources, roots, tables.roots))
    order: list[int] = []
    interrupted: list[tuple[deque[int], deque[Task]]] = []  # what runs inline next, once the tasks have been queued
    while True:
        while inline:
            index = inline.popleft()
            order.append(index)
            ready = readers[index]
            while len(ready) == 1 and not inline and not silent:  # most ops have one reader, which then runs at once
                reader = ready[0]
                waits = pending[reader] - 1
                if waits:
                    pending[reader] = waits
                    ready = []
                else:
                    order.append(reader)
                    ready = readers[reader]
            crowd: list[int] | None = None
            last = -1
            for reader in ready:  # grows by the readers of what is no op
                waits = pending[reader] - 1
                if waits:
                    pending[reader] = waits
                elif not expensive[reader]:
                    if silent and reader in silent:
                        order.append(reader)
                        ready += readers[reader]
                    else:
                        inline.append(reader)
                else:
                    if last >= 0:
                        crowd = crowd or []
                        crowd.append(last)
                    last = reader
            if last >= 0:
                if inline:
                    crowd = crowd or []
                    crowd.append(last)
                else:
                    inline.append(last)
            if not crowd:
                continue
            tasks: Sequence[Task] = crowd
            if len(crowd) >= CROWD:
                tasks = [tuple(crowd[first : first + CROWD]) for first in range(0, len(crowd), CROWD)]
            room = ROOM - len(queue)
            queue.extendleft(tasks[:room])
            if len(tasks) > room:
                interrupted.append((inline, deque(tasks[room:])))
                inline = deque()
        task: Task | None = None
        if interrupted:
            inline, left = interrupted[-1]
            if left:
                task, inline = left.popleft(), deque()
                if len(queue) < ROOM:
                    queue.appendleft(task)
                    continue
            else:
                interrupted.pop()
        elif queue:
            task = queue.popleft()
        elif unqueued:
            task = unqueued.popleft()
        else:
            return order
        if isinstance(task, tuple):
            interrupted.append((deque(), deque(task)))
        elif task is not None:
            inline.append(task)


def _inputs_last(ops: list[Op], roots: list[int]) -> list[int]:
    """Variables, what begins with constants (loops, repeated numbers), inputs."""
    return sorted(roots, key=lambda index: 0 if "variable" in ops[index].attrs else 1 + (ops[index].type == "_Arg"))


def _linked(ops: list[Op], sources: Sequence[Sequence[int]], roots: list[int], slots: list[int]) -> list[int]:
    """The roots in the order of the edges that lead to them: to the arguments first, then to the constants, in place of
    which those are taken that wait for nothing else."""
    roots = sorted(roots, key=lambda index: (bool(sources[index]), "variable" in ops[index].attrs, index))
    found = [roots[edge] for edge in slots if edge < len(roots)]
    return found + roots[len(found) :]  # more of these than there are slots


def _tabled(readers: list[list[int]], tables: dict[int, list[int]]) -> None:
    """Put the readers of each op that has a table in its order. One that reads twice is ready with its last edge; what
    an op waits for twice over has no edge there."""
    for place, slots in tables.items():
        if place < len(readers):
            order = {reader: slot for slot, reader in enumerate(slots)}
            readers[place].sort(key=lambda reader: order.get(reader, len(order)))
