"""``reports/photographs.py``: all of it or nothing is replaced, and a failure is one line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "reports" / "photographs.py"


@pytest.fixture
def report(tmp_path: Path):
    spec = importlib.util.spec_from_file_location("photographs_report", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.HERE = tmp_path
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "old.png").write_text("old")
    (tmp_path / "photographs.md").write_text("old")
    return module


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ModuleNotFoundError("No module named 'keras'", name="keras"), 3, "pip install 'cnncost[tensorflow]'"),
        (ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib"), 3, "pip install 'cnncost[report]'"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_a_failure_replaces_nothing(report, monkeypatch, capsys, error: BaseException, code: int, words: str) -> None:
    def written(folder: Path) -> str:
        (folder / "new.png").write_text("half")
        raise error

    monkeypatch.setattr(report, "written", written)
    assert report.main() == code
    shown = capsys.readouterr().err
    assert words in shown and "Traceback" not in shown
    assert sorted(path.name for path in report.HERE.iterdir()) == ["photographs", "photographs.md"]
    assert [path.name for path in (report.HERE / "photographs").iterdir()] == ["old.png"]


def test_new_pictures_replace_the_old(report, monkeypatch) -> None:
    def written(folder: Path) -> str:
        (folder / "new.png").write_text("new")
        return "new"

    monkeypatch.setattr(report, "written", written)
    assert report.main() == 0
    assert [path.name for path in (report.HERE / "photographs").iterdir()] == ["new.png"]
    assert (report.HERE / "photographs.md").read_text() == "new"


def test_the_filters_are_a_column_and_a_row(report) -> None:
    found = report.filters()
    assert found.shape == (7, 7, 3, 2) and found.sum(axis=(0, 1, 2)).tolist() == [21.0, 21.0]
    assert found[:, 3, :, 0].all() and found[3, :, :, 1].all()
    assert report.generated().shape == (427, 640, 3) and 0 <= report.generated().min() < report.generated().max() <= 1


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["--no-such-option"], 2)])
def test_a_question_and_a_typo_run_nothing(report, monkeypatch, arguments: list[str], code: int) -> None:
    monkeypatch.setattr(report, "written", lambda folder: pytest.fail("it ran"))
    with pytest.raises(SystemExit) as ended:
        report.main(arguments)
    assert ended.value.code == code


def test_it_goes_elsewhere(report, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(report, "written", lambda folder: "new")
    assert report.main(["--output", str(tmp_path / "other")]) == 0
    assert (tmp_path / "other" / "photographs.md").read_text() == "new"
    assert (report.HERE / "photographs.md").read_text() == "old"
