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
from collections.abc import Container, Iterable, Sequence
from typing import TypeVar

from cnncost.memory.opgraph import COMPILED, UPDATE, Op

READS = frozenset(("ReadVariableOp", "ReadVariableCopy"))
STATEFUL = READS | {
    "AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "ResourceScatterAdd", "ResourceScatterSub",
    COMPILED,
}  # fmt: skip
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
    return [op for op in ops if op.type in STATEFUL and "variable" in op.attrs]


def branches(types: Container[str], remainders: Iterable[Op]) -> bool:
    """Whether the step, with ops of these types, branches or loops (of the ``remainders`` the optimizer's: of
    accumulated steps): nothing is known of the order then."""
    return any(name in types for name in _BRANCHES) or any(op.phase == UPDATE for op in remainders)


def stepped(ops: Iterable[Op]) -> set[int]:
    """The reads of seeds that are added to and assigned, by number: Keras names them after the addition."""
    return {
        source.index
        for op in ops
        if op.type == "AssignVariableOp" and op.phase != UPDATE
        for source, _ in op.inputs[1].op.inputs
        if source.type in READS
    }
