"""``[tool.cnncost]`` of a TOML file as plain data with places.

TOML itself is read by the standard library; what that does not tell, where each key and value stands, is found by a
scan of the text, which by then is known to be TOML.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, Location
from cnncost.written import Written

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Path = tuple[str, ...]
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'" r"|\#[^\n]*" r"|[\[\]{}=,.\n]"
    r"|[^\s\[\]{}=,.\"'\#]+", re.DOTALL,
)  # fmt: skip


def tool_table(text: str, path: str) -> Written:
    """The table ``tool.cnncost``. Raises CnncostError for text that is no TOML, or has no such table."""
    data = _loads(text, path)
    tool = data.get("tool")
    own = tool.get("cnncost") if isinstance(tool, Mapping) else None
    if own is None:
        raise CnncostError(
            "there is no [tool.cnncost]", rule="budgets in a TOML file stand in that table", location=Location(path),
            nearest="write [tool.cnncost.models.\"models/*.yaml\"]",
        )  # fmt: skip
    scan = _Scan(text, path)
    return _written(own, ("tool", "cnncost"), scan, Location(path))


def _loads(text: str, path: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = tomllib.loads(text)
        return data
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        place = Location(path, int(found[1]), int(found[2])) if found else Location(path)
        raise CnncostError(f"not TOML: {_PLACE.sub('', str(error)).strip()}", location=place) from None
    except (RecursionError, ValueError) as error:  # a number of thousands of digits
        said = "the tables are nested too deeply" if isinstance(error, RecursionError) else str(error)[:100]
        raise CnncostError(f"not TOML that can be read: {said}", location=Location(path)) from None


class _Scan:
    """Places of keys and values by their path; the members of a list are numbered."""

    def __init__(self, text: str, path: str) -> None:
        self.path, self.keys, self.values = path, dict[Path, Location](), dict[Path, Location]()
        self.tokens: list[tuple[str, int, int]] = []
        line, begin = 1, 0
        for found in _TOKEN.finditer(text):
            word = found[0]
            self.tokens.append((word, line, found.start() - begin + 1))
            if "\n" in word:
                line += word.count("\n")
                begin = found.start() + word.rindex("\n") + 1
        self.tokens = [token for token in self.tokens if not token[0].startswith("#")] + [("\n", line, 1)]
        self.at = 0
        self.lists: dict[Path, int] = {}
        self.document()

    def document(self) -> None:
        table: Path = ()
        while self.at < len(self.tokens):
            word = self.tokens[self.at][0]
            if word == "\n":
                self.at += 1
            elif word == "[":
                table = self.header()
            else:
                self.pair(table)

    def header(self) -> Path:
        start = self.tokens[self.at]
        double = self.tokens[self.at + 1][0] == "["
        self.at += 1 + double
        found = self.key((), start)
        self.at += 1 + double
        if double:
            self.lists[found] = self.lists.get(found, -1) + 1
            found = (*found, str(self.lists[found]))
        self.values.setdefault(found, self.place(start))
        return found

    def pair(self, above: Path) -> None:
        found = self.key(above)
        self.at += 1  # =
        self.value(found)

    def key(self, above: Path, start: tuple[str, int, int] | None = None) -> Path:
        """A dotted key; the scan stands behind it. A header's parts stand where the header begins."""
        while True:
            token = self.tokens[self.at]
            above = (*above, _plain(token[0]))
            place = self.place(start or token)
            self.keys.setdefault(above, place)
            self.values.setdefault(above, place)
            self.at += 1
            if self.tokens[self.at][0] != ".":
                return above
            self.at += 1

    def value(self, path: Path) -> None:
        self.skip()
        token = self.tokens[self.at]
        self.values[path] = self.place(token)
        self.at += 1
        if token[0] == "{":
            self.members("}", path)
        elif token[0] == "[":
            self.members("]", path)
        else:
            while self.tokens[self.at][0] not in ("\n", ",", "]", "}"):  # 1.5 is three tokens
                self.at += 1

    def members(self, end: str, path: Path) -> None:
        number = 0
        while True:
            self.skip()
            word = self.tokens[self.at][0]
            if word == end:
                self.at += 1
                return
            if word == ",":
                self.at += 1
            elif end == "}":
                self.pair(path)
            else:
                self.value((*path, str(number)))
                number += 1

    def skip(self) -> None:
        while self.tokens[self.at][0] == "\n":
            self.at += 1

    def place(self, token: tuple[str, int, int]) -> Location:
        return Location(self.path, token[1], token[2])


def _plain(word: str) -> str:
    """A key without its quotes."""
    if word[:1] == "'":
        return word[1:-1]
    return str(next(iter(tomllib.loads(f"{word} = 0")))) if word[:1] == '"' else word


def _written(value: Any, path: Path, scan: _Scan, above: Location) -> Written:
    place = scan.values.get(path, above)
    members = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    parts = {str(name): _written(part, (*path, str(name)), scan, place) for name, part in members}
    return Written(value, place, scan.keys.get(path, place), parts)
