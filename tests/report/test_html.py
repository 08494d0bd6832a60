"""The page's text, without a browser: escaping, policy, data, totals; blocks and the network's picture."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

import cnncost
from cnncost.report.blocks import boxes
from cnncost.report.diagram import diagram, edges_of
from cnncost.report.html import render_page
from cnncost.report.html.data import step_data
from cnncost.report.html.security import digest, embedded


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
    assert max(op[3] for op in step["ops"]) == step["peak_bytes"] == resnet.memory.training_peak_bytes
    alive = sum(size for begin, end, size, _ in step["buffers"]
                if begin <= step["peak_op"] and (end is None or end > step["peak_op"]))  # fmt: skip
    assert alive <= step["peak_bytes"]


@pytest.mark.parametrize("text", ["</script>", "<!--", "\u2028", "&amp;", "]]>"])
def test_embedded_json_cannot_end_its_element(text: str) -> None:
    found = embedded({"name": text})
    assert json.loads(found) == {"name": text}
    assert not set("<>&\u2028") & set(found)


def test_a_page_of_a_step_that_is_not_simulated_says_so() -> None:
    analysis = cnncost.analyze({"input": [8, 3], "layers": [{"LSTM": {"units": 4, "stateful": True}}]})
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
