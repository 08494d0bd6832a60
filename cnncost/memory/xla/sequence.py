"""The order of a compiled step: breadth first (BFScheduler, the CPU's default since it favours concurrency).

Whatever depends on parameters alone runs first, copies and transposed kernels included, and lives until it is read.
"""

from __future__ import annotations

from collections import deque

from cnncost.memory.xla.fusion import Kernel
from cnncost.memory.xla.hlo import Hlo

_FILLED = frozenset(("zeros", "broadcast"))


class Node:
    """An instruction of the compiled computation: a kernel, a parameter, or the copy of one."""

    __slots__ = ("alias", "bytes", "hlo", "inputs", "kernel", "number", "order", "users")

    def __init__(self, hlo: Hlo, kernel: Kernel | None, order: tuple[float, int]) -> None:
        self.hlo = hlo
        self.kernel = kernel
        self.order = order
        self.inputs: list[Node] = []
        self.users: list[Node] = []
        self.alias = kernel is not None and hlo.opcode == "reshape" and len(kernel.content) == 1
        self.bytes = hlo.bytes
        self.number = -1  # when it runs


class Ancestors:
    """Which nodes must have run before another, as bit sets."""

    def __init__(self, nodes: list[Node]) -> None:
        self.place: dict[int, int] = {}
        self.bits: list[int] = []
        for node in breadth_first(nodes):
            bits = 0
            for value in node.inputs:
                number = self.place[id(value)]
                bits |= self.bits[number] | 1 << number
            self.place[id(node)] = len(self.bits)
            self.bits.append(bits)

    def holds(self, first: Node, second: Node) -> bool:
        return bool(self.bits[self.place[id(second)]] >> self.place[id(first)] & 1)


def breadth_first(
    nodes: list[Node], ranks: dict[int, int] | None = None, reverse: bool = False, walked: bool = False
) -> list[Node]:
    """First what waits for nothing: parameters, constants, then iotas, which stand where the walk from the results
    (``ranks``) met them. A buffer that is filled with a constant waits for that. ``reverse``: what becomes ready at
    once runs the other way round; ``walked``: as that walk met it."""
    listed = sorted(nodes, key=lambda node: node.order)
    missing = {id(node): len(node.inputs) for node in listed}
    ready: deque[Node | None] = deque(node for node in listed if node.hlo.opcode == "parameter" and not node.inputs)
    free = [node for node in listed if node.hlo.opcode != "parameter" and not node.inputs]
    if ranks is not None:
        free.sort(key=lambda node: ranks[id(node)])
    ready.append(None)  # the constants
    ready.extend(node for node in free if node.hlo.opcode not in _FILLED)
    sequence: list[Node] = []
    while ready:
        node = ready.popleft()
        if node is None:
            ready.extend(node for node in free if node.hlo.opcode in _FILLED)
            continue
        node.number = len(sequence)
        sequence.append(node)
        users = sorted(node.users, key=lambda user: ranks[id(user)]) if walked and ranks else node.users
        for user in reversed(users) if reverse else users:
            missing[id(user)] -= 1
            if not missing[id(user)]:
                ready.append(user)
    return sequence


def post_order(roots: list[Node], nodes: list[Node]) -> dict[int, int]:
    """Operands before readers, the first operand first: equal buffers are placed in this order."""
    ranks: dict[int, int] = {}
    stack = [(node, False) for node in (*reversed(nodes), *reversed(roots))]
    while stack:
        node, done = stack.pop()
        if id(node) in ranks:
            continue
        if done:
            ranks[id(node)] = len(ranks)
            continue
        stack.append((node, True))
        stack.extend((value, False) for value in reversed(node.inputs) if id(value) not in ranks)
    return ranks
