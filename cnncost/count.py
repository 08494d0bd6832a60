"""A count that carries its derivation: ``int()`` is the number, ``str()`` the arithmetic that ``explain`` prints."""

from __future__ import annotations

from collections.abc import Iterable

from cnncost.errors import CnncostError
from cnncost.tensor import Dim

_ATOM, _TIGHT, _PRODUCT, _SUM = range(4)


class Count:
    """A non-negative integer and how it came about. Unknown (None) as soon as a part is.

    >>> neurons = times(150, 100, 200)
    >>> macs = times(150, 100, 200, 75)
    >>> macs.derivation()
    '150 × 100 × 200 × 75 = 225,000,000'
    >>> params = times(plus(tight(5, 5, 3), 1), 200)
    >>> params.derivation()
    '(5×5×3 + 1) × 200 = 15,200'
    """

    __slots__ = ("_level", "_parts", "label", "value")

    def __init__(self, value: Dim, parts: tuple[Count, ...] = (), level: int = _ATOM, label: str = "") -> None:
        self.value = value
        self._parts = parts
        self._level = level
        self.label = label

    def __int__(self) -> int:
        if self.value is None:
            raise CnncostError("this count depends on an unknown dimension", nearest="give it with --input H,W,C")
        return self.value

    def __bool__(self) -> bool:
        return self.value != 0

    def __str__(self) -> str:
        if not self._parts:
            return "?" if self.value is None else f"{self.value:,}"
        joint = ("", "×", " × ", " + ")[self._level]
        return joint.join(
            f"({part})" if part._parts and part._level >= self._level else str(part) for part in self._parts
        )

    def symbols(self) -> str:
        """The same arithmetic in words, where every part has a label; otherwise an empty string.

        >>> times(Count(150, label="rows"), Count(100, label="columns")).symbols()
        'rows × columns'
        """
        if self.label or not self._parts:
            return self.label
        joint = ("", "×", " × ", " + ")[self._level]
        words = [part.symbols() for part in self._parts]
        if not all(words):
            return ""
        return joint.join(
            f"({word})" if part._parts and part._level >= self._level and not part.label else word
            for part, word in zip(self._parts, words, strict=True)
        )

    def derivation(self) -> str:
        """``arithmetic = value``; the value alone where there is no arithmetic."""
        value = "?" if self.value is None else f"{self.value:,}"
        return f"{self} = {value}" if self._parts else value

    def __repr__(self) -> str:
        return f"Count({self.derivation()})"


Number = Count | int | None
ZERO = Count(0)
ONE = Count(1)


def count(value: Number, label: str = "") -> Count:
    """A plain number as a count, with a label for ``symbols``."""
    if isinstance(value, Count):
        return Count(value.value, value._parts, value._level, label) if label else value
    return Count(value, label=label)


def _product(factors: Iterable[Number], level: int, label: str) -> Count:
    parts = tuple(count(factor) for factor in factors)
    value: Dim = 1
    for part in parts:
        value = None if value is None or part.value is None else value * part.value
    return parts[0] if len(parts) == 1 and not label else Count(value, parts, level, label)


def times(*factors: Number, label: str = "") -> Count:
    """A product: ``150 × 100 × 200``."""
    return _product(factors, _PRODUCT, label)


def tight(*factors: Number, label: str = "") -> Count:
    """A product read as one thing, such as a window's taps: ``5×5×3``."""
    return _product(factors, _TIGHT, label)


def plus(*terms: Number, label: str = "") -> Count:
    """A sum; terms that are plainly zero are left out."""
    parts = tuple(part for part in (count(term) for term in terms) if part.value != 0 or part._parts)
    if not parts:
        return ZERO
    if len(parts) == 1 and not label:
        return parts[0]
    value: Dim = 0
    for part in parts:
        value = None if value is None or part.value is None else value + part.value
    return Count(value, parts, _SUM, label)
