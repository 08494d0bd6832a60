"""The page's text, without a browser: escaping, policy, data, totals; blocks and the network's picture."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies

import cnncost
from cnncost.report.blocks import boxes
from cnncost.report.diagram import _apart, diagram, edges_of, picture
from cnncost.report.html import render_page
from cnncost.report.html.data import live_bytes, step_data
from cnncost.report.html.security import digest, embedded
from cnncost.report.rows import segments
from cnncost.thinning import highest


class Page(HTMLParser):
    """Elements with their attributes and texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))

    def handle_data(self, data: str) -> None:
        if self.found:
            self.found[-1][2].append(data)

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        return [(attrs, "".join(parts)) for name, attrs, parts in self.found if name == tag]


@pytest.fixture(scope="module")
def resnet() -> cnncost.Analysis:
    return cnncost.analyze("zoo:resnet50", mode="training", optimizer="adam", batch=2)


@pytest.fixture(scope="module")
def text(resnet: cnncost.Analysis) -> str:
    return render_page(resnet)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_the_policy_names_every_inline_script_and_style_and_nothing_else(text: str, page: Page) -> None:
    policy = next(attrs["content"] or "" for attrs, _ in page.all("meta") if "http-equiv" in attrs)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    assert re.findall(r"'sha256-[^']+'", policy) == [*map(digest, scripts), *map(digest, styles)]
    assert policy.startswith("default-src 'none'; ") and "http" not in policy
    assert all("src" not in attrs for attrs, _ in page.all("script")) and not page.all("link")


def test_every_layer_and_every_total_stands_in_the_page(resnet: cnncost.Analysis, page: Page) -> None:
    rows = [attrs for attrs, _ in page.all("tr") if str(attrs.get("id", "")).startswith("row-")]
    assert len(rows) == len(resnet.layers)
    sums = [int(attrs["data-v"] or 0) for attrs, _ in page.all("td") if "data-v" in attrs]
    per_row = len(sums) // len(rows)
    columns = [sum(sums[i::per_row]) for i in range(per_row)]
    totals = resnet.totals
    assert columns[:3] == [totals.params, totals.macs, totals.flops]


def test_the_data_are_the_analysis(resnet: cnncost.Analysis, page: Page) -> None:
    (text,) = [text for attrs, text in page.all("script") if attrs.get("type") == "application/json"]
    data = json.loads(text)
    plain = resnet.to_dict()
    assert data["analysis"]["totals"] == plain["totals"] and data["analysis"]["layers"] == plain["layers"]


def test_the_step_of_the_page_reaches_the_peak(resnet: cnncost.Analysis) -> None:
    step = step_data(resnet)
    assert step is not None
    live = [sum(values) for values in zip(*live_bytes(step), strict=True)]
    assert max(live) == live[step["peak_op"]] == step["peak_bytes"] == resnet.memory.training_peak_bytes


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize("executor", ["graph", "eager"])
@pytest.mark.parametrize("name", ["unet", "googlenet", "mobilenet-v2"])
def test_buffers_of_the_page_sum_to_the_live_bytes_of_every_op(name: str, executor: str, mode: str) -> None:
    optimizer = "adam" if mode == "training" else None
    analysis = cnncost.analyze(f"zoo:{name}", mode=mode, optimizer=optimizer, executor=executor)
    prediction: Any = analysis.memory.runtime.of(mode)
    step = step_data(analysis)
    assert step is not None
    live = [sum(values) for values in zip(*live_bytes(step), strict=True)]
    assert live == [live for *_, live in prediction.timeline()]
    ops = [(op.layer, op.type, op.phase) for op, *_ in prediction.timeline()]
    told = [("" if row < 0 else analysis.layers[row].name, step["types"][kind], step["phases"][phase])
            for row, kind, phase in zip(*step["ops"].values(), strict=True)]  # fmt: skip
    assert told == ops
    by_category = [values[step["peak_op"]] for values in live_bytes(step)]
    assert dict(zip(step["categories"], by_category, strict=True)) == prediction.by_category()


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() | strategies.text(),
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(strategies.text(), inner, max_size=4),
    max_leaves=10,
))  # fmt: skip
@example("</script>")
@example("<!--<script>")
@example("\u2028\u2029 &amp; ]]> \ud800")
def test_embedded_json_cannot_end_its_element(value: Any) -> None:
    found = embedded(value)
    found.encode("utf-8")
    assert json.loads(found) == value
    assert found.isascii() and found.isprintable() and not set("<>&") & set(found)


@given(strategies.lists(strategies.integers(0, 10**12), min_size=1, max_size=400), strategies.integers(1, 50))
def test_a_thinned_line_keeps_its_order_and_its_peak(values: list[int], cells: int) -> None:
    found = highest(values, cells)
    assert found == sorted(set(found)) and len(found) == min(cells, len(values))
    assert max(values) in [values[place] for place in found]


@given(strategies.lists(strategies.floats(0, 900), min_size=1, max_size=6).map(sorted))
def test_boxes_of_a_rank_stand_apart_and_inside(wishes: list[float]) -> None:
    found = _apart(wishes, 150, 0, 900)
    assert all(b - a >= 150 - 1e-6 for a, b in pairwise(found))
    assert found[0] >= -1e-6 and found[-1] <= 900 + 1e-6


def test_a_page_of_a_step_that_is_not_simulated_says_so() -> None:
    analysis = cnncost.analyze({"input": [8, 8, 3], "layers": [{"Conv2D": [4, 3]}]}, mode="training", dtype="int8")
    text = render_page(analysis)
    assert "The simulation does not know this step" in text and "is not known" in text


@pytest.mark.parametrize("name", ["resnet152", "googlenet", "densenet121", "lenet5-table", "unet"])
def test_boxes_hold_every_layer_once(name: str) -> None:
    layers = cnncost.analyze(f"zoo:{name}").layers
    found = boxes(layers)
    assert sorted(place for box in found for place in box.places) == list(range(len(layers)))
    assert all(len(box.places) == box.times * len(box.first) for box in found)
    assert len(found) <= 48


def test_repeats_are_told_once_with_their_number() -> None:
    conv: Any = [{"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same"}}, "ReLU"]
    spec = {
        "input": [8, 8, 4],
        "blocks": {"b": {"layers": conv}},
        "layers": [*({"b": {}} for _ in range(30)), "Flatten"],
    }
    found = boxes(cnncost.analyze(spec).layers, 10)
    assert [box.times for box in found] == [1, 30, 1]


def test_edges_join_what_reads_to_what_is_read() -> None:
    layers = cnncost.analyze("zoo:unet").layers
    found = boxes(layers, 1000)
    pairs = {(found[e.begin].label, found[e.end].label) for e in edges_of(found, layers)}
    assert pairs == {(source, row.name) for row in layers for source in row.inputs}


def test_a_hostile_name_is_escaped_in_the_picture() -> None:
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 4]}},
        {"class_name": "Dense", "config": {"name": '"><svg onload=x>', "units": 2}},
    ]}}  # fmt: skip
    assert "<svg onload" not in diagram(cnncost.analyze(config))


@pytest.mark.parametrize("name", ["unet", "googlenet", "inception-v3", "densenet121"])
def test_boxes_of_the_picture_do_not_overlap_and_lie_inside(name: str) -> None:
    layers = cnncost.analyze(f"zoo:{name}").layers
    for found in (boxes(layers), boxes(layers, 90)):
        svg = picture(found, layers, name)
        frame = re.search(r'viewBox="0 0 (\d+) (\d+)"', svg)
        assert frame is not None
        wide, high = map(int, frame.groups())
        rects = [tuple(map(int, part)) for part in re.findall(
            r'<rect x="(-?\d+)" y="(-?\d+)" width="(\d+)" height="(\d+)"', svg)]  # fmt: skip
        assert len(rects) == len(found)
        assert all(x >= 0 and x + w <= wide and y >= 0 and y + h <= high for x, y, w, h in rects)
        assert not any(a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
                       for a, b in combinations(rects, 2))  # fmt: skip


def test_a_layer_is_linked_by_its_place_wherever_it_stands(resnet: cnncost.Analysis, page: Page) -> None:
    links = [(attrs["href"], attrs["data-i"]) for attrs, _ in page.all("a") if "layer" in (attrs.get("class") or "")]
    assert {f"#row-{i}" for i in range(len(resnet.layers))} <= {href for href, _ in links}
    assert all(href == f"#row-{i}" for href, i in links)
    ids = [attrs["id"] for tag, attrs, _ in page.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    local = {(attrs["href"] or "")[1:] for attrs, _ in page.all("a")}
    assert local <= set(ids)


def test_a_page_of_fifteen_hundred_layers_is_of_a_sensible_size() -> None:
    conv: Any = [{"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same"}}, "BatchNormalization", "ReLU"]
    spec = {"input": [8, 8, 4], "blocks": {"b": {"layers": conv}}, "layers": [{"b": {}} for _ in range(500)]}
    text = render_page(cnncost.analyze(spec))
    assert len(text.encode()) < 8 * 2**20


def test_a_part_of_a_model_is_folded_by_its_own_graph() -> None:
    """Names without levels, as Keras's NASNet has them: the graph has the blocks, of a part too."""
    layers: list[Any] = ["ReLU"]
    for i in range(70):
        layers.append({"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same", "name": f"conv_{i}"}})
        layers.append({"Conv2D": {"filters": 4, "kernel_size": 1 + i % 3, "padding": "same", "name": f"wide_{i}"}})
        layers.append({"Add": {"name": f"sum_{i}"}, "inputs": [f"conv_{i}", f"wide_{i}"]})
    rows = cnncost.analyze({"input": [8, 8, 4], "layers": layers}).layers
    part = rows[100:]
    for limit in (1, 5, 20, 60):
        found = boxes(part, limit)
        assert sorted(place for box in found for place in box.places) == list(range(len(part)))
    whole, part_of_it = segments(rows), segments(part)
    assert [row.label for row in whole][-10:] == [row.label for row in part_of_it][-10:]
