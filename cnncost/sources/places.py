"""Where a layer stands in a Keras JSON text, found only when somebody asks."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from cnncost.errors import Location


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


def parse_json(origin: Origin) -> Any:
    """The value of a JSON text, however hostile. Raises CnncostError at the place that is wrong."""
    from cnncost.errors import CnncostError

    try:
        return json.loads(origin.text or "")
    except json.JSONDecodeError as error:
        raise CnncostError(f"this is no JSON: {error.msg}", location=origin.at(error.pos)) from None
    except RecursionError:
        raise CnncostError("the JSON is nested too deeply", location=origin.place()) from None
    except ValueError as error:
        raise CnncostError("a number with too many digits", received=str(error)[:60], location=origin.place()) from None
