"""Reading a text file that may be anything: bounded, UTF-8, and one message when it is not."""

from __future__ import annotations

import os
import stat

from cnncost.errors import CnncostError, Location, printable

MAX_BYTES = 4 * 2**20


def text_of(path: str, limit: int = MAX_BYTES, what: str = "spec") -> str:
    """The text of a regular file of at most ``limit`` bytes. Raises CnncostError with the file as its place."""
    place = Location(path)
    try:
        data = _bytes_of(path, limit, what)
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise CnncostError(problem, location=place) from None
    except ValueError as error:  # a NUL in the path
        raise CnncostError(f"cannot be read: {printable(error)}", location=place) from None
    if b"\0" in data[:8192] or b"\0" in data:
        raise CnncostError(f"a binary file, not a {what}", rule="it must be UTF-8 text", location=place)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        raise CnncostError(
            "not UTF-8 text", rule="it must be encoded as UTF-8", received=f"byte 0x{data[error.start]:02x}",
            location=Location(path, line, column),
        ) from None  # fmt: skip


def _bytes_of(path: str, limit: int, what: str) -> bytes:
    # O_NONBLOCK: opening a FIFO must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            name = "a directory" if stat.S_ISDIR(mode) else "not a regular file"
            raise CnncostError(f"is {name}", rule=f"a {what} is a text file", location=Location(path))
        data = file.read(limit + 1)
    if len(data) > limit:
        raise CnncostError(
            f"larger than {limit // 2**20} MiB", rule=f"a {what} has at most {limit:,} bytes", location=Location(path)
        )
    return data
