"""The scratch pad of oneDNN's forward convolutions in bfloat16 on a processor with AMX (oneDNN 3.7, the one inside
TensorFlow 2.21: jit_brgemm_conv_utils.cpp, brgemm_utils.cpp).

The input is copied, rows by rows, into a buffer of each thread; how many rows, and how many output channels go with
them, is the choice of an estimate of the work and of the traffic between the caches, which is followed here as it is
there. Inputs of few channels are laid out anew, several columns (``wi``) or a whole window (``whi``) side by side, and
their filters with them. Beside that there are tiles of results, a mask of what has been copied, and one page of
addresses a thread. Checked against 330 random convolutions: of those with more than
one tap all but three to the byte, of those with one tap two thirds, the others 8 KiB too high.

Caches: 48 KiB of level 1 and 2 MiB of level 2 a core, as the processors with AMX have. Two threads.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import lru_cache

from cnncost.memory.optypes.brgemm import PAGE, THREADS, batch_bytes, small, up
from cnncost.memory.spec import Dims, Spec

L1 = (48 << 10) * 7 // 8  # bytes, what oneDNN counts on
L2 = (2 << 20) * 3 // 4
ROWS, LANES = 16, 32  # a tile's rows; bfloat16 numbers of a register
_TILE = 1024  # bytes
_NEAR, _MIDDLE, _FAR = 1.0, 2.3, 17.0  # oneDNN's estimate of the cost of reading from a cache
_CALL = 1000.0  # and of one call of the kernel


@dataclass(slots=True)
class _Plan:
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


def amx_scratch(image: Spec, kernel: Spec, output: Spec, strides: Dims, dilations: Dims) -> int:
    """Bytes; channels last, two spatial axes.

    >>> amx_scratch(*(Spec(s, "bfloat16") for s in ((4, 32, 32, 3), (3, 3, 3, 16), (4, 32, 32, 16))), (1, 1), (1, 1))
    96304
    """
    return _scratch(image.shape, kernel.shape, output.shape, tuple(strides), tuple(dilations))


@lru_cache(maxsize=4096)
def _scratch(image: Dims, kernel: Dims, output: Dims, strides: Dims, dilations: Dims) -> int:
    (batch, rows, columns, channels), (_, high, wide, outputs) = image, output
    if set(dilations) != {1} or kernel[2] != channels:
        return batch_bytes(1, THREADS)
    window = (kernel[0], kernel[1])
    axes = zip((high, wide), strides, window, (rows, columns), strict=True)
    pads = [(size - 1) * step + taps - given for size, step, taps, given in axes]
    top, left = (max(pad, 0) // 2 for pad in pads)
    plan = _Plan(batch, rows, columns, channels, outputs, window, (strides[0], strides[1]), high, wide,
                 (top, pads[0] - top, left, pads[1] - left))  # fmt: skip
    if window == (1, 1) and max(pads) <= 0:
        return _pointwise(plan)
    if high * wide <= 4 and channels <= 512 and batch * channels * outputs <= L1:
        return batch_bytes(1, THREADS)  # another implementation takes it
    _fold(plan)
    _choose_form(plan)
    best = _best(plan)
    return batch_bytes(1, THREADS) if best is None else _bytes(best)


def _fold(plan: _Plan) -> None:
    """Columns that a stride steps over become channels, where nothing is padded."""
    taps, step = plan.kernel[1], plan.strides[1]
    if taps == 1 or step == 1 or max(plan.pads[2:]) > 0 or plan.channels % 2 or not _whole(plan.channels):
        return
    fold = max(i for i in range(1, min(taps, step, plan.columns) + 1)
               if not (plan.columns % i or taps % i or step % i) and _whole(plan.channels * i))  # fmt: skip
    if fold > 1:
        plan.folded = True
        plan.channels *= fold
        plan.columns //= fold
        plan.kernel, plan.strides = (plan.kernel[0], taps // fold), (plan.strides[0], step // fold)


def _whole(values: int) -> bool:
    return values <= LANES or values % LANES == 0


def _choose_form(plan: _Plan) -> None:
    (high, wide), channels = plan.kernel, plan.channels
    top, bottom, left, right = plan.pads
    base = max(left, right) <= 0 and (channels > LANES or channels % 2 == 0) and _whole(channels) and plan.wide > 50
    few = channels < LANES // 2
    cheap = plan.outputs * high * wide / (plan.batch * plan.rows * plan.columns) <= 4

    def wanted(row: int, positions: int, plain: bool) -> bool:
        wasteful = row > LANES and up(row, LANES) / (positions * up(channels, LANES)) < 0.5
        return few or (wasteful and (plain or cheap))

    row, window = wide * channels, high * wide * channels
    even = channels % 2 == 0
    share, whole_share = row / up(row, LANES), window / up(window, LANES)
    columns = not plan.folded and wide > 1 and wanted(row, wide, even and _whole(row))
    block = (
        not plan.folded and high > 1 and wanted(window, high * wide, even and _whole(window) and 1 in (high, wide))
        and whole_share > share and (plan.wide > 48 or plan.wide % 16 == 0)
        and (not columns or whole_share > 0.7)
    )  # fmt: skip
    plan.form = "whi" if block else "wi" if columns else ""
    plan.copied = not base or bool(plan.form) or (wide == 1 and plan.wide == 1)
    plan.merged = plan.copied and top < high and bottom < high and left < wide and right < wide
    if not plan.form and plan.wide >= 256:
        plan.merged = plan.merged and plan.strides[0] == 1 and wide <= plan.strides[1]
    read, filters = plan.rows * plan.columns * channels, plan.outputs * high * wide * channels
    plan.outputs_inside = plan.copied or read >= filters


def _best(plan: _Plan) -> _Plan | None:
    """Of one to four registers of output channels the best."""
    jobs = -(-plan.batch * -(-plan.high * plan.wide // 64) * -(-plan.outputs // 64) // plan.threads)
    most = 2 if plan.merged and (jobs < 64 or plan.outputs < 256) else 4
    rounded = up(plan.outputs, 16)
    best = None
    for block in range(16 * min(-(-plan.outputs // 16), most), 0, -16):
        if block == 64 and (rounded % 64 or rounded >= 384):
            continue
        area = plan.rows * plan.columns > 81 * plan.strides[0] * plan.strides[1]
        if block == 48 and (rounded % 48 or rounded > 768 or not area):
            continue
        trial = copy(plan)
        trial.out_block = block
        found = _blocks(trial)
        if found is not None and (best is None or found.score > best.score):
            best = found
    return best


def _blocks(plan: _Plan) -> _Plan | None:
    """Rows of the kernel all at once, or one by one; columns of the output, unless whole rows are computed."""
    best: _Plan | None = None
    for rows in sorted({plan.kernel[0], 1}, reverse=True):
        plan.kernel_rows, plan.kernel_columns = rows, plan.kernel[1]
        if not plan.copied and plan.channels * plan.out_block * 2 * plan.kernel[1] >= L2:
            plan.kernel_columns = 1
        _channel_block(plan)
        _rows_at_once(plan)
        for columns in [plan.wide] if plan.merged else _divisions(plan):
            plan.column_block = plan.points = columns
            plan.buffered = plan.in_block < plan.channels or (plan.kernel_rows, plan.kernel_columns) != plan.kernel
            if not plan.copied:
                plan.buffered |= plan.kernel_rows == 1 < plan.kernel[0] or plan.padded[1] != plan.columns
            _product(plan)
            plan.score = _efficiency(plan)
            if best is None or plan.score > best.score:
                best = copy(plan)
    if best is not None and best.merged:
        best.points = best.wide * best.row_block
        _product(best)
        best.score = _efficiency(best)
    return best


def _divisions(plan: _Plan) -> list[int]:
    work = plan.batch * -(-plan.outputs // plan.out_block) * plan.high * plan.wide
    most = max(1, min(plan.wide, int(-(-work // (0.9 * plan.threads)))))
    return [size for size in dict.fromkeys(-(-plan.wide // n) for n in range(1, plan.wide + 1)) if size <= most]


def _channel_block(plan: _Plan) -> None:
    channels, rows = plan.channels, plan.kernel[0]
    together = (plan.kernel[1] if plan.form else 1) * (rows if plan.form == "whi" else 1)
    if rows * channels * 2 > 8192:
        most = up(-(-1024 // (rows * 2)), 2)
        plan.in_block = next((size for size in range(most, LANES // 2 - 1, -2) if channels % size == 0), channels)
    elif channels * together <= LANES:
        plan.in_block = up(channels, 2)
    elif plan.copied:
        registers = -(-channels // LANES)
        plan.in_block = LANES * next(n for n in range(registers, 0, -1) if registers / up(registers, n) >= 0.5)
    else:
        plan.in_block = LANES
    if plan.form:
        plan.in_block = max(plan.in_block, channels)


def _rows_at_once(plan: _Plan) -> None:
    plan.row_block = 1
    if plan.form == "whi" or not plan.copied:
        return
    padded_rows, padded = plan.padded
    taps = plan.kernel[0] * plan.kernel[1]
    row = 4 * plan.in_block * padded + 2 * plan.wide * plan.out_block
    other = 2 * taps * plan.in_block * plan.out_block + 128 * plan.out_block
    room = min(-(-L2 // 2), max(0, L2 - other))
    plan.row_block = max(1, min(plan.high, room // row)) if padded_rows * row > room else plan.high
    near = 2 * plan.channels * padded + 2 * plan.wide * plan.out_block
    most = max(1, min(plan.high, L1 // near)) if near < L1 else plan.row_block
    for rows in range(most, 0, -1):
        if plan.high / up(plan.high, rows) > 0.9 and rows * padded > 128:
            plan.row_block = rows
            break
    share = -(-plan.threads // (plan.batch * -(-plan.outputs // plan.out_block)))
    plan.row_block = min(plan.row_block, -(-plan.high // share))


def _product(plan: _Plan) -> None:
    """The matrix product that one call of the kernel is."""
    one = plan.wide == 1
    plan.step = (plan.kernel[0] if plan.form == "whi" else 1) * plan.strides[1]
    plan.step *= (plan.channels if plan.form or not plan.copied else plan.in_block) * (plan.kernel[1] if one else 1)
    tall = plan.points if plan.span >= plan.points else 0
    plan.tall = tall
    if plan.merged:
        down = 1 if plan.form == "whi" else plan.strides[0]
        gap = (0 if one else (plan.kernel[1] - 1) // plan.strides[1] * down) + (down - 1) * plan.wide
        end = tall + gap * (-(-tall // plan.wide) - 1)
        plan.tall = up(end, ROWS)
        if plan.form or plan.wide < 256:  # tiles begin inside rows of the output alone
            plan.tall = 0
            while plan.tall < end:
                plan.tall += ROWS if plan.tall % (plan.column_block + gap) < plan.column_block else 1
    rows = tall or (plan.high * plan.wide if plan.merged else plan.wide) % plan.points
    columns = plan.out_block if plan.outputs >= plan.out_block else plan.outputs % plan.out_block
    plan.unit = _unit(rows, columns)


def _unit(rows: int, columns: int) -> int:
    """Rows of all tiles that are computed at once: two by two tiles, or up to three by one."""
    size = next(n for n in range(ROWS, 0, -1) if rows % n == 0)
    if size == 1:
        size = max(range(1, min(ROWS, rows) + 1), key=lambda n: (rows % n == 0, rows % n, n))
    count = 2 if rows // size >= 2 else 1
    wide = columns % 16 == 0
    pairs = wide and columns // 16 % 2 == 0
    if pairs and count == 2 and size >= 8:
        return 2 * size
    for width in (3, 2):
        if wide and (width - 1) * ROWS < rows < width * ROWS:
            return (width - 1) * ROWS  # the last tile is not full
    if wide and not pairs and not (count == 1 and columns // 16 == 3):
        count = min(3, max(1, rows // size))
    return size * (count - 1 if rows % size and count > 1 else count)


def _efficiency(plan: _Plan) -> float:
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


def _balance(plan: _Plan, work: int, blocks: int, spans: int, bands: int) -> float:
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


def _traffic(plan: _Plan, job: int, blocks: int, spans: int, bands: int) -> float:
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


def _dearer(plan: _Plan, loop: tuple[tuple[int, float], ...], which: int, before: float, repeat: float) -> float:
    """The mean cost over a loop's turns: the first costs what it did outside."""
    if repeat <= 1:
        return before
    (source, _), (result, _), (filters, _) = loop
    size = 2 * (source + filters + result) + (4 * result if plan.buffered else 0)
    again = _NEAR if which == 0 and 2 * source < L1 else _MIDDLE if size < L2 else _FAR
    return (before + again * (repeat - 1)) / repeat


def _bytes(plan: _Plan) -> int:
    threads = plan.threads
    image = Spec((plan.batch, plan.rows, plan.columns, plan.channels), "bfloat16")
    result = Spec((plan.batch, plan.high, plan.wide, plan.outputs), "bfloat16")
    if small(image, result) and -(-plan.outputs // plan.out_block) < threads:
        threads = 1
    rows, columns = plan.kernel
    total = batch_bytes(plan.kernel_rows * plan.kernel_columns, threads)
    if plan.copied:
        total += _copies(plan, threads)
    if plan.form:
        window = columns * plan.channels * (rows if plan.form == "whi" else 1)
        padded = up(window, LANES if window > LANES else 2) * (1 if plan.form == "whi" else rows)
        total += 2 * up(up(plan.outputs, plan.out_block) * padded, 1024) + PAGE
    if plan.buffered:
        total += threads * plan.out_block * (plan.points if plan.span >= plan.points else 0) * 4 + PAGE
    return total + _tiles(-(-plan.tall // ROWS) * -(-min(plan.out_block, plan.outputs) // 16), threads)


def _copies(plan: _Plan, threads: int) -> int:
    """The input's buffer and its mask."""
    rows, down = plan.kernel[0], plan.strides[0]
    padded_rows, padded = plan.padded
    high = min(padded_rows, (plan.row_block - 1) * min(rows, down) + rows) + sum(max(0, pad) for pad in plan.pads[:2])
    if plan.merged:
        high = -(-up(high * padded, plan.tall) // padded) + rows
    chunks = -(-plan.channels // plan.in_block)
    values = high * padded * chunks * plan.step
    if plan.form == "whi":
        values = values * rows + ((plan.high - 1) * plan.row_block * down + 1) * plan.step
    marks = -(-plan.high // plan.row_block) * -(-plan.wide // plan.column_block) * chunks
    return 2 * threads * up(values, PAGE) + threads * up(marks, PAGE) + 2 * PAGE


def _tiles(tiles: int, threads: int) -> int:
    """Whole pages for each thread, and one byte that keeps threads apart; no kernel has more than four to six."""
    return threads * up(_TILE * min(tiles, 4) + 1, PAGE) + PAGE


def _pointwise(plan: _Plan) -> int:
    """One tap: copied only where a stride steps over positions or the channels are no whole pairs."""
    channels, threads = plan.channels, plan.threads
    image = Spec((plan.batch, plan.rows, plan.columns, channels), "bfloat16")
    result = Spec((plan.batch, plan.high, plan.wide, plan.outputs), "bfloat16")
    if small(image, result) and plan.outputs <= 16:
        threads = 1
    area = plan.high * plan.wide
    total = batch_bytes(1, threads) + _tiles(-(-area // ROWS) * -(-plan.outputs // 16), threads)
    odd = channels % 2 == 1 and channels < LANES
    if odd or plan.strides[0] > 1 or plan.columns % plan.strides[1]:
        total += 2 * threads * up(area * (channels + odd), 64) + PAGE + threads * 64 + PAGE
    return total
