"""Layer names: Keras's snake case for unnamed layers, unique in their scope; scopes are paths (``stage1/conv2d``)."""

from __future__ import annotations

import re
from functools import lru_cache

from cnncost.errors import CnncostError, printable

MAX_NAME = 200
_WORD = re.compile(r"\W+")
_UPPER = re.compile(r"(.)([A-Z][a-z]+)")
_LOWER = re.compile(r"([a-z])([A-Z])")


@lru_cache(maxsize=1024)
def snake(kind: str) -> str:
    """The name Keras gives an unnamed layer of a class.

    >>> snake("BatchNormalization"), snake("MaxPooling2D"), snake("ReLU")
    ('batch_normalization', 'max_pooling2d', 're_lu')
    """
    return _LOWER.sub(r"\1_\2", _UPPER.sub(r"\1_\2", _WORD.sub("", kind))).lower()


def checked(name: object) -> str:
    """A layer's name. Raises CnncostError without a place."""
    rule = f"a name is 1 to {MAX_NAME} printable characters without '/', ':' and '$', unique in its block"
    if not isinstance(name, str) or not name.strip() or name != name.strip():
        raise CnncostError("a wrong name", rule=rule, received=printable(repr(name)) if name is not None else "nothing")
    if len(name) > MAX_NAME or any(c in "/:$" or not c.isprintable() for c in name):
        raise CnncostError("a wrong name", rule=rule, received=printable(name))
    return name


class Scope:
    """Names below one prefix; ``taken`` is shared by all scopes of a model."""

    __slots__ = ("counters", "prefix", "taken")

    def __init__(self, prefix: str = "", taken: set[str] | None = None) -> None:
        self.prefix = prefix
        self.taken: set[str] = set() if taken is None else taken
        self.counters: dict[str, int] = {}

    def inside(self, name: str) -> Scope:
        """The scope of a block whose full name is ``name``."""
        return Scope(name + "/", self.taken)

    def free(self, base: str) -> str:
        """Claim ``base``, or the first ``base_1``, ``base_2``, … that is free; the full name."""
        number = self.counters.get(base, 0)
        while True:
            full = f"{self.prefix}{base}_{number}" if number else self.prefix + base
            number += 1
            if full not in self.taken:
                break
        self.counters[base] = number
        self.taken.add(full)
        return full

    def claim(self, name: str) -> str | None:
        """The full name of a given one, or None when it is taken."""
        full = self.prefix + name
        if full in self.taken:
            return None
        self.taken.add(full)
        return full

    def outward(self, name: str) -> list[str]:
        """Full names that ``name`` may mean, the nearest scope first.

        >>> Scope("a/b/").outward("x")
        ['a/b/x', 'a/x', 'x']
        """
        prefix, found = self.prefix, []
        while prefix:
            found.append(prefix + name)
            prefix = prefix[: prefix.rstrip("/").rfind("/") + 1]
        return [*found, name]
