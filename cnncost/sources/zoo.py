"""The specs that come with the tool: ``zoo:NAME``."""

from __future__ import annotations

import os

from cnncost.errors import CnncostError, nearest, printable

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "zoo")
SUFFIX = ".yaml"


def names() -> tuple[str, ...]:
    """The shipped specs' names, in alphabetical order."""
    try:
        found = os.listdir(FOLDER)
    except OSError:
        return ()
    return tuple(sorted(name[: -len(SUFFIX)] for name in found if name.endswith(SUFFIX)))


def path(name: str) -> str:
    """The file of a shipped spec. Raises CnncostError naming the nearest one."""
    known = names()
    if name not in known:
        low = next((other for other in known if other == name.lower().replace("_", "-")), None)
        raise CnncostError(
            f"there is no zoo spec '{printable(name)}'", rule=f"the zoo has: {', '.join(known)}",
            nearest=f"did you mean '{low}'?" if low else nearest(name, known),
        )  # fmt: skip
    return os.path.join(FOLDER, name + SUFFIX)


def title(name: str) -> str:
    """A spec's ``description`` (its first line), without reading more than the file's text; empty where it has none."""
    with open(path(name), encoding="utf-8") as file:
        for line in file:
            if line.startswith("description:"):
                return line.partition(":")[2].strip().strip("\"'")
    return ""
