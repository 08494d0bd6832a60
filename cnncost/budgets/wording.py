"""A result in words: what is beyond which limit and by how much, who is to blame, and how to raise it on purpose."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.budgets.evaluate import Result
from cnncost.errors import printable
from cnncost.units import BINARY, COUNTS, DECIMAL

NAME = 200
_SI = ("kb", "mb", "gb", "tb", "pb")


def subject(result: Result) -> str:
    """
    >>> subject(Result("m", "m", "layer.macs", 5, 4, "max", False, "error", layer="conv"))
    "macs of layer 'conv' of 'm'"
    """
    layer = f" of layer '{printable(result.layer, NAME)}'" if result.layer else ""
    return f"{result.metric.removeprefix('layer.')}{layer} of '{printable(result.model, NAME)}'"


def percent(share: float | None) -> str:
    """
    >>> percent(0.0254), percent(0.00001), percent(-0.5), percent(1560.0), percent(0.0)
    ('2.5 %', '<0.1 %', '50.0 %', '1,560 times', '0 %')
    """
    if share is None:
        return ""
    size = abs(share)
    if size >= 10:
        return f"{size:,.0f} times"
    return f"{size:.1%}".replace("%", " %") if size >= 0.001 else "<0.1 %" if size else "0 %"


def distance(result: Result) -> str:
    """How far the value is from its limit, to which side.

    >>> distance(Result("m", "m", "params", 90, 100, "max", True, "error"))
    '10.0 % left'
    >>> distance(Result("m", "m", "params", 600, 100, "min", True, "error"))
    '500.0 % above'
    """
    if result.excess is None:
        return ""
    if result.excess == 0:
        return "exactly"
    inside, outside = ("above", "below") if result.bound == "min" else ("left", "over")
    side = inside if result.ok else outside
    return f"{percent(result.percent)} {side}" if result.percent is not None else side


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
        return f"{what}'{printable(result.source, NAME)}' could not be checked: {printable(result.problem, 2000)}"
    at = result.at.text()
    said = "within the limit" if result.ok else "the limit is"
    line = f"{subject(result)} is {result.shown(result.value)}; {said} {bound_text(result)}"
    if not result.ok:
        line += f": {result.shown(abs(result.excess or 0))}, {distance(result)}"
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


def amount_text(value: int, unit: str, written: str = "") -> str:
    """A limit that ``value`` holds, as people write one: three digits, rounded up, in the units of what was written.

    >>> amount_text(1_900_000, "bytes"), amount_text(1_900_000, "bytes", "1.5 MB"), amount_text(512, "bytes", "8")
    ('1.82 MiB', '1.90 MB', '512')
    >>> amount_text(25_636_712, "count", "25M"), amount_text(25_636_712, "count"), amount_text(1023 * 1024 + 1, "bytes")
    ('25.7M', '25700000', '1.00 MiB')
    """
    if unit != "bytes" and not written.strip()[-1:].isalpha():
        return str(rounded_up(value))
    units = COUNTS if unit != "bytes" else DECIMAL if written.lower().endswith(_SI) else BINARY
    step = 1024 if units is BINARY else 1000
    found = max((size for size in units.values() if size <= max(value, 1)), default=1)
    if found == 1:
        return str(value)
    digits = 3 - len(str(value // found))
    scaled = -(-value * 10 ** max(digits, 0) // found)
    digits = max(digits, 0)
    if scaled >= step * 10**digits and found * step in units.values():
        found, digits, scaled = found * step, 2, 100
    name = next((name for name, size in units.items() if size == found), "")
    whole, rest = divmod(scaled, 10**digits)
    text = f"{whole}.{rest:0{digits}d}" if digits else str(whole)
    return f"{text} {name}" if unit == "bytes" else f"{text}{name}"


def remedy(result: Result) -> str:
    """How to raise the limit on purpose; empty where it holds."""
    if result.ok or result.problem is not None or result.value is None:
        return ""
    if result.bound == "growth":
        return "to accept it: run `cnncost baseline update` and commit the file"
    number = str(result.value) if result.bound == "min" else amount_text(result.value, result.unit, result.written)
    place = f" at {result.location}" if result.location else f" as its {result.bound}"
    return f"to allow it: write {number}{place}"


def advice(result: Result) -> list[str]:
    """What stands below the headline: the reason of the limit, who is to blame, how to raise it."""
    why = f"the limit's reason: {printable(result.why, 500)}" if result.why and not result.ok else ""
    note = result.note if not result.ok else ""
    return [line for line in (why, blame_text(result), note, remedy(result)) if line]


def notes(results: Sequence[Result]) -> list[str]:
    """What else there is to know of the results, each once."""
    return list(dict.fromkeys(result.note for result in results if result.note))


def failures(results: Sequence[Result]) -> list[Result]:
    """What does not hold; that a model cannot be read is said once for all its limits."""
    found: dict[object, Result] = {}
    for number, result in enumerate(results):
        if not result.ok:
            own = (result.source, result.problem, result.location) if result.problem else number
            found.setdefault(own, result)
    return list(found.values())


def place_of(result: Result) -> tuple[str, int, int] | None:
    """(file, line, column) of the limit, from 1; None where it has no file."""
    found = result.location
    return None if found is None or not found.file else (found.file, found.line or 1, found.column or 1)
