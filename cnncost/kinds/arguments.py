"""The types of a layer's arguments: each checks a raw value, and writes its own JSON Schema.

A raw value comes from a spec, a Keras config or Python. ``check`` returns the one normal form (a window argument is
always a tuple of ``rank`` integers) or raises ArgumentError with the rule. Booleans and floats are no integers here.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from cnncost.errors import ArgumentError, nearest, printable

MAX_INTEGER = 2**31 - 1  # the largest dimension or count an argument may hold


class Arg:
    """One argument's type. ``rule`` is what an error says is allowed; ``doc`` is its one-line meaning."""

    rule = "any value"
    nests = False  # the value holds layers of its own

    def __init__(self, doc: str = "", optional: bool = False) -> None:
        self.doc = doc
        self.optional = optional  # None (null) is allowed, and kept

    def check(self, value: Any, rank: int | None) -> Any:
        """The normal form of a raw value; ``rank`` is the owning kind's number of spatial axes."""
        return value

    def schema(self, rank: int | None) -> dict[str, Any]:
        """The JSON Schema of the raw value."""
        return {}

    def dump(self, value: Any) -> Any:
        """The value as plain data for a Keras config."""
        return list(value) if isinstance(value, tuple) else value

    def fail(self, value: Any, hint: str = "") -> ArgumentError:
        return ArgumentError("a wrong value", rule=f"it must be {self.rule}", received=printable(value), nearest=hint)


def arg(kind: Arg, default: Any = dataclasses.MISSING) -> Any:
    """A dataclass field whose type is ``kind``; required without a default."""
    return dataclasses.field(default=default, metadata={"arg": kind})


class Anything(Arg):
    """Kept as it is; it changes no cost (an initializer's name, say)."""


class Integer(Arg):
    """A whole number in a range."""

    def __init__(self, doc: str = "", low: int = 1, high: int = MAX_INTEGER, optional: bool = False) -> None:
        super().__init__(doc, optional)
        self.low, self.high = low, high
        bound = "a positive whole number" if low == 1 else f"a whole number of at least {low}"
        self.rule = bound + (f" and at most {high}" if high != MAX_INTEGER else f" below 2^31 = {MAX_INTEGER + 1:,}")

    def check(self, value: Any, rank: int | None) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            whole = isinstance(value, float) and value == value and abs(value) < 2**53 and value == int(value)
            raise self.fail(value, f"write {int(value)}" if whole else "")
        if not self.low <= value <= self.high:
            raise self.fail(value)
        return value

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


def each(type_: Arg, values: Any, unknown: bool = False) -> tuple[Any, ...]:
    """Check every entry of a list; an error's ``key`` tells which entry it was."""
    checked = []
    for i, value in enumerate(values):
        try:
            checked.append(None if value is None and unknown else type_.check(value, None))
        except ArgumentError as error:
            error.key = (i, *error.key)
            raise
    return tuple(checked)


class Flag(Arg):
    """true or false."""

    rule = "true or false"

    def check(self, value: Any, rank: int | None) -> bool:
        if not isinstance(value, bool):
            low = str(value).lower()[:5]
            raise self.fail(value, f"write {low}" if low in ("true", "false") else "")
        return value

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"type": "boolean"}


class Number(Arg):
    """A finite real number in a range."""

    def __init__(
        self, doc: str = "", low: float | None = None, high: float | None = None, optional: bool = False
    ) -> None:
        super().__init__(doc, optional)
        self.low, self.high = low, high
        ends = [f"at least {low}" if low is not None else "", f"at most {high}" if high is not None else ""]
        self.rule = " ".join(["a finite number", " and ".join(end for end in ends if end)]).strip()

    def check(self, value: Any, rank: int | None) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e308 or value != value:
            raise self.fail(value)
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise self.fail(value)
        return value

    def schema(self, rank: int | None) -> dict[str, Any]:
        bounds = {"minimum": self.low, "maximum": self.high}
        return {"type": "number"} | {k: v for k, v in bounds.items() if v is not None}


class Choice(Arg):
    """One word of a list; upper and lower case are the same."""

    def __init__(self, doc: str, *choices: str, optional: bool = False) -> None:
        super().__init__(doc, optional)
        self.choices = choices
        self.rule = f"one of {', '.join(choices)}"

    def check(self, value: Any, rank: int | None) -> str:
        if isinstance(value, str) and value.lower() in self.choices:
            return value.lower()
        raise self.fail(value, nearest(value, self.choices) if isinstance(value, str) else "")

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"type": "string", "enum": list(dict.fromkeys([*self.choices, *(c.upper() for c in self.choices)]))}


class Text(Arg):
    """A short text."""

    rule = "a text"

    def check(self, value: Any, rank: int | None) -> str:
        if not isinstance(value, str) or len(value) > 1000:
            raise self.fail(value)
        return value

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"type": "string", "maxLength": 1000}


class Extent(Arg):
    """One positive integer for every spatial axis, or one for all of them.

    TensorFlow's own four-element notation is taken too, with its rules: ``ksize = [1, 2, 2, 1]`` (see ``four``).
    """

    def __init__(self, doc: str = "", optional: bool = False, four: str = "", low: int = 1) -> None:
        super().__init__(doc, optional)
        self.four = four  # "pool" or "strides": which of TensorFlow's rules hold for the four-element notation
        self.low = low
        self.rule = "one positive whole number, or a list of one for each spatial axis"
        self._integer = Integer(low=low)

    def check(self, value: Any, rank: int | None) -> tuple[int, ...]:
        if not isinstance(value, list | tuple):
            return (self._integer.check(value, rank),) * (rank or 1)
        if self.four and len(value) == (rank or 1) + 2:
            return tuple(self._inner(value, rank or 1))
        if len(value) != (rank or 1):
            axes = "axis" if rank == 1 else "axes"
            raise ArgumentError(
                "a wrong number of entries",
                rule=f"there are {rank} spatial {axes}: it must be {self.rule}",
                received=printable(list(value)),
                nearest="a list of positional arguments nests its tuples: MaxPooling2D: [[3, 3], 2]" if rank else "",
            )
        return each(self._integer, value)

    def _inner(self, value: Any, rank: int) -> list[int]:
        """The spatial entries of ``[batch, rows, columns, depth]``, once TensorFlow's rules hold; all four for depth
        pooling."""
        entries = list(each(self._integer, value))
        notation = printable(entries)
        if entries[0] != 1:
            raise ArgumentError(
                "the batch entry of TensorFlow's four-element notation is not 1",
                rule="windows and strides never cross instances: the first entry must be 1",
                received=notation,
                nearest=f"write {[1, *entries[1:]]}",
            )
        if entries[-1] != 1:
            if self.four == "strides":
                rule = "a convolution's strides must be 1 in the first (batch) and last (depth) entries"
                raise ArgumentError(
                    "the depth entry of the strides is not 1", rule=rule, received=notation,
                    nearest=f"write {[*entries[:-1], 1]}",
                )  # fmt: skip
            if any(entry != 1 for entry in entries[1:-1]):
                raise ArgumentError(
                    "pooling over space and depth at once",
                    rule="either both spatial entries are 1 or the depth entry is 1",
                    received=notation,
                    nearest=f"write {[*entries[:-1], 1]} to pool over space, or {[1] * (rank + 1) + entries[-1:]} "
                    "to pool over depth",
                )
            return entries  # pooling over depth: the kind reads the last entry
        return entries[1:-1]

    def schema(self, rank: int | None) -> dict[str, Any]:
        one = self._integer.schema(rank)
        options = [one, {"type": "array", "items": one, "minItems": rank or 1, "maxItems": rank or 1}]
        if self.four:
            n = (rank or 1) + 2
            options.append({"type": "array", "items": one, "minItems": n, "maxItems": n})
        return {"anyOf": options}


class Pads(Arg):
    """Pairs (before, after) for each spatial axis; one number is symmetric on all, one per axis is symmetric on each.

    >>> Pads().check([[1, 2], 3], 2)
    ((1, 2), (3, 3))
    """

    rule = "a number, one number per spatial axis, or a (before, after) pair per spatial axis"
    _integer = Integer(low=0)

    def check(self, value: Any, rank: int | None) -> tuple[tuple[int, int], ...]:
        rank = rank or 1
        if not isinstance(value, list | tuple):
            n = self._integer.check(value, rank)
            return ((n, n),) * rank
        if rank == 1 and len(value) == 2 and not any(isinstance(v, list | tuple) for v in value):
            value = [value]
        if len(value) != rank:
            raise self.fail(value)
        return tuple(self._pair(entry) for entry in value)

    def _pair(self, entry: Any) -> tuple[int, int]:
        if not isinstance(entry, list | tuple):
            entry = [entry, entry]
        if len(entry) != 2:
            raise self.fail(entry)
        before, after = each(self._integer, entry)
        return (before, after)

    def schema(self, rank: int | None) -> dict[str, Any]:
        one = self._integer.schema(rank)
        pair = {"type": "array", "items": one, "minItems": 2, "maxItems": 2}
        n = rank or 1
        both = {"type": "array", "items": {"anyOf": [one, pair]}, "minItems": n, "maxItems": n}
        return {"anyOf": [one, both] + ([pair] if n == 1 else [])}

    def dump(self, value: Any) -> Any:
        return list(value[0]) if len(value) == 1 else [list(pair) for pair in value]


class Integers(Arg):
    """A list of whole numbers, or one number alone where ``scalar`` allows it."""

    def __init__(
        self, doc: str = "", low: int = -1, scalar: bool = False, optional: bool = False, unknown: bool = False
    ) -> None:
        super().__init__(doc, optional)
        self.low, self.scalar, self.unknown = low, scalar, unknown
        self._integer = Integer(low=low)
        self.rule = f"a list of whole numbers of at least {low}" + (", or null for an unknown one" if unknown else "")

    def check(self, value: Any, rank: int | None) -> tuple[int | None, ...]:
        if self.scalar and not isinstance(value, list | tuple):
            return (self._integer.check(value, rank),)
        if not isinstance(value, list | tuple) or len(value) > 64:
            raise self.fail(value)
        return each(self._integer, value, self.unknown)

    def schema(self, rank: int | None) -> dict[str, Any]:
        one = self._integer.schema(rank)
        item = {"anyOf": [one, {"type": "null"}]} if self.unknown else one
        many = {"type": "array", "items": item, "maxItems": 64}
        return {"anyOf": [one, many]} if self.scalar else many


class AxisOrAxes(Integers):
    """One axis or a list of axes, counted as Keras does (the batch is axis 0, -1 the last); a single one stays
    alone."""

    rule = "an axis or a list of axes"

    def __init__(self, doc: str = "", optional: bool = False) -> None:
        super().__init__(doc, low=-64, scalar=True, optional=optional)

    def check(self, value: Any, rank: int | None) -> Any:
        checked = super().check(value, rank)
        return checked if isinstance(value, list | tuple) else checked[0]
