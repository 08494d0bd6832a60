"""TensorFlow's "best fit with coalescing" allocator on paper: which chunk a request gets, and how large it is.

Source: bfc_allocator.cc (openxla/xla, tsl/framework). A CPU under ``TF_CPU_ALLOCATOR_USE_BFC=1`` and a GPU share it.
What ``get_memory_info`` counts is the sum of these chunks.
"""

from __future__ import annotations

from bisect import bisect_left, insort

UNIT = 256  # bytes; every chunk is a multiple of it
FIRST_REGION = 2 * 2**20  # each further region is twice as large, or as many doublings as the request needs
MOST_WASTE = 128 * 2**20  # a chunk that is this much larger than the request is split in any case
CPU_LIMIT = 64 * 2**30  # TF_CPU_BFC_MEM_LIMIT_IN_MB's default
_APART = 2**48  # distance of two regions: neighbours of different regions never meet


class OutOfMemory(Exception):
    """The limit does not hold the request."""


def rounded(size: int) -> int:
    """The bytes that a request occupies at least.

    >>> rounded(1), rounded(256), rounded(12336)
    (256, 256, 12544)
    """
    return -(-size // UNIT) * UNIT


class Chunks:
    """The allocator's state. Chunks are named by their address.

    A request takes the smallest free chunk that holds it (the lowest address among equals). What is left over is split
    off where the chunk is at least twice the request or 128 MiB too large, else it is wasted; a chunk that becomes free
    joins its free neighbours. Bins only speed the search up: one sorted list gives the same order.

    >>> chunks = Chunks()
    >>> first, second = chunks.allocate(1000), chunks.allocate(1_000_000)
    >>> chunks.size(first), chunks.size(second), chunks.pool
    (1024, 1000192, 2097152)
    >>> chunks.free(first)
    >>> chunks.in_use, chunks.peak
    (1000192, 1001216)
    """

    def __init__(self, limit: int = CPU_LIMIT, growth: bool = True) -> None:
        self.limit = limit
        self.next_region = rounded(min(limit, FIRST_REGION)) if growth else rounded(limit)
        self.pool = self.in_use = self.peak = 0
        self._sizes: dict[int, int] = {}  # of all chunks
        self._next: dict[int, int] = {}  # address → the chunk behind it in its region
        self._before: dict[int, int] = {}
        self._free: list[tuple[int, int]] = []  # (size, address), sorted
        self._used: set[int] = set()
        self._regions = 0

    def allocate(self, size: int) -> int:
        """The address of a new chunk for ``size`` > 0 bytes."""
        need = rounded(size)
        place = bisect_left(self._free, (need, -1 << 62))
        if place == len(self._free):
            self._extend(need)
            place = bisect_left(self._free, (need, -1 << 62))
        have, address = self._free.pop(place)
        if have >= 2 * need or have - need >= MOST_WASTE:
            self._split(address, need)
            have = need
        self._used.add(address)
        self.in_use += have
        self.peak = max(self.peak, self.in_use)
        return address

    def free(self, address: int) -> None:
        """Give a chunk back; its free neighbours become one with it."""
        self._used.remove(address)
        self.in_use -= self._sizes[address]
        behind = self._next.get(address)
        if behind is not None and behind not in self._used:
            self._forget(behind)
            self._join(address, behind)
        before = self._before.get(address)
        if before is not None and before not in self._used:
            self._forget(before)
            self._join(before, address)
            address = before
        insort(self._free, (self._sizes[address], address))

    def size(self, address: int) -> int:
        """Bytes of the chunk."""
        return self._sizes[address]

    def chunks(self) -> list[tuple[int, int, bool]]:
        """(address, bytes, in use) of every chunk, by address."""
        return [(address, self._sizes[address], address in self._used) for address in sorted(self._sizes)]

    def _extend(self, need: int) -> None:
        """A new region. Where it holds less than twice the last one's bytes, the next will be twice as large."""
        available = (self.limit - self.pool) // UNIT * UNIT
        if need > available:
            raise OutOfMemory(need)
        grown = need > self.next_region
        while need > self.next_region:
            self.next_region *= 2
        size = min(self.next_region, available)
        if not grown:
            self.next_region *= 2
        self._regions += 1
        address = -self._regions * _APART  # the system maps large blocks from high addresses to low ones
        self.pool += size
        self._sizes[address] = size
        insort(self._free, (size, address))

    def _split(self, address: int, need: int) -> None:
        rest = address + need
        self._sizes[rest] = self._sizes[address] - need
        self._sizes[address] = need
        behind = self._next.get(address)
        if behind is not None:
            self._next[rest] = behind
            self._before[behind] = rest
        self._next[address] = rest
        self._before[rest] = address
        insort(self._free, (self._sizes[rest], rest))

    def _join(self, address: int, behind: int) -> None:
        self._sizes[address] += self._sizes.pop(behind)
        further = self._next.pop(behind, None)
        del self._before[behind]
        if further is None:
            del self._next[address]
        else:
            self._next[address] = further
            self._before[further] = address

    def _forget(self, address: int) -> None:
        """Take a free chunk out of the sorted list."""
        del self._free[bisect_left(self._free, (self._sizes[address], address))]
