"""The page: a template, its style and scripts inline, every text escaped by the template engine."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from cnncost.errors import MissingExtra
from cnncost.report.blocks import parted
from cnncost.report.columns import BY_KEY
from cnncost.report.diagram import diagram
from cnncost.report.html.data import MOST_BLOCKS, explained, lived, page_data
from cnncost.report.html.pictures import bars, timeline
from cnncost.report.html.security import embedded, policy
from cnncost.report.html.tiles import tiles
from cnncost.report.peak import difference
from cnncost.report.summary import CONVENTIONS, heading
from cnncost.report.text import clean, finding_text
from cnncost.results import Analysis

HERE = os.path.dirname(os.path.abspath(__file__))
STYLES = ("report.css",)
SCRIPTS = ("echarts.min.js", "report.js", "frame.js", "timeline.js", "treemap.js", "charts.js", "diagram.js",
           "field.js", "table.js", "start.js")  # fmt: skip
SHOWN = ("name", "kind", "output_shape", "params", "macs", "flops", "activation_bytes", "peak_bytes", "weight_bytes",
         "receptive_field")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Extras:
    """What a page may hold beside the analysis."""

    budgets: Sequence[Any] = ()  # results of cnncost.budgets
    verification: Mapping[str, Any] | None = None
    advice: Sequence[str] = ()


def render_page(analysis: Analysis, extras: Extras | None = None) -> str:
    """The HTML text. Raises MissingExtra without the template engine."""
    extras = extras or Extras()
    analysis = analysis.with_peaks()
    data = page_data(analysis, extras.budgets, extras.verification)
    style = "\n".join(map(static, STYLES))
    scripts = [static(name) for name in SCRIPTS]
    return str(
        environment().get_template("page.html.j2").render(
            analysis=analysis, data=data, json=embedded(data), style=style, scripts=scripts,
            policy=policy(scripts, [style]), tiles=tiles(analysis), heading=heading(analysis), extras=extras,
            explained=explained(analysis), conventions=CONVENTIONS, findings=_findings(analysis),
            pictures={"timeline": timeline(data["step"]), "bars": bars(analysis), "diagram": diagram(analysis)},
            alive=_alive(analysis), why=_why(analysis), blocks=parted(analysis.layers, MOST_BLOCKS),
            shown=[BY_KEY[key] for key in SHOWN], places={row.name: place for place, row in enumerate(analysis.layers)},
            lived=lived(data["step"]),
        )
    )  # fmt: skip


def _alive(analysis: Analysis) -> Sequence[Any]:
    step: Any = analysis.memory.runtime.of(analysis.mode)
    return step.alive_at_peak if step is not None else ()


def _why(analysis: Analysis) -> list[str]:
    """Why a textbook has another figure, and what the prediction says of itself."""
    step = analysis.memory.runtime.of(analysis.mode)
    if step is None:
        return []
    text = difference(analysis, step, analysis.mode)
    return [text[:1].upper() + text[1:] + ".", *(clean(note, 2000) for note in step.notes)]


def _findings(analysis: Analysis) -> list[tuple[str, str]]:
    found = (*analysis.findings, *analysis.memory.runtime.findings)
    return [(finding.severity, finding_text(finding)) for finding in found]


@cache
def environment() -> Any:
    try:
        import jinja2
    except ImportError as error:
        raise MissingExtra("jinja2", "report") from error
    from cnncost.report import text
    from cnncost.report.columns import COLUMNS

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(os.path.join(HERE, "templates")), autoescape=True,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        clean=clean, exact=text.exact, count=text.count_text, bytes=text.bytes_text, shape=text.shape_text,
        shapes=text.shapes_text,
    )  # fmt: skip
    environment.globals.update(columns=COLUMNS, percent=text.percent)
    return environment


@cache
def static(name: str) -> str:
    with open(os.path.join(HERE, "static", name), encoding="utf-8") as stream:
        return stream.read()
