"""Colour, where it is wanted. A colour never says anything that a sign or a word does not say too."""

from __future__ import annotations

BOLD, DIM, HEAVY, BAR, ERROR, WARNING, INFO = "1", "2", "1;33", "36", "1;31", "33", "36"
SEVERITY = {"error": ERROR, "warning": WARNING, "info": INFO}
EIGHTHS = " ▏▎▍▌▋▊▉"


def paint(text: str, code: str, color: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if color and code and text.strip() else text


def bar(part: int, whole: int, width: int) -> str:
    """A bar of ``width`` cells in eighths; anything above nothing shows.

    >>> bar(1, 2, 4), bar(1, 10_000, 4), bar(0, 5, 2)
    ('██  ', '▏   ', '  ')
    """
    eighths = part * width * 8 // whole if whole else 0
    if part and not eighths:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return ("█" * full + (EIGHTHS[rest] if rest else "")).ljust(width)
