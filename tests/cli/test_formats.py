"""The name of the output file chooses the format; a format that is not written is an error, not a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnncost.cli import main


@pytest.mark.parametrize(("name", "start"), [("a.json", "{"), ("a.md", "# "), ("a.csv", "name,"), ("a.txt", "stride-")])
def test_suffixes(name: str, start: str, tmp_path: Path) -> None:
    assert main(["analyze", "zoo:stride-example", "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_text().startswith(start)


def test_unwritten_formats(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyze", "zoo:stride-example", "-o", str(tmp_path / "a.xlsx")]) == 2
    assert "is not written here" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
