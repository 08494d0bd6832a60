"""In which order a value's readers stand: the order in which they become ready at once (BFScheduler walks users()).

An instruction keeps its readers in a list; when one leaves, the last one takes its place (HloInstruction::Users).
Fusion visits consumers in reverse post order; each producer that is taken in loses the consumer as a reader, its
operands gain it at the end of their lists, and a producer that nobody reads any more leaves the lists of its operands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush

from cnncost.memory.xla.fusion import Kernel
from cnncost.memory.xla.hlo import Hlo

__all__ = ["reader_order"]

Lists = dict[int, list[int]]


def reader_order(program: Sequence[Hlo], kernels: Sequence[Kernel], roots: Iterable[Hlo]) -> dict[tuple[int, int], int]:
    """For each (value, reading kernel's root) the reader's place among the value's readers, by instruction index."""
    place = _post_order(program, roots)
    lists: Lists = {
        hlo.index: [user.index for user in sorted(hlo.users, key=lambda user: user.order)] for hlo in program
    }
    for hlo in roots:
        lists[hlo.index].append(-1)  # the tuple of results
    for kernel in sorted(kernels, key=lambda kernel: place[kernel.root.index], reverse=True):
        if len(kernel.content) > 1:
            _replay(kernel, lists, place)
    return {(value, reader): number for value, found in lists.items() for number, reader in enumerate(found)}


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
