"""Laws of a difference, on random models as an analysis tells them, and on specs that were edited."""

from __future__ import annotations

import copy
import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnncost
from cnncost import CnncostError
from cnncost.difference import difference, saved
from cnncost.report.difference import cells_of, markdown, table
from cnncost.subsequence import common

OPPOSITE = {"added": "removed", "removed": "added"}
KINDS = {"Conv2D": 3, "ReLU": 1, "Add": 2}


def layer(name: str, kind: str, inputs: list[str], width: int) -> dict[str, Any]:
    weights = width * 9 if kind == "Conv2D" else 0
    return {"name": name, "kind": kind, "inputs": inputs, "output_shape": [8, 8, width], "params": weights,
            "arguments": {"filters": width} if weights else {}, "trainable_params": weights, "macs": 64 * weights,
            "flops": 128 * weights, "activation_bytes": 256 * width, "weight_bytes": 4 * weights, "dtype": "float32",
            "peak_bytes": 0}  # fmt: skip


def model(layers: list[dict[str, Any]]) -> dict[str, Any]:
    keys = ("params", "macs", "flops", "activation_bytes")
    return {"model": "m", "totals": {"layers": len(layers), **{k: sum(y[k] for y in layers) for k in keys}},
            "memory": {}, "layers": layers}  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    """Up to 12 layers that read what stands before them; names chosen or counted."""
    layers = [layer("input", "InputLayer", [], 3)]
    for number in range(draw(st.integers(0, 11))):
        kind = draw(st.sampled_from(sorted(KINDS)))
        name = draw(st.sampled_from([f"x{number}", f"{kind.lower()}_{number}", f"deep/x{number}"]))
        read = draw(st.lists(st.sampled_from([y["name"] for y in layers]), min_size=1, max_size=2))
        layers.append(layer(name, kind, read, draw(st.sampled_from([4, 8]))))
    return model(layers)


def changes(found: Any) -> list[tuple[str, str]]:
    return [(row.name, row.change) for row in found.layers if row.change != "same"]


@settings(deadline=None)
@given(models())
def test_a_model_is_the_same_as_itself(one: dict[str, Any]) -> None:
    found = difference([one, copy.deepcopy(one)])
    assert found.same
    assert not changes(found)
    assert all(row.delta == 0 for row in found.totals.values())


@settings(deadline=None)
@given(models(), models())
def test_it_is_symmetric(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = difference([one, other]), difference([other, one])
    assert there.same == back.same
    assert {name: row.delta for name, row in there.totals.items()} == {
        name: -(row.delta or 0) for name, row in back.totals.items()
    }

    def rows(found: Any, turned: bool) -> list[Any]:
        names = [[None if m is None else m["name"] for m in row.members] for row in found.layers]
        told = [OPPOSITE.get(row.change, row.change) if turned else row.change for row in found.layers]
        return sorted((c, *map(str, pair[::-1] if turned else pair)) for c, pair in zip(told, names, strict=True))

    assert rows(there, False) == rows(back, True)


@settings(deadline=None)
@given(models(), models())
def test_every_layer_is_in_one_row_and_rows_sum_to_the_totals(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = difference([one, other])
    for side, whole in enumerate((one, other)):
        names = [row.members[side]["name"] for row in found.layers if row.members[side] is not None]
        assert sorted(names) == sorted(y["name"] for y in whole["layers"])
    for figure in ("params", "macs"):
        delta = sum((row.row(figure).values[1] or 0) - (row.row(figure).values[0] or 0) for row in found.layers)
        assert delta == found.totals[figure].delta


@settings(deadline=None)
@given(models())
def test_new_names_are_renamed_alone(one: dict[str, Any]) -> None:
    other = copy.deepcopy(one)
    for row in other["layers"]:
        row["name"] = f"new {row['name']}"
        row["inputs"] = [f"new {name}" for name in row["inputs"]]
    found = difference([one, other])
    assert {row.change for row in found.layers} == {"renamed"}
    assert not found.same
    assert all(cells_of(row)[1] == f"{row.name} → new {row.name}" for row in found.layers)


@settings(deadline=None)
@given(models(), st.data())
def test_one_layer_more_is_one_added(one: dict[str, Any], data: st.DataObject) -> None:
    """A BatchNormalization between a layer and what reads it."""
    other = copy.deepcopy(one)
    at = data.draw(st.integers(0, len(one["layers"]) - 1))
    before = other["layers"][at]["name"]
    for row in other["layers"][at + 1 :]:
        row["inputs"] = ["norm" if name == before else name for name in row["inputs"]]
    other["layers"].insert(at + 1, layer("norm", "BatchNormalization", [before], 4))
    found = difference([one, other])
    assert changes(found) == [("norm", "added")]
    assert [row.name for row in found.layers] == [row["name"] for row in other["layers"]]
    assert changes(difference([other, one])) == [("norm", "removed")]


def test_counted_names_shift() -> None:
    """Where names are counted, one layer more renames all behind it and changes none."""

    def chain(widths: list[int]) -> dict[str, Any]:
        names = ["input", *(f"conv2d_{n}" for n in range(len(widths)))]
        convolutions = [layer(names[n + 1], "Conv2D", [names[n]], width) for n, width in enumerate(widths)]
        return model([layer("input", "InputLayer", [], 3), *convolutions])

    found = difference([chain([4, 8, 16, 32]), chain([4, 8, 12, 16, 32])])
    assert [(row.name, row.change) for row in found.layers if row.change != "same"] == [
        ("conv2d_2", "added"), ("conv2d_2", "renamed"), ("conv2d_3", "renamed"),
    ]  # fmt: skip


SPEC = """name: net
input: [32, 32, 3]
layers:
  - Conv2D: {name: stem, filters: 8, kernel_size: 3, padding: same}
  - Conv2D: {name: second, filters: 8, kernel_size: 3, padding: same}
  - ReLU: {name: act}
  - Add: {name: join}
    inputs: [act, stem]
  - Flatten: {name: flat}
  - Dense: {name: out, units: 10}
"""


@pytest.mark.parametrize(("edits", "expected", "told"), [
    ([("name: act", "name: other"), ("[act,", "[other,")], ("act", "renamed"), ""),
    ([("kernel_size: 3, padding: same}\n  - ReLU", "kernel_size: 5, padding: same}\n  - ReLU")], ("second", "changed"),
     "kernel_size 3×3 → 5×5"),
    ([("[act, stem]", "[act, second]")], ("join", "moved"), "reads [act, stem] → [act, second]"),
    ([("ReLU: {name: act}", "Activation: {name: act, activation: tanh}")], ("act", "changed"), ""),
    ([("units: 10", "units: 20")], ("out", "changed"), "units 10 → 20"),
])  # fmt: skip
def test_edited_spec(edits: list[tuple[str, str]], expected: tuple[str, str], told: str, tmp_path: Path) -> None:
    text = SPEC
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    sides = []
    for name, written in (("a.yaml", SPEC), ("b.yaml", text)):
        (tmp_path / name).write_text(written)
        sides.append(cnncost.analyze(str(tmp_path / name)).to_dict())
    found = difference(sides)
    assert changes(found) == [expected]
    assert [cells_of(row)[-1] for row in found.layers if row.change != "same"] == [told]
    assert "net (1) → net (2)" in table(found)


def test_defaults_that_are_spelled_out() -> None:
    """A Keras file writes its defaults; that is no difference. A value that is not the default is one."""
    one = cnncost.analyze("zoo:lenet5-table").to_dict()
    other = copy.deepcopy(one)
    for row in other["layers"]:
        row["arguments"]["data_format"] = "channels_last"
        if "Pooling" in row["kind"]:
            row["arguments"]["strides"] = [2, 2]
    assert difference([one, other]).same
    pool = next(row for row in other["layers"] if "Pooling" in row["kind"])
    pool["arguments"]["strides"] = [1, 1]
    assert changes(difference([one, other])) == [(pool["name"], "changed")]


def test_the_order_of_a_sum_means_nothing() -> None:
    base = [layer("input", "InputLayer", [], 3), layer("a", "Conv2D", ["input"], 4), layer("b", "Conv2D", ["a"], 4)]
    for kind, same in (("Add", True), ("Concatenate", False)):
        one, other = (model([*base, layer("join", kind, read, 4)]) for read in (["a", "b"], ["b", "a"]))
        assert difference([one, other]).same == same


def test_three_models() -> None:
    """What the first lacks and both others have is one row; what the last lacks is removed."""
    base = [layer("input", "InputLayer", [], 3), layer("a", "Conv2D", ["input"], 4), layer("b", "ReLU", ["a"], 4)]
    more = [*base, layer("c", "Conv2D", ["b"], 8)]
    found = difference([model(base), model(more), model([*more[:2], layer("c", "Conv2D", ["a"], 8)])], ["x", "y", "z"])
    assert changes(found) == [("b", "removed"), ("c", "added")]
    row = found.layers[-1]
    assert [None if m is None else m["name"] for m in row.members] == [None, "c", "c"]
    assert found.totals["layers"].values == (3, 4, 3)
    assert not found.same


def test_what_is_not_known_does_not_differ() -> None:
    """An analysis of an older version says less."""
    new = cnncost.analyze("zoo:lenet5-1998").to_dict()
    old = copy.deepcopy(new)
    for row in old["layers"]:
        for name in ("peak_bytes", "arguments", "dtype", "trainable_params"):
            del row[name]
    del old["memory"]["inference_peak_bytes"], old["totals"]["training_macs"]
    for sides in ([old, new], [new, old]):
        found = difference(sides)
        assert found.same
        assert found.totals["inference_peak_bytes"].delta is None
        assert "unknown" in table(found)


def test_time_where_all_know_it() -> None:
    one = cnncost.analyze("zoo:stride-example").to_dict()
    sides = [{**one, "time": {"inference_seconds": s, "training_step_seconds": None}} for s in (0.01, 0.015)]
    found = difference(sides)
    assert found.totals["inference_seconds"].percent == pytest.approx(50)
    assert "+5.00 ms (+50.00%)" in table(found)


def test_a_saved_analysis_is_as_good_as_its_source(tmp_path: Path) -> None:
    analysis = cnncost.analyze("zoo:unet")
    from cnncost.report import render

    (tmp_path / "unet.json").write_text(render(analysis, "json"))
    found = saved(str(tmp_path / "unet.json"))
    assert found is not None
    assert difference([found, analysis.to_dict()]).same


@pytest.mark.parametrize(("edit", "problem"), [
    (lambda text: text[:700], "not JSON"),
    (lambda text: text.replace("analysis/1", "analysis/2"), "another version"),
    (lambda text: text.replace('"params": 156', '"params": "many"'), "layers[1].params"),
    (lambda text: text.replace('"params": 156', '"params": NaN'), "layers[1].params"),
    (lambda text: text.replace('"params": 156', f'"params": {10**40}'), "layers[1].params"),
    (lambda text: text.replace('"inputs": ["input"]', '"inputs": 3'), "layers[1].inputs"),
    (lambda text: text.replace('"output_shape": [28, 28, 6]', '"output_shape": [[1]]'), "layers[1].output_shape"),
    (lambda text: text.replace('"layers": [\n', '"layers": [\n7,'), "layers[0]"),
    (lambda text: text.replace('"layers": ', '"rows": '), "layers"),
    (lambda text: text.replace('"macs"', '"mac"'), "macs"),
])  # fmt: skip
def test_a_saved_analysis_that_is_not_whole(edit: Any, problem: str, tmp_path: Path) -> None:
    from cnncost.report import render

    text = render(cnncost.analyze("zoo:lenet5-1998"), "json")
    assert edit(text) != text
    (tmp_path / "a.json").write_text(edit(text))
    with pytest.raises(CnncostError, match="saved analysis") as caught:
        saved(str(tmp_path / "a.json"))
    assert problem in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.json"))


def test_other_files_are_no_saved_analysis(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"class_name": "Sequential", "name": "cnncost/analysis/1"}))
    assert saved(str(tmp_path / "a.json")) is None
    assert saved(str(tmp_path)) is None
    assert saved("zoo:resnet50") is None


@pytest.mark.parametrize("names", ["equal", "new", "shuffled"])
def test_bounded_time(names: str) -> None:
    """5,000 layers of few structures, with names that help nowhere."""
    one = model([layer(f"a{n}", ("Conv2D", "ReLU")[n % 2], [f"a{n - 1}"] if n else [], 4 * (1 + n % 7 % 3))
                 for n in range(5000)])  # fmt: skip
    other = copy.deepcopy(one)
    if names != "equal":
        step = 1 if names == "new" else 2503
        for n, row in enumerate(other["layers"]):
            row["name"] = f"b{n * step % 5000}"
            row["inputs"] = [f"b{(n - 1) * step % 5000}"] if n else []
        del other["layers"][::97]
    begin = time.perf_counter()
    found = difference([one, other])
    text = table(found) + markdown(found)
    assert time.perf_counter() - begin < 10
    assert len(text) < 600_000
    assert len(found.layers) >= 5000


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.lists(st.integers(0, 3), max_size=30))
def test_common_subsequence(one: list[int], two: list[int]) -> None:
    """Against the textbook's table."""
    pairs = common(one, two)
    lengths = [[0] * (len(two) + 1) for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(two):
            lengths[i + 1][j + 1] = lengths[i][j] + 1 if a == b else max(lengths[i][j + 1], lengths[i + 1][j])
    assert len(pairs) == lengths[-1][-1]
    assert all(one[i] == two[j] for i, j in pairs)
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(pairs))
    assert [(j, i) for i, j in pairs] == common(two, one)


@pytest.mark.parametrize("limit", [3_000, 20_000, 60_000])
def test_markdown_keeps_its_limit(limit: int) -> None:
    found = difference([cnncost.analyze(f"zoo:{name}").to_dict() for name in ("resnet50", "resnet152")])
    text = markdown(found, limit=limit)
    assert len(text.encode()) <= limit
    shown = text.count("\n| added")
    assert f"{340 - shown:,} of 340 rows are left out" in text if shown < 340 else "left out" not in text
    assert text.count("<details>") == text.count("</details>") == 1
