"""``python -m cnncost.measure.worker FOLDER``: reads ``job.json``, writes ``stages`` and ``result.json`` there."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
from collections.abc import Callable
from typing import Any

from cnncost.errors import CnncostError, MissingExtra
from cnncost.measure.records import FRAMEWORKS, IMPORTING, PREFIX, Job
from cnncost.measure.worker.common import DeviceError, Stage
from cnncost.measure.xplane import ProfileError

# What XLA, oneDNN (its status 1) and the system's loader say when they are refused memory.
_MEMORY = (
    "RESOURCE_EXHAUSTED", "ResourceExhausted", "Out of memory", "Status: 1, message", "Cannot allocate memory",
    "failed to map segment", "bad_alloc",
)  # fmt: skip
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # PyTorch's messages are written for a terminal
# TensorFlow tells first where an op was defined, line by line, and then what went wrong.
_DEFINED = ("Graph execution error:", "Detected at node", '  File "', "\t [[")


def main(folder: str) -> int:
    """Run the job. Every failure becomes an ``error`` of the answer."""
    threading.Thread(target=_end_with_parent, args=(folder,), daemon=True).start()
    with open(os.path.join(folder, "job.json"), encoding="utf-8") as stream:
        job = Job(**json.load(stream))
    with open(os.path.join(folder, "stages"), "w", encoding="utf-8") as stages:

        def stage(text: str) -> None:
            stages.write(f"{text}\n")
            stages.flush()

        try:
            stage(f"{IMPORTING} {FRAMEWORKS[job.backend]}")
            answer = _backend(job.backend)(job, folder, stage)
        except BaseException as error:  # the parent turns it into one message
            answer = {"error": _account(error)}
    _write(os.path.join(folder, "result.json"), answer)
    return 0


def _backend(name: str) -> Callable[[Job, str, Stage], dict[str, Any]]:
    from importlib import import_module

    run: Callable[[Job, str, Stage], dict[str, Any]] = import_module(f"cnncost.measure.worker.on_{name}").run
    return run


def _account(error: BaseException) -> dict[str, str]:
    """What went wrong, by the kinds that the parent knows."""
    name, text = type(error).__name__, _told(_COLOURS.sub("", str(error)))
    if isinstance(error, ModuleNotFoundError | MissingExtra):
        kind = "missing"
    elif isinstance(error, ProfileError):
        kind, text = "profile", error.problem
    elif isinstance(error, MemoryError) or "ResourceExhausted" in name or any(word in text for word in _MEMORY):
        kind, text = "memory", _refusal(_COLOURS.sub("", str(error))) or "an allocation failed"
    elif isinstance(error, DeviceError):
        kind = "device"
    elif isinstance(error, CnncostError):
        kind, text = "input", error.message
    else:
        kind, text = "other", f"{name}: {text}"
    return {"kind": kind, "text": text[:2000]}


def _told(text: str) -> str:
    """The message without TensorFlow's account of where the op was defined.

    >>> _told('Graph execution error:\\n\\nDetected at node a:\\n  File "x", line 1, in f\\n\\nno memory\\n\\t [[a]]')
    'no memory'
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith(_DEFINED)]
    return " ".join(" ".join(lines or text.split("\n")).split())[:4000]


def _refusal(text: str) -> str:
    """What was refused, without the framework's account of where.

    >>> _refusal("{{function_node f}} OOM when allocating tensor with shape[2,3] and type float on /job:a by b [Op:c]")
    'OOM when allocating tensor with shape[2,3] and type float'
    >>> _refusal("INTERNAL: Error: Error: Out of memory allocating 9 bytes.")
    'Out of memory allocating 9 bytes.'
    """
    lines = [line.strip() for line in text.split("\n")]
    line = next((line for line in lines if "OOM" in line or "llocat" in line), lines[0])
    begun = re.search("OOM|Out of memory|Unable to allocate|DefaultCPUAllocator", line)
    return re.split(r" on /job:| \[Op:", line[begun.start() if begun else 0 :])[0][:400]


def _write(path: str, answer: dict[str, Any]) -> None:
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as stream:
        json.dump(answer, stream)
    os.replace(part, path)


def _end_with_parent(folder: str) -> None:
    """Standard input is a pipe that the parent holds: when it closes, nobody waits for the answer any more, and nobody
    but this process removes the folder that the parent made for it."""
    while os.read(0, 4096):
        pass
    if os.path.basename(folder).startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
