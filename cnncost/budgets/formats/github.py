"""Workflow commands of GitHub Actions: an annotation at the limit, and one at the layer to blame.

GitHub shows ten annotations of each level in a step and drops the others, so the tenth says how many there are more.
Source: the documentation of workflow commands (``::error file=…,line=…,col=…,title=…::message``; ``%``, CR and LF are
escaped in a message, ``:`` and ``,`` also in a property).
"""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed, summary
from cnncost.budgets.wording import advice, failures, headline, notes, place_of
from cnncost.errors import printable

MOST = 10


def render(results: Sequence[Result], strict: bool = False, color: bool = False) -> str:
    lines: list[str] = []
    for level in ("error", "warning"):
        own = [
            result for result in failures(results)
            if level == ("warning" if passed(result, strict) else "error")
        ]  # fmt: skip
        shown = own if len(own) <= MOST else own[: MOST - 1]
        lines += [_annotation(level, result) for result in shown]
        if len(shown) < len(own):
            lines.append(f"::{level} title=cnncost::{len(own) - len(shown):,} more limits do not hold; the log has all")
    lines += [f"::notice title=cnncost::{_data(note)}" for note in notes(results)[:MOST]]
    return "\n".join([*lines, _data(summary(results, strict))]) + "\n"


def _annotation(level: str, result: Result) -> str:
    place = place_of(result)  # of a name with control characters the printable form: no annotation, and a clean log
    parts = {"title": f"cnncost: {result.metric or 'a model'}"}
    if place:
        parts = {"file": printable(place[0], 1000), "line": str(place[1]), "col": str(place[2]), **parts}
    properties = ",".join(f"{name}={_property(value)}" for name, value in parts.items())
    return f"::{level} {properties}::{_data(chr(10).join([headline(result), *advice(result)]))}"


def _data(text: str) -> str:
    """
    >>> _data("50%" + chr(10) + "more")
    '50%25%0Amore'
    """
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """
    >>> _property("a:b,c")
    'a%3Ab%2Cc'
    """
    return _data(text).replace(":", "%3A").replace(",", "%2C")
