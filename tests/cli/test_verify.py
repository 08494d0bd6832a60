"""``cnncost verify`` from outside: real runs of tiny models, and everything that can keep one from happening."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CLI = [sys.executable, "-m", "cnncost", "verify"]
SPEC = """\
name: small
input: [16, 16, 3]
layers:
  - Conv2D: {filters: 8, kernel_size: 3, activation: relu, name: conv}
  - MaxPooling2D: [2]
  - Flatten:
  - Dense: [10, softmax]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SPEC.replace(", name: conv}", "}\n    name: conv"))
    return tmp_path


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300
    )


def failed(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The one message of a failed command."""
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr and not done.stdout
    return done.stderr


@pytest.mark.keras
def test_inference(folder: Path) -> None:
    (folder / "types.py").write_text("raise SystemExit('not the one')")
    done = run(folder, "small.yaml", "--batch", "4", "--steps", "3", "--processes", "2", "--format", "json",
               PYTHONSAFEPATH="1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["ok"] and data["mode"] == "inference" and data["batch"] == 4 and data["step_seconds"]["repeats"] == 3
    assert all(layer["shape_ok"] and layer["params_ok"] and layer["bytes_ok"] for layer in data["layers"])
    # The convolution's and the pooling's outputs live together, whatever the kernels take besides.
    assert data["peak"]["measured_bytes"] >= 4 * 4 * (14 * 14 + 7 * 7) * 8
    peak = data["peak"]
    assert peak["chunk_bytes"] >= peak["measured_bytes"] and peak["processes"] == 2
    assert peak["measured_low_bytes"] <= peak["measured_bytes"] <= peak["measured_high_bytes"]
    assert data["peak"]["resident"] == {"weights": 4 * (27 * 8 + 8 + 392 * 10 + 10), "optimizer": 0, "inputs": 12288}
    assert data["layers"][1]["seconds"] > 0 and data["step_seconds"]["median"] > 0
    assert "tensorflow" in " ".join(data["versions"])


@pytest.mark.keras
@pytest.mark.parametrize("executor", ["graph", "eager"])
def test_training(folder: Path, executor: str) -> None:
    arguments = ["--mode", "training", "--optimizer", "adam", "--executor", executor, "--steps", "1"]
    done = run(folder, "small.yaml", *arguments, "--tolerance", "100%", "-o", "out.md")
    assert done.returncode == 0 and done.stdout == "", done.stderr
    text = (folder / "out.md").read_text()
    assert "training, adam" in text and f"executor {executor}" in text and "5 of 5 have the predicted" in text


@pytest.mark.keras
def test_a_named_architecture_is_keras_own(folder: Path) -> None:
    done = run(folder, "keras:MobileNetV3Small", "--steps", "1", "--tolerance", "10")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "have the predicted shapes, params and bytes" in done.stdout and "differs" not in done.stdout


@pytest.mark.keras
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
def test_a_full_disk_costs_no_result(folder: Path) -> None:
    done = run(folder, "small.yaml", "--steps", "1", "--executor", "xla", "--format", "json", "-o", "/dev/full")
    assert done.returncode == 3 and done.stderr == "error: cannot write '/dev/full': No space left on device\n"
    data = json.loads(done.stdout)
    single = data["allocations"]["temporary"]["measured_bytes"]
    assert data["peak"]["measured_bytes"] // 2 < single <= data["peak"]["measured_bytes"]


@pytest.mark.keras
def test_no_such_device(folder: Path) -> None:
    assert "there is no GPU:7" in failed(run(folder, "small.yaml", "--device", "GPU:7"), 3)


@pytest.mark.keras
def test_an_input_that_an_architecture_refuses(folder: Path) -> None:
    message = failed(run(folder, "keras:ResNet50", "--input", "16,16,3"), 2)
    assert "cannot build 'ResNet50'" in message and "at least 32x32" in message


@pytest.mark.keras
def test_a_batch_that_does_not_fit(folder: Path) -> None:
    done = run(folder, "small.yaml", "--batch", "4000", TF_CPU_BFC_MEM_LIMIT_IN_MB="16")
    message = failed(done, 3)
    assert "memory, while " in message and "predicted: a peak of" in message and "16-bit floats" in message
    fits = message.partition("--batch ")[2].partition(":")[0]
    assert run(folder, "small.yaml", "--batch", fits, "--steps", "1", TF_CPU_BFC_MEM_LIMIT_IN_MB="16").returncode == 0
    layer = "model: {input: [100000], layers: [{Dense: {units: 100000, name: wide}}]}"
    (folder / "wide.yaml").write_text(layer.removeprefix("model: "))
    message = failed(run(folder, "wide.yaml"), 3)
    assert "while building the model: OOM when allocating" in message and "'wide' alone has 37.25 GiB" in message
    assert "--batch" not in message


def test_without_tensorflow(folder: Path) -> None:
    for name in ("keras", "tensorflow"):
        text = f"raise ModuleNotFoundError(\"No module named '{name}'\", name='{name}')"
        (folder / f"{name}.py").write_text(text)
    assert "pip install 'cnncost[tensorflow]'" in failed(run(folder, "small.yaml", PYTHONPATH=str(folder)), 3)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "keras.py", "small.yaml", "tensorflow.py"
    ]  # fmt: skip


def test_a_source_that_hangs_is_ended(folder: Path) -> None:
    """The user's code runs in the command's own process, and catches whatever is raised in it; half an import of
    TensorFlow leaves no standard error."""
    (folder / "hangs.py").write_text(
        "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except BaseException:\n        pass\n"
    )
    (folder / "tensorflow.py").write_text("import hangs\n")
    (folder / "net.py").write_text("import tensorflow\n")
    for source in ("hangs:model", "net:model"):
        begun = time.monotonic()
        message = failed(run(folder, source, "--timeout", "1", "-o", "out.json"), 3)
        assert f"reading {source} took longer than 1 s; " in message and "--timeout" in message
        assert time.monotonic() - begun < 30 and not (folder / "out.json").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--device", "TPU:0"], "CPU:0, GPU:0"),
        (["--executor", "grpah"], "did you mean 'graph'?"),
        (["--backend", "pytorch"], "did you mean 'torch'?"),
        (["--tolerance", "-1"], "--tolerance: "),
        (["--tolerance", "nan"], "0.05 or 5%"),
        (["--tolerance", ""], "received nothing"),
        (["--tolerance", "2MiB"], "received 2MiB"),
        (["--steps", "0"], "--steps: "),
        (["--timeout", "0"], "--timeout: "),
        (["--dtype", "int8"], "int8"),
        (["--mode", "training", "--optimizer", "adm"], "did you mean 'adam'?"),
        (["--processes", "0"], "--processes: "),
        (["--allocator", "bcf"], "did you mean 'bfc'?"),
        (["--mode", "inference", "--optimizer", "adam"], "--mode inference and --optimizer adam contradict"),
        (["--mode", "inference", "--accumulate", "4"], "leave --mode out: --accumulate implies training"),
        (["-o", "nowhere/out.json"], "no directory"),
        (["-o", "."], "it is a directory"),
        (["--picture", "nowhere/out.svg"], "no directory"),
        (["--picture", "out.png"], "FILE.svg"),
        (["--picture", "out.svg", "-o", "./out.svg", "--format", "json"], "the same file"),
        (["-o", ""], "no file name"),
        (["-o", "a" * 300], "name too long"),
        (["-o", "out.pdf"], "not written here"),
        (["-o", "out.csv"], "not written here"),
    ],
)
def test_usage_errors(folder: Path, arguments: list[str], words: str) -> None:
    begun = {path.name for path in folder.iterdir()}
    assert words.lower() in failed(run(folder, "small.yaml", *arguments), 2).lower()
    assert {path.name for path in folder.iterdir()} == begun


def test_a_model_without_trainable_weights_is_not_run(folder: Path) -> None:
    (folder / "tensorflow.py").write_text("raise SystemExit('TensorFlow was started')\n")
    (folder / "still.yaml").write_text("input: [8, 8, 3]\nlayers: [MaxPooling2D: {}]\n")
    message = failed(run(folder, "still.yaml", "--mode", "training", PYTHONPATH=str(folder)), 2)
    assert "nothing to train" in message and "leave --mode and --optimizer out" in message


@pytest.mark.parametrize(
    ("text", "share"), [("5%", 0.05), ("5 %", 0.05), ("0.05", 0.05), (".5", 0.5), ("1e-2", 0.01), ("0", 0.0)]
)
def test_a_tolerance_in_every_spelling(text: str, share: float) -> None:
    from cnncost.cli.verify import tolerance

    assert tolerance(text) == pytest.approx(share)


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
def test_an_interrupted_run_leaves_nothing(folder: Path) -> None:
    """A Keras that never finishes importing stands for a long run."""
    (folder / "tensorflow.py").write_text(
        "import os, time\nopen(os.environ['SEEN'], 'w').write(str(os.getpid()) + ' ')\ntime.sleep(60)\n"
    )
    variables = {"PYTHONPATH": str(folder), "SEEN": str(folder / "seen"), "TMPDIR": str(folder)}
    process = subprocess.Popen([*CLI, "small.yaml", "-o", "out.json"], cwd=folder, env={**os.environ, **variables},
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    end = time.monotonic() + 30
    while not ((folder / "seen").exists() and (folder / "seen").read_text().endswith(" ")):
        assert time.monotonic() < end
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted" in message and "Traceback" not in message
    assert not (folder / "out.json").exists() and not list(folder.glob("cnncost-*"))
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "seen").read_text()), 0)


@pytest.mark.parametrize(
    ("given", "mode"),
    [({"optimizer": "adam"}, "training"), ({"accumulate": 2}, "training"), ({}, "inference"),
     ({"optimizer": "adam", "mode": "inference"}, "inference")],
)  # fmt: skip
def test_an_optimizer_implies_a_training_step(given: dict[str, Any], mode: str) -> None:
    from argparse import Namespace

    from cnncost.cli.shared import mode_of

    assert mode_of(Namespace(**{"mode": None, "optimizer": None, "accumulate": None, **given})) == mode


@pytest.mark.parametrize(("backend", "words"), [("jax", "backend jax is not installed"), ("nonsense", "nonsense")])
def test_a_backend_of_the_environment_that_is_not_there_is_named(folder: Path, backend: str, words: str) -> None:
    (folder / "keras.py").write_text(
        "import os\nname = os.environ['KERAS_BACKEND']\n"
        "if name == 'nonsense': raise ValueError(f'Unable to import backend : {name}')\n"
        "raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
    )
    variables = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-m", "cnncost", "analyze", "keras:ResNet50"], cwd=folder, env=variables,
                          capture_output=True, text=True)  # fmt: skip
    message = failed(done, 3)
    assert words in message and "unset KERAS_BACKEND" in message and "fault of cnncost" not in message
