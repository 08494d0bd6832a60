"""The long verification: rows are kept, a rerun resumes, and the statistics are the rows'."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "reports" / "verification.py"
NOW = {"keras": "3"}


@pytest.fixture(scope="module")
def report():
    spec = importlib.util.spec_from_file_location("verification_report", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(error: float | None) -> dict:
    peak = {"predicted_bytes": None if error is None else 100, "measured_bytes": 100, "error": error}
    return {
        "peak": peak,
        "allocations": {"matched": 9, "total": 10},
        "step_seconds": {"median": 0.5},
        "layers_ok": True,
    }


def test_a_rerun_resumes(report, tmp_path: Path) -> None:
    cases = [report.Case(f"zoo:{name}", "inference", None, 1) for name in "abcd"]
    store, seen = tmp_path / "rows.jsonl", []

    def run(case):
        seen.append(case.source)
        if case.source == "zoo:c":
            raise KeyboardInterrupt
        return row(0.01)

    with pytest.raises(KeyboardInterrupt):
        report.work(cases, store, NOW, time.monotonic() + 60, run)
    assert list(report.finished(store, NOW)) == cases[:2]
    store.write_text(store.read_text() + '{"case": ["zoo:c", "infer')  # an interrupted line
    seen.clear()
    report.work(cases, store, NOW, time.monotonic() + 60, lambda case: seen.append(case.source) or row(0.01))
    assert seen == ["zoo:c", "zoo:d"] and list(report.finished(store, NOW)) == cases
    assert report.finished(store, {"keras": "4"}) == {}
    seen.clear()
    report.work(cases, tmp_path / "other.jsonl", NOW, time.monotonic() - 1, run)
    assert seen == []


def test_statistics(report) -> None:
    assert report.statistics([]) == {}
    found = report.statistics([-0.10, *[0.01] * 8, 0.02])
    assert found == {"mean": pytest.approx(0.02), "median": 0.01, "90 %": 0.02, "worst": 0.10}


def test_the_report_names_what_is_left_out(report) -> None:
    cases = [report.Case(f"zoo:{name}", "training", "sgd", 2) for name in "abcd"]
    rows = {cases[0]: row(-0.02), cases[1]: row(None), cases[2]: {"error": "error: killed for lack of memory"}}
    text = report.markdown(rows, cases, NOW)
    assert "| training, sgd, batch 2 | 2 | 1 | 2.00% | 2.00% | 2.00% | 2.00% | 2 of 2 |" in text
    assert "| zoo:a | training, sgd, batch 2 | 100 | 100 | -2.00% | 90.0% | 500.0 ms |" in text
    assert "- zoo:c training, sgd, batch 2: killed for lack of memory" in text
    assert "- zoo:d training, sgd, batch 2: not run yet" in text
