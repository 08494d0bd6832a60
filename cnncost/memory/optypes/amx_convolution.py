"""The scratch pad of oneDNN's forward convolutions in bfloat16 on a processor with AMX (oneDNN 3.7, the one inside
TensorFlow 2.21: jit_brgemm_conv_utils.cpp, brgemm_utils.cpp).

The input is copied, rows by rows, into a buffer of each thread; how many rows, and how many output channels go with
them, is the choice of an estimate of the work and of the traffic between the caches, which is followed here as it is
there. Inputs of few channels are laid out anew, several columns (``wi``) or a whole window (``whi``) side by side, and
their filters with them. Beside that there are tiles of results, a mask of what has been copied, and one page of
addresses a thread. Checked against 330 random convolutions: of those with more than one tap all but three to the byte,
of those with one tap two thirds, the others 8 KiB too high.

Caches: 48 KiB of level 1 and 2 MiB of level 2 a core, as the processors with AMX have. Two threads.
"""

from __future__ import annotations

from copy import copy
from functools import lru_cache

from cnncost.memory.optypes.amx_estimate import L1, L2, LANES, Plan, efficiency
from cnncost.memory.optypes.brgemm import PAGE, THREADS, batch_bytes, small, up
from cnncost.memory.spec import Dims, Spec

ROWS = 16  # of a tile
_TILE = 1024  # bytes


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
    plan = Plan(batch, rows, columns, channels, outputs, window, (strides[0], strides[1]), high, wide,
                 (top, pads[0] - top, left, pads[1] - left))  # fmt: skip
    if window == (1, 1) and max(pads) <= 0:
        return _pointwise(plan)
    if high * wide <= 4 and channels <= 512 and batch * channels * outputs <= L1:
        return batch_bytes(1, THREADS)  # another implementation takes it
    _fold(plan)
    _choose_form(plan)
    best = _best(plan)
    return batch_bytes(1, THREADS) if best is None else _bytes(best)


def _fold(plan: Plan) -> None:
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


def _choose_form(plan: Plan) -> None:
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


def _best(plan: Plan) -> Plan | None:
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


def _blocks(plan: Plan) -> Plan | None:
    """Rows of the kernel all at once, or one by one; columns of the output, unless whole rows are computed."""
    best: Plan | None = None
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
            plan.score = efficiency(plan)
            if best is None or plan.score > best.score:
                best = copy(plan)
    if best is not None and best.merged:
        best.points = best.wide * best.row_block
        _product(best)
        best.score = efficiency(best)
    return best


def _divisions(plan: Plan) -> list[int]:
    work = plan.batch * -(-plan.outputs // plan.out_block) * plan.high * plan.wide
    most = max(1, min(plan.wide, int(-(-work // (0.9 * plan.threads)))))
    return [size for size in dict.fromkeys(-(-plan.wide // n) for n in range(1, plan.wide + 1)) if size <= most]


def _channel_block(plan: Plan) -> None:
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


def _rows_at_once(plan: Plan) -> None:
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


def _product(plan: Plan) -> None:
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


def _bytes(plan: Plan) -> int:
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


def _copies(plan: Plan, threads: int) -> int:
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


def _pointwise(plan: Plan) -> int:
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
