"""How a rendering is to look."""

from __future__ import annotations

from typing import NamedTuple


class Options(NamedTuple):
    """What the reader asked for, and what the terminal can show."""

    columns: tuple[str, ...] | None = None  # None: the rendering's own choice
    depth: int | None = None  # fold names below this many levels; 0 folds nothing; None leaves it to the rendering
    sort: str | None = None
    top: int | None = None
    width: int | None = None  # terminal columns; None: as wide as needed
    color: bool = False
    runtime: bool = False  # with the simulated peaks of TensorFlow
    terminal: bool = False  # someone is looking: a very long model may be folded
