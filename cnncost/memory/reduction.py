"""What an op waits for without data, once grappler has left out what its data wait for (dependency_optimizer.cc:
TransitiveReduction)."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.opgraph import BACKWARD, FORWARD, UPDATE, Op, Scoped
from cnncost.memory.replay import HANDED


def late_ops(ops: Sequence[Op]) -> bytearray:
    """Which of the optimizer's ops follow from the reverse pass, and so from all of the forward pass that it trains."""
    late = bytearray(len(ops))
    for op in ops:
        if op.phase == UPDATE:
            for value in op.inputs:
                if late[value[0].index]:
                    late[op.index] = 1
                    break
            else:
                late[op.index] = 1 in [late[before.index] for before in op.controls]
        elif op.phase == BACKWARD:
            late[op.index] = 1
    return late


def waited_for(op: Op, late: bytearray) -> list[Op]:
    """The rest of an op's controls: an update waits for the forward pass's reads by way of the gradient, for its own by
    way of what it makes of them."""
    found = [source for source in op.controls if source.type != "Const"]
    if op.phase == UPDATE and late[op.index]:
        found = [source for source in found if source.name == HANDED or not _passed(source.phase)]
    near = {source.index for source in found if source.phase == op.phase}
    if near:
        led = _led(op, near)
        found = [source for source in found if source.index not in led]
    return found


def _led(op: Op, near: set[int]) -> set[int]:
    """Which of these lead to the op's data by way of ops of its phase."""
    seen: set[int] = set()
    stack = [source for source, _ in op.inputs]
    while stack:
        source = stack.pop()
        if source.index not in seen and source.phase == op.phase:
            seen.add(source.index)
            if source.index not in near:
                stack += [before for before, _ in source.inputs]
                stack += source.controls
    return seen & near


def _passed(phase: str) -> bool:
    """Whether the gradients of weights follow from all that runs then: forward, or forward once more."""
    return phase == FORWARD or isinstance(phase, Scoped)
