"""A difference as a table for the terminal or as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnncost.difference import ADDED, CHANGED, MOVED, REMOVED, RENAMED, SAME, Difference, LayerRow, Row
from cnncost.escaping import escaped
from cnncost.report import style
from cnncost.report.text import bytes_text, clean, count_text, exact, shape_text, wide

SIGNS = {SAME: " ", CHANGED: "~", ADDED: "+", REMOVED: "-", MOVED: ">", RENAMED: "="}
CODES = {CHANGED: "33", ADDED: "32", REMOVED: "31", MOVED: "36", RENAMED: "36"}
LEGEND = "~ changed, + added, - removed, > reads other layers, = renamed alone"
COLUMNS = ("params", "macs", "activation_bytes", "peak_bytes")
TITLES = {"params": "Params", "macs": "MACs", "activation_bytes": "Activations", "peak_bytes": "At peak"}
HEAD = ["", "Layer", "Kind", "Output", *TITLES.values(), "What else"]
LEFT = ("", "Layer", "Kind", "Output", "Figure", "What else")  # the others stand at the right
TOLD = ("output_shape", "kind", "name", "params", "trainable_params", "macs", "flops", "activation_bytes",
        "weight_bytes")  # fmt: skip  # facts that have their own column, or follow from it
MOST_ROWS = 1000
MOST_CELL = 160  # characters of what else differs
LIMIT = 60_000  # bytes of Markdown: a comment on GitHub holds 65,536 characters


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
        return "" if row.same else "unknown"
    if not row.delta:
        return "="
    sign = "+" if row.delta > 0 else "-"
    share = f" ({row.percent:+.2f}%)" if row.percent is not None else ""
    return f"{sign}{people(name, abs(row.delta))}{share}"


def summary(found: Difference) -> str:
    """How many layers are what.

    >>> summary(Difference(("a", "b"), (), {}, (), {}))
    'no layers'
    """
    counts = {change: sum(row.change == change for row in found.layers) for change in SIGNS}
    return ", ".join(f"{count:,} {change}" for change, count in counts.items() if count) or "no layers"


def conditions(found: Difference) -> list[str]:
    """What the analyses assume and do not share, as sentences.

    >>> conditions(Difference(("a", "b"), (), {}, (), {"batch": (1, 2), "optimizer": (None, "adam")}))
    ['batch 1 → 2', 'optimizer none → adam']
    """
    return [f"{name.replace('_', ' ')} {arrow(values)}" for name, values in found.conditions.items()]


def arrow(values: Sequence[Any]) -> str:
    """Values of the models in order; equal neighbours once."""
    texts = [_value(value) for value in values]
    return " → ".join(text for i, text in enumerate(texts) if not i or text != texts[i - 1])


def _value(value: Any) -> str:
    if isinstance(value, list):
        numbers = bool(value) and all(v is None or (isinstance(v, int) and not isinstance(v, bool)) for v in value)
        texts = ", ".join(map(_value, value[:20])) + (", …" if len(value) > 20 else "")
        return shape_text(value) if numbers else f"[{texts}]" if len(value) != 1 else texts
    if isinstance(value, dict):
        return clean(str(value.get("class_name", value)), 40)
    return "none" if value is None else clean(str(value).lower() if isinstance(value, bool) else str(value), 60)


def rows_of(found: Difference, every: bool) -> list[LayerRow]:
    """The layers to show: those that differ, unless all are asked for."""
    return [row for row in found.layers if every or row.change != SAME]


def cells_of(row: LayerRow) -> list[str]:
    """Change, layer, kind and output, then the figures' differences, and what else differs."""
    there = [member for member in row.members if member is not None]
    names, kinds = ([str(member[key]) for member in there] for key in ("name", "kind"))
    shapes = [_shapes(member) for member in there]
    figures = [_figure(row, column) for column in COLUMNS]
    return [row.change, arrow(names), arrow(kinds), arrow(shapes), *figures, _else(row)]


def _shapes(member: Any) -> str:
    shapes = member.get("output_shapes") or [member.get("output_shape") or ()]
    return shape_text(shapes[0]) + (f" and {len(shapes) - 1} more" if len(shapes) > 1 else "")


def _figure(row: LayerRow, column: str) -> str:
    values = row.row(column)
    if row.change in (ADDED, REMOVED):
        value = next((v for v in values.values if v is not None), None)
        return "" if not value else f"{'+' if row.change == ADDED else '-'}{people(column, value)}"
    return "" if not values.delta else delta_text(column, values)


def _else(row: LayerRow) -> str:
    """Arguments, dtype and what it reads; where no column shows a changed fact, that fact."""
    parts = [
        f"{'reads' if name == 'inputs' else name.removeprefix('arguments.')} {arrow(values)}"
        for name, values in row.fields.items() if name not in TOLD
    ]  # fmt: skip
    figures = {name: values for name, values in row.fields.items() if name in TOLD[3:] and name not in COLUMNS}
    if not parts and not any(name in row.fields for name in (*COLUMNS, "output_shape", "kind", "name")):
        parts = [f"{name} {' → '.join(people(name, value) for value in values)}" for name, values in figures.items()]
    return clean(", ".join(parts), MOST_CELL)


def table(found: Difference, every: bool = False, color: bool = False) -> str:
    """For the terminal: totals, peak owners, then the layers that differ."""
    lines = [style.paint(" → ".join(map(clean, found.labels)), style.BOLD, color), *conditions(found), ""]
    totals = [
        [name, *(people(name, value) for value in row.values), delta_text(name, row)]
        for name, row in found.totals.items()
    ]
    lines += _aligned([["Figure", *(clean(label, 60) for label in found.labels), "Difference"], *totals])
    owners = found.owners()
    if any(owners):
        lines += ["", "Most of the simulated peak:"]
        for label, own in zip(found.labels, owners, strict=True):
            sizes = [[f"    {clean(name, 80)}", bytes_text(size)] for name, size in own]
            lines += [f"  {clean(label)}", *(_aligned([["", "size"], *sizes])[1:] if sizes else ["    not known"])]
    shown = rows_of(found, every)
    lines += ["", summary(found)]
    if shown:
        rows = [HEAD, *([SIGNS[row.change], *cells_of(row)[1:]] for row in shown[:MOST_ROWS])]
        used = [i for i, title in enumerate(HEAD) if not title or any(cells[i] for cells in rows[1:])]
        grid = _aligned([[cells[i] for i in used] for cells in rows])
        codes = ["", *(CODES.get(row.change, "") for row in shown[:MOST_ROWS])]
        lines += ["", *(style.paint(line.rstrip(), code, color) for line, code in zip(grid, codes, strict=True))]
        if len(shown) > MOST_ROWS:
            lines.append(f"and {len(shown) - MOST_ROWS:,} more; --format json has all")
        lines += ["", LEGEND]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side; all but texts stand at the right."""
    widths = [max(wide(row[i]) for row in rows) for i in range(len(rows[0]))]
    text = {i for i, title in enumerate(rows[0]) if title in LEFT}
    return [
        "  ".join(
            cell + " " * (width - wide(cell)) if i in text else " " * (width - wide(cell)) + cell
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def markdown(found: Difference, every: bool = False, limit: int = LIMIT) -> str:
    """GitHub-flavoured, at most ``limit`` bytes: rows of layers are left out, and it says how many."""
    from cnncost.report.markdown import pipes

    lines = [f"## {escaped(' → '.join(found.labels), 500)}", "", escaped(summary(found)), ""]
    lines += [f"- {escaped(text)}" for text in conditions(found)] + [""] * bool(found.conditions)
    totals = [
        [escaped(name), *(people(name, value) for value in row.values), delta_text(name, row)]
        for name, row in found.totals.items()
    ]
    titles = ["Figure", *(escaped(label, 100) for label in found.labels), "Difference"]
    lines += pipes(titles, totals, ["left", *["right"] * (len(found.labels) + 1)])
    owners = [
        f"- {escaped(label, 100)}: " + ", ".join(f"{escaped(name, 80)} {bytes_text(size)}" for name, size in own)
        for label, own in zip(found.labels, found.owners(), strict=True) if own
    ]  # fmt: skip
    lines += ["", "Most of the simulated peak:", "", *owners] if owners else []
    shown = rows_of(found, every)
    if shown:
        rows = [[escaped(cell) for cell in cells_of(row)] for row in shown[:MOST_ROWS]]
        grid = pipes(HEAD, rows, ["left"] * 4 + ["right"] * 4 + ["left"])
        differ = sum(row.change != SAME for row in shown)
        title = f"{differ:,} {'layer differs' if differ == 1 else 'layers differ'}"
        lines += ["", f"<details><summary>{title}</summary>", ""]
        room = limit - sum(len(line.encode()) + 1 for line in lines) - 200
        fit = 0
        while fit < len(grid) and (room := room - len(grid[fit].encode()) - 1) >= 0:
            fit += 1
        lines += grid[:fit] if fit > 2 else []
        left = len(shown) - max(fit - 2, 0)
        lines += ["", f"{left:,} of {len(shown):,} rows are left out for want of room."] if left else []
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"
