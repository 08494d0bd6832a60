"""Where a layer stands in a Keras JSON text, found only when somebody asks."""

from __future__ import annotations

import json
from typing import Any

from cnncost.errors import Location


class LayerPlace(Location):
    """The place of ``"name": "X"`` in a text, searched when an error or a finding prints it.

    >>> text = '{"layers": [\\n {"name": "conv"}]}'
    >>> str(place("net.json", text, "conv"))
    'net.json:2:3'
    """

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


def place(file: str, text: str | None, name: Any = None, path: str = "") -> Location | None:
    """The place of layer ``name``; of the file alone where there is no text or no name."""
    if not file:
        return None
    if text is None or not isinstance(name, str):
        return Location(file, path=path)
    found = LayerPlace(file, path=path)
    found.text, found.needle = text, json.dumps(name)
    return found
