"""A peak beyond the tolerance is measured in more processes before it is judged: TensorFlow's own is not one number."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cnncost import compare, measure
from cnncost.cli import main
from cnncost.report import verification

SPEC = "name: one\ninput: [8, 8, 3]\nlayers:\n  - Conv2D: {filters: 4, kernel_size: 3, padding: same}\n"
GOOD, BAD = 100, 150


@pytest.mark.parametrize(
    ("peaks", "options", "asked", "code"),
    [
        ([GOOD], [], [1], 0),
        ([BAD, GOOD], [], [1, 5], 0),
        ([BAD, BAD], [], [1, 5], 1),
        ([BAD], ["--processes", "1"], [1], 1),
        ([BAD], ["--processes", "7"], [7], 1),
    ],
)
def test_processes(
    peaks: list[int], options: list[str], asked: list[int], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(SPEC)
    calls: list[tuple[int, Any]] = []

    def run_often(job: Any, timeout: float, processes: int, first: Any = None) -> int:
        calls.append((processes, first))
        return peaks[len(calls) - 1]

    def judged(analysis: Any, job: Any, measured: int, *rest: Any) -> SimpleNamespace:
        return SimpleNamespace(judged=True, peak_ok=measured == GOOD, ok=measured == GOOD)

    monkeypatch.setattr(measure, "run_often", run_often)
    monkeypatch.setattr(compare, "compare", judged)
    monkeypatch.setattr(verification, "render", lambda *arguments: "")
    assert main(["verify", str(path), *options]) == code
    assert calls == list(zip(asked, [None, *peaks], strict=False))
