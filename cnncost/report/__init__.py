"""Renderings of an analysis: a table for the terminal, Markdown, CSV and JSON. They read, they do not compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnncost.report.options import Options

if TYPE_CHECKING:
    from cnncost.analysis import Analysis

__all__ = ["FORMATS", "Options", "render"]

FORMATS = {"table": "table", "markdown": "markdown", "csv": "csv_", "json": "json_", "html": "html"}


def render(analysis: Analysis, form: str = "table", options: Options | None = None) -> str:
    """The analysis as text, ending in a newline. Raises CnncostError for an unknown format or column."""
    from importlib import import_module

    if form not in FORMATS:
        from cnncost.errors import CnncostError, nearest, printable

        raise CnncostError(
            f"unknown format '{printable(form)}'", rule=f"it is one of {', '.join(FORMATS)}",
            nearest=nearest(str(form), FORMATS),
        )  # fmt: skip
    options = options or Options()
    if options.runtime or "peak_bytes" in (*(options.columns or ()), options.sort):
        analysis = analysis.with_peaks()
    module = import_module(f"cnncost.report.{FORMATS[form]}")
    text: str = module.render(analysis, options)
    return text
