"""The terminal's table: grouped by block, the heaviest layers marked, as wide as the terminal and no wider."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.analysis import Analysis
from cnncost.report import style
from cnncost.report.columns import BY_KEY
from cnncost.report.layout import GAP, Layout, candidates
from cnncost.report.options import Options
from cnncost.report.rows import Row, rows_of, with_headings
from cnncost.report.style import paint
from cnncost.report.summary import CONVENTIONS, heading, totals
from cnncost.report.text import finding_text, percent, shorten, wide, wrapped

MARK = "▲"  # one of the heaviest rows of a column
HEAVIEST, MOST_MARKED = 3, 5  # rows to mark; ties may make them a few more


def render(analysis: Analysis, options: Options) -> str:
    rows, note = rows_of(analysis.layers, options)
    sorted_ = options.sort is not None or options.top is not None
    if not sorted_ and any("/" in row.label for row in rows):
        rows = list(with_headings(rows))
    grid = _Grid(analysis, rows, options)
    lines = [*_heading(analysis, options), "", *grid.lines(), "", *_totals(analysis, options)]
    lines += [""] + [paint(line, style.DIM, options.color) for line in _notes(grid, note, options)]
    if analysis.findings or (options.runtime and analysis.memory.runtime.findings):
        lines += ["", *_findings(analysis, options)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


class _Grid:
    """The table's cells, column by column; each way of writing a column is made once."""

    def __init__(self, analysis: Analysis, rows: Sequence[Row], options: Options) -> None:
        self.analysis, self.rows, self.options = analysis, rows, options
        self.made: dict[tuple[str, bool], tuple[list[str], int]] = {}
        self.most: dict[str, int] = {}  # the largest row of a share column: a full bar
        self.marked = {key: self._heaviest(key) for key in ("params", "macs", "flops", "activation_bytes")}
        self.layout = self._fitting()

    def _heaviest(self, key: str) -> frozenset[int]:
        """The rows that hold the most of a column, with their ties; none where too many are alike."""
        sizes = {i: BY_KEY[key].of(row.layers) for i, row in enumerate(self.rows) if row.layers and not row.rest}
        for count in range(min(HEAVIEST, len(sizes) // 2), 0, -1):
            least = sorted(sizes.values(), reverse=True)[count - 1]
            found = frozenset(i for i, size in sizes.items() if size >= least and size)
            if len(found) <= MOST_MARKED:
                return found
        return frozenset()

    def _fitting(self) -> Layout:
        layout = Layout(())
        for layout in candidates(self.options.columns):
            if self.options.width is None and len(layout.bars) > 2:
                continue  # bars everywhere are for a wide screen, not for a file
            if self.options.width is None:
                return layout
            spare = self.options.width - sum(self.widths(layout))
            if spare >= 0:  # what is left over goes to the names
                return layout._replace(name=layout.name + spare) if layout.name else layout
        return layout

    def widths(self, layout: Layout) -> list[int]:
        """The cells that each column takes, its gap included."""
        result = []
        for place, key in enumerate(layout.keys):
            width = self.cells(key, key in layout.brief)[1]
            if key == "name" and layout.name:
                width = min(width, layout.name)
            if key in layout.bars:
                width += 1 + layout.bar
            result.append(width + (GAP if place + 1 < len(layout.keys) else 0))
        return result

    def cells(self, key: str, brief: bool) -> tuple[list[str], int]:
        """A column's texts for title, rows and total, and the widest."""
        if (key, brief) not in self.made:
            column = BY_KEY[key]
            texts = [column.title, *(self._text(key, i, row, brief) for i, row in enumerate(self.rows))]
            texts.append(self._total(key, brief))
            self.made[key, brief] = texts, max(map(wide, texts))
        return self.made[key, brief]

    def _text(self, key: str, place: int, row: Row, brief: bool) -> str:
        column = BY_KEY[key]
        if key == "name":
            return "  " * row.indent + row.label
        if not row.layers or (row.rest and not column.right and key != "kind"):
            return ""
        if column.share_of:
            part = sum(column.get(layer) for layer in row.layers)
            return percent(part, getattr(self.analysis.totals, column.share_of))
        write = column.brief if brief and column.brief else column.people
        if column.sums:
            mark = MARK if place in self.marked.get(key, ()) else " " if self.marked.get(key) else ""
            return write(column.of(row.layers)) + mark
        if key == "kind" and row.folded:
            return "" if row.rest else f"{len(row.layers):,} layers"
        return write(column.of(row.layers))

    def _total(self, key: str, brief: bool) -> str:
        column = BY_KEY[key]
        if key == "name":
            return "Total"
        if not column.sums:
            return ""
        write = column.brief if brief and column.brief else column.people
        return write(column.total(self.analysis)) + (" " if self.marked.get(key) else "")

    def lines(self) -> list[str]:
        """Title, rule, rows, rule, total."""
        color = self.options.color
        body = list(zip(*(self._column(key) for key in self.layout.keys), strict=True))
        lines = ["".join(cells) for cells in body]
        # Widths are measured without colours.
        rule = paint("─" * sum(self.widths(self.layout)), style.DIM, color)
        return [lines[0], rule, *lines[1:-1], rule, lines[-1]]

    def _column(self, key: str) -> list[str]:
        """The padded, coloured cells of one column."""
        layout, column = self.layout, BY_KEY[key]
        texts, width = self.cells(key, key in layout.brief)
        if key == "name" and layout.name and width > layout.name:
            width = layout.name
            texts = [shorten(text, width) for text in texts]
        last = key == layout.keys[-1]
        result = []
        for place, text in enumerate(texts):
            blank = " " * (width - wide(text))
            cell = blank + text if column.right else text if last else text + blank
            cell = paint(cell, self._style(key, place, text), self.options.color)
            if key in layout.bars:
                cell += " " + self._bar(key, place)
            result.append(cell + ("" if last else " " * GAP))
        return result

    def _bar(self, key: str, place: int) -> str:
        column, width = BY_KEY[key], self.layout.bar
        if not 1 <= place <= len(self.rows) or not self.rows[place - 1].layers or self.rows[place - 1].rest:
            return " " * width
        if key not in self.most:
            self.most[key] = max(sum(column.get(y) for y in row.layers) for row in self.rows if not row.rest)
        part = sum(column.get(layer) for layer in self.rows[place - 1].layers)
        drawn = style.bar(part, self.most[key], width)
        return paint(drawn, style.BAR, self.options.color)

    def _style(self, key: str, place: int, text: str) -> str:
        if place in (0, len(self.rows) + 1):
            return style.BOLD
        if text.endswith(MARK):
            return style.HEAVY
        return style.DIM if not self.rows[place - 1].layers or text.strip() in ("0", "0 B") else ""


def _wrapped(text: str, options: Options, indent: str = "") -> list[str]:
    return [text] if options.width is None else wrapped(text, options.width, indent)


def _heading(analysis: Analysis, options: Options) -> list[str]:
    pairs = dict(heading(analysis))
    model = pairs.pop("model")
    rest = " · ".join(f"{label} {text}" for label, text in pairs.items() if text)
    return [paint(model, style.BOLD, options.color), *_wrapped(rest, options)]


def _totals(analysis: Analysis, options: Options) -> list[str]:
    pairs = totals(analysis, options.runtime)
    width = max(len(label) for label, _ in pairs)
    lines = []
    for label, text in pairs:
        first, *more = _wrapped(f"{label:<{width}}  {text}", options, " " * (width + 2))
        lines += [paint(first[:width], style.BOLD, options.color) + first[width:], *more]
    return lines


def _notes(grid: _Grid, note: str, options: Options) -> list[str]:
    """How to read the table: marks, folding, conventions."""
    notes = [note] if note else []
    if any(grid.marked[key] for key in grid.marked if key in grid.layout.keys):
        notes.append(f"{MARK} the heaviest rows of a column.")
    return [line for text in (*notes, *CONVENTIONS) for line in _wrapped(text, options, "  ")]


def _findings(analysis: Analysis, options: Options) -> list[str]:
    lines = []
    for finding in (*analysis.findings, *(analysis.memory.runtime.findings if options.runtime else ())):
        code = style.SEVERITY.get(finding.severity, style.INFO)
        first, *more = _wrapped(finding_text(finding), options, "  ")
        lines += [paint(first, code, options.color), *more]
    return lines
