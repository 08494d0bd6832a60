"""`cnncost check`, `baseline`, `diff --against` from outside: exit codes, several outputs, streams that fail."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

pytestmark = pytest.mark.cli
CLI = [sys.executable, "-m", "cnncost"]
SPEC = "name: small\ninput: [8, 8, 3]\nlayers: [Conv2D: [4, 3], Flatten, Dense: 10]\n"
BUDGET = "models: {small.yaml: {params: {growth: 0%}, macs: {max: 7k, warn: 5k}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SPEC)
    (tmp_path / "own.yaml").write_text(SPEC + "budgets: {params: 1k}\n")
    (tmp_path / "broken.yaml").write_text(SPEC.replace("Dense", "Dens"))
    (tmp_path / "cnncost-budget.yaml").write_text(BUDGET)
    return tmp_path


def run(folder: Path, *arguments: str, code: int = 0, env: dict[str, str] | None = None) -> tuple[str, str]:
    """(standard output, standard error) of a command that ends with ``code``."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_") and k != "FORCE_COLOR"}
    done = subprocess.run([*CLI, *arguments], cwd=folder, env=clean | (env or {}), capture_output=True, timeout=60)
    assert done.returncode == code, (done.stdout.decode(), done.stderr.decode())
    assert b"Traceback" not in done.stderr and done.stderr.count(b"\n") <= 1
    return done.stdout.decode(), done.stderr.decode()


def test_a_budgets_life(folder: Path) -> None:
    out, _ = run(folder, "check", code=2)
    assert "there is no baseline 'cnncost-baseline.json'" in out and "run: cnncost baseline update" in out
    out, _ = run(folder, "baseline", "update")
    assert out == "cnncost-baseline.json: 1 record written\n"
    first = (folder / "cnncost-baseline.json").read_bytes()
    run(folder, "baseline", "update")
    assert (folder / "cnncost-baseline.json").read_bytes() == first, "the same model, the same bytes"
    run(folder, "check")
    run(folder, "check", "--strict", code=1)
    (folder / "small.yaml").write_text(SPEC.replace("[4, 3]", "[5, 3]"))
    out, _ = run(folder, "check", code=1)
    assert "cnncost-budget.yaml:1:40: error: params of 'small' is" in out and "cnncost baseline update" in out
    assert "'small.yaml' has changed since its baseline was written" in out
    run(folder, "check", "--report-only")
    out, _ = run(folder, "baseline", "diff", code=1)
    assert "small.yaml: params 1,562 → " in out and "the source has changed" in out
    assert json.loads(run(folder, "baseline", "diff", "--format", "json", code=1)[0])["edited"] == ["small.yaml"]
    run(folder, "baseline", "update", "small.yaml")
    run(folder, "check")
    shown, _ = run(folder, "baseline", "show")
    assert shown.startswith("small.yaml\n") and "\n  params " in shown


def test_a_baseline_has_the_conditions_of_a_specs_own_limits(folder: Path) -> None:
    limits = "budgets: {activations: [{growth: 0%}, {growth: 0%, batch: 8}]}\n"
    (folder / "own.yaml").write_text(SPEC + limits)
    run(folder, "baseline", "update", "own.yaml")
    assert set(json.loads((folder / "cnncost-baseline.json").read_text())["models"]) == {
        "own.yaml",
        "own.yaml [batch 8]",
    }
    run(folder, "check", "own.yaml")


def test_a_baseline_of_other_formulas_is_made_anew(folder: Path) -> None:
    (folder / "cnncost-baseline.json").write_text('{"schema": "cnncost/baseline/1", "formulas": 0, "models": {}}')
    assert "of other formulas" in run(folder, "check", code=2)[0]
    run(folder, "baseline", "update")
    run(folder, "check")


def test_own_limits_and_one_broken_among_good(folder: Path) -> None:
    out, _ = run(folder, "check", "own.yaml", code=1)
    assert "own.yaml:4:19: error: params of 'small' is 1,562" in out
    data = json.loads(run(folder, "check", "broken.yaml", "own.yaml", "gone.yaml", "--format", "json", code=2)[0])
    assert [(row["source"], row["problem"] is not None) for row in data["results"]] == [
        ("broken.yaml", True), ("own.yaml", False), ("gone.yaml", True),
    ]  # fmt: skip
    assert data["results"][0]["location"].startswith("broken.yaml:3:")
    (folder / "cnncost-budget.yaml").unlink()
    out, _ = run(folder, "check", "small.yaml", code=2)
    assert "has no budget; a gate never passes by default" in out
    assert "there is no budget file here" in run(folder, "check", code=2)[1]


def test_several_outputs_at_once(folder: Path) -> None:
    pytest.importorskip("junitparser")
    names = {"junit": "b.xml", "sarif": "b.sarif", "gitlab": "b.json", "markdown": "b.md", "text": "b.txt"}
    outputs = [word for form, name in names.items() for word in ("--output", f"{form}={name}")]
    summary = folder / "summary.md"
    env = {"GITHUB_STEP_SUMMARY": str(summary)}
    out, _ = run(folder, "check", "own.yaml", "--format", "github", *outputs, code=1, env=env)
    assert out.startswith("::error file=own.yaml,line=4,col=19,")
    assert ET.parse(folder / "b.xml").getroot().get("failures") == "1"
    assert len(json.loads((folder / "b.sarif").read_text())["runs"][0]["results"]) == 1
    assert len(json.loads((folder / "b.json").read_text())) == 1
    assert (folder / "b.md").read_text() in summary.read_text()
    assert "1 limit of 1 model: 1 beyond" in (folder / "b.txt").read_text()
    assert not list(folder.glob(".*.part*"))


@pytest.mark.parametrize(
    ("output", "code", "said"),
    [
        ("junt=x", 2, "did you mean 'junit'?"), ("x", 2, "FORMAT=FILE"),
        ("json=none/x.json", 2, "there is no directory"), ("json=.", 2, "it is a directory"),
    ],
)  # fmt: skip
def test_an_output_that_cannot_be(folder: Path, output: str, code: int, said: str) -> None:
    assert said in run(folder, "check", "own.yaml", "--output", output, code=code)[1]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_and_a_summary_that_cannot_be_written(folder: Path) -> None:
    out, err = run(folder, "check", "own.yaml", "--output", "json=/dev/full", code=3)
    assert err.startswith("error: cannot write '/dev/full'") and "1 beyond" in out, "the text is there all the same"
    env = {"GITHUB_STEP_SUMMARY": "/dev/full"}
    _, err = run(folder, "check", "own.yaml", "--format", "github", code=1, env=env)
    assert err.startswith("warning: cannot write the job's summary")
    with open("/dev/full", "w") as full:
        done = subprocess.run([*CLI, "check", "own.yaml"], cwd=folder, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 3 and done.stderr.count(b"\n") == 1


def test_a_reader_that_leaves_changes_no_verdict(folder: Path) -> None:
    done = subprocess.Popen([*CLI, "check", "own.yaml"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.stdout and done.stderr
    done.stdout.close()
    assert done.wait(60) == 1 and done.stderr.read() == b""
    done.stderr.close()


def test_from_another_folder(folder: Path) -> None:
    run(folder, "baseline", "update")
    (folder / "sub").mkdir()
    run(folder / "sub", "check", "--budget", "../cnncost-budget.yaml")
    run(folder / "sub", "check", "../cnncost-budget.yaml")
    run(folder / "sub", "check", "../small.yaml", "--budget", "../cnncost-budget.yaml")


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_files_against_a_commit(folder: Path) -> None:
    def git(*arguments: str) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *author, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    assert "not a git repository" in run(folder, "diff", "--against", "main", "small.yaml", code=2)[1]
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    assert "costs the same" in run(folder, "diff", "--against", "main", "small.yaml", "--exit-code")[0]
    (folder / "small.yaml").write_text(SPEC.replace("[4, 3]", "[5, 3]"))
    (folder / "new.yaml").write_text(SPEC)
    (folder / "own.yaml").unlink()
    (folder / "broken.yaml").write_text(SPEC)
    files = ["small.yaml", "new.yaml", "own.yaml", "broken.yaml"]
    data = json.loads(run(folder, "diff", "--against", "main", *files, "--format", "json", "--exit-code", code=1)[0])
    assert [(row["file"], row["change"]) for row in data["files"]] == list(
        zip(files, ["changed", "added", "removed", "unreadable"], strict=True)
    )
    assert data["files"][0]["difference"]["totals"]["params"]["delta"] == 28 + 360
    out, _ = run(folder, "diff", "--against", "main", *files, "--format", "markdown")
    assert (
        out.startswith("## Models against main\n") and "- own.yaml gone since main" in out and "### small.yaml" in out
    )
    out, _ = run(folder, "diff", "--against", "main")
    assert out.startswith("small.yaml has changed"), "the files of the budget file"
    assert "fetch it first" in run(folder, "diff", "--against", "mian", "small.yaml", code=2)[1]
    assert "no commit" in run(folder, "diff", "--against=--help", "small.yaml", code=2)[1]
    assert "neither here nor at" in run(folder, "diff", "--against", "main", "gone.yaml", code=2)[1]


def test_ten_limits_on_many_models_are_quick(folder: Path) -> None:
    """A gate of 1,000 models: no figure is computed twice, and no file is read more often than it must."""
    (folder / "many").mkdir()
    for number in range(300):
        (folder / "many" / f"m{number:03}.yaml").write_text(SPEC)
    limits = ", ".join(f"{name}: 1G" for name in ("params", "macs", "flops", "layers", "trainable_params"))
    (folder / "cnncost-budget.yaml").write_text(f'models: {{"many/**/*.yaml": {{{limits}, weights: 1 GiB}}}}\n')
    assert run(folder, "check")[0].endswith("1,800 limits of 300 models: all hold\n")
