"""Starts a real run in a child process and watches it: memory, time, Ctrl-C. Nothing outlives the call.

The child answers in files of a temporary folder: ``job.json`` for it, ``stages`` (one line for each thing it begins)
and ``result.json`` from it. It ends by itself when its standard input closes, so a parent that is killed leaves none.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from tempfile import TemporaryDirectory
from typing import Any

from cnncost.errors import CnncostError, MissingExtra, OutsideError, printable
from cnncost.measure import environment
from cnncost.measure.records import IMPORTING, PREFIX, STARTING, Job, Measurement

MAX_ANSWER = 2**29  # bytes of result.json that are read
ROOM = "give it room there, or set TMPDIR to a folder that has some"
_POLL = 0.05  # seconds between two looks at the child
_MEMORY_WORDS = (
    "out of memory", "MemoryError", "bad_alloc", "OOM when allocating", "ResourceExhausted", "RESOURCE_EXHAUSTED",
)  # fmt: skip
_CHATTER = re.compile(r"[IW][0-9]{4} |WARNING|I tensorflow|\S+ \S+ [IW] ")  # notices of the framework's own
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")  # TensorFlow's AutoGraph writes files there, and a killed child removes none
# Started in its own folder, not in the user's: a ``types.py`` there must not stand in for Python's.
_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_START = f"import sys; sys.path.append({_ROOT!r}); from cnncost.measure.worker.__main__ import main; main(sys.argv[1])"
COMMAND = [sys.executable, "-c", _START]


class LackOfMemory(OutsideError):
    """The run did not fit into the machine's memory."""

    def __init__(self, problem: str, stage: str, used_bytes: int | None = None) -> None:
        super().__init__(problem)
        self.stage, self.used_bytes = stage, used_bytes

    @property
    def before_the_model(self) -> bool:
        """Whether the framework itself did not fit."""
        return self.stage.startswith((STARTING, IMPORTING))


def run(job: Job, timeout: float = 600.0, command: list[str] | None = None) -> Measurement:
    """Run ``job`` in a child and return what it measured.

    Raises MissingExtra without the framework, LackOfMemory when the child was killed for it or an allocation failed,
    OutsideError for a time-out, a missing device or a failed run, CnncostError for a model that Keras cannot build.
    """
    with _terminable(), contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True))
            with open(os.path.join(folder, "job.json"), "w", encoding="utf-8") as stream:
                json.dump(job.to_dict(), stream)
        except OSError as error:
            raise OutsideError(f"no temporary folder for the run: {error.strerror}", nearest=ROOM) from error
        child = _Child(folder, job, command or COMMAND)
        try:
            child.wait(timeout)
        finally:
            child.end()
        return child.answer()


class _Child:
    """One child process and its folder."""

    def __init__(self, folder: str, job: Job, command: list[str]) -> None:
        self.folder, self.job = folder, job
        self.starved = False
        self.used: int | None = None  # the most resident bytes that were seen
        own = environment.variables(job.device, job.backend) | dict.fromkeys(_TEMPORARY, folder)
        with open(os.path.join(folder, "log"), "wb") as log:
            self.process = subprocess.Popen(
                [*command, folder], cwd=folder, stdin=subprocess.PIPE, stdout=log, stderr=log,
                env={**os.environ, **own},
                start_new_session=os.name == "posix",  # the terminal's Ctrl-C reaches the parent alone
            )  # fmt: skip

    def wait(self, timeout: float) -> None:
        """Until the child ends. Raises OutsideError when it takes longer than ``timeout`` seconds."""
        begun = time.monotonic()
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_POLL)
                return
            self.used = max(self.used or 0, environment.resident_bytes(self.process.pid) or 0) or None
            if environment.is_starved():
                self.starved = True
                return
            if time.monotonic() - begun > timeout:
                early = self.stage().startswith((STARTING, IMPORTING))
                raise OutsideError(
                    f"the real run took longer than {timeout:g} s, while {self.stage()}",
                    nearest=f"give it more with --timeout{'' if early else ', or a smaller batch'}",
                )

    def end(self) -> None:
        """Kill what still runs of the child, and wait for it."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                if os.name == "posix":
                    os.killpg(self.process.pid, signal.SIGKILL)
                else:
                    self.process.kill()
        self.process.wait()
        if self.process.stdin:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def stage(self) -> str:
        """What the child was doing."""
        lines = self._text("stages").split("\n")
        return printable(lines[-2], 100) if len(lines) > 1 else STARTING

    def answer(self) -> Measurement:
        """What the child wrote, or the error that it died of."""
        if self.starved:
            raise LackOfMemory(
                f"the real run was ended for lack of memory, while {self.stage()}", self.stage(), self.used
            )
        data = self._result()
        if data is None:
            raise self._death()
        if "error" in data:
            raise self._error(data["error"])
        return Measurement.from_dict(data)

    def _result(self) -> dict[str, Any] | None:
        path = os.path.join(self.folder, "result.json")
        try:
            if os.path.getsize(path) > MAX_ANSWER:
                raise OutsideError(f"the real run's answer has more than {MAX_ANSWER:,} bytes")
            with open(path, encoding="utf-8") as stream:
                data = json.load(stream)
        except FileNotFoundError:
            return None
        except (ValueError, RecursionError) as error:
            raise OutsideError("the real run's answer is not whole", nearest="run it again") from error
        if not isinstance(data, dict):
            raise OutsideError("the real run's answer is not whole", nearest="run it again")
        return data

    def _death(self) -> CnncostError:
        """A child that ended without an answer. SIGKILL that is not ours is the system's want of memory."""
        code, stage, log = self.process.returncode, self.stage(), self._text("log")
        if code == -9 or any(word in log for word in _MEMORY_WORDS):
            how = "was killed" if code == -9 else "broke off"
            return LackOfMemory(f"the real run {how} for lack of memory, while {stage}", stage, self.used)
        last = next((line for line in reversed(log.split("\n")) if line.strip() and not _CHATTER.match(line)), "")
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        said = f": {printable(last.strip(), 200)}" if last else ""
        return OutsideError(f"the real run ended without an answer ({how}), while {stage}{said}", nearest=_room(said))

    def _error(self, error: Any) -> CnncostError:
        """The child's own account of its failure."""
        kind, text = (str(error.get("kind")), str(error.get("text"))) if isinstance(error, dict) else ("", str(error))
        shown, stage = printable(text, 400), self.stage()
        makers: dict[str, Callable[[], CnncostError]] = {
            "missing": lambda: _missing(self.job.backend),
            "memory": lambda: LackOfMemory(
                f"the real run was refused memory, while {stage}: {shown}", stage, self.used),
            "device": lambda: OutsideError(shown, nearest="--device CPU:0 is always there"),
            "input": lambda: CnncostError(shown),
            "profile": lambda: OutsideError(shown, nearest="run it again"),
        }  # fmt: skip
        if kind in makers:
            return makers[kind]()
        return OutsideError(f"the real run failed, while {stage}: {shown}", nearest=_room(shown))

    def _text(self, name: str) -> str:
        """The end of one of the child's files."""
        try:
            with open(os.path.join(self.folder, name), "rb") as stream:
                stream.seek(max(0, os.path.getsize(stream.name) - 16_384))
                return stream.read().decode("utf-8", "replace")
        except OSError:
            return ""


def _room(text: str) -> str:
    return ROOM if "No space left" in text or "File too large" in text or "Disk quota" in text else ""


def _missing(backend: str) -> CnncostError:
    if backend == "tensorflow":
        return MissingExtra("TensorFlow", "tensorflow")
    return OutsideError(
        f"the {backend} backend is not installed", rule="Keras runs on it only where it is",
        nearest=f"run: pip install keras {backend}",
    )  # fmt: skip


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does: the child is killed and the folder removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
