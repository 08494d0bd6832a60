"""Numbers, shapes and names as people read them. Names come from files and are hostile: all is made printable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    """A count with an SI prefix, four figures; small ones exactly.

    >>> count_text(225_000_000), count_text(11_282_415_616), count_text(15_200), count_text(2_416)
    ('225.0 M', '11.28 G', '15.20 k', '2,416')
    """
    if value is None:
        return ""
    if value < 10_000:
        return f"{value:,}"
    return _scaled(value, 1000, ("", "k", "M", "G", "T", "P", "E"))


def bytes_text(value: int | None) -> str:
    """Bytes in binary units.

    >>> bytes_text(12_000_000), bytes_text(300), bytes_text(1_200_000_000)
    ('11.44 MiB', '300 B', '1.12 GiB')
    """
    if value is None:
        return ""
    return f"{value:,} B" if value < 1024 else _scaled(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"), 2)


def bytes_si_text(value: int) -> str:
    """Bytes in decimal units.

    >>> bytes_si_text(12_000_000), bytes_si_text(1_200_000_000)
    ('12 MB', '1.2 GB')
    """
    if value < 1000:
        return f"{value:,} B"
    number, unit = _scaled(value, 1000, ("B", "kB", "MB", "GB", "TB", "PB", "EB"), 2).split()
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number} {unit}"


def _scaled(value: int, base: int, units: Sequence[str], decimals: int | None = None) -> str:
    """``value`` over the largest power of ``base`` that leaves at least 1; 999,999 is 1.000 M, not 1000 k."""
    power, scale = 0, 1
    while value >= scale * base and power < len(units) - 1:
        power, scale = power + 1, scale * base
    number = value / scale if value < 2**1000 else float(value // scale)
    places = decimals if decimals is not None else max(0, 3 - (len(str(int(number))) - 1))
    if round(number, places) >= base and power < len(units) - 1:
        number, power = number / base, power + 1
        places = decimals if decimals is not None else 3
    return f"{number:,.{places}f} {units[power]}"


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
    if text.isascii():
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
