"""What a plain scalar means: the core schema of YAML 1.2 (section 10.3.2). ``on``, ``yes`` and ``1_000`` are text,
``010`` is ten, ``0o10`` is eight, ``1e3`` is a number."""

from __future__ import annotations

import re
from typing import Any

MAX_DIGITS = 30
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False, ".nan": float("nan"), ".NaN": float("nan"), ".NAN": float("nan"),
}  # fmt: skip
_WORDS |= {
    sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_BASED = re.compile(r"0(o[0-7]+|x[0-9a-fA-F]+)\Z")
_STARTS = frozenset("0123456789+-.")
OLD_BOOLEANS = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


class LongNumber(ValueError):
    """A number of more digits than any quantity here has."""


def plain(text: str) -> Any:
    """The value of a plain scalar. Raises LongNumber.

    >>> [plain(t) for t in ("on", "010", "0o10", "1e3", "~", "1_000", "25.6M", "True", "-3")]
    ['on', 10, 8, 1000.0, None, '1_000', '25.6M', True, -3]
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _STARTS:
        return text
    if _INTEGER.match(text):
        if len(text) > MAX_DIGITS:
            raise LongNumber(f"a number of {len(text.lstrip('+-')):,} digits")
        return int(text)
    if _FLOAT.match(text):
        return float(text) if len(text) <= 400 else float("nan")
    if _BASED.match(text):
        if len(text) > MAX_DIGITS:
            raise LongNumber(f"a number of {len(text) - 2:,} digits")
        return int(text[2:], 8 if text[1] == "o" else 16)
    return text
