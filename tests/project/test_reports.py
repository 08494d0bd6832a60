"""The example reports in ``reports/`` are what the program writes today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

REPORTS = Path(__file__).resolve().parents[2] / "reports"
_spec = importlib.util.spec_from_file_location("generate", REPORTS / "generate.py")
assert _spec and _spec.loader
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)


@pytest.mark.parametrize("name", list(generate.REPORTS))
def test_report_is_current(name: str) -> None:
    on_disk = (REPORTS / f"{name}.md").read_text(encoding="utf-8")
    assert on_disk == generate.markdown(name), "run: python reports/generate.py"


def test_every_report_has_a_source() -> None:
    measured = {"photographs", "verification"}  # what a machine measured: written by the script of the same name
    assert all((REPORTS / f"{name}.py").is_file() for name in measured)
    assert {path.stem for path in REPORTS.glob("*.md")} - measured == set(generate.REPORTS)
