"""Files are written whole or not at all: beside their place, then renamed."""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def write_whole(path: str, content: bytes) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never a part.

    Raises CnncostError when the target cannot be a file, OutsideError when the system refuses.
    """

    def store(part: str) -> None:
        with open(part, "wb") as stream:
            stream.write(content)

    store_whole(path, store)


def must_be_writable(path: str) -> None:
    """Say before long work that its result could not be written. What only the system knows, a full disk, comes later.

    Raises the errors of ``write_whole``.
    """
    from cnncost.errors import CnncostError, OutsideError, printable

    shown, place = printable(path, 200), os.path.realpath(path)
    if "\0" in path or not path:
        raise CnncostError(f"'{shown}' is no file name")
    if os.path.isdir(place):
        raise CnncostError(f"cannot write '{shown}': it is a directory", nearest="name a file")
    folder = os.path.dirname(place)
    if not os.path.isdir(folder):
        raise CnncostError(f"cannot write '{shown}': there is no directory '{printable(folder, 200)}'")
    try:
        os.stat(place)
    except FileNotFoundError:
        place = folder
    except OSError as problem:  # the name is too long
        raise CnncostError(f"cannot write '{shown}': {problem.strerror}") from None
    if not os.access(place, os.W_OK):
        raise OutsideError(f"cannot write '{shown}': permission denied")


def store_whole(path: str, store: Callable[[str], object], suffix: str = "") -> None:
    """The same for a writer that wants a file name, which ends in ``suffix``."""
    from cnncost.errors import CnncostError, OutsideError, printable

    shown = printable(path, 200)
    if "\0" in path or not path:
        raise CnncostError(f"'{shown}' is no file name")
    if os.path.isdir(path):
        raise CnncostError(f"cannot write '{shown}': it is a directory", nearest="name a file")
    try:
        if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe: nothing to rename over
            store(path)
        else:
            _rename_into(os.path.realpath(path), store, suffix)
    except OSError as problem:
        folder = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise CnncostError(f"cannot write '{shown}': there is no directory '{printable(folder, 200)}'") from None
        if problem.errno in (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EINVAL):
            raise CnncostError(f"cannot write '{shown}': {problem.strerror}") from None
        raise OutsideError(f"cannot write '{shown}': {problem.strerror or problem}") from None


def _rename_into(target: str, store: Callable[[str], object], suffix: str) -> None:
    folder, name = os.path.split(target)
    part = os.path.join(folder, f".{name[:60]}.{os.getpid()}.part{suffix}")
    mode = os.stat(target).st_mode & 0o777 if os.path.exists(target) else 0o666
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode))
    try:
        store(part)
        if os.path.exists(target):
            os.chmod(part, mode)
        os.replace(part, target)
    except BaseException:
        os.unlink(part)
        raise
