"""Standard output: UTF-8 wherever possible, whole or an error, quiet when the reader has left."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a stream that cannot show a sign gets instead.
ASCII = {
    "×": "x", "µ": "u", "·": "-", "–": "-", "—": "-", "…": "~", "│": "|", "─": "-", "━": "=", "█": "#", "▉": "#",
    "▊": "#", "▋": "#", "▌": "#", "▍": "=", "▎": "-", "▏": "-", "▲": "^", "→": "->", "≤": "<=", "≥": ">=", "²": "^2",
    "½": "1/2",
}  # fmt: skip


def _replace(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(ASCII.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


def prepare() -> None:
    """Make both streams unable to fail on a sign: UTF-8 where the locale says nothing, else a replacement."""
    for stream in (sys.stdout, sys.stderr):
        encoding = (getattr(stream, "encoding", None) or "").lower().replace("_", "-")
        if stream is None or encoding in ("utf-8", "utf8", "utf-8-sig", "") or not hasattr(stream, "reconfigure"):
            continue
        import codecs

        codecs.register_error("cnncost", _replace)
        chosen = "PYTHONIOENCODING" in os.environ
        plain = encoding in ("ascii", "ansi-x3.4-1968", "us-ascii", "646")
        stream.reconfigure(encoding="utf-8" if plain and not chosen else None, errors="cnncost")


def _is_utf8(stream: Any) -> bool:
    return (getattr(stream, "encoding", None) or "utf-8").lower().replace("-", "").startswith("utf")


def colored(path: str | None = None) -> bool:
    """Whether text for ``path`` (None: standard output) gets colours: NO_COLOR wins over FORCE_COLOR, which wins over
    the terminal (no-color.org, force-color.org)."""
    if path is not None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def finish(code: int) -> int:
    """Flush; a full disk is exit 3 with one line, a reader that left (``| head``) is nothing to speak of."""
    if sys.stdout is None:
        return code
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon()
    except OSError as problem:
        _abandon()
        if sys.stderr is not None:
            print(f"error: cannot write to standard output: {problem.strerror}", file=sys.stderr)
        return 3
    return code


def _abandon() -> None:
    """Point standard output at nothing, so that the interpreter's own flush at exit stays quiet."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
    finally:
        os.close(nothing)


def is_terminal(path: str | None) -> bool:
    """Whether what is printed, and not written to ``path``, is read on a terminal."""
    return path is None and sys.stdout is not None and sys.stdout.isatty()


def columns_of(path: str | None) -> int | None:
    """The terminal's columns (COLUMNS sets them anywhere); None when the output goes elsewhere."""
    if path is not None or not (is_terminal(path) or os.environ.get("COLUMNS", "").isdecimal()):
        return None
    import shutil

    return max(40, shutil.get_terminal_size((80, 24)).columns)


def emit(text: str, path: str | None = None, data: bool = False) -> None:
    """Print, or write a file whole. ``data`` (JSON, CSV) is UTF-8 whatever the terminal's encoding."""
    if path is not None:
        from cnncost.files import write_whole

        write_whole(path, text.encode("utf-8", "backslashreplace"))
        return
    if sys.stdout is None:
        from cnncost.errors import OutsideError

        raise OutsideError("cannot write to standard output: it is closed")
    try:
        buffer = getattr(sys.stdout, "buffer", None)
        if data and buffer is not None and not _is_utf8(sys.stdout):
            sys.stdout.flush()
            buffer.write(text.encode("utf-8", "backslashreplace"))
        else:
            sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon()
    except OSError as problem:
        from cnncost.errors import OutsideError

        _abandon()
        raise OutsideError(f"cannot write to standard output: {problem.strerror}") from None
