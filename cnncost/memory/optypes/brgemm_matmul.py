"""The scratch pad of oneDNN's matrix products (oneDNN 3.7, the one inside TensorFlow 2.21:
brgemm_matmul_utils.cpp). In float32 only those of several matrices at once have one.

The operands are copied into blocks, which each thread has of its own: in float16 as float32 numbers, as no unit for
float16 is assumed beside AVX-512's; in bfloat16 for AMX's tiles, or, where a block would be tiny, for AVX-512. The
blocks are chosen by a score that is followed here as it is there. TensorFlow runs a product whose operands fit the
second cache on one thread. Checked against 240 random products, all to the byte.

A product with its bias fused in is an inner product to oneDNN: in bfloat16 it sums up in a float32 copy of the result,
in float16 its plain implementation takes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from cnncost.memory.optypes.brgemm import THREADS, up
from cnncost.processors import AMX, Processor

_L2 = 3 * AMX.cache // 4
_LINE = 64  # bytes
_ALIGNED = 128  # bytes that a buffer of a scratch pad may be moved by
_ADDRESSES = 16 * 40  # bytes of a batch of pairs of blocks
_TILE = 1024  # bytes
_LITTLE = 126  # bytes of a block of the first operand, below which AMX is not used


@dataclass(frozen=True, slots=True)
class _Product:
    rows: int
    depth: int
    columns: int
    batch: int
    turned: bool  # the first operand is stored column by column
    threads: int
    second: bool = False  # so is the second


@dataclass(frozen=True, slots=True)
class _Blocks:
    rows: int
    depth: int
    columns: int
    chunks: tuple[int, int]  # blocks of rows and of columns that a thread takes at once
    batch: int = 1  # blocks of the depth at once
    split: int = 1  # threads that share the depth
    copied: bool = True  # the first operand
    stride: int = 0  # from one row of it to the next
    buffered: bool = False  # sums wait in float32
    whole: bool = False  # a last part of the depth that is no whole block is computed as one


def product_scratch(rows: int, depth: int, columns: int, turned: bool, dtype: str, on: Processor = AMX) -> int:
    """Bytes of the product of (rows, depth) and (depth, columns) in half precision; ``turned``: the first is stored as
    (depth, rows).

    >>> product_scratch(256, 24, 96, False, "float16"), product_scratch(256, 96, 24, False, "bfloat16")
    (41984, 17408)
    """
    size = 2 * (rows * columns + depth * (rows + columns))
    threads = 1 if size < 1.01 * on.cache else THREADS
    return _scratch(_Product(rows, depth, columns, 1, turned and rows != 1, threads), dtype, on.tiles)


def batched_scratch(
    rows: int, depth: int, columns: int, batch: int, turned: tuple[bool, bool], dtype: str, on: Processor = AMX
) -> int:  # fmt: skip
    """The same for several products at once, in float32 too; ``turned``: the first, the second operand. Without
    AVX-512 nothing is copied.

    >>> batched_scratch(64, 32, 32, 1, (False, False), "float32")
    1408
    """
    if not on.wide:
        return 0
    return _scratch(_Product(rows, depth, columns, batch, turned[0] and rows != 1, THREADS, turned[1]), dtype, on.tiles)


def fused_scratch(rows: int, columns: int, dtype: str) -> int:
    """Bytes of an inner product with a bias."""
    return 4 * rows * columns + _ALIGNED if dtype == "bfloat16" else 0


@lru_cache(maxsize=4096)
def _scratch(product: _Product, dtype: str, tiles: bool) -> int:
    if 0 in (product.rows, product.depth, product.columns, product.batch):
        return 0
    if dtype == "bfloat16":
        blocks = _tiled(product) if tiles else None
        if blocks is not None and 2 * blocks.rows * blocks.stride > _LITTLE:
            return _bytes(product, blocks, 2, 32) + _tiles(product, blocks)
        return _bytes(product, _registers(product, 2, False), 2, 32)
    if dtype == "float16":
        return _bytes(product, _registers(product, 4, True), 4, 16)
    blocks = _registers(product, 4, False)
    second = product.second and product.columns > 1 and product.depth > 1  # else it is stored both ways at once
    second = second or (product.columns > 256 and _power(product.columns))
    return _bytes(product, replace(blocks, buffered=blocks.split > 1), 4, 16, second)


def _bytes(product: _Product, blocks: _Blocks, size: int, granule: int, second: bool = True) -> int:
    """``second``: the second operand is copied."""
    wide = blocks.columns if blocks.columns < 64 and product.columns != blocks.columns else 64
    parts = [_ADDRESSES * blocks.batch]
    if second:
        parts.append(size * wide * up(blocks.depth, granule) * blocks.batch)
    if blocks.copied:
        parts.append(size * blocks.rows * blocks.stride * blocks.batch * blocks.chunks[0])
    if blocks.buffered and blocks.split > 1:
        parts.append(4 * product.columns * product.rows)
    elif blocks.buffered:
        parts.append(4 * blocks.columns * blocks.rows * blocks.chunks[0] * blocks.chunks[1])
    return sum(product.threads * part + _ALIGNED for part in parts)


def _tiles(product: _Product, blocks: _Blocks) -> int:
    """Up to four tiles of results, and one for the end of the depth."""
    count = -(-min(blocks.rows, product.rows) // 16) * -(-min(blocks.columns, product.columns) // 16)
    rest = blocks.whole and product.depth > 32 and product.depth % 32 > 0
    return product.threads * _TILE * (min(4, count) + rest) + _ALIGNED


def _stride(depth: int, size: int) -> int:
    """From row to row of a copy: whole lines, and no large power of two."""
    line = _LINE // size
    found = up(depth, line)
    return found + line if found >= 512 and _power(found) else found


def _power(value: int) -> bool:
    return value > 0 and not value & (value - 1)


# -- AVX-512 ---------------------------------------------------------------------------------------------------------


def _registers(product: _Product, size: int, converted: bool) -> _Blocks:
    """The block of rows and the chunk of columns that leave the least over. ``converted``: the first operand is another
    dtype's."""
    rows, depth, columns, threads = product.rows, product.depth, product.columns, product.threads
    turned = product.turned or rows == 1  # one row is both
    wide = min(64, columns)
    deep = min(depth, 1024 if depth > 1024 and not turned else 512)
    copied = converted or product.turned or (size == 2 and _aliased(product))
    least, split = min(32, rows), 1
    if threads > product.batch * -(-columns // wide):
        least = min(16, rows)
        if (rows <= 40 or (turned and rows <= 512)) and columns > wide:
            wide = min(columns, 32)
        if product.batch == 1 and turned and depth >= 2048 and (size == 4 or _power(depth)):
            split = min(threads, 4)
    best, low = (least, 1, 1), 1.0
    chunks = min(16 if copied else 1, -(-columns // wide))
    for parts in range(split, 0, -1):
        each, found = threads // parts, False
        for chunk in range(chunks, 0, -1):
            for block in range(min(256, rows), least - 1, -1):
                work = product.batch * -(-rows // block) * -(-columns // (wide * chunk))
                if work < each * 3 and work % each and split == 1:
                    continue
                score = _left_over(product, block, wide, chunk, deep, parts)
                if score < low - 1e-7:
                    best, low, found = (block, chunk, parts), score, True
        score = _left_over(product, least, wide, 1, deep, parts)
        if not found and score < low - 1e-7:
            best, low = (least, 1, parts), score
    block, chunk, parts = best
    stride = _stride(deep, size) if copied else depth
    return _Blocks(block, deep, wide, (1, chunk), 1, parts, copied, stride, depth > deep)


def _aliased(product: _Product) -> bool:
    """Long rows of a power of two fall on the same lines of the cache: oneDNN copies them."""
    return not product.turned and product.rows >= 1024 and product.depth >= 4096 and _power(product.depth)


def _left_over(product: _Product, block: int, wide: int, chunk: int, deep: int, parts: int) -> float:
    each = product.threads // parts
    row_blocks, column_blocks = -(-product.rows // block), -(-product.columns // wide)
    work = product.batch * row_blocks * -(-product.columns // (wide * chunk))
    idle = (product.threads - each * parts) / product.threads
    rows = block * row_blocks % product.rows / product.rows
    columns = up(column_blocks, chunk) / column_blocks - 1
    return (_uneven(work, each) + rows + columns + idle + _uneven(product.depth, parts * deep)) / 5


def _uneven(work: int, block: int) -> float:
    rest = block - work % block
    return (rest if work < block else min(rest, work % block)) / block


# -- AMX -------------------------------------------------------------------------------------------------------------


def _tiled(product: _Product) -> _Blocks | None:
    """The blocks of the highest score: threads kept busy, copies used again, the second cache filled."""
    rows, columns, threads = product.rows, product.columns, product.threads
    wide, tall = min(64, columns), _tall(rows)
    row_blocks, column_blocks = -(-rows // tall), -(-columns // wide)
    parallel = product.batch * row_blocks * column_blocks
    few = parallel < 1.5 * threads
    least = -(-tall // 2) if few and tall > 32 else tall
    narrow = 32 if few and wide > 32 else wide
    most = min(6 if parallel > 16 * threads else 4, column_blocks)
    best, high = None, 0.0
    for width in range(wide, narrow - 1, -16):
        for height in _heights(rows, tall, least):
            for across in range(most, 0, -1):
                for down in range(min(4, row_blocks), 0, -1):
                    work = product.batch * -(-rows // (height * down)) * -(-columns // (width * across))
                    if work < threads * 3 and work % threads and not _known_slow(product):
                        continue
                    blocks = _depths(product, height, width, (down, across))
                    score = _score(product, blocks)
                    if score > high + 1e-7:
                        best, high = blocks, score
    return best or _depths(product, least, narrow, (1, 1))


def _known_slow(product: _Product) -> bool:
    return product.rows == 4 and (product.columns, product.depth) in ((4096, 4096), (11008, 4096), (4096, 11008))


def _tall(rows: int) -> int:
    for height in range(16, 12, -1):
        for tiles in (4, 3, 2):
            if rows % (tiles * height) == 0:
                return tiles * height
    return min(rows, 64)


def _heights(rows: int, tall: int, least: int) -> list[int]:
    found = [tall]
    while found[-1] > least:
        found.append(-(-found[-1] // 2))
    if found[-1] < least:
        found.pop()
    if rows > 16:
        found += range(min(rows // 16 * 16, 64), up(least, 16) - 1, -16)
    return list(dict.fromkeys(found))


def _depths(product: _Product, height: int, width: int, chunks: tuple[int, int]) -> _Blocks:
    """The depth of a block, and how many of them at once."""
    depth, copied = product.depth, product.turned or _aliased(product)
    deep, many, whole = up(depth, 2), 1, False
    if depth >= 32:
        deep, many = 32, -(-depth // 32)
        size = _memory(product, _Blocks(height, deep, width, chunks, many, copied=copied))
        fewest = size // _L2
        long = not product.turned and _power(depth) and depth >= 4096
        if fewest > (2 if long else 0) and many > 1:
            first, second = max(many // fewest, 1), -(-many // -(-size // _L2))
            ends = -(-depth // 32) % first, -(-depth // 32) % second
            many = second if (ends[0] != 0 and ends[1] >= ends[0]) or ends[1] == 0 else first
        rest, together = depth % 32, 32 * many
        whole = rest > 0 and together > 32 and not copied
        if whole:
            deep, many = min(depth, together), 1
        elif not rest and depth % together == 0:
            deep, many = together, 1
        elif depth == together + rest:
            deep, many = together, 2
    copied = copied or (not whole and depth % 2 > 0)
    buffered = depth > deep * many or depth % deep > 0
    return _Blocks(height, deep, width, chunks, many, 1, copied, _distance(product, deep, copied), buffered, whole)


def _distance(product: _Product, deep: int, copied: bool) -> int:
    return _stride(deep, 2) if copied else product.depth


def _memory(product: _Product, blocks: _Blocks) -> int:
    """Bytes that a thread works on."""
    rows, columns = blocks.rows * blocks.chunks[0], blocks.columns * blocks.chunks[1]
    depth = blocks.depth * blocks.batch
    buffered = product.depth > depth or product.depth % blocks.depth > 0
    copy = 2 * _distance(product, blocks.depth, True) * blocks.batch * rows if blocks.copied else 0
    return 2 * depth * (rows + columns + blocks.columns) + copy + (2 + 4 * buffered) * rows * columns


def _score(product: _Product, blocks: _Blocks) -> float:
    rows, columns = blocks.rows * blocks.chunks[0], blocks.columns * blocks.chunks[1]
    threads = product.threads
    chunks = product.batch * -(-product.rows // rows) * -(-product.columns // columns)
    busy = product.batch * product.rows / rows * product.columns / columns / up(chunks, threads)
    size = _memory(product, blocks)
    filled = 1 - abs(_L2 - size) / max(_L2, size)
    again = min(rows / min(product.rows, 256), 1.0)
    again += min(columns / min(product.columns, 256 if blocks.copied else 64), 1.0)
    return (filled / threads + again / 2 + (threads - 1) / threads * busy) / 2
