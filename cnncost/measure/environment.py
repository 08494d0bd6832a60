"""What must be set before a framework is imported, and how much memory the machine can give."""

from __future__ import annotations

import contextlib
import os
import re

from cnncost.errors import CnncostError, printable

BACKENDS = ("tensorflow", "jax", "torch")
FRAMEWORK = 2**30  # bytes of a process that has imported one, roughly; of addresses twice as many
ALLOCATOR_LIMIT = "TF_CPU_BFC_MEM_LIMIT_IN_MB"
_RESERVE = 256 * 2**20  # bytes that are left for everything else, at least
_SHARE = 20  # of a large machine, one part in so many


def device_of(text: str) -> str:
    """``CPU:0`` or ``GPU:N``, however it was written.

    >>> device_of("gpu"), device_of("CPU:0")
    ('GPU:0', 'CPU:0')
    """
    found = re.fullmatch(r"(cpu|gpu)(?::([0-9]{1,3}))?", text.strip().lower(), re.ASCII)
    if found is None or (found[1] == "cpu" and int(found[2] or 0)):
        raise CnncostError("a wrong device", rule="it is CPU:0, GPU:0, GPU:1, …", received=printable(text) or "nothing")
    return f"{found[1].upper()}:{int(found[2] or 0)}"


def variables(device: str, backend: str) -> dict[str, str]:
    """The child's environment beside the parent's own.

    ``TF_CPU_ALLOCATOR_USE_BFC`` puts the CPU under the GPU's allocator, so that both are counted alike. It takes
    regions of growing size and never gives one back, so its limit is twice what the machine has: pages that are never
    touched cost nothing, and the parent watches those that are. A request beyond the limit is TensorFlow's own error.
    """
    chosen = {
        "TF_CPU_ALLOCATOR_USE_BFC": "1",
        "TF_CPP_MIN_LOG_LEVEL": "1",  # a refused allocation is told there before a crash
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "KERAS_BACKEND": backend,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
    }
    free = free_bytes()
    if free is not None and ALLOCATOR_LIMIT not in os.environ:
        chosen[ALLOCATOR_LIMIT] = str(max(64, 2 * free // 2**20))
    if device.startswith("CPU"):
        chosen |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    return chosen


def free_bytes() -> int | None:
    """Memory that a run may take: what the machine has available, or its control group if that is less, without a
    reserve for everything else. Zero or less: the system would soon begin to kill. None where it does not say."""
    text = _read("/proc/meminfo")
    available, total = _kilobytes(text, "MemAvailable"), _kilobytes(text, "MemTotal")
    machine = None if available is None else available - max(_RESERVE, (total or 0) // _SHARE)
    return min((size for size in (machine, _group()) if size is not None), default=None)


def room_bytes(device: str) -> int | None:
    """What a model and its step may take together: of free memory, or of this process's own limits, what the
    framework leaves; half the limit of TensorFlow's allocator where one was set. None for a GPU, and where nothing
    says it.
    """
    if not device.startswith("CPU"):
        return None
    found = [] if (free := free_bytes()) is None else [free - FRAMEWORK]
    with contextlib.suppress(ImportError):  # Windows
        import resource

        for limit, own in ((resource.RLIMIT_DATA, FRAMEWORK), (resource.RLIMIT_AS, 2 * FRAMEWORK)):
            soft = resource.getrlimit(limit)[0]
            found += [soft - own] if soft != resource.RLIM_INFINITY else []
    chosen = os.environ.get(ALLOCATOR_LIMIT, "")
    if chosen.isdecimal() and len(chosen) < 10:
        found.append(int(chosen) * 2**20 // 2)  # its regions double in size, and a request fits into one
    return max(0, min(found)) if found else None


def is_starved() -> bool:
    """Whether so little memory is left that the system would soon begin to kill."""
    free = free_bytes()
    return free is not None and free <= 0


def _kilobytes(text: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s+([0-9]{{1,15}}) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _group() -> int | None:
    """What a control group (version 2, then 1) leaves; page cache that can be dropped is not counted as used."""
    for root, most, used in (
        ("/sys/fs/cgroup/", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory/", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, now = _read(root + most).strip(), _read(root + used).strip()
        if limit.isdecimal() and now.isdecimal():
            cached = re.search(r"^(?:total_)?inactive_file ([0-9]{1,18})", _read(root + "memory.stat"), re.MULTILINE)
            return int(limit) - int(now) + (int(cached[1]) if cached else 0) - _RESERVE
    return None


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            return stream.read(65536)
    except OSError:
        return ""


def resident_bytes(pid: int) -> int | None:
    """Resident set of a process, where the system says it."""
    return _kilobytes(_read(f"/proc/{pid}/status"), "VmRSS")
