"""The HTML report in a real Chromium: quiet, linked, readable without scripts, and deaf to hostile names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
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
    "x" * 500,
)  # fmt: skip
WAIT = 400  # milliseconds that a chart may take to draw


@pytest.fixture(scope="module")
def unet() -> str:
    analysis = cnncost.analyze("zoo:unet", mode="training", optimizer="adam", batch=2)
    limits = results_of(analysis, {"params": "1M", "macs": "900G"})
    return render_page(analysis, Extras(budgets=limits, advice=("a smaller batch",)))


def hostile() -> cnncost.Analysis:
    """A model whose name and whose layers' names are attacks; a Keras config may have any."""
    return named(HOSTILE, HOSTILE[0])


def named(names: Sequence[str], model: str = "m") -> cnncost.Analysis:
    layers: list[dict[str, Any]] = [
        {"class_name": "InputLayer", "config": {"name": "in", "batch_shape": [None, 8, 8, 3]}},
        *({"class_name": "Conv2D", "config": {"name": name, "filters": 2, "kernel_size": [3, 3], "padding": "same"}}
          for name in names),
    ]  # fmt: skip
    return cnncost.analyze({"class_name": "Sequential", "config": {"name": model, "layers": layers}})


def rows(page: Any) -> list[str]:
    found: list[str] = page.eval_on_selector_all(
        "#table tbody tr:not([hidden]) th", "cells => cells.map((cell) => cell.textContent)"
    )
    return found


def until(page: Any, holds: str) -> None:
    """Ask again and again: a poll inside the page would be an eval, which its policy forbids."""
    for _ in range(100):
        if page.evaluate(holds):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never: {holds}")


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
    until(page, "document.getElementById('matches').textContent !== ''")
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
    assert name in again.locator("#told").text_content()
    again.keyboard.press("Escape")
    assert again.locator(".chosen").count() == 0 and again.evaluate("location.hash") == ""


def chosen(page: Any) -> str:
    """The one layer that the table marks; the diagram and the address have the same."""
    name: str = page.locator("#table tr.chosen th").inner_text()
    assert page.evaluate("decodeURIComponent(location.hash)") == f"#layer={name}"
    place = page.locator("#table tr.chosen").get_attribute("data-i")
    boxes = page.eval_on_selector_all("#wired .box.chosen", "all => all.map((box) => JSON.parse(box.dataset.layers))")
    assert boxes and all(int(place) in box for box in boxes)
    return name


def name_of(page: Any, element: Any) -> str:
    name: str = page.locator(f"#row-{element.get_attribute('data-i')} th").inner_text()
    return name


def test_a_layer_is_chosen_from_every_place(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    page.wait_for_timeout(WAIT)
    area = page.locator("#treemap rect[data-i]").nth(3)
    area.click()
    assert chosen(page) == name_of(page, area)
    assert page.locator("#treemap .chosen").count() == 1 and page.locator("#key-own").is_visible()
    link = page.locator("#alive a.layer").nth(2)
    name = link.inner_text()
    link.click()
    assert chosen(page) == name
    assert name in [row.locator("td").first.inner_text() for row in page.locator("#alive tr.chosen").all()]
    page.locator("#bars").scroll_into_view_if_needed()
    box = page.locator("#bars").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.7, box["y"] + 40)
    assert chosen(page) != name
    page.evaluate("location.hash = '#layer=bottom%2Fconv2d'")
    until(page, "document.querySelector('#table tr.chosen th').textContent === 'bottom/conv2d'")
    page.locator("#chosen-how").click()
    assert page.locator("details.arithmetic[open] summary").inner_text() == "bottom/conv2d"
    assert chosen(page) == "bottom/conv2d"


def test_stepping_reaches_the_first_op_of_the_chosen_layer(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet, "#layer=bottom%2Fconv2d").page
    page.click("#step-first")
    until(page, "document.getElementById('step-name').textContent.includes('bottom/conv2d')")
    told = page.locator("#step").get_attribute("aria-valuetext")
    assert told == page.locator("#step-name").inner_text()


def test_another_figure_is_drawn(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    before = page.locator("#treemap").text_content()
    page.locator("#metric input[value=params]").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#metric input[value=params]").is_checked()
    assert page.locator("#treemap").text_content() != before


def test_every_control_is_reached_by_keyboard_and_has_a_name(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    seen = set()
    for _ in range(90):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.id || document.activeElement.className.baseVal ||"
                               " document.activeElement.tagName"))  # fmt: skip
    assert {"step", "step-back", "step-on", "layer box", "SUMMARY"} <= seen
    unnamed = page.evaluate("""[...document.querySelectorAll('button, input, a, [tabindex="0"], section, nav, table')]
        .filter((e) => !e.textContent.trim() && !e.getAttribute('aria-label') && !(e.labels || []).length)
        .map((e) => e.outerHTML)""")
    assert unnamed == []
    landmarks = page.evaluate("['header', 'nav', 'main', 'aside'].map((n) => document.querySelectorAll(n).length)")
    assert landmarks == [1, 1, 1, 1]
    assert page.locator("table:not(:has(caption))").count() == 0
    assert page.locator("#matches").evaluate("e => e.tagName") == "OUTPUT"


ODD = ("a/b c", "100%", "%41", 'say "x"', "it's", "#row-1", "é日本", "a?b&c=d+e", "__proto__", "row-1")


@pytest.mark.parametrize("name", ODD)
def test_the_address_keeps_any_name(name: str, opened: Callable[..., Any]) -> None:
    page = opened(render_page(named([name]))).page
    page.locator("#table tbody tr").nth(1).locator("td").first.click()
    address = page.evaluate("location.hash")
    again = opened(render_page(named([name])), address).page
    assert again.locator("#table tr.chosen th").inner_text() == name


@pytest.mark.parametrize("address", ["#layer=%", "#layer=none", "#row-99999", "#row-x", "#layer=", "#<img src=x>"])
def test_a_broken_address_chooses_nothing(unet: str, address: str, opened: Callable[..., Any]) -> None:
    watched = opened(unet, address)
    assert watched.quiet() and watched.page.locator(".chosen").count() == 0


def test_a_measured_run_stands_beside_the_prediction(opened: Callable[..., Any]) -> None:
    analysis = cnncost.analyze("zoo:lenet5-table")
    run = {
        "schema": "cnncost/verify/1", "mode": "inference", "batch": 1, "executor": "graph", "device": "CPU:0",
        "backend": "tensorflow", "optimizer": None, "versions": {"keras": "3"}, "ok": True,
        "peak": {"predicted_bytes": 4096, "measured_bytes": 5000, "error": -0.18},
        "step_seconds": {"median": 0.001, "low": 0.0009, "high": 0.002},
        "timeline": {"predicted": [0, 4096, 0], "measured": [0, 5000, 5000, 0]},
        "layers": [{"name": row.name, "seconds": 0.001 * i or None, "shape_ok": True, "params_ok": True}
                   for i, row in enumerate(analysis.layers)],
    }  # fmt: skip
    watched = opened(render_page(analysis, Extras(verification=run)))
    page = watched.page
    page.wait_for_timeout(WAIT)
    assert watched.quiet(), watched.complaints
    assert page.locator("#both svg path").count() > 2 and page.locator("#seconds svg").count() == 1
    box = page.locator("#seconds").bounding_box()
    page.locator("#seconds").scroll_into_view_if_needed()
    box = page.locator("#seconds").bounding_box()
    page.mouse.click(box["x"] + box["width"] - 40, box["y"] + 40)
    assert page.locator("#chosen-name").inner_text() == analysis.layers[-1].name


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
    until(page, "document.getElementById('alive-when').textContent === 'at op 1'")
    assert page.locator("#alive tbody").inner_text() != first
    page.click("#step-peak")
    until(page, "document.getElementById('alive-when').textContent === 'at the peak'")
    assert page.locator("#alive tbody").inner_text() == first


def test_hovering_a_bar_tells_the_layer(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    page.locator("#bars").scroll_into_view_if_needed()
    page.wait_for_timeout(WAIT)
    box = page.locator("#bars").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(WAIT)
    told = page.locator("#bars").text_content()
    assert any(row in told for row in rows(page)) and "MACs: " in told


def test_hovering_an_area_tells_the_layer(unet: str, opened: Callable[..., Any]) -> None:
    page = opened(unet).page
    area = page.locator("#treemap rect[data-i]").first
    area.hover()
    assert page.locator("#tip").inner_text().startswith(name_of(page, area))
    page.mouse.move(2, 2)
    assert page.locator("#tip").is_hidden()


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
    assert page.locator("#stepper").is_hidden() and page.locator("#tip").count() == 0
    page.locator("#table a.layer").nth(5).click()
    assert page.url.endswith("#row-5")


def test_a_page_of_fifteen_hundred_layers_is_quick(opened: Callable[..., Any]) -> None:
    """Bounds are wide: the machine is shared."""
    conv: Any = [{"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same"}}, "BatchNormalization", "ReLU"]
    spec = {"input": [8, 8, 4], "blocks": {"b": {"layers": conv}}, "layers": [{"b": {}} for _ in range(500)]}
    watched = opened(render_page(cnncost.analyze(spec)))
    page = watched.page
    times = page.evaluate("""async () => {
      const times = {load: performance.getEntriesByType('navigation')[0].loadEventEnd};
      const timed = async (name, work) => { const begin = performance.now(); work();
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
        times[name] = performance.now() - begin; };
      await timed('sort', () => document.querySelectorAll('#table thead button')[3].click());
      const filter = document.getElementById('filter');
      const step = document.getElementById('step');
      const set = (field, value) => { field.value = value; field.dispatchEvent(new Event('input')); };
      await timed('filter', () => set(filter, 'conv'));
      await timed('step', () => set(step, 40));
      await timed('choose', () => document.querySelector('#table tbody tr').cells[1].click());
      return times; }""")
    assert watched.quiet() and page.locator("#chosen").is_visible()
    assert times["load"] < 8000 and all(times[name] < 2000 for name in ("sort", "filter", "step", "choose")), times


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
    for control in ("#stepper", "#tools", "nav", "#metric", "#download"):
        assert page.locator(control).is_hidden()
    for box in page.locator(".tallest").all():
        assert box.evaluate("element => element.scrollHeight <= element.clientHeight + 1")
    page.wait_for_timeout(WAIT)
    assert page.locator("#timeline > div svg").get_attribute("viewBox")  # as wide as the paper


def test_hostile_names_stay_text(opened: Callable[..., Any]) -> None:
    watched = opened(render_page(hostile(), Extras(advice=HOSTILE)))
    watched.page.wait_for_timeout(WAIT)
    for area in watched.page.locator("#treemap rect[data-i]").all():
        area.hover()
    for row in range(1, len(HOSTILE) + 1):
        watched.page.locator("#table tbody tr").nth(row).locator("td").first.click()
    assert watched.quiet(), watched.complaints
    assert watched.page.locator("img, main svg[onload]").count() == 0
    assert HOSTILE[0] in watched.page.locator("h1").inner_text()
    assert HOSTILE[1] in watched.page.locator("#table").inner_text()


def test_the_policy_stops_a_script_that_gets_into_the_page(opened: Callable[..., Any]) -> None:
    """The second wall, behind the escaping; and a sign that these tests would see it fall."""
    attack = (
        "<script>alert(1)</script><img src=x: onerror=alert(2)><link rel=stylesheet href=https://example.org/a.css>"
    )
    watched = opened(render_page(named(["a"])).replace("</main>", f"{attack}</main>"))
    watched.page.wait_for_timeout(WAIT)
    assert "a dialog" not in watched.complaints and not watched.quiet()
    assert {"script-src-elem", "script-src-attr", "style-src-elem"} <= set(watched.complaints)


def test_the_page_of_a_difference(opened: Callable[..., Any]) -> None:
    one, two = (cnncost.analyze("zoo:lenet5-table", batch=n).to_dict() for n in (1, 2))
    two["layers"][1]["name"] = HOSTILE[0]
    watched = opened(render_difference(difference([one, two])))
    page = watched.page
    assert watched.quiet() and page.locator("img").count() == 0
    shown = page.locator("#table tbody tr:visible").count()
    page.check("#same")
    assert page.locator("#table tbody tr:visible").count() >= shown
