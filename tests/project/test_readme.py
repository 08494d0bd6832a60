"""Every shell block of README runs, and prints what README shows below it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cnncost.processors import host

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[a-z-]+) -->\n)?```sh\n(?P<code>.*?)```(?:\n+```text\n(?P<output>.*?)```)?", re.DOTALL
)
BLOCKS = [(m["mark"], m["code"], m["output"]) for m in BLOCK.finditer(README)]
TOUR = [(code, output) for mark, code, output in BLOCKS if mark is None]


def run(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    return subprocess.run(
        ["bash", "-c", code], cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False
    )


def plain(done: subprocess.CompletedProcess[str]) -> str:
    return "\n".join(line.rstrip() for line in (done.stdout + done.stderr).splitlines()).rstrip("\n") + "\n"


def without_peaks(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if "_peak_" not in line)


def show(code: str, output: str) -> None:
    """Write the output below its block."""
    path = ROOT / "README.md"
    text = path.read_text(encoding="utf-8")
    head, tail = text.split(f"```sh\n{code}```\n\n```text\n", 1)
    path.write_text(f"{head}```sh\n{code}```\n\n```text\n{output}```" + tail.split("```", 1)[1], encoding="utf-8")


def test_all_shell_blocks_are_seen() -> None:
    assert len(BLOCKS) == README.count("```sh\n")
    assert [mark for mark, _, _ in BLOCKS if mark] == ["main-command", "test-command"]


@pytest.fixture(scope="module")
def tour_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks of the tour share a folder, as one reader's shell would."""
    return tmp_path_factory.mktemp("tour")


@pytest.mark.cli
@pytest.mark.parametrize("number", range(len(TOUR)))
def test_tour(number: int, tour_folder: Path, request: pytest.FixtureRequest) -> None:
    code, output = TOUR[number]
    for before, _ in TOUR[:number]:  # files that earlier blocks made
        if " -o " in before or "> " in before or "init " in before:
            run(before, tour_folder)
    done = run(code, tour_folder)
    expected_exit = int(found[1]) if (found := re.search(r"# exit code (\d)", code)) else 0
    assert done.returncode == expected_exit, done.stderr
    assert "Traceback" not in done.stderr
    if output is None:
        return
    shown = plain(done)
    if not host().wide:  # the figures are those of processors with AVX-512
        shown, output = (without_peaks(text) for text in (shown, output))
    if request.config.getoption("--update-golden"):
        show(code, shown)
    else:
        assert shown == output, "README differs; pytest --update-golden writes it anew"


@pytest.mark.cli
def test_main_command_in_a_fresh_copy(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The one-line set-up for the main job makes what it needs, its virtual environment included."""
    ((code, output),) = [(code, output) for mark, code, output in BLOCKS if mark == "main-command"]
    copy = tmp_path / "clone"
    skip = shutil.ignore_patterns(".venv*", ".git", "__pycache__", ".*_cache", ".hypothesis")
    shutil.copytree(ROOT, copy, ignore=skip)
    done = run(code, copy)
    assert done.returncode == 0, done.stderr
    assert "60,419,944" in done.stdout
    done.stderr = ""  # an installer's warnings belong to the machine
    if request.config.getoption("--update-golden"):
        show(code, plain(done))
    else:
        assert plain(done) == output, "README differs; pytest --update-golden writes it anew"
    assert (copy / ".venv").is_dir()


def test_ci_runs_readmes_test_command() -> None:
    (code,) = [code for mark, code, _ in BLOCKS if mark == "test-command"]
    assert "pytest" in code and ".venv-test" in code
    assert "<!-- test-command -->" in (ROOT / ".ci" / "run").read_text()
