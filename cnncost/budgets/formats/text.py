"""For people: a line for each limit, and below each that does not hold who is to blame and how to raise it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed, summary
from cnncost.budgets.wording import NAME, advice, bound_text, distance, failures, headline, notes
from cnncost.errors import printable

GOOD, WARN, BAD, BOLD, DIM = "32", "33", "1;31", "1", "2"


def render(results: Sequence[Result], strict: bool = False, color: bool = False) -> str:
    lines = []
    for source, group in groupby(results, key=lambda result: result.source):
        own = list(group)
        model = next((result.model for result in own if result.problem is None), source)
        name = f"  ({printable(model, NAME)})" if model not in (source, "") else ""
        lines.append(_paint(printable(source, NAME), BOLD, color) + name)
        lines += _table(own, strict, color)
    for result in failures(results):
        place = f"{result.location}: " if result.location else ""
        word = "error" if not passed(result, strict) else "warning"
        lines += ["", f"{place}{_paint(word, BAD if word == 'error' else WARN, color)}: {headline(result)}"]
        lines += [f"  {line}" for line in advice(result)]
    said = notes(results)
    lines += ["", *(f"info: {note}" for note in said)] if said else []
    return "\n".join([*lines, *([""] if lines else []), summary(results, strict)]) + "\n"


def _table(results: Sequence[Result], strict: bool, color: bool) -> list[str]:
    """A line for each limit: its mark, figure, value, limit and how far from it."""
    rows = [
        (_figure(result), result.shown(result.value), bound_text(result) if result.limit is not None else "",
         distance(result), result.at.text())
        for result in results
    ]  # fmt: skip
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    lines = []
    for result, row in zip(results, rows, strict=True):
        mark, code = _mark(result, strict)
        cells = [f"{row[0]:<{widths[0]}}", f"{row[1]:>{widths[1]}}", f"{row[2]:<{widths[2]}}", f"{row[3]:>{widths[3]}}"]
        lines.append(f"  {_paint(mark, code, color)}  {'  '.join(cells)}  {_paint(row[4], DIM, color)}".rstrip())
    return lines


def _figure(result: Result) -> str:
    layer = f" ({printable(result.layer, 40)})" if result.layer else ""
    return f"{result.metric or 'the model'}{layer}"


def _mark(result: Result, strict: bool) -> tuple[str, str]:
    if result.ok:
        return "ok  ", GOOD
    if result.problem is not None:
        return "????", BAD
    return ("warn", WARN) if passed(result, strict) else ("FAIL", BAD)


def _paint(text: str, code: str, color: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if color and text else text
