"""CSV: raw integers for programs and spreadsheets; a text cannot become a spreadsheet's formula."""

from __future__ import annotations

import csv
import io
from typing import Any

from cnncost.analysis import Analysis
from cnncost.report.columns import BY_KEY, COLUMNS, Column
from cnncost.report.options import Options
from cnncost.report.rows import Row, rows_of

DEFAULT = tuple(c.key for c in COLUMNS if not c.share_of and c.key != "peak_bytes")
SIMULATED = tuple(c.key for c in COLUMNS if not c.share_of)


def render(analysis: Analysis, options: Options) -> str:
    """A header of column keys, then one record for each row."""
    rows, _ = rows_of(analysis.layers, options._replace(terminal=False))
    columns = [BY_KEY[key] for key in options.columns or (SIMULATED if options.runtime else DEFAULT)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([column.key for column in columns])
    for row in rows:
        writer.writerow([_cell(column, row, analysis) for column in columns])
    return out.getvalue()


def _cell(column: Column, row: Row, analysis: Analysis) -> Any:
    if column.share_of:
        whole = getattr(analysis.totals, column.share_of)
        part = sum(column.get(layer) for layer in row.layers)
        return f"{part / whole:.6f}" if whole else 0
    if column.sums:
        return column.of(row.layers)
    if column.key == "name":
        return guarded(row.label)
    if row.folded and column.key == "kind":
        return f"{len(row.layers)} layers"
    if row.rest:
        return ""
    return guarded(column.people(column.of(row.layers)))


def guarded(text: str) -> str:
    """
    >>> guarded("=HYPERLINK(1)"), guarded("conv")
    ("'=HYPERLINK(1)", 'conv')
    """
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r", "|", "%") else text
