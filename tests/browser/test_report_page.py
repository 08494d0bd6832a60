"""The HTML report in a real Chromium: quiet, linked, readable without scripts, and deaf to hostile names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import cnncost
from cnncost.budgets.assertions import results_of
from cnncost.difference import difference
from cnncost.report.html import Extras, render_page
from cnncost.report.html.difference import render_difference

pytestmark = pytest.mark.browser
HOSTILE = (
    "</script><img src=x onerror=alert(1)>", '"><svg onload=alert(2)>', "{{7*7}} ${7*7} <%= 7 %>", "a]]>b--!>&lt;",
    "x" * 190,
)  # fmt: skip
WAIT = 400  # milliseconds that a chart may take to draw


@pytest.fixture(scope="module")
def unet() -> str:
    analysis = cnncost.analyze("zoo:unet", mode="training", optimizer="adam", batch=2)
    limits = results_of(analysis, {"params": "1M", "macs": "900G"})
    return render_page(analysis, Extras(budgets=limits, advice=("a smaller batch",)))


def hostile() -> cnncost.Analysis:
    """A model whose name and whose layers' names are attacks; a Keras config may have any."""
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 8, 8, 3]}},
        *({"class_name": "Conv2D", "config": {"name": name, "filters": 2, "kernel_size": [3, 3], "padding": "same"}}
          for name in HOSTILE),
    ]  # fmt: skip
    return cnncost.analyze({"class_name": "Sequential", "config": {"name": HOSTILE[0], "layers": layers}})


def rows(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#table tbody tr:not([hidden]) th", "cells => cells.map((cell) => cell.textContent)"
    )
    return found


def head(page: Any, title: str) -> Any:
    """The button that sorts by a column."""
    return page.locator("#table thead button").filter(has_text=re.compile(f"^{title}$"))


def test_it_asks_nothing_of_the_network_and_complains_of_nothing(unet: str, opened: Callable[..., Any]) -> None:
    watched = opened(unet)
    watched.page.wait_for_timeout(WAIT)
    assert watched.quiet(), (watched.requests, watched.complaints)
    assert len(watched.requests) == 1
    for chart in ("timeline", "bars", "treemap"):
        assert watched.page.locator(f"#{chart} svg").count() >= 1


def test_the_table_sorts_and_filters(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    before = rows(page)
    head(page, "Params").click()
    sizes = page.eval_on_selector_all("#table tbody td:nth-child(4)", "cells => cells.map((c) => Number(c.dataset.v))")
    assert sizes == sorted(sizes, reverse=True)
    assert page.locator("#table th[aria-sort=descending]").inner_text().startswith("Params")
    head(page, "Params").click()
    assert page.locator("#table th[aria-sort=ascending]").count() == 1
    head(page, "Params").click()
    assert rows(page) == before
    page.fill("#filter", "down1 conv2d")
    assert rows(page) and all("down1" in name for name in rows(page))
    assert str(len(rows(page))) in page.locator("#matches").inner_text()


def test_a_chosen_layer_is_marked_everywhere_and_kept_in_the_address(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    name = rows(page)[3]
    page.locator("#table tbody tr").nth(3).locator("td").first.click()
    assert page.locator("#table tr.chosen th").inner_text() == name
    assert page.locator("#wired .box.chosen").count() >= 1
    assert page.locator("#chosen-name").inner_text() == name
    address = page.evaluate("decodeURIComponent(location.hash)")
    assert address == f"#layer={name}"
    again = opened(unet, page.evaluate("location.hash")).page
    assert again.locator("#table tr.chosen th").inner_text() == name
    again.keyboard.press("Escape")
    assert again.locator("#table tr.chosen").count() == 0


def test_a_box_of_the_diagram_is_chosen_by_keyboard(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    box = page.locator("#wired .net a.box").nth(2)
    box.focus()
    page.keyboard.press("Enter")
    assert page.locator("#table tr.chosen").count() == 1
    assert "chosen" in (box.get_attribute("class") or "")


def test_stepping_tells_what_is_alive(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    data = json.loads(page.locator("#report-data").text_content())
    peak = data["step"]["peak_op"]
    assert page.input_value("#step") == str(peak)
    first = page.locator("#alive tbody").inner_text()
    page.locator("#step").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    assert page.input_value("#step") == str(peak - 3)
    page.fill("#step", "0")
    assert page.locator("#alive tbody").inner_text() != first
    page.click("#step-peak")
    assert page.locator("#alive tbody").inner_text() == first


def test_hovering_a_bar_tells_the_layer(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    page.locator("#bars").scroll_into_view_if_needed()
    page.wait_for_timeout(WAIT)
    box = page.locator("#bars").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(WAIT)
    told = page.locator("#bars").text_content()
    assert any(row in told for row in rows(page)) and "macs" in told


def test_the_data_are_downloaded_whole(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    with page.expect_download() as waiting:
        page.click("#download")
    saved = json.loads(waiting.value.path().read_text(encoding="utf-8"))
    assert saved == json.loads(page.locator("#report-data").text_content())
    assert waiting.value.suggested_filename == "unet.json"


def test_everything_is_told_without_scripts(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet, java_script_enabled=False).page
    text = page.locator("main").inner_text()
    analysis = cnncost.analyze("zoo:unet", mode="training", optimizer="adam", batch=2)
    for figure in (f"{analysis.totals.params:,}", f"{analysis.totals.macs:,}", "limits do not hold", "a smaller batch"):
        assert figure in text
    assert page.locator("#table tbody tr").count() == len(analysis.layers)
    assert page.locator("#timeline svg.still polygon").count() >= 2
    assert page.locator("#stepper").is_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(unet: str, opened: Callable[..., Any], scheme: str) -> None:
    """WCAG 2.1 asks for 4.5 : 1."""
    page = opened(unet, color_scheme=scheme).page
    colors = page.evaluate(
        "['--ink', '--soft', '--accent', '--good', '--bad', '--warn', '--paper', '--wash'].map((name) =>"
        " getComputedStyle(document.documentElement).getPropertyValue(name).trim())"
    )
    *inks, paper, wash = (luminance(color) for color in colors)
    for ink in inks:
        for ground in (paper, wash):
            assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.1)."""
    parts = [int(part, 16) / 255 for part in re.findall("..", color.lstrip("#"))]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("width", [390, 820, 1400])
def test_the_page_is_no_wider_than_the_screen(unet: str, opened: Callable[..., Any], width: int) -> None:
    page = opened(unet, viewport={"width": width, "height": 800}).page
    page.wait_for_timeout(WAIT)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_in_print_the_whole_table_stands_and_no_control(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    page.emulate_media(media="print")
    assert page.locator("#stepper").is_hidden() and page.locator("#tools").is_hidden()
    box = page.locator(".tallest")
    assert box.evaluate("element => element.scrollHeight <= element.clientHeight + 1")


def test_hostile_names_stay_text(opened: Callable[..., Any]) -> None:
    watched = opened(render_page(hostile()))
    watched.page.wait_for_timeout(WAIT)
    for row in range(1, len(HOSTILE) + 1):
        watched.page.locator("#table tbody tr").nth(row).locator("td").first.click()
    assert watched.quiet(), watched.complaints
    assert watched.page.locator("img, main svg[onload]").count() == 0
    assert HOSTILE[0] in watched.page.locator("h1").inner_text()
    assert HOSTILE[1] in watched.page.locator("#table").inner_text()


def test_the_page_of_a_difference(opened: Callable[..., Any]) -> None:
    one, two = (cnncost.analyze("zoo:lenet5-table", batch=n).to_dict() for n in (1, 2))
    two["layers"][1]["name"] = HOSTILE[0]
    watched = opened(render_difference(difference([one, two])))
    page = watched.page
    assert watched.quiet() and page.locator("img").count() == 0
    shown = page.locator("#table tbody tr:visible").count()
    page.check("#same")
    assert page.locator("#table tbody tr:visible").count() >= shown
