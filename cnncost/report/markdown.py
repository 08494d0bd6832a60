"""GitHub-flavoured Markdown: a table of the layers between what was analyzed and what it costs."""

from __future__ import annotations

from cnncost.analysis import Analysis
from cnncost.escaping import escaped
from cnncost.report.columns import BY_KEY, Column
from cnncost.report.options import Options
from cnncost.report.rows import Row, rows_of
from cnncost.report.summary import CONVENTIONS, heading, totals
from cnncost.report.text import finding_text, percent

DEFAULT = ("name", "kind", "output_shape", "params", "macs", "macs_share", "activation_bytes", "receptive_field")


def render(analysis: Analysis, options: Options) -> str:
    rows, _ = rows_of(analysis.layers, options._replace(terminal=False))
    columns = [BY_KEY[key] for key in options.columns or DEFAULT]
    pairs = dict(heading(analysis))
    model = pairs.pop("model")
    lines = [f"# {escaped(model)}", "", " · ".join(f"{label} {escaped(text)}" for label, text in pairs.items()), ""]
    lines += ["## Layers", ""]
    lines += table(rows, columns, analysis)
    figures = [[label, escaped(text)] for label, text in totals(analysis, options.runtime)]
    lines += ["", "## Totals", "", *pipes(["Figure", "Value"], figures, ["left", "left"])]
    findings = (*analysis.findings, *(analysis.memory.runtime.findings if options.runtime else ()))
    if findings:
        lines += ["", "## Findings", "", *(f"- {escaped(finding_text(finding))}" for finding in findings)]
    lines += ["", "## Conventions", "", *(f"- {escaped(line)}" for line in CONVENTIONS)]
    return "\n".join(lines) + "\n"


def table(rows: list[Row], columns: list[Column], analysis: Analysis) -> list[str]:
    """Header, rule, rows and totals row of a pipe table."""
    body = [[escaped(_cell(column, row, analysis)) for column in columns] for row in rows]
    sums = [f"**{c.people(c.total(analysis))}**" if c.sums else "" for c in columns]
    if not columns[0].sums:
        sums[0] = "**Total**"
    return pipes([c.title for c in columns], [*body, sums], ["right" if c.right else "left" for c in columns])


def pipes(titles: list[str], body: list[list[str]], align: list[str]) -> list[str]:
    """A GitHub-flavoured table."""
    from tabulate import tabulate  # a terminal's table never needs it

    return tabulate(body, titles, tablefmt="pipe", colalign=align, disable_numparse=True).splitlines()


def _cell(column: Column, row: Row, analysis: Analysis) -> str:
    if column.share_of:
        return percent(sum(column.get(y) for y in row.layers), getattr(analysis.totals, column.share_of))
    if column.sums:
        return column.people(column.of(row.layers))
    if column.key == "name":
        return row.label
    if row.folded and column.key == "kind":
        return f"{len(row.layers):,} layers"
    return "" if row.rest else column.people(column.of(row.layers))
