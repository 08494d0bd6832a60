"""A difference as a table for the terminal or as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.difference import ADDED, CHANGED, MOVED, REMOVED, SAME, Difference, LayerRow, Row
from cnncost.escaping import escaped
from cnncost.report import style
from cnncost.report.text import bytes_text, clean, count_text, exact, shape_text, wide

SIGNS = {SAME: " ", CHANGED: "~", ADDED: "+", REMOVED: "-", MOVED: ">"}
CODES = {CHANGED: "33", ADDED: "32", REMOVED: "31", MOVED: "36"}
COLUMNS = ("params", "macs", "activation_bytes", "peak_bytes")
TITLES = {"params": "Params", "macs": "MACs", "activation_bytes": "Activations", "peak_bytes": "At peak"}
MOST_ROWS = 1000
LIMIT = 60_000  # characters of Markdown: a comment on GitHub holds 65,536


def people(name: str, value: float | None) -> str:
    if value is None:
        return "unknown"
    if name.endswith("seconds"):
        return f"{1000 * value:.2f} ms"
    whole = int(value)
    return f"{bytes_text(whole)}" if name.endswith("bytes") else count_text(whole) or exact(whole)


def delta_text(name: str, row: Row) -> str:
    """
    >>> delta_text("params", Row((100, 103)))
    '+3 (+3.00%)'
    """
    if row.delta is None:
        return "unknown"
    if not row.delta:
        return "="
    sign = "+" if row.delta > 0 else "-"
    share = f" ({row.percent:+.2f}%)" if row.percent is not None else ""
    return f"{sign}{people(name, abs(row.delta))}{share}"


def summary(found: Difference) -> str:
    """How many layers are what.

    >>> summary(Difference(("a", "b"), (), {}, ()))
    'no layers'
    """
    counts = {change: sum(row.change == change for row in found.layers) for change in SIGNS}
    return ", ".join(f"{count:,} {change}" for change, count in counts.items() if count) or "no layers"


def rows_of(found: Difference, every: bool) -> list[LayerRow]:
    """The layers to show: those that differ, unless all are asked for."""
    return [row for row in found.layers if every or row.change != SAME]


def cells_of(row: LayerRow) -> list[str]:
    """Change, layer, output shapes, then the figures' differences."""
    there = [member for member in row.members if member is not None]
    names = list(dict.fromkeys(str(member["name"]) for member in there))
    shapes = list(dict.fromkeys(shape_text(member.get("output_shape") or ()) for member in there))
    kinds = list(dict.fromkeys(str(member["kind"]) for member in there))
    figures = [_figure(row, column) for column in COLUMNS]
    return [row.change, clean(" → ".join(names)), clean(" → ".join(kinds)), " → ".join(shapes), *figures]


def _figure(row: LayerRow, column: str) -> str:
    values = row.row(column)
    if row.change in (ADDED, REMOVED):
        value = next((v for v in values.values if v is not None), None)
        return "" if not value else f"{'+' if row.change == ADDED else '-'}{people(column, value)}"
    return "" if not values.delta else delta_text(column, values)


HEAD = ["", "Layer", "Kind", "Output", *TITLES.values()]


def table(found: Difference, every: bool = False, color: bool = False) -> str:
    """For the terminal: totals, peak owners, then the layers that differ."""
    lines = [style.paint(" → ".join(map(clean, found.labels)), style.BOLD, color), ""]
    totals = [
        [name, *(people(name, value) for value in row.values), delta_text(name, row)]
        for name, row in found.totals.items()
    ]
    lines += _aligned([["Figure", *map(clean, found.labels), "Difference"], *totals])
    owners = found.owners()
    if any(owners):
        lines += ["", "Most of the simulated peak:"]
        lines += [
            f"  {clean(label)}: " + ", ".join(f"{clean(name)} {bytes_text(size)}" for name, size in own)
            for label, own in zip(found.labels, owners, strict=True) if own
        ]  # fmt: skip
    shown = rows_of(found, every)
    lines += ["", summary(found)]
    if shown:
        grid = _aligned([HEAD, *([SIGNS[row.change], *cells_of(row)[1:]] for row in shown[:MOST_ROWS])])
        codes = ["", *(CODES.get(row.change, "") for row in shown[:MOST_ROWS])]
        lines += ["", *(style.paint(line, code, color) for line, code in zip(grid, codes, strict=True))]
        if len(shown) > MOST_ROWS:
            lines.append(f"and {len(shown) - MOST_ROWS:,} more; --format json has all")
        lines += ["", "~ changed, + added, - removed, > renamed or reads something else"]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side; all but texts stand at the right."""
    widths = [max(wide(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = {i for i, title in enumerate(rows[0]) if title in ("", "Layer", "Kind", "Output", "Figure")}
    return [
        "  ".join(
            cell + " " * (width - wide(cell)) if i in text else " " * (width - wide(cell)) + cell
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def markdown(found: Difference, every: bool = False, limit: int = LIMIT) -> str:
    """GitHub-flavoured, within the limit of a comment."""
    from cnncost.report.markdown import pipes

    lines = [f"## {escaped(' → '.join(found.labels))}", "", escaped(summary(found)), ""]
    totals = [
        [escaped(name), *(people(name, value) for value in row.values), delta_text(name, row)]
        for name, row in found.totals.items()
    ]
    lines += pipes(["Figure", *map(escaped, found.labels), "Difference"], totals,
                   ["left", *["right"] * (len(found.labels) + 1)])  # fmt: skip
    shown = rows_of(found, every)
    if shown:
        rows = [[escaped(cell) for cell in cells_of(row)] for row in shown]
        grid = pipes(HEAD, rows, ["left"] * 4 + ["right"] * 4)
        lines += ["", f"<details><summary>{len(shown):,} layers differ</summary>", ""]
        room = limit - sum(len(line) + 1 for line in lines) - 200
        for place, line in enumerate(grid):
            room -= len(line) + 1
            if room < 0:
                lines += ["", f"{len(grid) - place:,} more rows are left out for want of room."]
                break
            lines.append(line)
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"
