"""The composed document: scalars, lists and mappings that know their place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, Location, printable

MAX_DEPTH = 64  # nesting of one document
MAX_STEPS = 16  # of an expansion's path, as it is printed
MAX_NODES = 2_000_000  # of a document, aliases counted as often as they are used


Mark = int  # where a node starts: line and column, both from 1, in one number that costs no memory of its own


def mark_of(line: int, column: int) -> Mark:
    """The mark of a line and column that are counted from 0."""
    return (line + 1) << 24 | (column + 1)


class Scalar:
    """A text, number, truth value or null; ``plain`` when it stood without quotes."""

    __slots__ = ("mark", "plain", "value")

    def __init__(self, value: Any, mark: Mark | None = None, plain: bool = False) -> None:
        self.value, self.mark, self.plain = value, mark, plain


class List:
    """A list of nodes."""

    __slots__ = ("mark", "value")

    def __init__(self, value: list[Node], mark: Mark | None = None) -> None:
        self.value, self.mark = value, mark


class Map:
    """A mapping from text to nodes; ``keys`` are the marks of its keys."""

    __slots__ = ("keys", "mark", "value")

    def __init__(self, value: dict[str, Node], keys: dict[str, Mark | None], mark: Mark | None = None) -> None:
        self.value, self.keys, self.mark = value, keys, mark


Node = Scalar | List | Map
Trail = tuple[Any, str] | None  # (the trail before, the last step)


def trail_text(trail: Trail) -> str:
    """
    >>> trail_text(((None, "layers[3]"), "bottleneck"))
    'layers[3] > bottleneck'
    """
    steps: list[str] = []
    while trail is not None:
        steps.append(trail[1])
        trail = trail[0]
    if len(steps) > MAX_STEPS:
        steps[MAX_STEPS // 2 : -MAX_STEPS // 2] = ["…"]
    return " > ".join(reversed(steps))


class Origin:
    """The text that nodes came from: turns a mark and a trail into a Location."""

    def __init__(self, file: str) -> None:
        self.file = file

    def location(self, mark: Mark | None, trail: Trail = None) -> Location:
        line, column = (mark >> 24, mark & 0xFFFFFF) if mark is not None else (None, None)
        return Location(self.file, line, column, trail_text(trail))

    def error(self, mark: Mark | None, problem: str, trail: Trail = None, **parts: str) -> CnncostError:
        return CnncostError(problem, location=self.location(mark, trail), **parts)


def describe(node: Node) -> str:
    """A node as an error's ``received``."""
    if isinstance(node, Scalar):
        if node.value is None or isinstance(node.value, bool):
            return "nothing" if node.value is None else str(node.value).lower()
        return printable(node.value)
    return ("a list" if isinstance(node, List) else "a mapping") if node.value else "an empty " + (
        "list" if isinstance(node, List) else "mapping"
    )  # fmt: skip


class _Converter:
    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.count = 0

    def node(self, value: Any, depth: int) -> Node:
        self.count += 1
        if depth > MAX_DEPTH:
            raise self.origin.error(None, f"the nesting is deeper than {MAX_DEPTH} levels")
        if self.count > MAX_NODES:
            raise self.origin.error(None, f"the spec has more than {MAX_NODES:,} values")
        if value is None or isinstance(value, str | bool | int | float):
            return Scalar(value)
        if isinstance(value, list | tuple):
            return List([self.node(entry, depth + 1) for entry in value])
        if isinstance(value, Mapping):
            for key in value:
                if not isinstance(key, str):
                    raise self.origin.error(None, "keys are text", received=printable(key))
            return Map({str(k): self.node(v, depth + 1) for k, v in value.items()}, dict.fromkeys(map(str, value)))
        if hasattr(value, "__index__"):
            return Scalar(value.__index__())  # a numpy integer, say
        raise self.origin.error(
            None, "a value of a type that a spec does not have", received=printable(type(value).__name__),
            rule="a spec is made of mappings, lists, text, numbers, true, false and null",
        )  # fmt: skip


def from_python(value: Any, origin: Origin) -> Node:
    """Plain Python data as nodes without places."""
    return _Converter(origin).node(value, 0)
