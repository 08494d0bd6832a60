"""`diff`, `report` and `plot` at the command line: formats, exit codes, faults; nothing half written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnncost.cli import main

Capture = pytest.CaptureFixture[str]
LENET, GOOGLENET = "zoo:lenet5-1998", "zoo:googlenet"
FULL = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")


@pytest.mark.parametrize(("models", "code"), [
    ([LENET, LENET], 0), ([LENET, GOOGLENET], 1), ([LENET, LENET, GOOGLENET], 1), ([LENET, "nope.yaml"], 2),
    ([LENET], 2),
])  # fmt: skip
def test_exit_code(models: list[str], code: int, capsys: Capture) -> None:
    assert main(["diff", *models, "--exit-code"]) == code
    assert bool(capsys.readouterr().err) == (code == 2)
    if code == 1:
        assert main(["diff", *models]) == 0


def test_json_is_as_promised(capsys: Capture) -> None:
    assert main(["diff", LENET, GOOGLENET, "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["models"] == ["lenet5-1998", "googlenet"]
    params = data["totals"]["params"]
    assert params["delta"] == params["values"][1] - params["values"][0]
    assert params["percent"] == pytest.approx(100 * params["delta"] / params["values"][0])
    known = {"same", "changed", "added", "removed", "moved", "renamed"}
    assert {row["change"] for row in data["layers"]} <= known
    assert all("name" in row for row in data["layers"])


@pytest.mark.parametrize(
    ("name", "start"), [("a.json", "{"), ("a.md", "## "), ("a.html", "<!doctype"), ("a.txt", "lenet")]
)
def test_diff_suffixes(name: str, start: str, tmp_path: Path) -> None:
    assert main(["diff", LENET, GOOGLENET, "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)


def test_a_saved_analysis_keeps_its_own_batch(tmp_path: Path, capsys: Capture) -> None:
    before = str(tmp_path / "before")
    assert main(["analyze", LENET, "--batch", "8", "--format", "json", "-o", before]) == 0
    assert main(["diff", before, LENET, "--batch", "8", "--exit-code"]) == 0
    capsys.readouterr()
    assert main(["diff", before, LENET, "--exit-code"]) == 1
    assert "batch 8 → 1" in capsys.readouterr().out


def test_hostile_difference_page(tmp_path: Path) -> None:
    saved = tmp_path / "a.json"
    assert main(["analyze", LENET, "--format", "json", "-o", str(saved)]) == 0
    bad = "</script><img src=x onerror=alert(1)>"
    (tmp_path / "b.json").write_text(saved.read_text().replace('"C1"', f'"{bad}"').replace('"lenet5-1998"', f'"{bad}"'))
    assert main(["diff", str(saved), str(tmp_path / "b.json"), "-o", str(tmp_path / "a.html")]) == 0
    page = (tmp_path / "a.html").read_text()
    assert "<img" not in page
    assert "&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;" in page
    assert page.count("</script>") == 1


@pytest.mark.parametrize(("args", "code", "problem"), [
    (["diff", LENET, GOOGLENET, "-o", "none/a.md"], 2, "no directory"),
    (["report", LENET, "-o", "none/a.md"], 2, "no directory"),
    (["report", LENET, "-o", "a.txt"], 2, "names no format"),
    (["report", LENET, "-o", "a.md", "--limit", "12"], 2, "--limit"),
    (["report", LENET, "-o", "a.md", "--limit", "tweet"], 2, "--limit"),
    (["report", LENET, "-o", "a.html", "--limit", "comment"], 2, "--limit is for Markdown"),
    (["report", LENET, "-o", "a.md", "--verification", "none.json"], 2, "no such file"),
    (["plot", "pie", LENET, "-o", "a.svg"], 2, "timeline, layers, scatter, measured"),
    (["plot", "layers", LENET, "-o", "a.gif"], 2, "names no format"),
    (["plot", "layers", LENET, "-o", "none/a.svg"], 2, "no directory"),
    (["plot", "measured", LENET, "-o", "a.svg"], 2, "no measured timeline"),
    pytest.param(["diff", LENET, GOOGLENET, "-o", "/dev/full"], 3, "No space left", marks=FULL),
    pytest.param(["report", LENET, "-o", "/dev/full", "--format", "markdown"], 3, "No space left", marks=FULL),
])  # fmt: skip
def test_faults(args: list[str], code: int, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                capsys: Capture) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(args) == code
    found = capsys.readouterr().err
    assert problem in found
    assert found.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path, capsys: Capture) -> None:
    tmp_path.chmod(0o500)
    assert main(["report", LENET, "-o", str(tmp_path / "a.md")]) == 3
    assert "Permission denied" in capsys.readouterr().err


RUN = {
    "schema": "cnncost/verify/1", "model": "lenet5-1998", "mode": "training", "batch": 1, "executor": "graph",
    "device": "CPU:0", "backend": "tensorflow", "ok": True, "optimizer": "sgd", "versions": {"keras": "3"},
    "peak": {"predicted_bytes": 100, "measured_bytes": 120, "error": -0.1667},
    "step_seconds": {"median": 0.002, "low": 0.001, "high": 0.003},
    "layers": [{"name": "C1", "seconds": 0.001, "shape_ok": True, "params_ok": True}],
    "timeline": {"predicted": [0, 100, 3], "measured": [0, 120, 5]},
}  # fmt: skip


@pytest.mark.parametrize("name", ["a.md", "a.html"])
def test_report_with_a_verification(name: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    assert main(["report", LENET, "-o", str(tmp_path / name), "--verification", str(tmp_path / "run.json")]) == 0
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert "Predicted against measured" in text
    assert "-16.67" in text


@pytest.mark.parametrize("name", ["a.md", "a.html"])
@pytest.mark.parametrize("median", [None, 0.002])
def test_report_with_a_run_that_was_not_timed(name: str, median: float | None, tmp_path: Path) -> None:
    run = {**RUN, "step_seconds": {"median": median, "low": None, "high": None}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert main(["report", LENET, "-o", str(tmp_path / name), "--verification", str(tmp_path / "run.json")]) == 0
    assert "not timed" in (tmp_path / name).read_text(encoding="utf-8")


@pytest.mark.parametrize(("edit", "problem"), [
    ({"model": "another"}, "another model"),
    ({"schema": "cnncost/verify/2"}, "not a verification"),
    ({"peak": {}}, "peak.predicted_bytes"),
    ({"peak": 3}, "peak.predicted_bytes"),
    ({"peak": {**RUN["peak"], "predicted_bytes": "much"}}, "peak.predicted_bytes"),
    ({"step_seconds": {}}, "step_seconds.median"),
    ({"layers": 3}, "'layers'"),
    ({"layers": [3]}, "layers[0]"),
    ({"timeline": {"predicted": ["x"]}}, "timeline.predicted"),
    ({"versions": None}, "versions"),
    ({"step_seconds": {"median": float("nan"), "low": 1, "high": 2}}, "step_seconds.median"),
])  # fmt: skip
def test_a_verification_that_is_not_whole(edit: dict[str, object], problem: str, tmp_path: Path,
                                          capsys: Capture) -> None:  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps({**RUN, **edit}))
    for name in ("a.md", "a.html"):
        assert main(["report", LENET, "-o", str(tmp_path / name), "--verification", str(tmp_path / "run.json")]) == 2
        assert problem in capsys.readouterr().err
        assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.cli
def test_a_closed_pipe(tmp_path: Path) -> None:
    command = f"{sys.executable} -m cnncost diff zoo:resnet50 zoo:resnet152 --all | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.stdout == "resnet50 → resnet152\n0\n"
    assert not done.stderr
