"""Amounts of memory inside a line of arithmetic: ``= 1,200,000,000 B = 1.2 GB = 1.12 GiB``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cnncost.tensor import Dim
from cnncost.units import bytes_text

MOST_TERMS = 24


def binary(size: int) -> str:
    """The size in the largest binary unit that it fills, without needless zeros.

    >>> binary(1_200_000_000), binary(512)
    ('1.12 GiB', '512 B')
    """
    return _short(bytes_text(size))


def decimal(size: int) -> str:
    """
    >>> decimal(1_200_000_000)
    '1.2 GB'
    """
    return _short(bytes_text(size, si=True))


def _short(text: str) -> str:
    value, unit = text.split(" ")
    return f"{value.rstrip('0').rstrip('.') if '.' in value else value} {unit}"


def size_chain(size: int, both: bool = False) -> str:
    """An exact size, then what people read; in both families of units from a gigabyte on, where they differ most.

    >>> size_chain(12_000_000), size_chain(1_200_000_000)
    ('12,000,000 B = 11.44 MiB', '1,200,000,000 B = 1.2 GB = 1.12 GiB')
    """
    exact = f"{size:,} B"
    if size < 1024:
        return exact
    if both or size >= 10**9:
        return f"{exact} = {decimal(size)} = {binary(size)}"
    return f"{exact} = {binary(size)}"


def sum_text(values: Iterable[int], unit: str = "", most: int = MOST_TERMS) -> tuple[str, str]:
    """A sum with equal terms gathered, and a remark where small terms were put together.

    >>> sum_text([5, 7, 5, 0])
    ('2 × 5 + 7', '')
    >>> sum_text([1, 2, 3, 4], most=3)
    ('3 + 4 + 3', 'the last term stands for 2 smaller ones')
    """
    times: dict[int, int] = {}
    for value in values:
        if value:
            times[value] = times.get(value, 0) + 1
    remark = ""
    rest: list[int] = []
    if len(times) > most:
        small = sorted(times, key=lambda value: value * times[value])[: len(times) - most + 1]
        rest = [sum(value * times[value] for value in small)]
        remark = f"the last term stands for {sum(times[value] for value in small):,} smaller ones"
        times = {value: n for value, n in times.items() if value not in small}
    terms = [f"{value:,}{unit}" if n == 1 else f"{n:,} × {value:,}{unit}" for value, n in times.items()]
    return " + ".join([*terms, *(f"{value:,}{unit}" for value in rest)]) or f"0{unit}", remark


def per_instance(shape: Sequence[Dim], spatial: bool) -> tuple[Dim, ...]:
    """The order in which a feature map's factors are read: maps first, then its rows and columns.

    >>> per_instance((150, 100, 200), True)
    (200, 150, 100)
    """
    return (shape[-1], *shape[:-1]) if spatial and len(shape) > 1 else tuple(shape)
