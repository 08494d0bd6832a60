"""GitHub-flavoured Markdown for a pull request or a job summary: what fails first, the rest folded."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed, summary
from cnncost.budgets.wording import advice, bound_text, headline, percent
from cnncost.escaping import escaped

LIMIT = 65_000  # characters: a comment on GitHub holds 65,536
TITLES = "| | model | figure | value | limit | excess | at |\n|:--|:--|:--|--:|--:|--:|:--|"


def render(results: Sequence[Result], strict: bool = False, color: bool = False, limit: int = LIMIT) -> str:
    bad = [result for result in results if not result.ok]
    failed = any(not passed(result, strict) for result in results)
    lines = [f"## {'❌' if failed or not results else '✅'} Budgets: {escaped(summary(results, strict))}", ""]
    for result in bad[:50]:
        lines += [f"- **{'error' if not passed(result, strict) else 'warning'}** {_place(result)}"
                  f"{escaped(headline(result))}"]  # fmt: skip
        lines += [f"  - {escaped(line)}" for line in advice(result)]
    if len(bad) > 50:
        lines.append(f"- {len(bad) - 50:,} more do not hold")
    lines += [""] if bad else []
    lines += ["<details><summary>Every limit</summary>", "", *TITLES.splitlines()]
    end = ["", "</details>"]
    room = limit - sum(len(line) + 1 for line in (*lines, *end)) - 100
    shown = 0
    for result in (*bad, *(result for result in results if result.ok)):
        row = _row(result, strict)
        if len(row) + 1 > room:
            break
        lines.append(row)
        room -= len(row) + 1
        shown += 1
    if shown < len(results):
        lines += ["", f"{len(results) - shown:,} of {len(results):,} rows are left out for want of room."]
    return "\n".join([*lines, *end]) + "\n"


def _place(result: Result) -> str:
    return f"`{escaped(str(result.location))}`: " if result.location else ""


def _row(result: Result, strict: bool) -> str:
    mark = "✅" if result.ok else "⚠️" if passed(result, strict) else "❌"
    figure = f"{result.metric}{f' of {result.layer}' if result.layer else ''}"
    limit = bound_text(result) if result.limit is not None else ""
    over = percent(result.percent) if not result.ok else ""
    cells = [mark, result.model, figure, result.shown(result.value), limit, over, result.at.text()]
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"
