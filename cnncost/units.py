"""Text ⇄ integers: bytes, counts and what people write for them. Exact: no floats.

MB is 10⁶ bytes, MiB is 2²⁰; k, M, G, T of counts are powers of 1000.
"""

from __future__ import annotations

import re

from cnncost.errors import CnncostError, nearest, printable

BINARY = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}
DECIMAL = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_BYTE_UNITS = {name.lower(): size for name, size in (BINARY | DECIMAL | {"bytes": 1, "byte": 1}).items()}
_COUNT_UNITS = COUNTS | {"K": 10**3, "B": 10**9, "million": 10**6, "billion": 10**9}
_QUANTITY = re.compile(r"\s*([0-9]{1,30}(?:[,_][0-9]{3}){0,10})(?:\.([0-9]{0,30}))?\s*([A-Za-z]{0,12})\s*\Z")


def thousands(value: int) -> str:
    """
    >>> thousands(225000000)
    '225,000,000'
    """
    return f"{value:,}"


def _scaled(value: int, units: dict[str, int], digits: int) -> tuple[str, str]:
    """The number with ``digits`` decimals in the largest unit it reaches, rounded half up, and the unit."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    names = list(units)
    at = max((i for i, name in enumerate(names) if units[name] <= value), default=0)
    while True:
        unit = units[names[at]]
        scaled = (value * 10**digits * 2 + unit) // (2 * unit)
        following = units[names[at + 1]] if at + 1 < len(names) else 0
        if not following or scaled * unit < following * 10**digits:
            break
        at += 1  # rounding reached the next unit: 1024.00 KiB is 1.00 MiB
    if unit == 1:
        return f"{sign}{value:,}", names[at]
    whole, rest = divmod(scaled, 10**digits)
    text = f"{sign}{whole:,}"
    return (f"{text}.{rest:0{digits}d}" if digits else text), names[at]


def bytes_text(value: int, digits: int = 2, si: bool = False) -> str:
    """A number of bytes in binary units, or in SI units.

    >>> bytes_text(12_000_000), bytes_text(1_200_000_000, si=True, digits=1), bytes_text(512)
    ('11.44 MiB', '1.2 GB', '512 B')
    """
    number, unit = _scaled(value, DECIMAL if si else BINARY, digits)
    return f"{number} {unit}"


def count_text(value: int, digits: int = 2) -> str:
    """A count with k, M, G, T.

    >>> count_text(225_000_000), count_text(60_419_944, 1), count_text(840)
    ('225.00M', '60.4M', '840')
    """
    number, unit = _scaled(value, COUNTS, digits)
    return number + unit


def parse_quantity(text: object, bytes: bool = False) -> int:
    """The integer that a text or a number means; bytes need their unit, and a fraction must come out whole.

    >>> parse_quantity("26M"), parse_quantity("60,000"), parse_quantity("64 MiB", bytes=True)
    (26000000, 60000, 67108864)
    >>> parse_quantity("1.2 GB", bytes=True)
    1200000000
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise CnncostError("a negative quantity", received=printable(text))
        return text
    digits, decimals, unit = _read(text, bytes)
    value, rest = divmod(digits * unit, _ten(decimals))
    if not rest or bytes:
        return value  # a fraction of a byte is below what any limit means
    raise CnncostError("not a whole number", received=printable(text))


def interval(text: str, bytes: bool = False) -> tuple[int, int]:
    """The integers that a printed number may stand for: half a unit of its last digit to either side where it has
    a unit or decimals; the number itself otherwise.

    >>> interval("25.6M"), interval("60,000"), interval("4G")
    ((25550000, 25650000), (60000, 60000), (3500000000, 4500000000))
    """
    digits, decimals, unit = _read(text, bytes)
    if unit == 1 and not decimals:
        return digits, digits
    scale = 2 * _ten(decimals)
    low, high = (2 * digits - 1) * unit, (2 * digits + 1) * unit
    return max(-(-low // scale), 0), high // scale


def _ten(exponent: int) -> int:
    return int(10**exponent)


def _read(text: object, bytes: bool) -> tuple[int, int, int]:
    """(digits as an integer, number of decimals, unit)."""
    found = _QUANTITY.match(text) if isinstance(text, str) and len(text) <= 100 else None
    example = "64 MiB, 1.2 GB or 67108864" if bytes else "25.6M, 4G or 60,000"
    if found is None:
        raise CnncostError(
            f"not a {'number of bytes' if bytes else 'quantity'}", rule=f"write it as {example}",
            received=printable(text) if text is not None else "nothing",
        )  # fmt: skip
    whole, decimals, word = found.groups()
    decimals = decimals or ""
    digits = int(whole.replace(",", "").replace("_", "") + decimals)
    size = _byte_unit(word, str(text)) if bytes else _COUNT_UNITS.get(word)
    if size is None:
        known = list(_BYTE_UNITS) if bytes else list(_COUNT_UNITS)
        kind = "a count" if word.lower() in _BYTE_UNITS else f"'{word}'"
        raise CnncostError(
            f"unknown unit '{word}'" if kind != "a count" else f"'{word}' is a unit of bytes, and this is a count",
            rule=f"write it as {example}", received=printable(text), nearest=nearest(word, known),
        )  # fmt: skip
    return digits, len(decimals), size


def _byte_unit(word: str, text: str) -> int | None:
    if not word:
        return 1
    if word in ("k", "K", "M", "G", "T", "P"):
        number = text.strip()[: -len(word)].strip()
        decimal = "kB" if word in "kK" else f"{word}B"
        raise CnncostError(
            f"'{word}' alone is no unit of bytes", rule="MB is 10^6 bytes, MiB is 2^20", received=printable(text),
            nearest=f"write {number} {word.upper()}iB or {number} {decimal}",
        )  # fmt: skip
    return _BYTE_UNITS.get(word.lower())
