"""A line on standard error while something takes longer than a second; on a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DELAY, STEP = 1.0, 0.2  # seconds before the first sign, and between signs


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Show ``what`` and the seconds it has taken, until the block ends."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    import shutil
    import threading
    import time

    done = threading.Event()
    begun = time.monotonic()

    def show() -> None:
        if done.wait(DELAY):
            return
        while not done.wait(STEP):
            line = f"{what} … {time.monotonic() - begun:.0f} s"
            sys.stderr.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
            sys.stderr.flush()
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
