"""GitHub-flavoured Markdown for a pull request or a job summary: what fails first, the rest folded."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed, summary
from cnncost.budgets.wording import advice, bound_text, distance, failures, headline, notes
from cnncost.escaping import escaped

LIMIT = 65_000  # bytes: a comment on GitHub holds 65,536 characters
SUMMARY = 1_000_000  # a job's summary holds 1 MiB
MOST = 50  # failures in words
TITLES = "| | model | figure | value | limit | distance | at |\n|:--|:--|:--|--:|--:|--:|:--|"
END = ["", "</details>"]


def render(results: Sequence[Result], strict: bool = False, color: bool = False, limit: int = LIMIT) -> str:
    failed = any(not passed(result, strict) for result in results)
    room = _Room(limit - 400)  # 400 bytes: what is said of what was left out, and the end
    room.add([f"## {'❌' if failed or not results else '✅'} Budgets: {escaped(summary(results, strict))}", ""])
    told = failures(results)
    half = _Room(room.left // 2)  # the table has the other half
    shown = sum(half.add(_told(result, strict)) for result in told[:MOST])
    room.add(half.lines)
    if len(told) > shown:
        room.add([f"- {len(told) - shown:,} more do not hold"])
    room.add([f"- {escaped(note)}" for note in notes(results)[:MOST]])
    room.add([*([""] if told else []), "<details><summary>Every limit</summary>", "", *TITLES.splitlines()])
    ordered = (*(result for result in results if not result.ok), *(result for result in results if result.ok))
    rows = 0
    for result in ordered:
        if not room.add([_row(result, strict)]):
            break
        rows += 1
    lines = room.lines
    if rows < len(results):
        lines += ["", f"{len(results) - rows:,} of {len(results):,} rows are left out for want of room."]
    return "\n".join([*lines, *END]) + "\n"


class _Room:
    """Lines up to a number of bytes."""

    def __init__(self, left: int) -> None:
        self.left, self.lines = left, list[str]()

    def add(self, lines: Sequence[str]) -> bool:
        """Take all of the lines, or none where they do not fit."""
        size = sum(len(line.encode("utf-8", "backslashreplace")) + 1 for line in lines)
        if size > self.left:
            self.left = -1  # nothing after a gap
            return False
        self.left -= size
        self.lines += lines
        return True


def _told(result: Result, strict: bool) -> list[str]:
    word = "error" if not passed(result, strict) else "warning"
    place = f"{escaped(str(result.location))}: " if result.location else ""
    return [f"- **{word}** {place}{escaped(headline(result))}", *(f"  - {escaped(line)}" for line in advice(result))]


def _row(result: Result, strict: bool) -> str:
    mark = "✅" if result.ok else "⚠️" if passed(result, strict) else "❌"
    figure = f"{result.metric or 'the model'}{f' of {result.layer}' if result.layer else ''}"
    limit = bound_text(result) if result.limit is not None else ""
    cells = [mark, result.model, figure, result.shown(result.value), limit, distance(result), result.at.text()]
    return "| " + " | ".join(escaped(cell, 300) for cell in cells) + " |"
