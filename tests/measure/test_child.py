"""The parent of a real run: children that die, hang, answer nonsense; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from cnncost.errors import CnncostError, MissingExtra, OutsideError
from cnncost.measure import Job, LackOfMemory, environment, run
from cnncost.measure.worker.__main__ import _account
from cnncost.measure.xplane import ProfileError

JOB = Job(model={"config": {}}, names=())
ANSWER = {
    "versions": {"keras": "3"}, "device": "CPU:0", "layers": [[[[[2, 2], "float32"]], [], []]], "resident": {},
    "peak_bytes": 12, "chunk_bytes": None, "process_bytes": 99, "changes": [["op", "Relu", "conv", "forward", 12]],
    "step_seconds": [0.5], "layer_seconds": {"conv": 0.1}, "notes": [],
}  # fmt: skip
posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")


def child(code: str) -> list[str]:
    """A stand-in for the worker: its folder is ``folder``, ``stage`` says what it does."""
    head = """
        import json, os, signal, sys, time
        folder = sys.argv[1]
        def write(name, text):
            with open(os.path.join(folder, name), "a") as stream: stream.write(text)
        def stage(text): write("stages", text + "\\n")
    """
    return [sys.executable, "-c", textwrap.dedent(head) + textwrap.dedent(code)]


def test_an_answer() -> None:
    found = run(JOB, 60, child(f"write('result.json', {json.dumps(ANSWER)!r})"))
    assert found.peak_bytes == 12 and found.chunk_bytes is None and found.step_seconds == (0.5,)
    assert found.changes[0].layer == "conv" and found.layers[0].outputs[0].shape == (2, 2)


def test_what_a_killed_child_leaves_goes_with_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    code = "import tempfile; tempfile.mkstemp(prefix='__autograph'); stage('x'); time.sleep(60)"
    with pytest.raises(OutsideError, match="longer than 2 s, while x"):
        run(JOB, 2, child(code))
    assert not list(tmp_path.iterdir())


def test_no_room_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**options: object) -> None:
        raise OSError(28, "No space left on device")

    code = "print('OSError: [Errno 28] No space left on device'); sys.exit(1)"
    with pytest.raises(OutsideError, match="No space left on device; .*TMPDIR"):
        run(JOB, 60, child(code))
    monkeypatch.setattr("cnncost.measure.child.TemporaryDirectory", full)
    with pytest.raises(OutsideError, match="no temporary folder for the run: No space left on device; .*TMPDIR"):
        run(JOB, 60, child(code))


def test_the_job_arrives() -> None:
    code = f"""
        job = json.load(open(os.path.join(folder, "job.json")))
        assert os.environ["TF_CPU_ALLOCATOR_USE_BFC"] == "1" and os.environ["KERAS_BACKEND"] == "jax"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
        answer = {ANSWER!r} | {{"notes": [job["executor"], str(job["batch"])]}}
        write("result.json", json.dumps(answer))
    """
    assert run(Job({}, (), batch=7, executor="xla", backend="jax"), 60, child(code)).notes == ("xla", "7")


@posix
def test_killed_is_lack_of_memory() -> None:
    with pytest.raises(LackOfMemory, match="killed for lack of memory, while running step 2") as caught:
        run(JOB, 60, child("stage('building'); stage('running step 2'); os.kill(os.getpid(), signal.SIGKILL)"))
    assert caught.value.exit_code == 3 and caught.value.stage == "running step 2"


def test_crashed_after_a_refused_allocation() -> None:
    with pytest.raises(LackOfMemory):
        run(JOB, 60, child("print('Allocator ran out of memory trying to allocate 9GiB'); sys.exit(11)"))


def test_ended_before_the_system_kills(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_starved", lambda: True)
    begun = time.monotonic()
    with pytest.raises(LackOfMemory, match="ended for lack of memory"):
        run(JOB, 60, child("time.sleep(60)"))
    assert time.monotonic() - begun < 10


def test_a_child_that_hangs() -> None:
    code = "stage('step ' + str(os.getpid())); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    with pytest.raises(OutsideError, match=r"longer than 1 s, while step [0-9]+") as caught:
        run(JOB, 1, child(code))
    pid = int(caught.value.problem.split()[-1])
    assert gone(pid)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("sys.exit(4)", "exit code 4"),
        (
            "print('the cause'); print('W0000 00:00:17 1 x.cc:5] a notice'); sys.exit(5)",
            r"exit code 5\), .*: the cause$",
        ),
        ("print('W0000 00:00:17 1 x.cc:5] a notice'); sys.exit(6)", r"exit code 6\), while starting Python$"),
        ("print('a\\x1b[31m last word'); sys.exit(1)", r"\\x1b\[31m last word"),
        ("write('result.json', '{\"peak')", "not whole"),
        ("write('result.json', '[1]')", "not whole"),
        ("write('result.json', '{}')", "not whole"),
        ("write('result.json', '[' * 100000)", "not whole"),
        (f"write('result.json', {json.dumps(ANSWER | {'peak_bytes': 'much'})!r})", "not whole"),
        (f"write('result.json', {json.dumps(ANSWER | {'changes': [[1]]})!r})", "not whole"),
        (f"write('result.json', {json.dumps(ANSWER | {'layers': [7]})!r})", "not whole"),
    ],
)
def test_no_answer_is_one_message(code: str, words: str) -> None:
    with pytest.raises(OutsideError, match=words) as caught:
        run(JOB, 60, child(code))
    assert "\n" not in str(caught.value) and caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("kind", "error", "code"),
    [
        ("missing", MissingExtra, 3),
        ("memory", LackOfMemory, 3),
        ("device", OutsideError, 3),
        ("profile", OutsideError, 3),
        ("other", OutsideError, 3),
        ("input", CnncostError, 2),
    ],
)
def test_the_childs_own_account(kind: str, error: type[CnncostError], code: int) -> None:
    answer = json.dumps({"error": {"kind": kind, "text": "no\nsuch thing"}})
    with pytest.raises(CnncostError) as caught:
        run(JOB, 60, child(f"write('result.json', {answer!r})"))
    assert type(caught.value) is error and caught.value.exit_code == code and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (MemoryError(), "memory", "allocation failed"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"), "memory", "9 bytes"),
        (RuntimeError("Operation received an exception:Status: 1, message: no"), "memory", "Status: 1"),
        (ImportError("libx.so: failed to map segment from shared object"), "memory", "libx.so"),
        (ModuleNotFoundError("No module named 'tensorflow'"), "missing", "tensorflow"),
        (ProfileError("a memory event without its requested bytes"), "profile", "requested bytes"),
        (KeyError("x"), "other", "KeyError"),
        (
            RuntimeError('Graph execution error:\n\nDetected at node a:\n  File "x", line 1, in f\n\nwhy\n\t [[a]]'),
            "other", "RuntimeError: why",
        ),
    ],
)  # fmt: skip
def test_what_went_wrong_is_told_by_kind(error: Exception, kind: str, text: str) -> None:
    found = _account(error)
    assert found["kind"] == kind and text in found["text"] and "File" not in found["text"]


PARENT = """
import sys
from cnncost.measure import Job, run
run(Job({}, ()), 60, [sys.executable, "-c", CHILD])
"""
CHILD = """
import os, sys, threading, time
from cnncost.measure.worker.__main__ import _end_with_parent
threading.Thread(target=_end_with_parent, args=(sys.argv[1],), daemon=True).start()
with open(os.environ["SEEN"], "w") as stream: stream.write(f"{os.getpid()} {sys.argv[1]} ")
time.sleep(60)
"""


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    seen = tmp_path / "seen"
    parent = subprocess.Popen(
        [sys.executable, "-c", f"CHILD = {CHILD!r}\n{PARENT}"], env={**os.environ, "SEEN": str(seen)},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_for(lambda: seen.exists() and seen.read_text().endswith(" "))
    pid, folder = seen.read_text().split()
    parent.send_signal(number)
    assert parent.wait(20) != 0
    wait_for(lambda: gone(int(pid)))
    wait_for(lambda: not Path(folder).exists())


def gone(pid: int) -> bool:
    """No such process, or one that has ended and nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_device_is_read_in_every_spelling() -> None:
    assert [environment.device_of(text) for text in ("cpu", "GPU:1", " gpu:0 ")] == ["CPU:0", "GPU:1", "GPU:0"]
    for text in ("tpu:0", "CPU:1", "GPU:-1", "GPU:1111", "", "gpu:０"):
        with pytest.raises(CnncostError):
            environment.device_of(text)


def test_free_memory_is_known_on_linux() -> None:
    if sys.platform == "linux":
        free = environment.free_bytes()
        assert free is not None and 0 < free < 2**50
        assert environment.resident_bytes(os.getpid()) > 10**6
