"""Events of an ``xplane.pb``, the profiler's file, read from the protobuf wire format itself.

The message's place in TensorFlow's modules changes between versions; its field numbers do not (tsl/profiler/protobuf/
xplane.proto). Every length is checked before it is used: a corrupt file is a ProfileError, never a hang.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cnncost.errors import OutsideError

MAX_BYTES = 2**30
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
# Field numbers of xplane.proto.
_SPACE_PLANES = 1
_PLANE_LINES, _PLANE_EVENTS, _PLANE_STATS = 3, 4, 5
_LINE_TIMESTAMP_NS, _LINE_EVENTS = 3, 4
_EVENT_METADATA, _EVENT_OFFSET_PS, _EVENT_DURATION_PS, _EVENT_STATS = 1, 2, 3, 4
_ENTRY_KEY, _ENTRY_VALUE, _METADATA_NAME = 1, 2, 2
_STAT_METADATA, _STAT_DOUBLE, _STAT_UINT64, _STAT_INT64, _STAT_STR, _STAT_REF = 1, 2, 3, 4, 5, 7

Value = int | float | str
Span = tuple[int, int]


class ProfileError(OutsideError):
    """The profiler's file is not what its format says."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the profile of the run is corrupt: {what}", nearest="run it again")


class Event(NamedTuple):
    """One event of the host's or a device's timeline; times in picoseconds."""

    name: str
    start: int
    duration: int
    stats: dict[str, Value]


def read_profile(path: str) -> bytes:
    """The file's bytes, if it is not too large to be read."""
    size = os.path.getsize(path)
    if size > MAX_BYTES:
        raise ProfileError(f"it has {size:,} bytes, more than {MAX_BYTES:,}")
    with open(path, "rb") as stream:
        return stream.read()


def events(data: bytes, keep: Callable[[str], bool], with_stats: Callable[[str], bool]) -> Iterator[Event]:
    """The events whose name ``keep`` accepts, plane by plane; statistics only where ``with_stats`` wants them."""
    if len(data) > MAX_BYTES:
        raise ProfileError(f"it has {len(data):,} bytes, more than {MAX_BYTES:,}")
    for number, value in _fields(data, 0, len(data)):
        if number == _SPACE_PLANES:
            yield from _plane(data, _span(value), keep, with_stats)


def _plane(data: bytes, span: Span, keep: Callable[[str], bool], with_stats: Callable[[str], bool]) -> Iterator[Event]:
    lines: list[Span] = []
    names: dict[int, str] = {}
    stats: dict[int, str] = {}
    for number, value in _fields(data, *span):  # names stand behind the lines that use them
        if number == _PLANE_LINES:
            lines.append(_span(value))
        elif number == _PLANE_EVENTS:
            names.update([_named(data, _span(value))])
        elif number == _PLANE_STATS:
            stats.update([_named(data, _span(value))])
    wanted = {key: name for key, name in names.items() if keep(name)}
    if wanted:
        detailed = {key for key, name in wanted.items() if with_stats(name)}
        for line in lines:
            yield from _line(data, line, wanted, detailed, stats)


def _named(data: bytes, span: Span) -> tuple[int, str]:
    """A map's entry: identifier → name of its metadata."""
    key, name = 0, ""
    for number, value in _fields(data, *span):
        if number == _ENTRY_KEY:
            key = _int(value)
        elif number == _ENTRY_VALUE:
            for inner, text in _fields(data, *_span(value)):
                if inner == _METADATA_NAME:
                    name = _text(data, text)
    return key, name


def _line(data: bytes, span: Span, names: dict[int, str], detailed: set[int], stats: dict[int, str]) -> Iterator[Event]:
    begun, found = 0, []
    for number, value in _fields(data, *span):
        if number == _LINE_TIMESTAMP_NS:
            begun = _int(value) * 1000
        elif number == _LINE_EVENTS:
            found.append(_span(value))
    for event in found:
        key = start = duration = 0
        inner: list[Span] = []
        for number, value in _fields(data, *event):
            if number == _EVENT_METADATA:
                key = _int(value)
                if key not in names:
                    break
            elif number == _EVENT_OFFSET_PS:
                start = _int(value)
            elif number == _EVENT_DURATION_PS:
                duration = _int(value)
            elif number == _EVENT_STATS:
                inner.append(_span(value))
        if key in names:
            pairs = dict(_stat(data, stat, stats) for stat in inner) if key in detailed else {}
            yield Event(names[key], begun + start, duration, pairs)


def _stat(data: bytes, span: Span, names: dict[int, str]) -> tuple[str, Value]:
    key, found = 0, 0  # type: int, Value
    for number, value in _fields(data, *span):
        if number == _STAT_METADATA:
            key = _int(value)
        elif number in (_STAT_UINT64, _STAT_INT64):
            found = _int(value)
        elif number == _STAT_REF:
            found = names.get(_int(value), "")
        elif number == _STAT_STR:
            found = _text(data, value)
        elif number == _STAT_DOUBLE:
            found = _double(data, value)
    return names.get(key, ""), found


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int | Span]]:
    """(field number, an integer or where its bytes stand) of one message."""
    while at < end:
        tag, at = _varint(data, at, end)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield tag >> 3, value
            continue
        if wire == _LENGTH:
            length, at = _varint(data, at, end)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ProfileError(f"unknown wire type {wire} at byte {at:,}")
        if length > end - at:
            raise ProfileError(f"a field at byte {at:,} is longer than what holds it")
        yield tag >> 3, (at, at + length)
        at += length


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A base-128 number of at most 64 bits, and where it ends."""
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise ProfileError(f"a number before byte {at:,} has more than ten bytes")
    raise ProfileError(f"it ends inside a number at byte {at:,}")


def _span(value: int | Span) -> Span:
    if isinstance(value, int):
        raise ProfileError("a number stands where a message is due")
    return value


def _int(value: int | Span) -> int:
    if not isinstance(value, int):
        raise ProfileError("bytes stand where a number is due")
    return value - 2**64 if value >> 63 else value  # int64 is two's complement


def _text(data: bytes, value: int | Span) -> str:
    start, end = _span(value)
    return data[start:end].decode("utf-8", "replace")


def _double(data: bytes, value: int | Span) -> float:
    from struct import unpack

    start, end = _span(value)
    if end - start != 8:
        raise ProfileError("a fraction has not eight bytes")
    return float(unpack("<d", data[start:end])[0])
