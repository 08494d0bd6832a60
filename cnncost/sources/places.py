"""Where a layer stands in a Keras JSON text, found only when somebody asks."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

from cnncost.errors import Location

MAX_VALUES = 3_000_000  # of a text: 40,000 layers with all that Keras writes of them
MAX_DIGITS = 4300  # what Python reads
_NUMBER = re.compile(r'"(?:[^"\\]|\\.)*"|NaN|Infinity|[0-9]+')


class LayerPlace(Location):
    """The place of ``"name": "X"`` in a text, searched when an error or a finding prints it."""

    # A file has thousands of layers and few errors: building a place costs nothing, printing it one search.
    text: str
    needle: str

    def _position(self) -> tuple[int, int] | None:
        for mark in (f'"name": {self.needle}', f'"name":{self.needle}'):
            at = self.text.find(mark)
            if at >= 0:
                return self.text.count("\n", 0, at) + 1, at - self.text.rfind("\n", 0, at)
        return None

    @property
    def line(self) -> int | None:
        found = self._position()
        return found[0] if found else None

    @property
    def column(self) -> int | None:
        found = self._position()
        return found[1] if found else None


class Origin(NamedTuple):
    """Where a config came from: the file, its JSON text, and the part of an archive.

    >>> text = '{"layers": [\\n {"name": "conv"}]}'
    >>> print(Origin("net.json", text).place("conv"), Origin("net.json", text).place())
    net.json:2:3 net.json
    """

    file: str = ""
    text: str | None = None
    part: str = ""

    def place(self, name: Any = None) -> Location | None:
        """The place of layer ``name``; of the file alone where there is no text or no name; None without a file."""
        if not self.file:
            return None
        if self.text is None or not isinstance(name, str):
            return Location(self.file, path=self.part)
        found = LayerPlace(self.file, path=self.part)
        found.text, found.needle = self.text, json.dumps(name)
        return found

    def at(self, position: int) -> Location:
        """The place of a character of the text."""
        text = self.text or ""
        line, column = text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)
        return Location(self.file, line, column, self.part)


NOWHERE = Origin()


def parse_json(origin: Origin, *, strict: bool = False) -> Any:
    """The value of a JSON text, however hostile; ``strict`` refuses Python's NaN and Infinity too.

    Raises CnncostError at the place that is wrong.
    """
    from cnncost.errors import CnncostError, printable

    text = origin.text or ""
    if sum(map(text.count, ",[{")) > MAX_VALUES:  # each value is preceded by one of these; parsed they take 100 B each
        raise CnncostError(
            "the JSON is too large", rule=f"it has at most {MAX_VALUES:,} values", location=origin.place()
        )
    try:
        return json.loads(text, parse_constant=_refuse if strict else None)
    except json.JSONDecodeError as error:
        cut = (
            "; the file may be cut off"
            if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
            else ""
        )
        raise CnncostError(
            f"not JSON: {printable(error.msg.removesuffix(' starting at'))}{cut}", location=origin.at(error.pos)
        ) from None
    except RecursionError:
        raise CnncostError("not JSON that can be read: nested too deeply", location=origin.place()) from None
    except ValueError:
        raise _wrong_number(origin, text, strict) from None


def _refuse(word: str) -> Any:
    raise ValueError(word)


def _wrong_number(origin: Origin, text: str, strict: bool) -> Exception:
    """NaN, or a number of thousands of digits, with its place."""
    from cnncost.errors import CnncostError

    for found in _NUMBER.finditer(text):
        word = found[0]
        if word[0] in "NI" and strict:
            return CnncostError(f"not JSON: {word} is not a JSON number", location=origin.at(found.start()))
        if len(word) > MAX_DIGITS and word[0] != '"':
            return CnncostError(
                f"not JSON that can be read: a number of {len(word):,} digits", location=origin.at(found.start())
            )
    return CnncostError("not JSON that can be read", location=origin.place())
