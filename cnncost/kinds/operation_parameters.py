"""The parameters of an operation. One that is no number where one belongs is an ArgumentError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import ArgumentError, GeometryError, printable
from cnncost.kinds.arguments import MAX_INTEGER
from cnncost.tensor import Shape, shape_text

Parameters = Mapping[str, Any]
BATCH = -1  # the batch axis's size in a shape; every other size is positive or unknown
MAX_PARTS = 10_000  # outputs of one operation


def text(shape: Shape) -> str:
    return shape_text(shape[1:] if shape and shape[0] == BATCH else shape)


def wrong(name: str, problem: str, value: Any) -> ArgumentError:
    return ArgumentError(problem, (name,), received=printable(value))


def integer(p: Parameters, name: str, default: int | None = None) -> int:
    """A whole number among the parameters."""
    return whole(p.get(name, default), name)


def whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
        raise wrong(name, f"{name} must be a whole number", value)
    return value


def integers(p: Parameters, name: str) -> list[int]:
    """A list of whole numbers, or one of them."""
    value = p.get(name)
    if not isinstance(value, list | tuple):
        value = [value]
    if len(value) > MAX_PARTS:
        raise wrong(name, f"{name} is too long", len(value))
    return [whole(v, name) for v in value]


def axis_of(value: int, rank: int) -> int:
    """An axis counted from 0."""
    if not -rank <= value < rank:
        raise GeometryError(f"axis {value} of a tensor of {rank} axes", rule="the batch is axis 0, -1 the last")
    return value % rank


def resolved_axes(p: Parameters, rank: int) -> tuple[int, ...]:
    """The axes that ``axis`` names; all of them where it names none."""
    if p.get("axis") is None:
        return tuple(range(rank))
    return tuple(axis_of(a, rank) for a in integers(p, "axis"))
