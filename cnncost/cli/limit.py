"""A bound on how long a source may be read: the user's own code may hang, and runs in this very process."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from cnncost.errors import OutsideError


@contextlib.contextmanager
def limited(seconds: float | None, what: str) -> Iterator[None]:
    """End the process with one message and exit code 3 where the block takes longer (None: as long as it likes). Code
    that catches every exception can be ended in no other way; nothing has been started or written yet."""
    if seconds is None:
        yield
        return
    import threading

    done, errors = threading.Event(), _standard_error()

    def watch() -> None:
        if not done.wait(seconds):
            problem = OutsideError(f"{what} took longer than {seconds:g} s", nearest="give it more with --timeout")
            clear = "\r\x1b[K" if errors is not None and os.isatty(errors) else ""  # of the line of progress
            with contextlib.suppress(OSError):
                if errors is not None:
                    os.write(errors, f"{clear}{problem}\n".encode())
            os._exit(problem.exit_code)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()
        if errors is not None:
            os.close(errors)


def _standard_error() -> int | None:
    """A descriptor of its own: while TensorFlow is imported, the usual one leads nowhere."""
    try:
        return os.dup(2) if sys.stderr is not None else None
    except OSError:
        return None
