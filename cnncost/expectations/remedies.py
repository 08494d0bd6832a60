"""The nearest changes that would satisfy a claim, found by trying: other arguments of the layer, other input sizes.

Changes are ranked by size: a changed number costs its relative difference, a changed word or flag a little. Every
remedy is checked with the layer's own rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cnncost.errors import CnncostError
from cnncost.expectations.metrics import SHAPED, same_axes, tuples
from cnncost.expectations.sizes import resized
from cnncost.expectations.trial import Remedy, Spent, Trial, distance
from cnncost.kinds.arguments import Choice, Extent, Flag, Integer
from cnncost.kinds.base import Kind

WORD, FLAG, FILTERS = 0.002, 0.01, 0.05  # a word is what a table most often has wrong
MOST = 64  # candidates tried for one argument
BRANCHES = 8  # starting points: the layer as it is, its other paddings, its flags turned


def remedies(trial: Trial, limit: int = 3) -> list[Remedy]:
    """Up to ``limit`` changes that satisfy the claim, the smallest first."""
    found: list[Remedy] = []
    try:
        for remedy in _search(trial):
            if not any(_changes(other) == _changes(remedy) for other in found):
                found.append(remedy)
    except (Spent, CnncostError):
        pass
    needed = [remedy for remedy in found if not any(_within(other, remedy) for other in found)]
    return sorted(needed, key=lambda remedy: remedy.cost)[:limit]


def _changes(remedy: Remedy) -> dict[str, Any]:
    return {**remedy.changes, "": remedy.resized} if remedy.resized else remedy.changes


def _within(small: Remedy, large: Remedy) -> bool:
    """The larger remedy makes the same changes and needless ones."""
    a, b = _changes(small), _changes(large)
    return len(a) < len(b) and all(key in b and b[key] == value for key, value in a.items())


def _search(trial: Trial) -> Iterator[Remedy]:
    for changes, cost in _starts(trial):
        kind = trial.changed(changes)
        if kind is None:
            continue
        figure = trial.figure(kind, trial.inputs)
        if changes and trial.fits(figure):
            yield Remedy(cost, changes, kind, trial.inputs)
            continue
        for name, value, step in _numbers(trial, kind, figure):
            other = {**changes, name: value}
            made = trial.changed(other)
            if made is not None:
                yield Remedy(cost + step, other, made, trial.inputs)
        yield from resized(trial, changes, kind, cost, figure)


def _starts(trial: Trial) -> list[tuple[dict[str, Any], float]]:
    """The layer as it is, with its other words of padding, with a flag turned, with as many maps as were claimed."""
    starts: list[tuple[dict[str, Any], float]] = [({}, 0.0)]
    for name, kind in trial.kind.arguments().items():
        now = getattr(trial.kind, name)
        if isinstance(kind, Choice) and name == "padding":
            starts += [({name: word}, WORD) for word in kind.choices if word != now]
        elif isinstance(kind, Flag) and isinstance(now, bool) and trial.expected.metric not in SHAPED:
            starts.append(({name: not now}, FLAG))
    if trial.expected.metric == "output_shape":
        starts += [({**maps, **start}, cost + FILTERS) for maps in _maps(trial) for start, cost in list(starts)]
    return starts[: 2 * BRANCHES]


def _maps(trial: Trial) -> Iterator[dict[str, Any]]:
    """One argument that gives the claimed number of maps, where another number was claimed."""
    claimed, now = tuples(trial.expected.value), trial.figure(trial.kind, trial.inputs)
    if not same_axes(claimed, now):
        return
    for axis, (want, have) in enumerate(zip(claimed, now, strict=True)):
        for name, kind in trial.kind.arguments().items():
            if want in (None, have) or not isinstance(kind, Integer) or not isinstance(getattr(trial.kind, name), int):
                continue
            made = trial.changed({name: want})
            shape = trial.figure(made, trial.inputs) if made is not None else None
            if shape is not None and same_axes(claimed, shape) and shape[axis] == want:
                yield {name: want}
                return


# -- numbers ---------------------------------------------------------------------------------------------------------


def _numbers(trial: Trial, kind: Kind, figure: Any) -> Iterator[tuple[str, Any, float]]:
    """(argument, value, cost) for each argument that alone fulfils the claim."""
    for name, type_ in kind.arguments().items():
        now = getattr(kind, name)
        if now is None and name == "strides":  # a pooling's step is its window unless it is given
            now = tuple(window.stride for window in trial.row.windows)
        if isinstance(type_, Extent) and isinstance(now, tuple) and now:
            value: Any = _extent(trial, kind, name, now, figure)
        elif isinstance(type_, Integer) and isinstance(now, int):
            value = _integer(trial, kind, name, now, figure)
        else:
            continue
        if value is not None and value != now:
            yield name, value, distance(now, value)


def _near(now: int) -> list[int]:
    return sorted(range(1, min(max(2 * now, 16), MOST)), key=lambda value: (abs(value - now), value))


def _try(trial: Trial, kind: Kind, name: str, value: Any) -> Any:
    made = trial.changed({**_arguments(kind), name: value})
    return None if made is None else trial.figure(made, trial.inputs)


def _arguments(kind: Kind) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in kind.arguments()}


def _extent(trial: Trial, kind: Kind, name: str, now: tuple[int, ...], figure: Any) -> tuple[int, ...] | None:
    """A value for all axes, or one for each axis that does not come out as claimed."""
    if len(set(now)) == 1:
        for value in _near(now[0]):
            if value != now[0] and trial.fits(_try(trial, kind, name, (value,) * len(now))):
                return (value,) * len(now)
    claimed = tuples(trial.expected.value)
    if trial.expected.metric != "output_shape" or not same_axes(claimed, figure):
        return None
    first = 1 if getattr(kind, "channels_first", False) else 0
    result = list(now)
    for axis, old in enumerate(now):
        at = axis + first
        if at >= len(claimed) or claimed[at] in (None, figure[at]):
            continue
        for value in _near(old):
            shape = _try(trial, kind, name, (*now[:axis], value, *now[axis + 1 :]))
            if same_axes(claimed, shape) and shape[at] == claimed[at]:
                result[axis] = value
                break
    return tuple(result) if trial.fits(_try(trial, kind, name, tuple(result))) else None


def _integer(trial: Trial, kind: Kind, name: str, now: int, figure: Any) -> int | None:
    """A whole number: divisors and neighbours by trying, far ones along the line through two points."""
    claimed = tuples(trial.expected.value)
    guesses = [dim for dim in claimed if isinstance(dim, int)] if isinstance(claimed, tuple) else []
    if trial.expected.metric not in SHAPED and isinstance(figure, int):
        above = _try(trial, kind, name, now + _step(kind, name))
        slope = (above - figure) // _step(kind, name) if isinstance(above, int) else 0
        ends = claimed if isinstance(claimed, tuple) else (claimed,)
        if slope:
            guesses = [now + (int(end) - figure) // slope + nudge for end in ends for nudge in (0, 1, -1)]
    near = _near(now)[:MOST] if now < MOST else []
    for value in [*sorted(guesses, key=lambda guess: abs(guess - now)), *near]:
        if 0 < value < 2**31 and value != now and trial.fits(_try(trial, kind, name, value)):
            return int(value)
    return None


def _step(kind: Kind, name: str) -> int:
    """A step that the groups divide, so that the neighbour exists."""
    groups = getattr(kind, "groups", 1)
    return groups if isinstance(groups, int) and name != "groups" else 1
