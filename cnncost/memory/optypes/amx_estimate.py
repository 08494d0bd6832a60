"""How oneDNN cuts up a bfloat16 convolution for AMX, and what it expects of that: the share of the time that products
take (jit_brgemm_conv_utils.cpp: ``est_eff``, ``io_k``). The estimate decides the size of the scratch pad.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.memory.optypes.brgemm import THREADS, up

L1 = (48 << 10) * 7 // 8  # bytes, what oneDNN counts on
L2 = (2 << 20) * 3 // 4
LANES = 32  # bfloat16 numbers of a register
_NEAR, _MIDDLE, _FAR = 1.0, 2.3, 17.0  # oneDNN's estimate of the cost of reading from a cache
_CALL = 1000.0  # and of one call of the kernel


@dataclass(slots=True)
class Plan:
    """A convolution, and how it is cut up. Channels, rows and columns are counted, not bytes."""

    batch: int
    rows: int  # of the input
    columns: int
    channels: int
    outputs: int
    kernel: tuple[int, int]
    strides: tuple[int, int]
    high: int  # rows of the output
    wide: int
    pads: tuple[int, int, int, int]  # top, bottom, left, right; the last of each pair may be below zero
    threads: int = THREADS
    folded: bool = False  # columns of the input that a stride steps over count as channels
    form: str = ""  # "wi", "whi": how the input is laid out anew
    copied: bool = True  # the input is copied at all
    merged: bool = True  # rows of the output are computed as one
    outputs_inside: bool = True  # the loop over output channels is inside the one over rows
    # the choice
    out_block: int = 0
    in_block: int = 0
    row_block: int = 0
    column_block: int = 0
    points: int = 0  # of the output, at once
    kernel_rows: int = 0
    kernel_columns: int = 0
    buffered: bool = False  # sums are kept in float32 between calls
    step: int = 0  # channels from one position of the copy to the next
    tall: int = 0  # rows of the product, the gaps between the output's rows included
    unit: int = 1  # rows that the kernel computes at once
    score: float = 0.0

    @property
    def padded(self) -> tuple[int, int]:
        top, bottom, left, right = self.pads
        return self.rows + top + bottom, self.columns + left + right

    @property
    def span(self) -> int:
        """Points of which ``points`` are one block."""
        return self.high * self.wide if self.merged else self.wide

    def window(self, wide: int, taps: int) -> int:
        """Columns of the input that so many columns of the output read."""
        return min(self.columns, (wide - 1) * min(taps, self.strides[1]) + taps)

    def values(self, wide: int, taps: int, channels: int) -> int:
        found = self.window(wide, taps)
        if self.strides[1] == 1 and channels >= self.channels:
            return up(found * channels, LANES)
        return found * up(channels, LANES)


def efficiency(plan: Plan) -> float:
    """oneDNN's estimate: the more of the time the products take, the better."""
    registers = plan.out_block // 16
    blocks = -(-plan.outputs // plan.out_block)
    spans = -(-plan.span // plan.points)
    bands = -(-plan.high // plan.row_block)
    work = plan.batch * blocks * bands * spans
    job = -(-work // plan.threads)
    kernel = registers * plan.unit / ((plan.unit + registers) * 32)
    whole = plan.points / up(plan.points, plan.unit)
    full = (1 + plan.unit * (2 - min(1.9, plan.unit / plan.points)) / 64) / 2
    even = plan.span / up(plan.span, plan.points)
    share = _balance(plan, work, blocks, spans, bands) if job < plan.threads else work / up(work, plan.threads)
    channels = plan.outputs / up(plan.outputs, plan.out_block)
    pages = min(1.0, L2 / (40 * plan.kernel_rows * plan.kernel_columns))
    traffic = _traffic(plan, job, blocks, spans, bands)
    cache = plan.batch * plan.high * plan.span * plan.channels * plan.outputs / (plan.threads * traffic)
    return channels * kernel * even * share * whole * cache * full * pages


def _balance(plan: Plan, work: int, blocks: int, spans: int, bands: int) -> float:
    """The threads' jobs in points and channels: their mean over the largest."""
    jobs, begin = [], 0
    for thread in range(plan.threads):
        end = begin + work // plan.threads + (thread < work % plan.threads)
        total = 0
        for number in range(begin, end):
            block = number % blocks if plan.outputs_inside else number // (spans * bands) % blocks
            span = number // blocks % spans if plan.outputs_inside else number % spans
            total += min(plan.span - span * plan.points, plan.points) * min(
                plan.outputs - block * plan.out_block, plan.out_block
            )
        jobs.append(total)
        begin = end
    return sum(jobs) / (max(jobs) * plan.threads) if max(jobs) else 1.0


def _traffic(plan: Plan, job: int, blocks: int, spans: int, bands: int) -> float:
    """Cost of reading input and filters and of writing results: loop by loop from the outside, what is read again in a
    loop comes from the cache that holds the loop's data."""
    rows, columns = plan.kernel
    taps, chunks = rows * columns, -(-plan.channels // plan.in_block)
    inside = plan.outputs_inside
    blocks_each = min(blocks, -(-job // (1 if inside else bands * spans)))
    lanes = -(-min(plan.outputs, blocks_each * plan.out_block) // LANES)
    outer = blocks if inside else 1
    spans_each = min(spans, -(-job // outer))
    points = min(plan.span, spans_each * plan.points)
    bands_each, high = 1, 1
    if not plan.merged:
        bands_each = min(bands, -(-job // (spans * outer)))
        high = min(plan.high, bands_each * plan.row_block)
    images = min(plan.batch, -(-job // (bands * spans * blocks)))
    pairs, block = plan.out_block * plan.in_block, plan.out_block
    part = plan.values(plan.unit, plan.kernel_columns, plan.in_block)
    section = plan.values(plan.points, columns, plan.channels)
    filters = taps * lanes * LANES * plan.channels
    deep = LANES * (lanes if inside else plan.out_block // 16)
    own = filters if inside else taps * (plan.out_block // 16) * LANES * plan.channels
    held = plan.kernel_rows * plan.kernel_columns * pairs
    repeats = -(-rows // plan.kernel_rows) * -(-columns // plan.kernel_columns)
    each = [
        ((plan.window(plan.unit, plan.kernel_columns) * LANES, 16), (0, 1), (block, 1)),
        ((part, plan.kernel_columns), (0, 1), (pairs, 1)),
        ((plan.kernel_rows * part, 1), (plan.unit * block, 1), (held, -(-plan.points // plan.unit))),
        ((plan.kernel_rows * plan.values(plan.points, plan.kernel_columns, plan.in_block), 1),
         (plan.points * block, repeats), (held, 1)),
        ((rows * plan.values(plan.points, columns, plan.in_block), 1), (plan.points * block, chunks),
         (taps * pairs, 1)),
    ]  # fmt: skip
    if inside:
        each.append(((rows * section, blocks_each), (plan.points * block, 1), (taps * block * plan.channels, 1)))
    wide = rows * plan.values(points, columns, plan.channels)
    each.append(((rows * section, 1), (plan.points * deep, 1), (own, spans_each)))
    each.append(((plan.row_block * wide, 1), (points * deep, 1), (own, bands_each)))
    if not inside:
        each.append(((high * wide, blocks_each), (block * high * points, 1), (taps * block * plan.channels, 1)))
    each.append(((high * wide, 1), (high * points * lanes * LANES, 1), (filters, images)))
    moved = [1.0, 1.0, 1.0]
    cost = [_FAR, _FAR, _FAR]
    for number in range(len(each) - 1, -1, -1):
        loop = each[number]
        for which in range(3):
            repeat = loop[which][1]
            cost[which] = _dearer(plan, loop, which, cost[which], repeat)
            if which or number > 1:  # neighbours overlap in the input: read again, and not moved again
                moved[which] *= repeat
    outputs = images * high * points
    return (
        cost[0] * outputs * taps * plan.channels * moved[0]
        + cost[1] * outputs * lanes * moved[1]
        + cost[2] * taps * lanes * plan.channels * moved[2]
        + _CALL * job * chunks * repeats
    )


def _dearer(plan: Plan, loop: tuple[tuple[int, float], ...], which: int, before: float, repeat: float) -> float:
    """The mean cost over a loop's turns: the first costs what it did outside."""
    if repeat <= 1:
        return before
    (source, _), (result, _), (filters, _) = loop
    size = 2 * (source + filters + result) + (4 * result if plan.buffered else 0)
    again = _NEAR if which == 0 and 2 * source < L1 else _MIDDLE if size < L2 else _FAR
    return (before + again * (repeat - 1)) / repeat
