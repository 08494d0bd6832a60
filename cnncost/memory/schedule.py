"""The order in which TensorFlow's executor runs the ops, with one worker thread (inter-op threads 1).

- The roots (arguments, and constants, which are left out here) wait in the worker's queue, first in, first out.
- A finished op makes those of its readers ready that have nothing else to wait for, in out-edge order.
- Ready ops that are cheap run inline, in order. Of the expensive ones the last runs inline if nothing else does; the
  others, and that one too otherwise, go to the FRONT of the worker's queue: last in, first out.

Source: executor.cc (``ExecutorState::ScheduleReady``), Eigen's thread pool (own tasks are pushed to and popped from the
front); found to reproduce captured steps.

The roots stand in an order that follows the addresses of graph edges and changes from process to process; with it
changes how many weights are read, and folded into batch normalization's scales and shifts, before the layers run, and
which branch of a fork waits for a weight. Unless told otherwise all variables stand before the inputs here: no layer
waits for a weight, and all that follows from weights alone is kept.
"""

from __future__ import annotations

from collections import deque
from random import Random

from cnncost.memory.opgraph import Op
from cnncost.memory.optypes.base import table

MIXED = 0.3  # the share of the roots among which neighbours are mixed, seen in captured processes


def schedule(ops: list[Op], start: float | None = None) -> list[Op]:
    """The ops in the order they run; they must stand in the executor's node order (``ordering.graph_order``), and
    ``op.index`` must be the position in ``ops``. ``start``: where the roots
    begin, as a share of them (``_turned``); None stands for inputs last.

    Constants never wait and stand nowhere: they are left out of the order.
    """
    types = table()
    pending, readers = _edges(ops)
    expensive = [types[op.type].expensive for op in ops]
    roots = [op.index for op in ops if not pending[op.index] and op.type != "Const"]
    roots = _inputs_last(ops, roots) if start is None else _turned(roots, start)
    queue = deque(roots)
    order: list[Op] = []
    while queue:
        inline = deque((queue.popleft(),))
        while inline:
            index = inline.popleft()
            order.append(ops[index])
            last = -1
            for reader in readers[index]:
                pending[reader] -= 1
                if pending[reader]:
                    continue
                if not expensive[reader]:
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


def _turned(roots: list[int], start: float) -> list[int]:
    """From the root at ``start`` down to the first, then from the last down, neighbours mixed: as captured processes
    read them."""
    count, random = len(roots), Random(round(start * 1000))
    first = round(start * count)
    keys = {root: (first - place) % count + MIXED * count * random.random() for place, root in enumerate(roots)}
    return sorted(roots, key=keys.__getitem__)


def _edges(ops: list[Op]) -> tuple[list[int], list[list[int]]]:
    """For each op what it waits for, counted in edges, and who waits for it, in out-edge order."""
    pending = [0] * len(ops)
    readers: list[list[int]] = [[] for _ in ops]
    for op in ops:
        place = op.index
        count = 0
        for value in op.inputs:
            source = value.op
            if source.type != "Const":
                count += 1
                readers[source.index].append(place)
        for source in op.controls:
            if source.type != "Const":
                count += 1
                readers[source.index].append(place)
        pending[place] = count
    return pending, readers
