"""Which processor a step is simulated for. It decides in half precision alone: what no unit computes, TensorFlow's own
kernels compute in other ways, with other buffers, than oneDNN's."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cnncost.errors import one_of

HOST = "host"
_SINGLE = ("float32", "bfloat16")  # what oneDNN computes in on every processor with AVX-512


class Processor(NamedTuple):
    """An x86-64 processor with AVX-512. ``half``: its units compute float16 (AVX512-FP16), without which TensorFlow
    leaves it to its own kernels (mkl_util.h: ``IsDataTypeSupportedByOneDNNOnThisCPU``); ``tiles``: it has AMX;
    ``cache``: bytes of level 2 a core.

    >>> sorted(processor("amx").onednn - processor("avx512").onednn)
    ['float16']
    """

    name: str
    half: bool
    tiles: bool
    cache: int

    @property
    def note(self) -> str:
        """What its kernels mean for figures of half precision."""
        own = "by oneDNN" if self.half else "by TensorFlow's own kernels, on large copies"
        tiles = f"{'AMX' if self.tiles else 'AVX-512 without AMX'}, {self.cache >> 20} MiB of cache a core"
        return f"half precision depends on the processor: counted are two threads, {tiles}; float16 is computed {own}"

    @property
    def onednn(self) -> frozenset[str]:
        """The dtypes that oneDNN computes in."""
        return frozenset((*_SINGLE, "float16") if self.half else _SINGLE)

    @property
    def fused(self) -> frozenset[str]:
        """The dtypes whose ops TensorFlow's graph passes fuse and replace; int8 stands for a float model's."""
        return self.onednn | {"float64", "int8"}


AVX512 = Processor("avx512", half=False, tiles=False, cache=1 << 20)
AMX = Processor("amx", half=True, tiles=True, cache=2 << 20)
NAMES = (HOST, AMX.name, AVX512.name)


def processor(name: str) -> Processor:
    """``amx`` (Xeons since 2023), ``avx512`` (others with AVX-512, AMD's among them), or ``host``, this machine's.
    Raises CnncostError for another word."""
    one_of("processor", name, NAMES)
    if name == HOST:
        return host()
    return AMX if name == AMX.name else AVX512


@lru_cache(maxsize=1)
def host() -> Processor:
    """This machine's, as far as Linux tells; ``avx512`` where nothing is told."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as stream:
            return of_flags(stream.read(1 << 20))
    except OSError:
        return AVX512


def of_flags(text: str) -> Processor:
    """The processor of Linux's ``/proc/cpuinfo``.

    >>> of_flags("flags : fpu avx512f avx512_bf16").name, of_flags("flags : avx512_fp16 amx_tile amx_bf16").name
    ('avx512', 'amx')
    """
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])
    half, tiles = "avx512_fp16" in flags, "amx_bf16" in flags
    known = {(one.half, one.tiles): one for one in (AVX512, AMX)}
    return known.get((half, tiles)) or Processor("avx512-fp16" if half else "amx-without-fp16", half, tiles, AMX.cache)
