"""``[tool.cnncost]`` of a TOML file as plain data with places. TOML itself is read by the standard library."""

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
_HEADER = re.compile(r"\s*(\[\[?[^\n]{1,2000}\]\]?)\s*(?:#.*)?$")
_PAIR = re.compile(r"(\s*)((?:\"[^\"\n]{0,500}\"|'[^'\n]{0,500}'|[A-Za-z0-9_.\s-]){1,500}?)\s*=(\s*)")
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")


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
    keys, values = _places(text, path)
    return _written(own, ("tool", "cnncost"), keys, values, Location(path))


def _loads(text: str, path: str) -> dict[str, Any]:
    try:
        data: dict[str, Any] = tomllib.loads(text)
        return data
    except tomllib.TOMLDecodeError as error:
        found = _PLACE.search(str(error))
        place = Location(path, int(found[1]), int(found[2])) if found else Location(path)
        raise CnncostError(f"not TOML: {_PLACE.sub('', str(error)).strip()}", location=place) from None
    except RecursionError:
        raise CnncostError("the tables are nested too deeply", location=Location(path)) from None


def _places(text: str, path: str) -> tuple[dict[Path, Location], dict[Path, Location]]:
    """Where keys stand, and where their values begin: found line by line, since the standard reader tells no places."""
    keys: dict[Path, Location] = {}
    values: dict[Path, Location] = {}
    table: Path = ()
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            table = _path(f"{header[1]}\n")
            for depth in range(1, len(table) + 1):
                keys.setdefault(table[:depth], Location(path, number, line.index("[") + 1))
                values.setdefault(table[:depth], Location(path, number, line.index("[") + 1))
            continue
        pair = _PAIR.match(line)
        if pair:
            own = (*table, *_path(f"{pair[2]} = 0\n"))
            for depth in range(len(table) + 1, len(own) + 1):
                keys.setdefault(own[:depth], Location(path, number, pair.end(1) + 1))
                values.setdefault(own[:depth], Location(path, number, pair.end() + 1))
    return keys, values


def _path(line: str) -> Path:
    """The dotted key of a header or of a pair."""
    try:
        data: Any = _loads(line, "")
    except CnncostError:
        return ()
    found: list[str] = []
    while isinstance(data, Mapping | list) and data:
        if isinstance(data, list):
            data = data[0]
            continue
        name = next(iter(data))
        found.append(name)
        data = data[name]
    return tuple(found)


def _written(
    value: Any, path: Path, keys: dict[Path, Location], values: dict[Path, Location], above: Location
) -> Written:
    """A value with its place; what stands inside an inline table is placed where that begins."""
    place = values.get(path, above)
    parts = {}
    if isinstance(value, Mapping):
        parts = {name: _written(part, (*path, name), keys, values, place) for name, part in value.items()}
    return Written(value, place, keys.get(path, place), parts)
