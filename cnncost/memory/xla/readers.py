"""In which order a value's readers stand: the order in which they become ready at once (BFScheduler walks users()).

An instruction keeps its readers in a list; when one leaves, the last one takes its place (HloInstruction::Users).
Fusion visits consumers in reverse post order; each producer that is taken in loses the consumer as a reader, its
operands gain it at the end of their lists, and a producer that nobody reads any more leaves the lists of its operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from cnncost.memory.xla.fusion import Kernel
from cnncost.memory.xla.hlo import Hlo, Module

__all__ = ["reader_order"]

Lists = dict[int, list[int]]


def reader_order(
    module: Module, program: Sequence[Hlo], kernels: Sequence[Kernel], roots: Sequence[Hlo]
) -> tuple[dict[tuple[int, int], int], dict[int, int]]:
    """For each (value, reading kernel's root) the reader's place among the value's readers, by instruction index; and
    each kernel's place in post order, by its root's. Products read a value through a view each, of which the kernels'
    first in that order stays."""
    place = _post_order(program, roots)
    lists: Lists = {hlo.index: _made(module, hlo, place) for hlo in program}
    for hlo in roots:
        lists[hlo.index].append(-1)  # the tuple of results
    for kernel in sorted(kernels, key=lambda kernel: place[kernel.root.index], reverse=True):
        if len(kernel.content) > 1:
            _replay(kernel, lists, place)
    fused = _fused_order(kernels, roots)
    for hlo in program:
        views = sorted((fused[user.index], user.index) for user in hlo.users if user.opcode == "pointwise")
        for _, index in views[1:]:
            _leave(lists[hlo.index], index)
    places = {(value, reader): number for value, found in lists.items() for number, reader in enumerate(found)}
    return places, fused


def _made(module: Module, hlo: Hlo, place: dict[int, int]) -> list[int]:
    """A value's readers as they are made, less those that are equal to another: of equal ones the first in post order
    stays (HloCSE)."""
    made: list[tuple[float, int]] = []
    gone: list[tuple[int, int]] = []  # in post order, tokens of those that leave
    for user in hlo.users:
        asked = module.asked.get(user.index, ())
        if len(asked) < 2 or not module.turns:
            made.append((user.order, user.index))
            continue
        read = {id(reader.op): place[reader.index] for reader in reversed(user.users)}
        order = sorted(range(len(asked)), key=lambda number: read.get(id(asked[number]), len(place)))
        for number, twin in enumerate(order):
            token = -2 - len(made) if number else user.index
            made.append((module.turns.get(id(asked[twin]), 0) * len(module.all) + user.index, token))
            if number:
                gone.append((read.get(id(asked[twin]), len(place)), token))
    readers = [token for _, token in sorted(made)]
    if hlo.index in module.into:  # the sum's readers became its own, then the sum left
        readers.insert(0, len(place))
        _leave(readers, len(place))
    for _, token in sorted(gone):
        _leave(readers, token)
    return readers


def _replay(kernel: Kernel, lists: Lists, place: dict[int, int]) -> None:
    root = kernel.root
    queue: list[tuple[int, int]] = []
    seen: set[int] = set()

    def wait(values: Iterable[Hlo]) -> None:
        for value in values:
            if value.index in kernel.content and value.index not in seen:
                seen.add(value.index)
                heappush(queue, (-place[value.index], value.index))

    wait(root.inputs)
    while queue:
        _, index = heappop(queue)
        producer = kernel.content[index]
        readers = lists[index]
        _leave(readers, root.index)
        for value in producer.inputs:
            if root.index not in lists[value.index]:
                lists[value.index].append(root.index)
        if not readers:
            for value in dict.fromkeys(producer.inputs):
                _leave(lists[value.index], index)
        wait(producer.inputs)


def _leave(readers: list[int], reader: int) -> None:
    if reader in readers:
        number = readers.index(reader)
        last = readers.pop()
        if number < len(readers):
            readers[number] = last


def _fused_order(kernels: Sequence[Kernel], roots: Iterable[Hlo]) -> dict[int, int]:
    by_root = {kernel.root.index: kernel for kernel in kernels}
    found: dict[int, int] = {}
    stack = [(kernel.root.index, False) for kernel in reversed(kernels)]
    stack += [(hlo.index, False) for hlo in reversed(list(roots))]
    while stack:
        index, done = stack.pop()
        if index in found:
            continue
        if done:
            found[index] = len(found)
            continue
        stack.append((index, True))
        stack.extend((value.index, False) for value in reversed(by_root[index].inputs) if value.index not in found)
    return found


def _post_order(program: Sequence[Hlo], roots: Iterable[Hlo]) -> dict[int, int]:
    """Operands before readers, the first operand first."""
    found: dict[int, int] = {}
    stack = [(hlo, False) for hlo in (*reversed(program), *reversed(list(roots)))]
    while stack:
        hlo, done = stack.pop()
        if hlo.index in found:
            continue
        if done:
            found[hlo.index] = len(found)
            continue
        stack.append((hlo, True))
        stack.extend((value, False) for value in reversed(hlo.inputs) if value.index not in found)
    return found
