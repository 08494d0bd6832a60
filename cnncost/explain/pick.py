"""Which layer is meant: its exact name, the only name that ends so, or the only one that fits a pattern."""

from __future__ import annotations

from cnncost.analysis import Analysis
from cnncost.errors import CnncostError, nearest, printable

SHOWN = 5


def pick(analysis: Analysis, wanted: str) -> int:
    """The index of the layer. Raises CnncostError naming the nearest, or the several that fit."""
    names = [row.name for row in analysis.layers]
    if wanted in names:
        return names.index(wanted)
    fits = [i for i, name in enumerate(names) if name.endswith("/" + wanted)] or _matches(names, wanted)
    fits = fits or [i for i, name in enumerate(names) if name.lower() == wanted.lower()]
    fits = fits or [i for i, name in enumerate(names) if wanted and name.endswith(wanted)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        shown = ", ".join(printable(names[i]) for i in fits[:SHOWN])
        more = f" and {len(fits) - SHOWN:,} more" if len(fits) > SHOWN else ""
        raise CnncostError(
            f"'{printable(wanted)}' fits {len(fits):,} layers", rule="a layer is named by its whole name, a unique end "
            "of it, or a pattern that fits one", nearest=f"they are {shown}{more}",
        )  # fmt: skip
    ends = [name.rsplit("/", 1)[-1] for name in names]
    raise CnncostError(
        f"there is no layer '{printable(wanted)}'",
        nearest=nearest(wanted, names) or nearest(wanted, ends) or f"its layers are {_some(names)}",
    )


def _matches(names: list[str], wanted: str) -> list[int]:
    if len(wanted) > 200 or not any(c in wanted for c in "*?["):
        return []
    import re
    from fnmatch import translate

    if wanted.count("*") > 8:
        return []
    pattern = re.compile(translate(wanted))
    return [i for i, name in enumerate(names) if len(name) <= 400 and pattern.match(name)]


def _some(names: list[str]) -> str:
    return ", ".join(printable(name) for name in names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
