"""The example reports in ``reports/`` are what the program writes today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

REPORTS = Path(__file__).resolve().parents[2] / "reports"
_spec = importlib.util.spec_from_file_location("generate", REPORTS / "generate.py")
assert _spec and _spec.loader
generate = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate)
RUN = "run: python reports/generate.py"
MOST = 6 * 2**20  # bytes of all that is generated


def pictures(name: str) -> list[Path]:
    return sorted((REPORTS / f"{name}_files").iterdir())


@pytest.mark.parametrize("name", list(generate.REPORTS))
def test_report_is_current(name: str) -> None:
    on_disk = (REPORTS / f"{name}.md").read_text(encoding="utf-8")
    shown = tuple(re.findall(rf"\]\({name}_files/([a-z]+)\.svg\)", on_disk))
    assert {f"{kind}.svg" for kind in shown} == {path.name for path in pictures(name)}
    assert {"timeline", "layers"} <= set(shown)
    assert on_disk == generate.markdown(name, shown), RUN


def said(svg: str) -> set[str]:
    """The words of a picture; numbers at its axes are matplotlib's choice."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    return {text for text in texts if re.search("[A-Za-z]{2}", text)}


@pytest.mark.parametrize("name", list(generate.REPORTS))
def test_pictures_are_current(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from cnncost.report.plots import save

    analysis = generate.analysis(name)
    for path in pictures(name):
        save(path.stem, analysis, str(tmp_path / path.name))
        words = said(path.read_text(encoding="utf-8"))
        assert words, path
        assert words == said((tmp_path / path.name).read_text(encoding="utf-8")), RUN


def content(page: str) -> str:
    """A page without its style and scripts, and without their digests; its data stays."""
    page = re.sub(r"<style>.*?</style>|<script>.*?</script>", "", page, flags=re.DOTALL)
    return re.sub(r"sha256-[A-Za-z0-9+/=]*", "", page)


@pytest.mark.parametrize("name", [name for name, report in generate.REPORTS.items() if report.html])
def test_page_is_current(name: str) -> None:
    pytest.importorskip("jinja2")
    on_disk = content((REPORTS / f"{name}.html").read_text(encoding="utf-8"))
    assert '"schema":"cnncost/report/1"' in on_disk
    assert on_disk == content(generate.html(name)), RUN


def test_every_report_has_a_source() -> None:
    assert all((REPORTS / f"{name}.py").is_file() for name in generate.MEASURED)
    names = {path.stem for path in REPORTS.glob("*.md")}
    assert names - set(generate.MEASURED) - {"README"} == set(generate.REPORTS)
    assert {path.stem for path in REPORTS.glob("*.html")} == {n for n, r in generate.REPORTS.items() if r.html}
    assert (REPORTS / "README.md").read_text(encoding="utf-8") == generate.index(), RUN


def test_reports_are_of_any_day_and_machine() -> None:
    """No date, no path of a machine; small enough to be kept."""
    names = [f"{name}{end}" for name in generate.REPORTS for end in (".md", ".html", "_files/*.svg")]
    files = [path for name in names for path in REPORTS.glob(name)]
    assert sum(path.stat().st_size for path in files) < MOST
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert str(REPORTS.parent) not in text, path
        assert "<dc:date>" not in text, path
