"""The long verification: measurements are kept whole, a rerun resumes, predictions are made anew, statistics hold."""

from __future__ import annotations

import gzip
import importlib.util
import json
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import cnncost
from cnncost.export import keras_names
from cnncost.measure import Job, Measurement, RealLayer
from cnncost.measure.records import RealTensor

PATH = Path(__file__).resolve().parents[2] / "reports" / "verification.py"
NOW = {"keras": "3"}


@pytest.fixture(scope="module")
def report():
    sys.path.insert(0, str(PATH.parent))  # as Python does for a script
    spec = importlib.util.spec_from_file_location("verification_report", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(PATH.parent))
    return module


def row(error: float | None) -> dict:
    peak = {"predicted_bytes": None if error is None else 100, "measured_bytes": 100, "error": error,
            "unpredicted": "not known", "inside_interval": None if error is None else True,
            "processes": 2, "measured_low_bytes": 99, "measured_high_bytes": 1100}  # fmt: skip
    return {
        "peak": peak,
        "chunks": {"predicted_bytes": 103, "measured_bytes": 100, "error": 0.03},
        "allocations": {
            "matched": 9,
            "total": 10,
            "large_matched": 0,
            "large_total": 1,
            "first_mismatch": None,
            "closest": {"orders": 16, "matched": 9, "large_matched": 1},
            "by_layer": {"matched": 8, "large_matched": 0},
        },
        "step_seconds": {"median": 0.5},
        "layers_ok": True,
    }


def test_a_rerun_resumes(report, tmp_path: Path) -> None:
    cases = [report.Case(f"zoo:{name}", "inference", None, 1) for name in "abcd"]
    store, seen = report.Store(tmp_path, NOW), []

    def run(case):
        seen.append(case.source)
        if case.source == "zoo:c":
            raise KeyboardInterrupt
        return {"measurement": {}}

    with pytest.raises(KeyboardInterrupt):
        report.work(cases, store, time.monotonic() + 60, run)
    assert [case for case in cases if store.measured(case)] == cases[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(case.file for case in cases[:2])
    whole = (tmp_path / cases[0].file).read_bytes()
    (tmp_path / cases[2].file).write_bytes(whole[: len(whole) // 2])  # a file that was cut off
    (tmp_path / cases[3].file).write_bytes(whole)  # another case's
    seen.clear()
    report.work(cases, store, time.monotonic() + 60, lambda case: seen.append(case.source) or {"measurement": {}})
    assert seen == ["zoo:c", "zoo:d"] and all(store.measured(case) for case in cases)
    assert report.Store(tmp_path, {"keras": "4"}).measured(cases[0]) is None
    seen.clear()
    report.work(cases, report.Store(tmp_path / "other", NOW), time.monotonic() - 1, run)
    assert seen == []


def test_processes_that_are_missing_join_those_stored(report, tmp_path: Path, monkeypatch) -> None:
    from cnncost import measure

    case, store, asked = report.Case("zoo:pooling-example", "inference", None, 1), report.Store(tmp_path, NOW), []
    store.keep(case, measured(case, 1000))
    peaks = iter([900, 1200])

    def run(job: Job, limit: float) -> Measurement:
        asked.append(job.steps)
        found = Measurement.from_dict(measured(case, next(peaks))["measurement"])
        return replace(found, step_seconds=())

    monkeypatch.setattr(measure, "run", run)
    for _ in range(2):
        report.work([case], store, time.monotonic() + 60, lambda c: report.measure(c, store, 1, 60, 3), 3)
    kept = store.measured(case)["measurement"]
    assert asked == [0, 0] and kept["peak_bytes"] == 1000 and kept["step_seconds"] == [0.5]
    assert [peak for peak, _ in kept["runs"]] == [1000, 900, 1200]
    report.work([case], store, time.monotonic() + 60, lambda c: {"error": "killed"}, 9)
    assert "measurement" in store.measured(case)
    assert dict(report.rows_of([case], store))[case]["peak"]["measured_high_bytes"] == 1200


@pytest.mark.parametrize("where", [120, 200, -4])
def test_a_damaged_file_counts_as_not_there(report, tmp_path: Path, where: int) -> None:
    case, store = report.Case("zoo:pooling-example", "inference", None, 1), report.Store(tmp_path, NOW)
    store.keep(case, measured(case, 1000))
    data = bytearray((tmp_path / case.file).read_bytes())
    data[where : where + 3] = bytes(byte ^ 0xFF for byte in data[where : where + 3])
    (tmp_path / case.file).write_bytes(data)
    assert store.measured(case) is None
    for content in ({"measurement": 7}, {"error": 7}, {}):
        store.keep(case, content)
        assert store.measured(case) is None


def test_ctrl_c_is_one_line_and_no_report(report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    cases = [report.Case(f"zoo:{name}", "inference", None, 1) for name in ("pooling-example", "stride-example")]
    monkeypatch.setattr(report, "every_case", lambda store: cases)
    monkeypatch.setattr(report, "versions", lambda: NOW)

    def measure(case, store, *rest):
        if case == cases[1]:
            raise KeyboardInterrupt
        return measured(case, 1000)

    monkeypatch.setattr(report, "measure", measure)
    monkeypatch.setattr("sys.argv", ["x", "--store", str(tmp_path / "s"), "--output", str(tmp_path / "o")])
    assert report.main() == 130
    shown = capsys.readouterr()
    assert "the same command goes on" in shown.err and "Traceback" not in shown.err and not (tmp_path / "o").exists()
    assert report.Store(tmp_path / "s", NOW).measured(cases[0]) is not None


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [(["--only", "nothing like it"], 2, "no case has such a name"), (["--only", "("], 2, "--only"),
     (["--steps", "0"], 2, "--steps"), (["--processes", "x"], 2, "--processes"), ([], 3, "cannot use")],
)  # fmt: skip
def test_wrong_options_are_one_message(report, tmp_path: Path, monkeypatch, capsys, options, code, words) -> None:
    monkeypatch.setattr(report, "every_case", lambda store: [report.Case("zoo:pooling-example", "inference", None, 1)])
    monkeypatch.setattr(report, "measure", lambda case, *rest: measured(case, 1000))
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("sys.argv", ["x", "--store", str(tmp_path / "file" / "s"), *options])
    try:
        found = report.main()
    except SystemExit as error:  # argparse's
        found = error.code
    assert found == code and words in capsys.readouterr().err


def test_a_part_of_the_cases_writes_no_report(report, tmp_path: Path, monkeypatch, capsys) -> None:
    cases = [report.Case(f"zoo:{name}", "inference", None, 1) for name in ("pooling-example", "stride-example")]
    monkeypatch.setattr(report, "every_case", lambda store: cases)
    monkeypatch.setattr(report, "versions", lambda: NOW)
    monkeypatch.setattr(report, "measure", lambda case, *rest: measured(case, 1000))
    common = ["x", "--store", str(tmp_path / "s"), "--output", str(tmp_path / "o")]
    monkeypatch.setattr("sys.argv", [*common, "--only", "pooling"])
    assert report.main() == 0 and not (tmp_path / "o").exists()
    assert "inference, batch 1: zoo: 1 predicted of 1 measured" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", common)
    assert report.main() == 0 and len(list((tmp_path / "o").iterdir())) == 2


def test_an_interrupted_write_leaves_the_old_file(report, tmp_path: Path) -> None:
    case, store = report.Case("zoo:a", "inference", None, 1), report.Store(tmp_path, NOW)
    store.keep(case, {"error": "first"})
    with pytest.raises(TypeError):
        store.keep(case, {"error": object()})
    assert store.measured(case)["error"] == "first" and len(list(tmp_path.iterdir())) == 1


def test_what_was_left_out_is_asked_again_and_an_error_is_kept(report, tmp_path: Path) -> None:
    cases = [report.Case(f"zoo:{name}", "inference", None, 1) for name in "ab"]
    store, seen = report.Store(tmp_path, NOW), []
    store.keep(cases[0], {"left_out": True, "error": "9 GB are needed"})
    store.keep(cases[1], {"error": "a layer that fails"})
    report.work(cases, store, time.monotonic() + 60, lambda case: seen.append(case) or {"measurement": {}})
    assert seen == cases[:1] and "measurement" in store.measured(cases[0])


def test_what_cannot_fit_is_not_begun(report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnncost import measure
    from cnncost.measure import environment

    monkeypatch.setattr(environment, "free_bytes", lambda: 2**20)
    monkeypatch.setattr(measure, "run_often", lambda *_: pytest.fail("begun"))
    found = report.measure(report.Case("zoo:lenet5-1998", "training", "sgd", 2), report.Store(tmp_path, NOW))
    assert found["left_out"] and found["error"].startswith("left out: about ")


def measured(case, peak: int) -> dict:
    """What a run of the case would have stored, had its peak been ``peak``."""
    analysis = cnncost.analyze(case.source, batch=case.batch)
    layers = tuple(
        RealLayer(
            tuple(RealTensor(t.shape, t.dtype.name) for t in line.outputs),
            tuple(RealTensor(w.shape, "float32") for w in line.weights),
            tuple(w.trainable for w in line.weights),
        )
        for line in analysis.layers
    )
    job = Job({}, keras_names(analysis.graph), batch=case.batch)
    resident = {"weights": analysis.totals.weight_bytes, "optimizer": 0}
    found = Measurement(NOW, "CPU:0", layers, resident, peak, None, 1, (), (0.5,), {})
    return {"job": asdict(job), "measurement": asdict(found)}


def test_predictions_are_made_anew_from_stored_measurements(report, tmp_path: Path, monkeypatch) -> None:
    from cnncost.memory import predict

    case, store = report.Case("zoo:pooling-example", "inference", None, 1), report.Store(tmp_path, NOW)
    store.keep(case, measured(case, 1000))
    before = dict(report.rows_of([case], store))[case]
    assert before["layers_ok"] and before["peak"]["measured_bytes"] == 1000 and before["step_seconds"]["median"] == 0.5

    def other(*arguments, **options):
        return replace(real(*arguments, **options), peak_bytes=1010)

    real = predict.predict
    monkeypatch.setattr(predict, "predict", other)
    after = dict(report.rows_of([case], store))[case]
    assert after["peak"]["predicted_bytes"] == 1010 and after["peak"]["error"] == pytest.approx(0.01)
    monkeypatch.setattr(predict, "predict", lambda *_, **__: 1 // 0)
    assert "ZeroDivisionError" in dict(report.rows_of([case], store))[case]["error"]


def test_a_model_that_changed_since_is_said(report, tmp_path: Path) -> None:
    case, store = report.Case("zoo:pooling-example", "inference", None, 1), report.Store(tmp_path, NOW)
    found = measured(case, 1000)
    found["job"]["names"] = found["job"]["names"][:-1]
    store.keep(case, found)
    assert "changed" in dict(report.rows_of([case], store))[case]["error"]


def test_a_stored_architecture_needs_no_keras(report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnncost.sources import keras_live

    monkeypatch.setattr(keras_live, "import_keras", lambda: pytest.fail("Keras was asked"))
    layers = [
        {"class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 3], "name": "input"}},
        {"class_name": "Conv2D", "config": {"filters": 4, "kernel_size": [3, 3], "name": "conv"}},
    ]
    model = {"class_name": "Sequential", "config": {"name": "Small", "layers": layers}}
    (tmp_path / "models").mkdir()
    for name, value in (("names", {"names": ["Small"]}), ("Small", {"model": model})):
        with gzip.open(tmp_path / "models" / f"{name}.json.gz", "wt") as stream:
            json.dump({"keras": "3", **value}, stream)
    store = report.Store(tmp_path, NOW)
    found = report.ordered(report.every_case(store), store)
    own = [case for case in found if case.source == "keras:Small"]
    assert [case.group for case in own] == [
        "inference, batch 1", "training, sgd, batch 2", "training, adam, batch 2", "inference, batch 4",
        "inference, batch 1, xla", "training, sgd, batch 2, xla",
    ]  # fmt: skip
    assert len({case.file for case in found}) == len(found)
    assert report.analysis_of(own[0], report.Store(tmp_path, NOW)).totals.params == 3 * 3 * 3 * 4 + 4


def test_a_report_goes_on_on_another_machine(report, tmp_path: Path) -> None:
    a, b, c, d = (report.Case(f"zoo:{name}", "inference", None, 1) for name in "abcd")
    old = {a: row(0.5) | {"measured_on": "2026-01-01"}, b: row(0.5) | {"measured_on": "2026-01-01"}}
    old[a]["peak"]["processes"] = 5
    old[d] = {"error": "nothing to train"}
    lines = [json.dumps({"case": list(case), **found}) for case, found in old.items()]
    path = tmp_path / "verification.jsonl"
    path.write_text("\n".join([*lines, "not JSON", '{"case": 3}', "[" * 100_000]) + "\n")
    before = report.earlier(path)
    assert list(before) == [a, b, d]
    today = {a: row(0.1), b: row(0.2), c: {"error": "why"}}
    found = report.joined(today, before, [a, b, c, d])
    assert found == {a: before[a], b: today[b], c: today[c], d: before[d]}
    assert report.earlier(tmp_path / "nothing") == {}
    assert "2 rows" in report.markdown({a: before[a], b: before[b]}, [a, b], {}).split("\n")[2]


def test_an_earlier_row_is_predicted_anew(report, tmp_path: Path) -> None:
    case = report.Case("zoo:pooling-example", "inference", None, 1)
    before = row(0.5)
    before["peak"]["measured_bytes"] = 1_022_400
    found = report.renewed(case, before, report.Store(tmp_path, NOW))
    assert found["peak"]["predicted_bytes"] == 1_022_400 and found["peak"]["error"] == 0
    assert found["peak"]["measured_low_bytes"] == 99 and found["allocations"] == before["allocations"]
    assert before["peak"]["error"] == 0.5


def test_statistics(report) -> None:
    from verification_tables import statistics

    assert statistics([]) == {}
    found = statistics([-0.10, *[0.01] * 8, 0.02])
    assert found == {"mean": pytest.approx(0.02), "median": 0.01, "90 %": 0.02, "worst": 0.10}


def test_the_report_names_what_is_left_out(report) -> None:
    cases = [report.Case(f"zoo:{name}", "training", "sgd", 2) for name in "abcd"]
    rows = {cases[0]: row(-0.02), cases[1]: row(None), cases[2]: {"error": "error: killed for lack of memory"}}
    text = report.markdown(rows, cases, NOW)
    figures = "2 | 1 | 2.00% | 2.00% | 2.00% | 2.00% | 1 of 1 | 3.00% | 90.0% | 0.0% | 0.0% | 100.0% | 2 of 2"
    assert f"| training, sgd, batch 2: zoo | {figures} |" in text
    assert "| zoo:a | training, sgd, batch 2 | 100 | 100 | 2: 99 to 1,100 | -2.00% | 90.0% | 500.0 ms |" in text
    assert "- zoo:c training, sgd, batch 2: killed for lack of memory" in text
    assert "- not run yet, training, sgd, batch 2: zoo:d\n" in text
    shown = report.distribution(rows, cases, 10)
    assert "-2.00%  zoo:a" in shown and "no peak    zoo:b" in shown and "zoo:c training" in shown


def test_of_several_processes_the_mean_counts(report) -> None:
    from verification_tables import _summary

    found = row(0.01)
    counts = [{"matched": n, "total": 10, "large_matched": n, "large_total": 10} for n in (6, 10)]
    found["allocations"] |= {"processes": counts, "large_total": 10, "large_matched": 10}
    cells = _summary("step", [found]).split(" | ")
    assert cells[9:13] == ["80.0%", "80.0%", "0.0%", "10.0%"]
