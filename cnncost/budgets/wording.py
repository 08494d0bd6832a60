"""A result in words: what is beyond which limit and by how much, who is to blame, and how to raise it on purpose."""

from __future__ import annotations

from cnncost.budgets.evaluate import Result
from cnncost.errors import printable

NAME = 200


def subject(result: Result) -> str:
    """
    >>> subject(Result("m", "m", "layer.macs", 5, 4, "max", False, "error", layer="conv"))
    "macs of layer 'conv' of 'm'"
    """
    layer = f" of layer '{printable(result.layer, NAME)}'" if result.layer else ""
    return f"{result.metric.removeprefix('layer.')}{layer} of '{printable(result.model, NAME)}'"


def percent(share: float | None) -> str:
    """
    >>> percent(0.0254), percent(0.00001), percent(-0.5)
    ('2.5 %', '<0.1 %', '50.0 %')
    """
    if share is None:
        return ""
    return f"{abs(share):.1%}".replace("%", " %") if abs(share) >= 0.001 else "<0.1 %"


def bound_text(result: Result) -> str:
    """The limit with its sign, and for growth what it grew from."""
    sign = "≥" if result.bound == "min" else "≤"
    text = f"{sign} {result.shown(result.limit)}"
    if result.bound == "growth":
        text += f" (baseline {result.shown(result.baseline)}, growth {result.written})"
    return text


def headline(result: Result) -> str:
    """One line, without its place."""
    if result.problem is not None:
        what = f"{result.metric} of " if result.metric else ""
        return f"{what}'{printable(result.source, NAME)}' could not be checked: {result.problem}"
    beyond = "below" if result.bound == "min" else "over"
    at = result.at.text()
    held = "is within" if result.ok else "is"
    line = f"{subject(result)} {held} {result.shown(result.value)}; the limit is {bound_text(result)}"
    if not result.ok:
        share = f", {percent(result.percent)}" if result.percent is not None else ""
        line += f": {result.shown(abs(result.excess or 0))}{share} {beyond}"
    return f"{line}; at {at}" if at else line


def blame_text(result: Result) -> str:
    """The layers to blame with their parts and places; empty where there are none."""
    parts = [
        f"'{printable(part.layer, NAME)}' {result.shown(part.value)}{f' at {part.location}' if part.location else ''}"
        for part in result.blame
    ]  # fmt: skip
    if not parts:
        return ""
    return ("beyond it: " if result.layer else "most of it: ") + ", ".join(parts)


def rounded_up(value: int) -> int:
    """The next number of three digits that is no smaller: what somebody would write for a new limit.

    >>> rounded_up(25_636_712), rounded_up(999), rounded_up(25_600_000)
    (25700000, 999, 25600000)
    """
    unit = int(10 ** max(0, len(str(value)) - 3))
    return -(-value // unit) * unit


def remedy(result: Result) -> str:
    """How to raise the limit on purpose; empty where it holds."""
    if result.ok or result.problem is not None or result.value is None:
        return ""
    if result.bound == "growth":
        return "to accept it: run `cnncost baseline update` and commit the file"
    number = result.value if result.bound == "min" else rounded_up(result.value)
    place = f" at {result.location}" if result.location else ""
    return f"to allow it: write {result.bound}: {number}{place}"


def advice(result: Result) -> list[str]:
    """What stands below the headline: the reason of the limit, who is to blame, how to raise it."""
    why = f"the limit's reason: {printable(result.why, 500)}" if result.why and not result.ok else ""
    return [line for line in (why, blame_text(result), remedy(result)) if line]


def place_of(result: Result) -> tuple[str, int, int] | None:
    """(file, line, column) of the limit, from 1; None where it has no file."""
    found = result.location
    return None if found is None or not found.file else (found.file, found.line or 1, found.column or 1)
