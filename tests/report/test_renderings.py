"""Widths, marks, hostile names, long models."""

from __future__ import annotations

import json
import re
import time
from functools import cache

import pytest

from cnncost.analysis import Analysis, analyze_graph
from cnncost.errors import CnncostError
from cnncost.findings import Finding
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds.convolution import Conv2D
from cnncost.kinds.core import InputLayer
from cnncost.report import FORMATS, Options, render
from cnncost.report.columns import COLUMNS, chosen
from cnncost.report.rows import AUTO_ROWS, rows_of, segments
from cnncost.report.text import wide

HOSTILE = "a\x1b[31m|`<img src=x onerror=alert(1)>`\n\r\t\x07\u202e=1+1 https://x.y @me $x$"


def chain(names: list[str], model: str = "chain", findings: tuple[Finding, ...] = ()) -> Analysis:
    """A model of convolutions in a row."""
    layers = [Layer("input", InputLayer(shape=(8, 8, 3)))]
    for i, name in enumerate(names):
        layers.append(Layer(name, Conv2D(filters=3 + i % 2, kernel_size=3, padding="same"), (Ref(i),)))
    return analyze_graph(Graph(model, tuple(layers), (Ref(len(names)),), source=f"{model}.yaml", findings=findings))


@cache
def long_chain(count: int) -> Analysis:
    return chain([f"stage{i // 100}/block{i // 10}/conv{i}" for i in range(count)])


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
@pytest.mark.parametrize("names", [["conv"], [f"{'very_' * 20}long/{i}" for i in range(3)], ["卷積" * 30]], ids=len)
def test_table_fits(width: int, names: list[str]) -> None:
    text = render(chain(names), "table", Options(width=width))
    assert max(map(wide, text.splitlines())) <= width


def test_wide_signs_stay_aligned() -> None:
    text = render(chain(["卷積", "conv"]), "table", Options(columns=("name", "params")))
    rows = text.split("\n\n")[1].splitlines()
    assert len({wide(row.rstrip("▲")) for row in (rows[0], rows[3], rows[4], rows[-1])}) <= 2


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_names(form: str) -> None:
    found = chain([HOSTILE], HOSTILE, (Finding("error", f"about {HOSTILE}", HOSTILE),))
    text = render(found, form, Options(color=True, width=80))
    if form == "html":  # its own scripts aside
        text = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", text, flags=re.DOTALL)
    without_colors = text
    for code in ("0", "1", "2", "1;33", "36", "1;31", "33"):
        without_colors = without_colors.replace(f"\x1b[{code}m", "")
    assert not set(without_colors) & set("\x1b\x07\r\t\u202e") or form == "json"
    if form == "json":
        assert json.loads(text)["layers"][1]["name"] == HOSTILE
        assert "\x1b" not in text
    if form == "markdown":
        assert "<img" not in text and "`" not in text.replace("\\`", "")
        row = next(line for line in text.splitlines() if "Conv2D" in line)
        header = next(line for line in text.splitlines() if line.startswith("| Layer"))
        assert row.replace("\\|", "").count("|") == header.count("|")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "|cmd"])
def test_csv_holds_no_formula(name: str) -> None:
    assert f"\n'{name}," in render(chain([name]), "csv")


def test_nothing_is_coloured_unasked() -> None:
    assert "\x1b" not in render(chain(["conv"] + [f"c{i}" for i in range(9)]), "table")


def test_colour_only_adds() -> None:
    import re

    found = chain([f"c{i}" for i in range(9)], findings=(Finding("error", "wrong", "c1"),))
    plain, painted = (render(found, "table", Options(color=c, width=100)) for c in (False, True))
    assert painted != plain
    bare = re.sub(r"\x1b\[[0-9;]*m", "", painted)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_the_heaviest_row_is_marked() -> None:
    import cnncost

    text = render(cnncost.analyze("zoo:alexnet-table"), "table", Options(columns=("name", "params")))
    marked = [line.split()[0] for line in text.splitlines() if line.endswith("▲")]
    assert marked == ["F8", "F9", "Out"]


def test_long_models_are_folded_for_eyes_only() -> None:
    found = long_chain(1500)
    shown, note = rows_of(found.layers, Options(terminal=True))
    assert len(shown) <= AUTO_ROWS and "--depth 0" in note
    assert len(rows_of(found.layers, Options(terminal=True, depth=0))[0]) == 1501
    assert len(rows_of(found.layers, Options())[0]) == 1501


def test_names_without_meaning_fold_by_the_graph() -> None:
    """A residual block is one segment; the layers of a plain chain stay apart."""
    from cnncost.sources.spec import read_dict

    body = [{"Conv2D": {"filters": 3, "kernel_size": 3, "padding": "same"}}] * 3
    graph = read_dict({"input": [8, 8, 3], "layers": [{"Conv2D": [3, 1]}, {"residual": body}, {"Conv2D": [3, 1]}]})
    rows = segments(analyze_graph(graph).layers)
    assert [len(row.layers) for row in rows] == [1, 1, 4, 1]


@pytest.mark.parametrize("form", FORMATS)
def test_forty_thousand_layers(form: str) -> None:
    """In linear time: five times the layers cost five times as much, where a quadratic step would make it 25."""

    def seconds(layers: int) -> float:
        found = long_chain(layers)
        begin = time.process_time()
        assert len(render(found, form, Options()).splitlines()) > layers
        return time.process_time() - begin

    assert seconds(40_000) < 12 * seconds(8_000) + 0.5


def test_json_is_to_dict() -> None:
    found = chain(["a", "b/c"])
    assert json.loads(render(found, "json", Options(depth=1, top=1))) == json.loads(json.dumps(found.to_dict()))


def test_every_column_renders() -> None:
    keys = tuple(column.key for column in COLUMNS)
    for form in ("table", "markdown", "csv"):
        assert render(chain(["a"]), form, Options(columns=keys))


@pytest.mark.parametrize(("text", "near"), [("mcas", "macs"), ("name,outptu", "output")])
def test_unknown_column_names_the_nearest(text: str, near: str) -> None:
    with pytest.raises(CnncostError, match=f"did you mean '{near}"):
        chosen(text)


def test_unknown_format() -> None:
    with pytest.raises(CnncostError, match="did you mean 'json'"):
        render(chain(["a"]), "jsno")


def test_sort_orders_numbers_down_and_texts_up() -> None:
    found = chain(["b", "a", "c"])
    params = [row.layers[0].params for row in rows_of(found.layers, Options(sort="params"))[0]]
    assert params == sorted(params, reverse=True)
    names = [row.label for row in rows_of(found.layers, Options(sort="name"))[0]]
    assert names == sorted(names)


def test_dataframe_sums_to_the_totals() -> None:
    pytest.importorskip("pandas")
    import cnncost

    found = cnncost.analyze("zoo:lenet5-1998")
    frame = found.to_dataframe()
    assert list(frame["name"]) == [layer.name for layer in found.layers]
    for key in ("params", "trainable_params", "macs", "flops", "activation_bytes", "weight_bytes"):
        assert frame[key].dtype.kind == "i" and frame[key].sum() == getattr(found.totals, key)


@pytest.mark.parametrize("sign", ["/", ".", "_"])
def test_depth_counts_levels_of_names(sign: str) -> None:
    found = chain([sign.join(("top", block, leaf)) for block in ("left", "right") for leaf in "ab"])
    counts = [[len(row.layers) for row in rows_of(found.layers, Options(depth=depth))[0]] for depth in (1, 2, 3)]
    assert counts == [[1, 4], [1, 2, 2], [1, 1, 1, 1, 1]]


def test_the_bar_of_the_rest_is_not_drawn() -> None:
    from cnncost.report.style import bar

    text = render(long_chain(1500), "table", Options(top=2, width=100))
    rest = next(line for line in text.splitlines() if "other layers" in line)
    assert bar(1, 1, 1) not in rest and text.count(bar(1, 1, 6)) == 2
