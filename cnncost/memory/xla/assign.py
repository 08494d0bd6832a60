"""Buffers: who shares whose, and where in the one temporary allocation each lies.

After buffer_assignment.cc and heap_simulator.cc: buffers by size; a parameter that is donated (a variable that the step
updates) and an output have allocations of their own, which others may use while they are free; what is left goes to a
heap by the best fit of the largest first, in two orders of which the smaller result counts.
"""

from __future__ import annotations

from typing import NamedTuple

ALIGNMENT = 64  # bytes (cpu_function_runtime.h)
ANYWHERE, HEAP = -1, -2  # whether a buffer may lie in a fixed allocation while that is free: a tuple's table may not


class Buffer(NamedTuple):
    """A value: its bytes, the step in which it is written and the last one that reads it. ``takes``: buffers that die
    where it is born and whose place it may take; ``seen``: others of them, which are read through a view. In the heap
    no place is taken through a view (HeapSimulator asks for a user of the instruction itself)."""

    number: int
    bytes: int
    start: int
    end: int
    takes: tuple[int, ...]
    home: int  # the fixed allocation it must lie in (a donated parameter's); else ANYWHERE or HEAP
    out: bool  # leaves the step
    rank: int  # among buffers of one size
    seen: tuple[int, ...] = ()


class Allocation:
    """A fixed piece of memory outside the heap and who lies in it when."""

    __slots__ = ("bytes", "held")

    def __init__(self, size: int) -> None:
        self.bytes = size
        self.held: list[Buffer] = []

    def free_for(self, buffer: Buffer) -> bool:
        for other in self.held:
            if other.end < buffer.start or buffer.end < other.start:
                continue
            if other.end == buffer.start and other.number in (*buffer.takes, *buffer.seen):
                continue
            if buffer.end == other.start and buffer.number in (*other.takes, *other.seen):
                continue
            return False
        return True


def assign(buffers: list[Buffer], donated: list[int]) -> tuple[list[Buffer], list[Buffer]]:
    """``donated``: bytes of the parameters that the step may overwrite, numbered as ``Buffer.home`` says. Returns the
    buffers that go to the heap, and the outputs that lie in no parameter."""
    parameters = [Allocation(size) for size in donated]
    outputs: list[Buffer] = []
    for buffer in buffers:
        if buffer.home >= 0:
            parameters[buffer.home].held.append(buffer)
    entries: list[tuple[int, int, int, Buffer | None, Allocation | None]] = [
        (-allocation.bytes, -1, 0, None, allocation) for allocation in parameters
    ]
    entries += [(-b.bytes, 0 if b.out else 1, b.rank, b, None) for b in buffers if b.home < 0]
    entries.sort(key=lambda entry: entry[:3])
    fixed: list[Allocation] = []
    where: dict[int, Allocation] = {b.number: parameters[b.home] for b in buffers if b.home >= 0}
    heap: list[Buffer] = []
    for _, _, _, candidate, allocation in entries:
        if allocation is not None:
            fixed.append(allocation)
        if candidate is None:
            continue
        buffer = candidate
        found = None if buffer.home == HEAP else _reused(buffer, fixed, where)
        if found is not None:
            found.held.append(buffer)
            where[buffer.number] = found
        elif buffer.out:
            made = Allocation(buffer.bytes)
            made.held.append(buffer)
            fixed.append(made)
            outputs.append(buffer)
            where[buffer.number] = made
        else:
            heap.append(buffer)
    return heap, outputs


def _reused(buffer: Buffer, fixed: list[Allocation], where: dict[int, Allocation]) -> Allocation | None:
    """An operand's allocation, else the smallest that is large enough and free; an output wants its very size."""
    for number in (*buffer.takes, *buffer.seen):
        operand = where.get(number)
        if operand is not None and _fits(buffer, operand) and operand.free_for(buffer):
            return operand
    for allocation in reversed(fixed):
        if _fits(buffer, allocation) and allocation.free_for(buffer):
            return allocation
    return None


def _fits(buffer: Buffer, allocation: Allocation) -> bool:
    return allocation.bytes == buffer.bytes if buffer.out else allocation.bytes >= buffer.bytes


class Chunk(NamedTuple):
    """Buffers that take each other's place, one after the other: from the first's birth to the last's end, on the
    heap's own clock, which ticks at every birth and death. ``first``: when the first of them dies."""

    number: int
    bytes: int
    start: int
    end: int
    first: int
    rank: int


def merged(buffers: list[Buffer]) -> list[Buffer]:
    """Chains of buffers that take each other's place, as one from the first's birth to the last's end."""
    heads = _heads(buffers)
    chains: dict[int, Buffer] = {}
    for buffer in sorted(buffers, key=lambda b: b.start):
        head = heads[buffer.number]
        chain = chains.setdefault(head, buffer)
        chains[head] = chain._replace(end=max(chain.end, buffer.end))
    return list(chains.values())


def _heads(buffers: list[Buffer]) -> dict[int, int]:
    """For each buffer the first of its chain."""
    by_number = {buffer.number: buffer for buffer in buffers}
    heads: dict[int, int] = {}
    for buffer in sorted(buffers, key=lambda b: b.start):
        taken = next((n for n in buffer.takes if n in by_number and by_number[n].bytes == buffer.bytes), None)
        heads[buffer.number] = buffer.number if taken is None else heads[taken]
    return heads


def chunks(buffers: list[Buffer]) -> list[Chunk]:
    """The chains on the heap's clock: what an instruction defines, then what it ends (HeapSimulator)."""
    heads = _heads(buffers)
    happenings = [(b.start, 0, b.number, b) for b in buffers] + [(b.end, 1, b.number, b) for b in buffers]
    happenings.sort(key=lambda happening: happening[:3])
    born: dict[int, int] = {}
    dead: dict[int, int] = {}
    last: dict[int, int] = {}
    for clock, (_, ends, number, _) in enumerate(happenings):
        if ends:
            dead[number] = last[heads[number]] = clock
        else:
            born[number] = clock
    return [
        Chunk(b.number, b.bytes, born[b.number], last[b.number], dead[b.number], b.rank)
        for b in buffers
        if heads[b.number] == b.number
    ]


def heap_bytes(buffers: list[Buffer]) -> tuple[int, dict[int, int]]:
    """The size of the heap and each chunk's offset: GlobalDecreasingSizeBestFitHeap, by size and by duration."""
    found = chunks(buffers)
    spatial = sorted(found, key=lambda c: (-c.bytes, c.start - c.first, c.rank))
    temporal = sorted(found, key=lambda c: (c.start - c.end, -c.bytes, c.rank))
    return min((_place(spatial), _place(temporal)), key=lambda placed: placed[0])


def other_heaps(buffers: list[Buffer]) -> list[int]:
    """The size of the heap where buffers of equal size are placed in other orders: which of them lives longer may hang
    on a tick of the clock. By duration it would be chosen where that is better."""
    found = chunks(buffers)
    temporal = sorted(found, key=lambda c: (c.start - c.end, -c.bytes, c.rank))
    most = _place(temporal)[0]
    orders = (
        sorted(found, key=lambda c: (-c.bytes, c.rank)),
        sorted(found, key=lambda c: (-c.bytes, c.start)),
        sorted(found, key=lambda c: (-c.bytes, -c.end)),
    )
    return [min(_place(order)[0], most) for order in orders]


def _place(order: list[Chunk]) -> tuple[int, dict[int, int]]:
    """Each chunk at the smallest hole that is large enough among those it meets in time, else at the end of them."""
    placed: list[tuple[int, int, int, int]] = []  # start, end, offset, offset behind it
    offsets: dict[int, int] = {}
    total = 0
    for number, size, start, end, *_ in order:
        met = sorted([(low, high) for born, dead, low, high in placed if born <= end and start <= dead])
        best, hole, behind = -1, -1, 0
        for low, high in met:
            gap = low - behind
            if gap >= size and (hole < 0 or gap < hole):
                best, hole = behind, gap
            if high > behind:
                behind = high
        offset = best if hole >= 0 else behind
        high = offset + -(-size // ALIGNMENT) * ALIGNMENT
        placed.append((start, end, offset, high))
        offsets[number] = offset
        total = max(total, offset + size)
    return total, offsets


def live_peak(buffers: list[Buffer]) -> int:
    """The most bytes alive at once: what no placement can go below."""
    changes: dict[int, int] = {}
    for buffer in buffers:
        changes[buffer.start] = changes.get(buffer.start, 0) + buffer.bytes
        changes[buffer.end + 1] = changes.get(buffer.end + 1, 0) - buffer.bytes
    live = peak = 0
    for step in sorted(changes):
        live += changes[step]
        peak = max(peak, live)
    return peak
