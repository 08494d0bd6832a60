"""Which processor a step is simulated for: what oneDNN computes on it. What it does not, TensorFlow's own kernels
compute in other ways, with other buffers.

TensorFlow uses oneDNN at all where the processor has units for neural networks (util.cc of TensorFlow 2.21:
``DefaultOneDnnPolicy``), or where ``TF_ENABLE_ONEDNN_OPTS`` says so; and then for a dtype that it has units for
(``IsDataTypeSupportedByOneDNNOnThisCPU``).
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import NamedTuple

from cnncost.errors import one_of

HOST = "host"
SWITCH = "TF_ENABLE_ONEDNN_OPTS"
_UNITS = frozenset(("avx512_vnni", "avx512_bf16", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16"))
_SAID = {"0": False, "false": False, "1": True, "true": True}  # what the variable may say (env_var.cc)
OWN_KERNELS = (
    "counted is a processor without units for neural networks (AVX512-VNNI, AVX-VNNI, AMX), on which TensorFlow leaves "
    f"oneDNN off unless {SWITCH}=1: its own kernels take no addition into a convolution"
)
FILTERS = ", and up to 30 MiB for the gradient of each filter"
NARROW = (
    "counted is a processor without AVX-512 on which TensorFlow uses oneDNN ({:g} MiB of cache a core): a convolution "
    "of a single image works on columns"
)
_CPU = "/sys/devices/system/cpu/cpu0/"
_SINGLE = ("float32", "bfloat16")  # what oneDNN computes in on every processor with AVX-512


class Processor(NamedTuple):
    """An x86-64 processor. ``onednn``: the dtypes that oneDNN computes in, none where TensorFlow leaves it off; float16
    wants units for it (AVX512-FP16), bfloat16 AVX-512; ``tiles``: it has AMX; ``cache``: bytes of level 2 a core.

    >>> sorted(processor("amx").onednn - processor("avx512").onednn), sorted(processor("avx2").onednn)
    (['float16'], [])
    """

    name: str
    onednn: frozenset[str]
    tiles: bool
    cache: int

    def note(self, half: bool, training: bool = False) -> str:
        """What its kernels mean for the figures; ``half``: some are of half precision."""
        if not self.onednn:
            return OWN_KERNELS + (FILTERS if training else "")
        if not half:
            return "" if self.wide else NARROW.format(self.cache / (1 << 20))
        own = "by oneDNN" if "float16" in self.onednn else "by TensorFlow's own kernels, on large copies"
        if not self.wide:
            return (
                "half precision depends on the processor: counted is one without AVX-512, where it is computed " + own
            )
        tiles = f"{'AMX' if self.tiles else 'AVX-512 without AMX'}, {self.cache >> 20} MiB of cache a core"
        return f"half precision depends on the processor: counted are two threads, {tiles}; float16 is computed {own}"

    @property
    def wide(self) -> bool:
        """Whether it has AVX-512, where TensorFlow uses oneDNN."""
        return "bfloat16" in self.onednn

    @property
    def fused(self) -> frozenset[str]:
        """The dtypes whose ops oneDNN's graph pass replaces; int8 stands for a float model's."""
        return self.onednn and self.onednn | {"float64", "int8"}


AVX512 = Processor("avx512", frozenset(_SINGLE), tiles=False, cache=1 << 20)
AMX = Processor("amx", frozenset((*_SINGLE, "float16")), tiles=True, cache=2 << 20)
AVX2 = Processor("avx2", frozenset(), tiles=False, cache=1 << 20)
AVX_VNNI = Processor("avx-vnni", frozenset(("float32",)), tiles=False, cache=5 << 18)
_KNOWN = {one.name: one for one in (AMX, AVX512, AVX_VNNI, AVX2)}
NAMES = (HOST, *_KNOWN)


def processor(name: str) -> Processor:
    """``amx`` (Xeons since 2023), ``avx512`` (others with AVX-512 and units for neural networks, AMD's among them),
    ``avx-vnni`` (Intel's for desks and laps since 2021), ``avx2`` (those on which TensorFlow leaves oneDNN off), or
    ``host``, this machine's. Raises CnncostError for another word."""
    one_of("processor", name, NAMES)
    return host() if name == HOST else _KNOWN[name]


def host() -> Processor:
    """This machine's, as far as Linux tells; ``avx512`` where nothing is told."""
    try:
        text = _described()
    except OSError:
        text = ""
    found = of_flags(text, os.environ.get(SWITCH, ""))
    return found._replace(cache=_second_cache() or found.cache) if found.name == AVX_VNNI.name else found


@lru_cache(maxsize=1)
def _second_cache() -> int:
    """Bytes of level 2 for each of the cores that share it, as oneDNN counts; 0 where Linux does not tell."""
    try:
        size = _line("cache/index2/size").removesuffix("K")
        sharing, core = (_threads(_line(name)) for name in ("cache/index2/shared_cpu_map", "topology/thread_siblings"))
        return (int(size) << 10) // max(1, sharing // max(1, core))
    except (OSError, ValueError):
        return 0


def _threads(mask: str) -> int:
    return int(mask.replace(",", ""), 16).bit_count()


def _line(name: str) -> str:
    with open(_CPU + name, encoding="ascii", errors="replace") as stream:
        return stream.readline(4096).strip()


@lru_cache(maxsize=1)
def _described() -> str:
    """The first processor's line of flags."""
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as stream:
        return next((line for line in stream if line.startswith("flags")), "")


def of_flags(text: str, switch: str = "") -> Processor:
    """The processor of Linux's ``/proc/cpuinfo``; ``switch``: what the environment says of oneDNN.

    >>> of_flags("flags : fpu avx512f avx512_bf16").name, of_flags("flags : avx512f avx512_fp16 amx_tile amx_bf16").name
    ('avx512', 'amx')
    >>> of_flags("flags : fpu avx2").name, sorted(of_flags("flags : fpu avx2", "1").onednn)
    ('avx2', ['float32'])
    """
    flags = next((line.partition(":")[2].split() for line in text.splitlines() if line.startswith("flags")), [])
    if not _SAID.get(switch.lower(), not flags or not _UNITS.isdisjoint(flags)):
        return AVX2
    if not flags:
        return AVX512
    if "avx512f" not in flags:
        return AVX_VNNI
    half, tiles = "avx512_fp16" in flags, "amx_bf16" in flags
    known = {(one.onednn, one.tiles): one for one in (AVX512, AMX)}
    dtypes = frozenset((*_SINGLE, *(("float16",) if half else ())))
    return known.get((dtypes, tiles)) or Processor(
        "amx-without-fp16" if tiles else "avx512-fp16", dtypes, tiles, AMX.cache
    )
