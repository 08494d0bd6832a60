"""From a program to buffers: dead code, fusion, copies of donated parameters, the order, lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cnncost.memory.xla.assign import ANYWHERE, HEAP, Buffer
from cnncost.memory.xla.emit import Program
from cnncost.memory.xla.fusion import Kernel, connect, fuse
from cnncost.memory.xla.hlo import Hlo
from cnncost.memory.xla.readers import reader_order
from cnncost.memory.xla.sequence import Ancestors, Node, breadth_first, post_order

POINTER = 8  # bytes of one entry of the result's table
_VIEWED = frozenset(("pointwise", "reduce-window-tuple"))


class Compiled(NamedTuple):
    """The instructions in the order they run, their buffers, the bytes of donated parameters, the result's table."""

    sequence: list[Node]
    buffers: list[Buffer]
    donated: list[int]
    table: int


class Plan:
    """A fused program, to be put in order."""

    def __init__(self, program: Program) -> None:
        results = [value for value in program.results if value is not None]
        updates = [(parameter, value) for parameter, value in program.updates if value is not None]
        wanted = [*results, *(value for _, value in updates), *program.module.kept]
        live = _live(program.module.all, wanted, [parameter for parameter, _ in program.updates])
        connect(live)
        kernels = fuse(live, wanted)
        computation = Computation(kernels)
        computation.sort(*reader_order(program.module, live, kernels, wanted))
        self.nodes = computation.listed
        self.pairs = _donated(computation.of, updates)
        before = Ancestors(self.nodes)
        for parameter, update in self.pairs:
            _copy(computation, parameter, update, before)
        count = len(program.results) + len(program.updates)
        self.table = POINTER * count if count > 1 else 0
        self.out = [_base(computation.of[value.index]) for value in results]
        roots = [computation.of[value.index] for value in (*results, *(value for _, value in updates))]
        self.ranks = post_order(roots, self.nodes)

    def ordered(self, reverse: bool = False, walked: bool = False) -> Compiled:
        """In the order that is taken, or in another."""
        sequence = breadth_first(self.nodes, self.ranks, reverse, walked)
        buffers = _buffers(sequence, self.pairs, self.out, self.ranks)
        return Compiled(sequence, buffers, [parameter.bytes for parameter, _ in self.pairs], self.table)


def _live(program: list[Hlo], wanted: Iterable[Hlo], parameters: Iterable[Hlo]) -> list[Hlo]:
    """What the results need, in order."""
    keep = [False] * len(program)
    stack = list(wanted)
    for hlo in (*stack, *parameters):
        keep[hlo.index] = True
    while stack:
        for value in stack.pop().inputs:
            if not keep[value.index]:
                keep[value.index] = True
                stack.append(value)
    return [hlo for hlo in program if keep[hlo.index]]


class Computation:
    """The nodes under construction. ``of``: what a reader of an instruction reads, by the instruction's index."""

    def __init__(self, kernels: list[Kernel]) -> None:
        self.listed: list[Node] = []
        self.of: dict[int, Node] = {}
        kept = [self.add(Node(kernel.root, kernel, (kernel.root.order, 0))) for kernel in kernels]
        for node in kept:
            viewed = node.hlo.opcode in _VIEWED  # a product of views, a tuple: itself read through a view
            self.of[node.hlo.index] = self.view(node, node.order) if viewed else node
        views: dict[int, Node] = {}
        for node in kept:
            assert node.kernel is not None
            for value in node.kernel.inputs:
                source = self.of[value.index]
                if node.hlo.opcode == "pointwise":
                    if value.index not in views:  # a view of a view is one
                        views[value.index] = source if source.alias else self.view(source, node.order)
                    source = views[value.index]
                _link(source, node)

    def sort(self, places: dict[tuple[int, int], int], post: dict[int, int]) -> None:
        """Readers in the order in which they become ready at once; a view stands where its first reader stands, and
        the products that share one stand in post order."""

        def place(value: int, user: Node) -> int:
            if user.alias and user.hlo.index == value:
                return min((place(value, reader) for reader in user.users), default=len(places))
            return places.get((value, user.hlo.index), len(places))

        for node in self.listed:
            if node.alias:
                node.users.sort(key=lambda user: post[user.hlo.index])
            else:
                node.users.sort(key=lambda user: place(node.hlo.index, user))

    def add(self, node: Node) -> Node:
        self.listed.append(node)
        return node

    def view(self, source: Node, order: tuple[float, int]) -> Node:
        """A view of another instruction's buffer: it takes a turn, but no memory."""
        made = self.add(Node(source.hlo, source.kernel, order))
        made.alias = True
        _link(source, made)
        return made


def _link(source: Node, reader: Node) -> None:
    reader.inputs.append(source)
    source.users.append(reader)


def _base(node: Node) -> Node:
    """The instruction whose buffer a view shows."""
    while node.alias:
        node = node.inputs[0]
    return node


def _donated(nodes: dict[int, Node], updates: list[tuple[Hlo, Hlo]]) -> list[tuple[Node, Node]]:
    """(parameter, the instruction that writes its new value): the new value lies in the parameter's own memory."""
    pairs = []
    taken: set[int] = set()
    for parameter, value in updates:
        update = _base(nodes[value.index])
        if parameter.index in nodes and id(update) not in taken and update.hlo.opcode != "parameter":
            taken.add(id(update))
            pairs.append((nodes[parameter.index], update))
    return pairs


def _copy(computation: Computation, parameter: Node, update: Node, before: Ancestors) -> None:
    """A reader of the parameter that need not have run before the update reads a copy made at the start: copies are
    decided by dependence alone, before there is an order (copy_insertion.cc); then all readers read it."""
    readers = [user for user in _readers(parameter) if user is not update]
    if not readers:
        return
    if all(before.holds(user, update) for user in readers):
        return
    copy = computation.add(Node(parameter.hlo, None, (parameter.order[0], 1)))
    copy.inputs = [parameter]
    copy.users = parameter.users
    for user in parameter.users:
        user.inputs = [copy if value is parameter else value for value in user.inputs]
    parameter.users = [copy]


def _readers(node: Node) -> list[Node]:
    found: list[Node] = []
    for user in node.users:
        found.extend(_readers(user) if user.alias else (user,))
    return found


def _buffers(
    sequence: list[Node], pairs: list[tuple[Node, Node]], out: list[Node], ranks: dict[int, int]
) -> list[Buffer]:
    """The value of every instruction but views and what the caller keeps."""
    last = len(sequence)
    home = {id(node): number for number, pair in enumerate(pairs) for node in pair}
    ends: dict[int, int] = {}
    for node in sequence:
        for value in node.inputs:
            base = _base(value)
            ends[id(base)] = max(ends.get(id(base), 0), node.number)
        if node.alias:
            continue
        ends.setdefault(id(node), node.number)
    leaving = {id(node) for node in out}
    for node in out:
        ends[id(node)] = last
    for _, update in pairs:
        ends[id(update)] = last
    buffers = []
    for node in sequence:
        if node.alias or (node.hlo.opcode == "parameter" and node.kernel is not None and id(node) not in home):
            continue
        found = [
            value
            for value in dict.fromkeys(map(_base, node.inputs))
            if ends[id(value)] == node.number and _in_place(node, value)
        ]
        takes = tuple(value.number for value in found if value in node.inputs)
        seen = tuple(value.number for value in found if value not in node.inputs)  # through a view
        end, fixed = ends[id(node)], home.get(id(node), ANYWHERE)
        leaves = id(node) in leaving and fixed < 0
        buffers.append(Buffer(node.number, node.bytes, node.number, end, takes, fixed, leaves, ranks[id(node)], seen))
        if node.hlo.opcode == "reduce-window-tuple":
            buffers[-1:] = _tuple(buffers[-1], node, last + len(buffers))
    return buffers


def _tuple(whole: Buffer, node: Node, number: int) -> Iterator[Buffer]:
    """What a window operation that carries indices along puts out: the value itself, which nobody reads, an index for
    each axis, and the table of all of them, which is read when its elements are taken apart."""
    axes = len(node.hlo.shape)
    apart = max((user.number for user in node.users if user.alias), default=node.number)
    yield whole._replace(end=node.number, bytes=node.hlo.elements * node.hlo.inputs[0].item)
    for axis in range(axes):
        yield whole._replace(number=number + axis, takes=(), home=ANYWHERE, out=False, seen=())
    yield Buffer(number + axes, POINTER * (1 + axes), node.number, apart, (), HEAP, False, whole.rank)


def _in_place(node: Node, source: Node) -> bool:
    """CanShareOperandBufferWithUser: same shape, and read value by value on every path to the result."""
    kernel, hlo = node.kernel, source.hlo
    if kernel is None:
        return False
    root = kernel.root
    if root.opcode == "scatter":
        return root.inputs[0] is hlo
    if hlo.item != root.item or hlo.elements != root.elements or not root.elementwise:
        return False
    seen: set[int] = set()
    stack = [value for value in kernel.inputs if _hlo_base(value) is hlo]
    if any(value.shape != root.shape for value in stack):
        return False
    while stack:
        for user in stack.pop().users:
            if user.index in kernel.content and user.index not in seen:
                if not user.elementwise:
                    return False
                seen.add(user.index)
                stack.append(user)
    return True


def _hlo_base(value: Hlo) -> Hlo:
    while value.opcode == "reshape":
        value = value.inputs[0]
    return value
