"""Errors with a place in a file, and the exit codes they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Location(NamedTuple):
    """A place in a source: ``FILE:LINE:COLUMN`` (both counted from 1), and the path of expansion that led there.

    >>> str(Location("net.yaml", 4, 7))
    'net.yaml:4:7'
    """

    file: str
    line: int | None = None
    column: int | None = None
    path: str = ""  # e.g. "layers[3] > bottleneck > conv_bn"

    def __str__(self) -> str:
        return ":".join(str(part) for part in (printable(self.file, 400), self.line, self.column) if part is not None)


class CnncostError(Exception):
    """Anything the user can mend; printed as ``FILE:LINE:COLUMN: error: what; rule; received; nearest``.

    >>> print(CnncostError("unknown layer kind 'Conv2', did you mean 'Conv2D'?", location=Location("a.yaml", 1, 2)))
    a.yaml:1:2: error: unknown layer kind 'Conv2', did you mean 'Conv2D'?
    """

    exit_code = 2

    def __init__(
        self,
        problem: str,
        *,
        rule: str = "",
        received: str = "",
        nearest: str = "",
        location: Location | None = None,
    ) -> None:
        self.problem, self.rule, self.received, self.nearest = problem, rule, received, nearest
        self.location = location
        super().__init__(problem)

    @property
    def message(self) -> str:
        """The parts in their fixed order, without the place."""
        received = f"received {self.received}" if self.received else ""
        return "; ".join(part for part in (self.problem, self.rule, received, self.nearest) if part)

    def at(self, location: Location | None) -> CnncostError:
        """The same error, placed unless it already has a place."""
        if self.location is None:
            self.location = location
        return self

    def __str__(self) -> str:
        place = f"{self.location}: " if self.location else ""
        expanded = f" (in {self.location.path})" if self.location and self.location.path else ""
        return f"{place}error: {self.message}{expanded}"


class ArgumentError(CnncostError):
    """An argument of a layer kind is wrong; ``key`` is its path, so that a source can point at the very value."""

    def __init__(
        self, problem: str, key: tuple[str | int, ...] = (), *, rule: str = "", received: str = "", nearest: str = ""
    ) -> None:
        super().__init__(problem, rule=rule, received=received, nearest=nearest)
        self.key = key


class GeometryError(CnncostError):
    """The layer cannot stand on these input shapes."""


class UnsupportedLayer(CnncostError):
    """A layer whose cost is not known: named, never counted as zero."""


class OutsideError(CnncostError):
    """Something outside failed: a missing extra, a killed child, a full disk."""

    exit_code = 3


class MissingExtra(OutsideError):
    """A command needs an optional dependency; says the exact line that installs it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} is not installed",
            rule=f"this needs the '{extra}' extra",
            nearest=f"run: pip install 'cnncost[{extra}]'",
        )


def printable(value: object, limit: int = 60) -> str:
    """A received value as one short line of printable text, however long or hostile it is.

    >>> printable("a" * 70, 10)
    'aaaaaaa...'
    >>> printable("a\\nb")
    'a\\\\nb'
    """
    if isinstance(value, bool):
        value = str(value).lower()  # as specs and JSON write it
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of about {value.bit_length() * 301 // 1000 + 1} digits"
    text = value if isinstance(value, str) else repr(value)
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: limit * 4])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def nearest(name: str, choices: Iterable[str]) -> str:
    """``did you mean 'X'?`` for the choice closest to ``name``, or an empty string.

    >>> nearest("Conv2", ["Conv2D", "Dense"])
    "did you mean 'Conv2D'?"
    """
    from difflib import get_close_matches

    known = {choice.lower(): choice for choice in choices}
    found = get_close_matches(name[:80].lower(), known, n=1, cutoff=0.6)
    return f"did you mean '{known[found[0]]}'?" if found else ""


def one_of(what: str, word: object, words: Iterable[str]) -> None:
    """Raise CnncostError unless ``word`` is one of ``words``.

    >>> one_of("executor", "graph", ("graph", "xla"))
    """
    known = tuple(words)
    if word not in known:
        raise CnncostError(
            f"unknown {what}", rule=f"it is one of {', '.join(known)}", received=printable(word),
            nearest=nearest(str(word), known),
        )  # fmt: skip
