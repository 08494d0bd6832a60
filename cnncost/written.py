"""A value as somebody wrote it: plain data, and the place of each part, whatever language the file is in."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from cnncost.errors import CnncostError, Location, nearest, printable

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Written(NamedTuple):
    """``value`` is plain data; ``parts`` are the members of a mapping, or those of a list by their number."""

    value: Any
    location: Location | None = None
    key: Location | None = None  # the place of the key that it stands under
    parts: Mapping[str, Written] = NOTHING

    def error(self, problem: str, **parts: str) -> CnncostError:
        """An error at the value."""
        return CnncostError(problem, location=self.location, **parts)

    def mapping(self, what: str, known: tuple[str, ...] | None = None) -> Mapping[str, Written]:
        """Its members. Raises CnncostError for anything else, and for a key that is none of ``known``.

        >>> Written({"max": 3}, None, None, {"max": Written(3)}).mapping("a limit", ("max", "min"))["max"].value
        3
        """
        if not isinstance(self.value, Mapping):
            raise self.error(f"{what} is a mapping", received=_shown(self.value))
        for name, part in self.parts.items() if known is not None else ():
            if name not in (known or ()):
                raise CnncostError(
                    f"unknown key '{printable(name)}' in {what}", rule=f"its keys are: {', '.join(known or ())}",
                    nearest=nearest(name, known or ()), location=part.key or part.location,
                )  # fmt: skip
        return self.parts

    def text(self, what: str) -> str:
        """A text that says something. Raises CnncostError for anything else."""
        if isinstance(self.value, str) and self.value.strip():
            return self.value
        raise self.error(f"{what} is a text", received=_shown(self.value))


def written(value: Any, location: Location | None = None) -> Written:
    """Plain Python data, all its parts at one place.

    >>> written({"max": "26M"}).parts["max"].value
    '26M'
    """
    members = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    return Written(value, location, location, {str(name): written(part, location) for name, part in members})


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return "a mapping" if isinstance(value, Mapping) else "a list"
    return "nothing" if value is None else printable(value)
