"""The scratch pad of oneDNN's forward convolutions in float32 and float16 (jit_brgemm_conv_utils.cpp:
``init_scratchpad``).

What is told here depends on shapes and on the number of threads alone. A processor with AVX-512 and without AMX (or
with AVX2 alone: ``relo``), and ``THREADS`` threads, are assumed; where caches and the estimated speed of blocks decide,
the commonest case is taken.

- Each thread has a batch of pairs of blocks, one pair for each position of the kernel, in whole pages.
- A convolution whose input and output are below 8 KiB, and whose output channels are one block, has one thread
  (``adjust_nthr``). A block is of 16 or 32, or of 64 if there are windows to slide and the filters are few
  (``fast_check_oc_block``; from which size on it is not was found by measuring: 144 KiB are, 216 KiB are not).
- A float32 input of one channel is laid out anew ("relo"), window by window of the kernel's rows and columns, row after
  row (``whi``), or its columns alone (``wi``), with the filters beside it. TensorFlow hands the filters of a batch of
  one image over as they are, which rules that out.
"""

from __future__ import annotations

from math import ceil, prod

from cnncost.memory.spec import Dims, Spec

THREADS = 2
PAGE = 4096  # bytes; every buffer may begin at a page: one more is asked for
_PAIR = 40  # bytes of brgemm_batch_element_t: two addresses, two paddings, one count
_SMALL = 8192  # bytes
_FEW = 180 << 10  # bytes
_LANES = 16  # float32 numbers of a register: the least block of output channels
_FILTERS = 1024  # numbers: what the filters of a relo are rounded up to


def convolution_scratch(
    image: Spec, kernel: Spec, output: Spec, strides: Dims, dilations: Dims, relo: bool = True
) -> int:
    """Bytes; channels last, one to three spatial axes. ``relo``: whether an input of one channel may be laid out anew,
    which it is with AVX-512.

    >>> square = Spec((4, 32, 32, 1), "float32"), Spec((5, 5, 1, 6), "float32"), Spec((4, 28, 28, 6), "float32")
    >>> convolution_scratch(*square, (1, 1), (1, 1))
    102448
    """
    threads = _threads(image, kernel, output)
    *window, channels, _ = kernel.shape
    anew = 0
    wide = image.dtype == "float32" and image.shape[0] > 1 and len(window) == 2 and window[1] > 1
    if relo and channels == 1 and wide and set(dilations) <= {1}:
        anew = _relo(image, kernel, output, strides, threads)
    taps = 1 if anew else kernel.elements // (channels * kernel.shape[-1])
    return batch_bytes(taps, threads) + anew


def small(image: Spec, output: Spec) -> bool:
    """Whether one thread is enough for what does not have several blocks of output channels."""
    return image.bytes < _SMALL and output.bytes < _SMALL


def _threads(image: Spec, kernel: Spec, output: Spec) -> int:
    *window, _, outputs = kernel.shape
    few = prod(window) > 1 and kernel.bytes <= _FEW
    one = up(outputs, _LANES) in ((_LANES, 2 * _LANES, 4 * _LANES) if few else (_LANES, 2 * _LANES))
    return 1 if one and small(image, output) else THREADS


def batch_bytes(pairs: int, threads: int) -> int:
    """Whole pairs, at least as many as fill the pages that ``pairs`` reach into."""
    each = ceil(ceil(pairs * _PAIR / PAGE) * PAGE / _PAIR) * _PAIR
    return threads * each + PAGE


def _relo(image: Spec, kernel: Spec, output: Spec, strides: Dims, threads: int) -> int:
    """The buffers of an input laid out anew: its values, its mask, the filters; 0 where it is not."""
    rows, columns = kernel.shape[:2]
    high, wide = output.shape[1:3]
    down, across = strides
    width = (wide - 1) * across + columns  # of the input with its padding
    padding = max(0, (high - 1) * down + rows - image.shape[1])
    if down == 1 and (wide == 1 or columns <= across):  # blocks over several rows
        return 0
    if rows > 1 and wide > 4:
        step = rows * across
        values = rows * (rows + padding) * width * step + (high - 1) * down * step + step
    else:
        step = across * (columns if wide == 1 else 1)
        values = ((high - 1) * down + rows + padding) * width * step
    filters = up(up(kernel.shape[-1], _LANES) * rows * columns, _FILTERS)
    return 4 * (threads * up(values, PAGE) + filters) + threads * up(high, PAGE) + 3 * PAGE


def up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
