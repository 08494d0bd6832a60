"""Where the axes of a repeated value lie: what a broadcast's dimensions are to the compiler, told from the shapes."""

from __future__ import annotations

from cnncost.memory.spec import Dims


def squeezed(shape: Dims) -> Dims:
    """Without axes of one."""
    return tuple(n for n in shape if n != 1)


def axes_of(source: Dims, shape: Dims) -> Dims | None:
    """The axes of ``shape`` that the axes of ``source`` became, those of one left out. None where equal axes leave it
    open.

    >>> axes_of((8, 1, 1, 44), (8, 24, 24, 44)), axes_of((24,), (8, 24, 24, 44))
    ((0, 3), None)
    """
    own = squeezed(source)
    first, last = _earliest(own, shape), _earliest(own[::-1], shape[::-1])
    if first is None or last is None:
        return None
    mirrored = tuple(len(shape) - 1 - axis for axis in reversed(last))
    return first if first == mirrored else None


def composed(value: Dims, shape: Dims, source: Dims, inner: Dims | None, repeated: bool) -> Dims | None:
    """The axes of ``shape`` that a source's become where a value of its own axes, but for those of one, is repeated;
    where the source is ``repeated`` itself, those of what it repeats (``inner``)."""
    placed = axes_of(value, shape)
    if len(value) == len(shape):
        placed = tuple(axis for axis, n in enumerate(value) if n != 1)
    if placed is None or squeezed(value) != squeezed(source):
        return None
    if not repeated:
        return placed
    own = [axis for axis, n in enumerate(source) if n != 1]
    return None if inner is None else tuple(placed[own.index(axis)] for axis in inner)


def _earliest(own: Dims, shape: Dims) -> Dims | None:
    """Each axis at the first place where it may lie, behind the one before."""
    found: list[int] = []
    for n in own:
        begin = found[-1] + 1 if found else 0
        if n not in shape[begin:]:
            return None
        found.append(shape.index(n, begin))
    return tuple(found)


def kept_axes(axes: Dims, before: Dims, after: Dims) -> Dims | None:
    """Where ``axes`` of a shape lie once it is reshaped; None where one of them is cut or joined to others
    (ReshapeLeavesDimensionsUnmodified).

    >>> kept_axes((0, 3), (8, 24, 24, 44), (8, 12, 2, 24, 44)), kept_axes((0, 1), (8, 24, 44), (192, 44))
    ((0, 4), None)
    """
    places = {(begin, n): axis for axis, (begin, n) in enumerate(zip(_begins(after), after, strict=True)) if n != 1}
    begins = _begins(before)
    found = [places.get((begins[axis], before[axis])) for axis in axes]
    return None if None in found else tuple(axis for axis in found if axis is not None)


def _begins(shape: Dims) -> list[int]:
    """How many values lie between two that differ by one along each axis."""
    found, step = [], 1
    for n in reversed(shape):
        found.append(step)
        step *= n
    return found[::-1]
