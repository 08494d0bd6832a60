"""Numbers, shapes and names as people read them. Names come from files and are hostile: all is made printable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnncost import units
from cnncost.errors import printable
from cnncost.tensor import Tensor

NAME_LIMIT = 200


def exact(value: int | None) -> str:
    """
    >>> exact(225000000)
    '225,000,000'
    """
    return "" if value is None else f"{value:,}"


def count_text(value: int | None) -> str:
    """A count with an SI prefix; small ones exactly.

    >>> count_text(225_000_000), count_text(15_200), count_text(2_416)
    ('225.00M', '15.20k', '2,416')
    """
    return exact(value) if value is None or value < 10_000 else units.count_text(value)


def bytes_text(value: int | None) -> str:
    """Bytes in binary units."""
    return "" if value is None else units.bytes_text(value)


def percent(part: int, whole: int) -> str:
    """
    >>> percent(1, 8), percent(1, 10_000), percent(0, 5), percent(9999, 10000)
    ('12.5%', '<0.1%', '', '99.9%')
    """
    if not part or not whole:
        return ""
    tenths = part * 1000 // whole if part * 2 > whole else (part * 2000 + whole) // (2 * whole)
    return f"{tenths // 10}.{tenths % 10}%" if tenths else "<0.1%"


def shape_text(shape: Sequence[int | None]) -> str:
    """
    >>> shape_text((150, None, 3)), shape_text(())
    ('150×?×3', 'scalar')
    """
    return "×".join("?" if dim is None else str(dim) for dim in shape) or "scalar"


def shapes_text(outputs: Sequence[Tensor]) -> str:
    """All outputs of a layer; many of them are counted."""
    if len(outputs) > 3:
        return f"{shape_text(outputs[0].shape)} … ({len(outputs)} outputs)"
    return ", ".join(shape_text(tensor.shape) for tensor in outputs)


def clean(text: str, limit: int = NAME_LIMIT) -> str:
    """A name that cannot move the cursor, colour the screen or break a line.

    >>> clean("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    return text if text.isascii() and text.isprintable() and len(text) <= limit else printable(text, limit)


def finding_text(finding: Any) -> str:
    """``FILE:LINE:COLUMN: severity: layer 'x': message``."""
    place = f"{finding.location}: " if finding.location else ""
    layer = f"layer '{clean(finding.layer)}': " if finding.layer and finding.layer not in finding.message else ""
    return f"{place}{finding.severity}: {layer}{clean(finding.message, 2000)}"


def wide(text: str) -> int:
    """Terminal cells that a text takes: East Asian wide signs take two, combining ones none.

    >>> wide("conv"), wide("卷積"), wide("e\\u0301")
    (4, 4, 1)
    """
    if text.isascii() or max(text) < "\u0300":
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def shorten(text: str, width: int) -> str:
    """The text in at most ``width`` cells, its middle left out.

    >>> shorten("stage1/bottleneck/conv", 12)
    'stage1…/conv'
    """
    if wide(text) <= width:
        return text
    if width < 2:
        return "…"[:width]
    head, tail = text[: (width + 1) // 2], text[-((width - 1) // 2) :] if width > 2 else ""
    while wide(head) + 1 + wide(tail) > width:
        head, tail = (head[:-1], tail) if wide(head) > wide(tail) else (head, tail[1:])
    return f"{head}…{tail}"


def wrapped(text: str, width: int, indent: str = "") -> list[str]:
    """The text in lines of at most ``width`` cells, broken at spaces where possible; later lines are indented.

    >>> wrapped("two consecutive layers", 12, "  ")
    ['two', '  consecutiv', '  e layers']
    """
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if line.strip() and wide(line) + 1 + wide(word) > width:
            lines.append(line)
            line = indent + word
        else:
            line = f"{line} {word}" if line else word
        while wide(line) > width:
            cut = next(i for i in range(len(line), 0, -1) if wide(line[:i]) <= width or i == 1)
            lines.append(line[:cut])
            line = indent + line[cut:]
    return [*lines, line]
