"""The order in which a training step's result waits for what the step assigns.

TensorFlow's function waits, by way of one NoOp, for everything with a state: reads and assignments, sorted by name.
grappler's dependency optimizer drops what something else in that list waits for, from the last place to the first, and
each time the list's last entry moves to the place that is free. Then the NoOp makes way: the result waits for its
entries behind the NoOp itself, whose place the last entry takes (dependency_optimizer.cc of TensorFlow 2.21:
TransitiveReduction, OptimizeNode, RemoveControlInput). So the assignments stay in the order of their names, but begin
anywhere among them: where follows from how many reads and assignments come before. The next pruning walks them in
this order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeVar

from cnncost.memory.opgraph import UPDATE, Op

READS = frozenset(("ReadVariableOp", "ReadVariableCopy"))
_BRANCHES = frozenset(("IsFinite", "Merge"))  # tested gradients, loops
T = TypeVar("T")


def reduced(entries: Iterable[tuple[T, bool]]) -> list[T]:
    """What is left of a list sorted by name, in the order that it is left in; each entry with whether it is dropped.

    >>> reduced([("Add/read", True), ("Assign", False), ("Assign_1", False), ("read", True)])
    ['Assign', 'Assign_1']
    >>> reduced([("Add/read", True), ("Assign", False), ("Assign_1", False), ("Assign_2", False)])
    ['Assign_1', 'Assign_2', 'Assign']
    """
    left: deque[T] = deque()
    for entry, dropped in reversed(list(entries)):
        if dropped:
            left.rotate(1)
        else:
            left.appendleft(entry)
    left.rotate(1)
    return list(left)


def stateful(ops: Sequence[Op]) -> list[Op]:
    """Reads and assignments of variables. Nobody waits for a step's counter; all but the last assignment of a variable,
    and reads, lead to others."""
    return [op for op in ops if "variable" in op.attrs and op.type != "_Arg"]


def branches(ops: Sequence[Op]) -> bool:
    """Whether the step branches or loops (the optimizer's remainder: of accumulated steps): nothing is known of the
    order then."""
    types = [op.type for op in ops]
    if not _BRANCHES.isdisjoint(types):
        return True
    return "FloorMod" in types and any(op.type == "FloorMod" and op.phase == UPDATE for op in ops)


def passed_by(ops: Sequence[Op]) -> set[int]:
    """The numbers of the ops that another op waits for."""
    return {source.index for op in ops if op.controls for source in op.controls}


def stepped(ops: Iterable[Op]) -> set[int]:
    """The reads of seeds that are added to and assigned, by number: Keras names them after the addition."""
    return {
        source.index
        for op in ops
        if op.type == "AssignVariableOp" and op.phase != UPDATE
        for source, _ in op.inputs[1].op.inputs
        if source.type in READS
    }
