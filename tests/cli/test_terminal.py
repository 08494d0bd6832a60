"""What stands on a terminal: colour, width, progress. A pseudo-terminal plays the terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from cnncost.report.text import wide

pytestmark = pytest.mark.cli
COLOR = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(folder: Path, *arguments: str, columns: int = 80, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and everything shown, both streams."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    clean = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM")}
    child = subprocess.Popen(
        [sys.executable, "-m", "cnncost", *arguments], cwd=folder, stdin=slave, stdout=slave, stderr=slave,
        env=clean | {"TERM": "xterm"} | (env or {}),
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the child closed its side
            break
        if not part:
            break
        shown += part
    os.close(master)
    return child.wait(60), shown.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [60, 80, 140])
def test_table_fits_the_terminal(tmp_path: Path, columns: int) -> None:
    code, text = on_terminal(tmp_path, "analyze", "zoo:resnet152", columns=columns)
    lines = COLOR.sub("", text).splitlines()
    assert code == 0 and columns - 20 <= max(map(wide, lines)) <= columns
    assert len(lines) < 130 and any("--depth 0 shows every layer" in line for line in lines)


def test_columns_variable_wins(tmp_path: Path) -> None:
    _, text = on_terminal(tmp_path, "analyze", "zoo:unet", columns=140, env={"COLUMNS": "70"})
    assert max(map(wide, COLOR.sub("", text).splitlines())) <= 70


@pytest.mark.parametrize(
    ("env", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False),
     ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False)],
)  # fmt: skip
def test_colour_on_a_terminal(tmp_path: Path, env: dict[str, str], colored: bool) -> None:
    _, text = on_terminal(tmp_path, "analyze", "zoo:alexnet-table", env=env)
    assert bool(COLOR.search(text)) == colored
    assert "▲" in text  # what colour says, a sign says too


@pytest.mark.parametrize(("env", "colored"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "0"}, False)])
def test_colour_in_a_pipe(tmp_path: Path, env: dict[str, str], colored: bool) -> None:
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "cnncost", "analyze", "zoo:alexnet-table"]
    done = subprocess.run(command, cwd=tmp_path, env=clean | env, capture_output=True, text=True, timeout=60)
    assert bool(COLOR.search(done.stdout)) == colored


def test_json_is_never_coloured(tmp_path: Path) -> None:
    _, text = on_terminal(tmp_path, "analyze", "zoo:memory-example", "--format", "json", env={"FORCE_COLOR": "1"})
    assert "\x1b" not in text


def test_progress_only_when_it_takes_long(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(1.8)\nmodel = None\n")
    env = {"PYTHONPATH": str(tmp_path)}
    _, text = on_terminal(tmp_path, "analyze", "slow:model", env=env)
    assert "reading slow:model" in text and "\r\x1b[K" in text
    _, text = on_terminal(tmp_path, "analyze", "zoo:memory-example")
    assert "reading" not in text
    command = [sys.executable, "-m", "cnncost", "analyze", "slow:model"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | env, capture_output=True, text=True, timeout=60)
    assert "reading slow" not in done.stderr
