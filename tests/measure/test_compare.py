"""Predicted beside measured, on measurements made from the analysis itself and then changed in one place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnncost
from cnncost.alignment import LARGE, ORDER, SCRATCH, Allocations, Closest, Share, Shares, commonest
from cnncost.compare import Verification, compare
from cnncost.errors import UnsupportedLayer
from cnncost.export import keras_names
from cnncost.measure import Change, Job, Measurement, RealLayer
from cnncost.measure.advice import advice, footprint
from cnncost.measure.checks import Times, layer_times
from cnncost.measure.records import RealTensor
from cnncost.measure.shortage import expected, need_of, remedies
from cnncost.memory import figures  # imports the function that tests replace
from cnncost.memory import predict as memory
from cnncost.report.timeline import svg
from cnncost.report.verification import render
from cnncost.subsequence import common, length

SPEC = {
    "name": "small", "input": [8, 8, 3],
    "layers": [{"Conv2D": [4, 3], "name": "conv", "trainable": False}, "Flatten", {"Dense": 10, "name": "last"}],
}  # fmt: skip
ANALYSIS = cnncost.analyze(SPEC, batch=5)
JOB = Job(model={}, names=keras_names(ANALYSIS.graph), batch=5)
CHANGES = (
    Change("net/conv/Relu", "_MklNativeFusedConv2D", "conv", "forward", 5 * 6 * 6 * 4 * 4, "output", "[5,6,6,4]"),
    Change("net/last/MatMul", "MatMul", "last", "forward", 4096, "temp", "[4096]"),
    Change("", None, None, "", -4096),
    Change("net/last/MatMul", "MatMul", "last", "forward", 200, "output", "[5,10]"),
)
PEAK = 2880 + 4096
WEIGHTS = 4 * (3 * 3 * 3 * 4 + 4 + 144 * 10 + 10)
INPUTS = 5 * 8 * 8 * 3 * 4


def real() -> Measurement:
    layers = tuple(
        RealLayer(
            tuple(RealTensor(t.shape, t.dtype.name) for t in row.outputs),
            tuple(RealTensor(w.shape, "float32") for w in row.weights),
            tuple(w.trainable and row.layer.trainable for w in row.weights),
        )
        for row in ANALYSIS.layers
    )
    resident = {"weights": WEIGHTS, "optimizer": 0, "inputs": INPUTS}
    return Measurement({"keras": "3"}, "CPU:0", layers, resident, PEAK, 8192, 10**8, CHANGES, (0.5, 0.1, 0.2),
                       {"conv": 0.01})  # fmt: skip


def predicted(*events: tuple[str, str, int]) -> Any:
    """A simulated step; a release is of the latest buffer of its size."""
    live = most = 0
    found: list[Any] = []
    ops: dict[tuple[str, str], Any] = {}
    for place, (kind, layer, size) in enumerate(events):
        phase = "update" if kind.startswith("Assign") else "forward"
        live += size
        most = max(most, live)
        op = ops.setdefault((kind, layer), SimpleNamespace(type=kind, layer=layer, phase=phase, attrs={}))
        buffer = place if size > 0 else max(one.buffer for one in found if one.bytes == -size)
        found.append(SimpleNamespace(op=op, bytes=size, live=live, buffer=buffer))
    return SimpleNamespace(peak_bytes=most, low_bytes=most, high_bytes=most, events=tuple(found), notes=())


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch):
    def fix(answer: Any) -> None:
        def predict(*arguments: Any, **options: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        assert figures.predict is not predict
        monkeypatch.setattr(memory, "predict", predict, raising=False)

    fix(UnsupportedLayer("layer 'last': not known"))
    return fix


def verdict(measured: Measurement, **options: Any) -> Verification:
    return compare(ANALYSIS, JOB, measured, **options)


def test_what_is_as_predicted_is_ok(simulate) -> None:
    found = verdict(real())
    assert found.ok and all(layer.ok for layer in found.layers)
    assert found.predicted_peak is None and found.unpredicted == "layer 'last': not known"
    assert "no peak was predicted (layer 'last': not known)" in render(found, "table")


def changed(row: int, part: str, index: int, **values: Any) -> Measurement:
    """The measurement with one tensor or flag of one layer changed."""
    whole = real()
    layer = whole.layers[row]
    items = list(getattr(layer, part))
    items[index] = items[index]._replace(**values) if values else not items[index]
    layers = list(whole.layers)
    layers[row] = layer._replace(**{part: tuple(items)})
    return replace(whole, layers=tuple(layers))


@pytest.mark.parametrize(
    ("row", "part", "values", "wrong"),
    [
        (1, "outputs", {"shape": (6, 6, 5)}, {"output_shapes", "activation_bytes"}),
        (1, "outputs", {"shape": (6, 6)}, {"output_shapes", "activation_bytes"}),
        (1, "outputs", {"dtype": "float16"}, {"activation_bytes"}),
        (1, "weights", {"shape": (3, 3, 3, 5)}, {"params", "weight_bytes"}),
        (1, "weights", {"dtype": "float64"}, {"weight_bytes"}),
        (3, "trainable", {}, {"trainable_params"}),
        (1, "trainable", {}, {"trainable_params"}),
        (1, "outputs", {"shape": (None, 6, 4)}, set()),
    ],
)
def test_every_difference_is_seen(simulate, row: int, part: str, values: dict[str, Any], wrong: set[str]) -> None:
    found = verdict(changed(row, part, 0, **values))
    assert {claim.figure for claim in found.layers[row].claims if not claim.ok} == wrong
    assert found.ok is not bool(wrong)
    text = render(found, "table")
    assert ("differs" in text) is bool(wrong)
    assert all(figure in render(found, "markdown").replace("\\_", "_") for figure in wrong)


@pytest.mark.parametrize(
    ("peak", "tolerance", "ok"),
    [(PEAK, 0.0, True), (PEAK + 1, 0.0, False), (PEAK * 101 // 100, None, True), (PEAK * 98 // 100, 0.01, False),
     (PEAK * 98 // 100, 0.05, True), (PEAK * 3, None, False)],
)  # fmt: skip
def test_the_peak_has_a_tolerance(simulate, peak: int, tolerance: float | None, ok: bool) -> None:
    simulate(predicted(("Conv2D", "conv", peak)))
    found = verdict(real(), tolerance=tolerance)
    assert found.ok is ok and found.peak_error == pytest.approx(peak / PEAK - 1)


def test_scratch_that_was_not_simulated_is_let_pass_and_said(simulate) -> None:
    simulate(predicted(("Conv2D", "conv", PEAK - 4096)))  # the run's one scratch
    text = render(verdict(real()), "table")
    assert verdict(real()).ok and "within a kernel's own scratch (4,096 B" in text
    assert "or 4,096 B = 4.00 KiB, the largest scratch that was taken or simulated alone" in text
    assert not verdict(real(), tolerance=0.1).ok  # a tolerance that was asked for is all there is
    assert "10.00% of the measured peak, as asked\n" in render(verdict(real(), tolerance=0.1), "table")
    simulate(predicted(("Conv2D", "conv", PEAK - 4097)))
    assert not verdict(real()).ok
    huge = replace(real(), changes=(*CHANGES, Change("net/x", "XlaRun", None, "other", 2**21, "temp")))
    assert not verdict(huge).ok


def test_scratch_that_was_simulated_excuses_nothing(simulate) -> None:
    """The simulation has the run's scratch, and is wrong by as much elsewhere."""
    scratch = (("MatMul", "last", 4096), ("MatMul", "last", -4096))
    simulate(predicted(*scratch, ("Conv2D", "conv", PEAK - 4096)))
    found = verdict(real())
    assert not found.ok and found.slack == 0 and "scratch" not in render(found, "table")
    simulate(predicted(("Conv2D", "conv", PEAK + 3000), *scratch))
    assert not verdict(real()).ok
    own = (("Conv2D", "conv", 2880), ("Conv2D", "conv", 6000), ("Conv2D", "conv", -6000))
    simulate(predicted(*own, *scratch))
    assert verdict(real()).ok and verdict(real()).slack == 6000  # simulated, and no kernel took it


def test_scratch_excuses_no_error_that_it_is_not_the_cause_of(simulate) -> None:
    """Scratch larger than the whole model let any error of it pass, here one of 335 %."""
    output = Change("net/last/MatMul", "MatMul", "last", "forward", 9771, "output")
    tiny = replace(real(), peak_bytes=12_651, changes=(CHANGES[0], output))
    own = (("Conv2D", "conv", 50_000), ("Conv2D", "conv", -50_000))
    simulate(predicted(*own, ("Conv2D", "conv", 2880), ("MatMul", "last", 52_142)))
    found = verdict(tiny)
    assert found.peak_error == pytest.approx(3.35, abs=0.01) and not found.ok
    assert found.scratch == (0, 50_000, 55_022, 12_651) and found.slack == 0
    simulate(predicted(("Conv2D", "conv", 2880), ("MatMul", "last", 9771), *own))
    found = verdict(tiny)  # scratch at the peak, and nothing else
    text = render(found, "table")
    assert found.ok and "without such scratch the peaks are 12,651 B predicted and 12,651 B measured" in text
    peak = found.to_dict()["peak"]
    assert peak["predicted_without_scratch_bytes"] == peak["measured_without_scratch_bytes"] == 12_651


def test_scratch_of_another_size_is_left_out_on_both_sides(simulate) -> None:
    """A kernel's own choice of blocks on another processor: the rest must agree."""
    others = (("Conv2D", "conv", 2880), ("MatMul", "last", 7000), ("MatMul", "last", -7000))
    simulate(predicted(*others))
    found = verdict(real())
    assert found.scratch == (4096, 7000, 2880, 3080) and found.ok and found.slack == 7000


@pytest.mark.parametrize(("off", "tolerance", "ok"), [(1024, None, True), (1025, None, False), (1024, 0.01, False)])
def test_scalars_of_a_tiny_model_are_no_difference(simulate, off: int, tolerance: float | None, ok: bool) -> None:
    """A recurrent model's counters were a tenth of its peak; what is less than 1 KiB is not compared either."""
    scratch = (("MatMul", "last", 4096), ("MatMul", "last", -4096))
    simulate(predicted(("Conv2D", "conv", 2880 - off), *scratch))
    found = verdict(real(), tolerance=tolerance)
    text = render(found, "table")
    assert found.ok is ok and ("of the measured peak, or 1,024 B = 1.00 KiB" in text) is (tolerance is None)
    assert ("ok: all as predicted, the peak within 1,024 B" in text) is ok
    assert found.to_dict()["floor_bytes"] == (1024 if tolerance is None else 0)


def test_a_named_tolerance_without_a_peak_is_not_held(simulate) -> None:
    found = verdict(real(), tolerance=0.05)
    text, data = render(found, "table"), found.to_dict()
    assert not found.ok and not data["ok"] and not data["peak"]["ok"]
    assert "not checked: no peak was predicted to hold against the tolerance of 5.00%" in text
    assert "the verdict rests" not in text
    assert compare(ANALYSIS, replace(JOB, backend="jax"), real(), 0.05).ok
    simulate(predicted(("Conv2D", "conv", PEAK)))
    blind = verdict(replace(real(), peak_bytes=None), tolerance=0.05)
    assert not blind.ok and "no peak was measured to hold" in render(blind, "table")


def test_a_run_without_timed_steps_has_no_times(simulate) -> None:
    """``Job(steps=0)`` measures memory alone."""
    simulate(predicted(("Conv2D", "conv", PEAK)))
    found = verdict(replace(real(), step_seconds=()))
    steps = json.loads(render(found, "json"))["step_seconds"]
    assert steps == dict.fromkeys(("predicted", "median", "low", "high", "gmacs_per_second")) | {"repeats": 0}
    assert found.ok and found.gmacs_per_second is None and "not timed" in render(found, "table")
    assert "not timed" in render(found, "html")


@pytest.mark.parametrize(("tolerance", "ok"), [(None, True), (0.5, False), (1.0, True)])
def test_a_named_tolerance_decides_alone(simulate, tolerance: float | None, ok: bool) -> None:
    simulate(interval(PEAK // 2, PEAK * 2, PEAK * 3))
    found = verdict(real(), tolerance=tolerance)
    text, data = render(found, "table"), found.to_dict()
    assert found.ok is ok and data["tolerance_named"] is (tolerance is not None)
    assert ("or anywhere inside the predicted interval" in text) is (tolerance is None)
    assert ("outside the tolerance of 50.00%, though inside the predicted interval" in text) is not ok


def test_a_page_gives_the_verdict_in_words(simulate) -> None:
    pytest.importorskip("jinja2")
    simulate(predicted(("Conv2D", "conv", PEAK)))
    assert "ok: all as predicted, the peak within 1.00%" in render(verdict(real()), "html")


@pytest.mark.parametrize("width", [40, 41, 60, 80, 120])
def test_a_table_fits_the_terminal(simulate, width: int) -> None:
    simulate(predicted(("Conv2D", "conv", PEAK * 3)))
    lines = render(verdict(changed(1, "outputs", 0, shape=(6, 6, 5))), "table", width).split("\n")
    assert max(map(len, lines)) <= width
    whole = " ".join(" ".join(lines).split())
    assert "differs" in whole and "outside the tolerance" not in whole and f"measured {PEAK:,} B" in whole
    assert "Layer" in whole and "Time" in whole


def interval(low: int, point: int, high: int) -> Any:
    found = predicted(("Conv2D", "conv", point))
    found.low_bytes, found.high_bytes, found.notes = low, high, ("XLA's own order is not known",)
    return found


@pytest.mark.parametrize(
    ("low", "point", "high", "inside"),
    [(PEAK // 2, PEAK * 2, PEAK * 3, True), (PEAK, PEAK * 2, PEAK * 3, True), (PEAK + 1, PEAK * 2, PEAK * 3, False),
     (1, PEAK // 2, PEAK - 1, False)],
)  # fmt: skip
def test_inside_the_interval_is_within_the_tolerance(simulate, low: int, point: int, high: int, inside: bool) -> None:
    simulate(interval(low, point, high))
    found = compare(ANALYSIS, replace(JOB, executor="xla"), real())
    assert found.ok is inside and found.to_dict()["peak"]["inside_interval"] is inside
    peak = found.to_dict()["peak"]
    assert (peak["predicted_low_bytes"], peak["predicted_bytes"], peak["predicted_high_bytes"]) == (low, point, high)
    text = render(found, "table")
    assert ("the peak inside the predicted interval" in text) is inside
    assert ("outside the predicted interval" in text) is not inside
    assert f"({low:,} to {high:,} B)" in text and "XLA's own order is not known" in text
    band = ElementTree.fromstring(svg(found)).findall("{http://www.w3.org/2000/svg}rect")[1]
    assert f"{low:,} and {high:,} B" in band[0].text


def test_xla_allocates_once(simulate) -> None:
    simulate(predicted(("Fusion", "", 100), ("Fusion", "", 7000), ("Fusion", "", -7000)))
    found = compare(ANALYSIS, replace(JOB, executor="xla"), real())
    assert found.to_dict()["allocations"]["temporary"] == {"predicted_bytes": 7000, "measured_bytes": 4096}
    text = render(found, "table")
    assert (
        "one temporary allocation of 4,096 B" in text and "predicted 7,000 B" in text and "match in order" not in text
    )
    assert verdict(real()).to_dict()["allocations"]["temporary"] is None


def test_the_median_of_several_processes_is_judged(simulate) -> None:
    simulate(predicted(("Conv2D", "conv", PEAK)))
    several = replace(real(), runs=((PEAK - 10, 1), (PEAK, 2), (PEAK * 2, 9000)))
    peak = verdict(several).to_dict()["peak"]
    assert (peak["measured_low_bytes"], peak["measured_bytes"], peak["measured_high_bytes"], peak["processes"]) == (
        PEAK - 10, PEAK, PEAK * 2, 3
    )  # fmt: skip
    assert f"(median of 3 processes, {PEAK - 10:,} to {PEAK * 2:,} B)" in render(verdict(several), "table")
    alone = verdict(real()).to_dict()["peak"]
    assert (alone["measured_low_bytes"], alone["measured_high_bytes"], alone["processes"]) == (PEAK, PEAK, 1)


def test_chunks_are_compared_with_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def predict(analysis: Any, mode: str, optimizer: Any, executor: str, allocator: str, *options: Any) -> Any:
        assert options[0]  # an interval
        asked.append(allocator)
        return predicted(("Conv2D", "conv", 8192 if allocator == "bfc" else 6000))

    monkeypatch.setattr(memory, "predict", predict)
    found = verdict(replace(real(), runs=((PEAK, 8000), (PEAK, 8300))), allocator="bfc", tolerance=0.0)
    assert found.ok and (found.predicted_peak, found.measured_peak, found.peak_error) == (8192, 8192, 0.0)
    assert found.to_dict()["peak"]["measured_high_bytes"] == 8300 and max(found.predicted_live) == 6000
    assert "in the allocator's chunks" in render(found, "table") and set(asked) == {"requested", "bfc"}


def test_another_backends_peak_is_not_judged(simulate) -> None:
    simulate(predicted(("Conv2D", "conv", 1)))
    found = compare(ANALYSIS, replace(JOB, backend="jax"), real())
    assert found.ok and found.to_dict()["peak"]["judged"] is False
    text = render(found, "table")
    assert "the predicted peak is TensorFlow's" in text and "by XLA's own account" in text
    assert found.allocations.matched is None


def test_allocations_in_order(simulate) -> None:
    simulate(predicted(("_FusedConv2D", "conv", 2880), ("MatMul", "last", 4096), ("MatMul", "last", -4096)))
    assert verdict(real()).allocations[:7] == (2, 2, 2, None, 0, 0, 1)
    simulate(predicted(("_FusedConv2D", "conv", 2880), ("Relu", "conv", 2880), ("MatMul", "last", 4096)))
    found = verdict(real()).allocations
    assert (found.matched, found.predicted) == (2, 3)
    assert found.first_mismatch == (
        "allocation 2: predicted Relu of 'conv' 2,880 B, measured MatMul of 'last' 4,096 B [4096]"
    )
    updated = replace(real(), changes=(*CHANGES, Change("sgd/AssignSub", "AssignSub", None, "other", 5000)))
    simulate(predicted(("_FusedConv2D", "conv", 2880), ("MatMul", "last", 4096), ("AssignSub", "last", 5000)))
    assert verdict(updated).allocations[:4] == (3, 3, 3, None)
    sizes = replace(real(), changes=tuple(change._replace(bytes=change.bytes * 30) for change in CHANGES))
    simulate(predicted(("_FusedConv2D", "conv", 86400), ("MatMul", "last", 122879)))
    assert verdict(sizes).allocations[4:6] == (1, 2)
    simulate(predicted(("_FusedConv2D", "conv", 2880)))
    assert "allocation 2: predicted nothing" in (verdict(real()).allocations.first_mismatch or "")


def test_json_is_the_contracts(simulate) -> None:
    simulate(predicted(("Conv2D", "conv", PEAK)))
    data = json.loads(render(verdict(real()), "json"))
    assert data["schema"] == "cnncost/verify/1"
    assert {"model", "mode", "batch", "optimizer", "executor", "device", "versions", "ok"} <= set(data)
    assert data["peak"].items() >= {"predicted_bytes": PEAK, "measured_bytes": PEAK, "error": 0.0}.items()
    steps = data["step_seconds"]
    assert (steps["predicted"], steps["median"], steps["low"], steps["high"]) == (None, 0.2, 0.1, 0.5)
    assert {"matched", "total", "first_mismatch"} <= set(data["allocations"])
    assert [layer["name"] for layer in data["layers"]] == [layer.name for layer in ANALYSIS.layers]
    assert all({"name", "shape_ok", "params_ok", "seconds"} <= set(layer) for layer in data["layers"])
    assert data["layers"][1]["seconds"] == 0.01 and data["verdict"] == "ok: all as predicted, the peak within 1.00%"


@given(st.text("abc", max_size=12), st.text("abc", max_size=12))
def test_common_is_the_longest_common_subsequence(a: str, b: str) -> None:
    assert length(a, b) == len(common(a, b)) == longest(a, b)


def longest(a: Sequence[str], b: Sequence[str]) -> int:
    """By the definition's own recursion."""

    @cache
    def upto(i: int, j: int) -> int:
        if not i or not j:
            return 0
        return upto(i - 1, j - 1) + 1 if a[i - 1] == b[j - 1] else max(upto(i - 1, j), upto(i, j - 1))

    return upto(len(a), len(b))


def test_unlike_sequences_do_not_take_for_ever() -> None:
    assert length(range(20_000), range(20_000, 40_000)) == 0
    assert length([*range(9000), -1], [*range(1, 9000)]) == 8999


def test_the_advice_has_the_models_numbers() -> None:
    analysis = cnncost.analyze("zoo:memory-example", batch=100)
    text = ", ".join(advice(analysis, "training"))
    assert "--batch 50" in text and "a stride of 2 in 'conv'" in text and "16-bit floats" in text
    assert "1.12 GiB falls to 286.10 MiB" in text  # 12 MB of each instance, and a quarter of it
    assert footprint(analysis, "training") == 100 * (12_000_000 + 180_000) + 2 * 15_200 * 4
    single = ", ".join(advice(cnncost.analyze(SPEC, dtype="float16"), "inference"))
    assert "batch" not in single and "devices" not in single and "16-bit" not in single and "fewer layers" in single


def test_remedies_say_what_would_fit() -> None:
    """The bytes told for a batch are those of an analysis of that batch, and they are within the room."""
    analysis, job = cnncost.analyze("zoo:memory-example", batch=100), Job({}, (), batch=100)
    now = need_of(analysis, job)
    each = 150 * 100 * (200 + 3) * 4  # the output and the input of one instance
    assert 100 * each < now.total < 101 * each and f"{now.step / 2**30:.2f} GiB above" in expected(now, job)
    room = 30 * each
    found = remedies(analysis, job, room, now)
    batch = int(found[0].partition("--batch ")[2].partition(":")[0])
    fits = need_of(cnncost.analyze("zoo:memory-example", batch=batch), job).total
    assert room // 2 < fits <= room and f"({fits / 2**20:.2f} MiB)"[1:-1] in found[0]
    assert any("a stride of 2 in 'conv'" in text for text in found)
    assert f"several devices ({-(-100 // batch)} of them, {batch} instances each)" in found
    halves = need_of(cnncost.analyze("zoo:memory-example", batch=100, dtype="float16"), job).total
    assert any(f"{halves / 2**20:.2f} MiB" in text and "float16" in text for text in found)
    assert remedies(analysis, job, None, now)[0].startswith("a smaller batch (--batch 50: ")


def test_remedies_of_a_model_whose_weights_do_not_fit() -> None:
    spec = {"input": [1000], "layers": [{"Dense": {"units": 1000, "name": "wide"}}, {"Dense": {"units": 10}}]}
    analysis = cnncost.analyze(spec, batch=4, mode="training", optimizer="adam")
    job = Job({}, (), mode="training", optimizer="adam", batch=4)
    now = need_of(analysis, job)
    text = ", ".join(remedies(analysis, job, 4_000_000, now))
    assert "batch" not in text and "'wide' alone has 3.82 MiB of weights" in text  # (1000 + 1)·1000 of four bytes
    assert f"spread over {-(-now.total // 4_000_000)} of them" in text and "optimizer" in expected(now, job)


def test_no_stride_where_branches_would_not_meet() -> None:
    analysis = cnncost.analyze("zoo:resnet50", batch=2)
    job = Job({}, (), batch=2)
    for text in remedies(analysis, job, None, need_of(analysis, job)):
        if "stride" in text:
            name = text.split("'")[1]
            assert all("bottleneck" not in part for part in name.split("/")), text


def test_the_picture_shows_both_lines(simulate) -> None:
    simulate(predicted(("Conv2D", "conv", 2000), ("MatMul", "last", 9000), ("MatMul", "last", -9000)))
    found = verdict(real())
    assert found.measured_live == (2880, 6976, 2880, 3080) and found.predicted_live == (2000, 11000, 2000)
    picture = ElementTree.fromstring(svg(found))
    lines = [line.get("d").split("V") for line in picture.iter("{http://www.w3.org/2000/svg}path")]
    assert [len(steps) for steps in lines] == [5, 4]  # a step for each event, after the beginning
    heights = [[float(step.split("H")[0]) for step in steps[1:]] for steps in lines]
    assert min(heights[1]) < min(heights[0])  # higher bytes stand higher
    assert "peak 6,976 B" in svg(found) and "peak 11,000 B" in svg(found)
    long = replace(real(), changes=CHANGES * 5000)
    assert svg(verdict(long)).count("V") < 20_000 and f"peak {max(verdict(long).measured_live):,} B" in svg(
        verdict(long)
    )


def test_resident_bytes_are_exact(simulate) -> None:
    off = replace(real(), resident={"weights": WEIGHTS, "optimizer": 4, "inputs": INPUTS})
    found = verdict(off)
    assert found.ok is False and "resident bytes of optimizer: predicted 0, measured 4" in render(found, "table")
    assert "inputs 3,840 B = 3.75 KiB; not as predicted" in render(found, "table")
    assert compare(ANALYSIS, replace(JOB, backend="jax"), off).ok
    fed = verdict(replace(real(), resident={"weights": WEIGHTS, "optimizer": 0, "inputs": INPUTS // 2}))
    assert not fed.ok and "resident bytes of inputs: predicted 3,840, measured 1,920" in render(fed, "table")
    data = verdict(real()).to_dict()["resident"]
    assert data["predicted"] == data["measured"] and data["ok"] and data["predicted"]["inputs"] == INPUTS
    assert "; as predicted" in render(verdict(real()), "table")


def seconds(analysis: Any, job: Job, measured: Measurement) -> dict[str, float]:
    return {name: times.seconds for name, times in layer_times(analysis, job, measured).items()}


def test_a_fused_ops_time_belongs_to_the_layer_that_multiplies() -> None:
    """A convolution that runs inside its activation's op took the activation's time."""
    layers = [{"Conv2D": [4, 3], "name": "conv"}, {"ReLU": None, "name": "act"}, {"MaxPooling2D": 2, "name": "pool"}]
    analysis = cnncost.analyze({"input": [8, 8, 3], "layers": layers})
    job = Job(model={}, names=keras_names(analysis.graph), batch=1)
    fused = Change("net/act/Relu", "_MklNativeFusedConv2D", "act", "forward", 576, "output", "[1,6,6,4]")
    measured = replace(real(), changes=(fused,), layer_seconds={"conv": 0.001, "act": 0.5, "pool": 0.25})
    assert seconds(analysis, job, measured) == {"conv": 0.501, "pool": 0.25}
    apart = replace(measured, changes=(fused._replace(kind="Relu"),))
    assert seconds(analysis, job, apart) == measured.layer_seconds
    spread = replace(measured, layer_spread={"conv": (0.0005, 0.002), "act": (0.4, 0.6), "pool": (0.2, 0.3)})
    assert layer_times(analysis, job, spread)["conv"] == Times(0.501, 0.4005, 0.602)


def test_the_time_of_a_fused_sum_belongs_to_the_branch_that_has_no_op() -> None:
    """Of two convolutions that are added, oneDNN runs one with the sum and what follows: it had next to no time."""
    spec = {
        "input": [8, 8, 3],
        "layers": [
            {"Conv2D": [4, 3], "name": "a"},
            {"Conv2D": [4, 3], "name": "b", "inputs": ["input"]},
            {"Add": None, "name": "sum", "inputs": ["a", "b"]},
            {"ReLU": None, "name": "act"},
        ],
    }
    analysis = cnncost.analyze(spec)
    job = Job(model={}, names=keras_names(analysis.graph), batch=1)
    fused = Change("net/act/Relu", "_MklNativeFusedConv2D", "act", "forward", 576, "output", "[1,6,6,4]")
    other = fused._replace(op="net/b/BiasAdd", layer="b")
    measured = replace(real(), changes=(other, fused), layer_seconds={"a": 0.001, "b": 0.25, "act": 0.5})
    assert seconds(analysis, job, measured) == {"a": 0.501, "b": 0.25}
    unknown = replace(measured, changes=(fused,))  # either could be the one
    assert seconds(analysis, job, unknown) == measured.layer_seconds


def test_further_calls_of_a_layer_match_by_its_name() -> None:
    """A profile names the layer, and not which call of it is running."""
    found = predicted(("Conv2D", "c", 4096), ("Conv2D", "c:2", 4096))
    change = Change("net/c/Conv2D", "Conv2D", "c", "forward", 4096, "output", "[4,16,16]")
    plain = Allocations((change, change), {"c": "c"}).match(found)
    assert plain.matched == 2 and plain.by_layer == Shares(1, 0) and plain.first_mismatch
    called = Allocations((change, change), {"c": "c"}, {"c:2": "c"}).match(found)
    assert called[:4] == (2, 2, 2, None) and called.by_layer == Shares(2, 0)


def _allocating(*sizes: int) -> Any:
    return predicted(*(("Conv2D", "c", size) for size in sizes))


def _measured(*sizes: int, region: str = "output") -> tuple[Change, ...]:
    return tuple(Change("net/c/Conv2D", "Conv2D", "c", "forward", size, region, "") for size in sizes)


def test_the_closest_order_explains_a_mismatch() -> None:
    """Where another simulated process goes on as the real one did, the order is the reason; its shares stand beside."""
    a, b, c = LARGE, LARGE + 4, 4096
    held = Allocations(_measured(a, b, c), {"c": "c"})
    point = _allocating(b, a, c)
    alone = held.match(point)
    assert alone.reason is None and alone.closest is None
    for order in ((b, a, c), (c, b, a), (a, b, b)):
        held.look(_allocating(*order).events)
    found = held.match(point)
    assert found.reason == ORDER and (found.matched, found.large_matched, found.closest) == (2, 1, (3, 2, 2))
    assert found.to_dict()["closest"] == {"orders": 3, "matched": 2, "large_matched": 2}
    alone = Allocations(_measured(a, b, c), {"c": "c"})
    alone.look(_allocating(a, b, b).events)
    assert alone.match(point).reason is None  # nobody got further


def test_the_order_that_is_held_is_the_commonest_whatever_the_run_did() -> None:
    a, b, c = LARGE, LARGE + 4, LARGE + 8
    orders = [(a, b, c), (c, b, a), (a, c, b), (a, b, c)]
    for real in ((a, b, c), (c, b, a)):
        held = Allocations(_measured(*real), {"c": "c"})
        for order in orders:
            held.look(_allocating(*order).events)
        assert commonest(held.orders).sizes == [a, b, c]
        assert held.match(_allocating(*real)).matched == (3 if real == orders[0] else 1)
    assert commonest(held.orders[1:2]).sizes == [c, b, a]


def test_of_orders_that_agree_as_well_the_small_allocations_decide() -> None:
    held = Allocations(_measured(LARGE), {"c": "c"})
    for order in ((LARGE, 2048, 4096), (LARGE, 4096, 2048), (LARGE, 4096, 2048, 1024)):
        held.look(_allocating(*order).events)
    assert commonest(held.orders).sizes == [LARGE, 4096, 2048]


def test_each_process_is_held_against_the_same_order() -> None:
    a, b = LARGE, LARGE + 4
    real, sequences = _measured(a, b, 4096), ((a, b, 4096), (b, a, 4096), (4096,))
    found = Allocations(real, {"c": "c"}, sequences=sequences).match(_allocating(a, b, 4096))
    assert found.processes == (Share(3, 3, 2, 2), Share(2, 3, 1, 2), Share(1, 1, 0, 0))
    assert found.to_dict()["processes"][1] == {"matched": 2, "total": 3, "large_matched": 1, "large_total": 2}
    assert not Allocations(real, {"c": "c"}, sequences=sequences[:1]).match(_allocating(a)).processes


def test_a_kernels_scratch_is_a_reason() -> None:
    found = Allocations(_measured(8192, region="temp"), {"c": "c"}).match(_allocating(4096))
    assert found.reason == SCRATCH and found.scratch == 1


def test_the_reason_and_the_closest_order_are_told(simulate) -> None:
    simulate(predicted(("_FusedConv2D", "conv", 2880)))
    whole = verdict(real())
    assert "its reason: a kernel's own scratch" in render(whole, "table")  # MatMul's
    told = whole.allocations._replace(large_matched=1, large_total=4, closest=Closest(16, 9, 3), reason=None)
    text = render(replace(whole, allocations=told), "table")
    assert "75.0% of those in the closest of 16 simulated orders" in text and "its reason: not known" in text
    assert "the order is the commonest of 16 simulated" in text
    told = told._replace(matched=2, by_layer=Shares(1, 0))
    assert "1 of the same layer too" in render(replace(whole, allocations=told), "table")
    told = told._replace(processes=(Share(9, 9, 1, 4), Share(9, 9, 3, 4)))
    assert "25.0% to 75.0% of those in each of 2 processes" in render(replace(whole, allocations=told), "table")
