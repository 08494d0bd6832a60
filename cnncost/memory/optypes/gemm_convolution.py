"""The scratch pad of oneDNN's forward convolutions by matrix product (oneDNN 3.7, the one inside TensorFlow 2.21:
gemm_convolution_utils.cpp, ``init_conf``), in float32.

TensorFlow hands the filters of a batch of one image over as they are. Without AVX-512 no other kernel of oneDNN takes
them so: this one lays the input out as columns, one for each output position, and multiplies. Booked are the columns
and one more copy of the input, for each thread that has its own. Where all filters fit half of the second cache, the
columns are those of a block of output rows, or of positions in one row, at a time, as far as that leaves both
threads enough to do.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from cnncost.memory.optypes.brgemm import THREADS, up
from cnncost.memory.spec import Dims, Spec

_LANES = 8  # float32 numbers of an AVX2 register
_SIZE = 4  # bytes of one
_ALIGNED = 128  # bytes that a buffer may be moved by
_ENOUGH = 0.9  # of the work that even shares would make possible
_MOST = 1 << 30  # bytes
_TIMES = 15  # what all tensors together take, for each thread: with more the plain implementation runs, without scratch


class _Image(NamedTuple):
    high: int
    wide: int
    channels: int


def columns_scratch(image: Spec, kernel: Spec, output: Spec, strides: Dims, dilations: Dims, cache: int) -> int:
    """Bytes for one image, one to three spatial axes. ``cache``: bytes of the second cache of one core.

    >>> maps, kernel = Spec((1, 56, 56, 64), "float32"), Spec((3, 3, 64, 64), "float32")
    >>> columns_scratch(maps, kernel, maps, (1, 1), (1, 1), 512 << 10)
    1753344
    """
    taps = prod(kernel.shape[:-2])
    columns, threads = 0, 1
    if taps > 1 or set(strides) != {1} or image.shape[1:-1] != output.shape[1:-1]:
        positions = prod(output.shape[-3:-1])
        if len(kernel.shape) < 5 and set(dilations) <= {1} and kernel.elements < cache // _SIZE // 2:
            rows, wide = _block(_of(image), _of(output), taps, cache // _SIZE)
            if rows:
                threads, positions = THREADS, rows * wide
        columns = taps * image.shape[-1] * positions
    buffers = [threads * columns, threads * image.elements]
    booked = sum(_SIZE * buffer + _ALIGNED for buffer in buffers if buffer)
    tensors = image.bytes + kernel.bytes + output.bytes
    return booked if booked <= min(_MOST, _TIMES * THREADS * tensors) else 0


def channels_first_scratch(image: Spec, kernel: Spec, output: Spec, strides: Dims) -> tuple[int, ...]:
    """The same with the channels first: of one image, whose filters no kernel takes so, the plain implementation runs,
    without scratch; of several each thread has the columns of a whole image (not followed: the blocks of a large one).

    >>> maps, filters = Spec((2, 3, 24, 24), "float32"), Spec((3, 3, 3, 8), "float32")
    >>> channels_first_scratch(maps, filters, Spec((2, 8, 24, 24), "float32"), (1, 1))
    (124544,)
    """
    if image.shape[0] == 1 or (prod(kernel.shape[:-2]) == 1 and set(strides) <= {1}):
        return ()
    columns = prod(kernel.shape[:-1]) * prod(output.shape[2:])
    return (THREADS * _SIZE * columns + _ALIGNED,)


def _of(maps: Spec) -> _Image:
    return _Image(*maps.shape[-3:])


def _block(image: _Image, output: _Image, taps: int, cache: int) -> tuple[int, int]:
    """Output rows and columns that a thread takes at once; (0, 0) where the threads share the product instead.
    ``cache``: numbers, which are compared with bytes there too."""
    numbers = image.channels * output.wide * taps
    line = image.channels * image.wide + output.channels * output.wide
    row = _SIZE * (5 * (numbers + 2 * line) + line)
    rows, wide = _within(cache, row, output.high), output.wide
    if rows == 1:
        column = _SIZE * (image.channels * taps + 2 * (image.channels + output.channels))
        wide = _within(cache, column, output.wide)
    if rows != output.high:
        rows = max(1, rows // 4 * 4)
    if wide != output.wide:
        wide = max(1, wide // _LANES * _LANES)
    even = 0.0
    if wide == output.wide:
        rows, even = _even_rows(output.high, rows)
    if even < _ENOUGH:
        wide, even = _even_columns(output, wide)
        rows = 1
    rows, wide = max(1, rows), max(1, wide)
    shared = -(-output.high * output.wide // _LANES) * -(-output.channels // _LANES)
    if even < _share(shared) / 2:
        return 0, 0
    return rows, output.wide if rows > 1 else wide


def _within(cache: int, each: int, most: int) -> int:
    return max(1, min(-(-cache // each), most))


def _share(work: int) -> float:
    """Of the threads' time that so many equal parts fill."""
    return work / up(work, THREADS)


def _even_rows(high: int, rows: int) -> tuple[int, float]:
    """The first number of rows, fewer by four each time, whose blocks are even enough; the evenness of the last."""
    while True:
        even = (_share(-(-high // rows)) + high / up(high, rows)) / 2
        if even >= _ENOUGH:
            return rows, even
        rows = (rows - 4) // 4 * 4 if rows >= 4 else 0
        if rows <= 0:
            return rows, even


def _even_columns(output: _Image, wide: int) -> tuple[int, float]:
    """The same for columns of one row."""
    while True:
        parts = output.high * -(-output.wide // wide)
        even = (_share(parts) + output.wide / up(output.wide, wide)) / 2
        if even > _ENOUGH:
            return wide, even
        wide = (wide - _LANES) // _LANES * _LANES if wide >= _LANES else 0
        if wide <= 0:
            return wide, even
