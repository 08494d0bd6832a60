"""Input sizes that would satisfy a claim, by bisection: no layer's output shrinks when its input grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from cnncost.expectations.metrics import same_axes, tuples
from cnncost.expectations.trial import Remedy, Rewalk, Trial, distance
from cnncost.kinds.base import Kind, Shapes
from cnncost.tensor import Shape, product

OWN = 0.05  # what it adds to the cost that the model's own input is not the one to change


def resized(trial: Trial, changes: dict[str, Any], kind: Kind, cost: float, figure: Any) -> Iterator[Remedy]:
    """Another size of the model's input; of the layer's own input where none of the model's reaches it."""
    if not trial.inputs:
        return
    walk = Rewalk(trial)
    shape = _source_shape(trial, walk)
    if shape is not None:
        for wanted in _sizes(trial, shape, lambda s: _through(trial, walk, kind, s)):
            inputs = walk.inputs(wanted)
            if inputs is not None:
                yield _remedy(
                    trial, changes, kind, cost, shape, wanted, inputs, trial.analysis.layers[walk.source or 0].name
                )
                return
    direct = shape is not None and trial.row.layer.inputs[0].layer == walk.source
    if len(trial.inputs) == 1 and not direct:
        own = trial.inputs[0]
        for wanted in _sizes(trial, own, lambda s: trial.figure(kind, (s,))):
            yield _remedy(trial, changes, kind, cost + OWN, own, wanted, (wanted,), trial.row.name)
            return


def _through(trial: Trial, walk: Rewalk, kind: Kind, shape: Shape) -> Any:
    inputs = walk.inputs(shape)
    return None if inputs is None else trial.figure(kind, inputs)


def _source_shape(trial: Trial, walk: Rewalk) -> Shape | None:
    return trial.analysis.layers[walk.source].output_shape if walk.source is not None else None


def _remedy(
    trial: Trial, changes: dict[str, Any], kind: Kind, cost: float, old: Shape, new: Shape, inputs: Shapes, of: str
) -> Remedy:
    first = 1 if getattr(kind, "channels_first", False) else 0
    text = " × ".join(str(dim) for dim in (new[first:] if first else new[:-1]))
    return Remedy(cost + distance(old, new), changes, kind, inputs, text, of)


def _sizes(trial: Trial, shape: Shape, figure: Callable[[Shape], Any]) -> Iterator[Shape]:
    """The nearest shape with other spatial axes for which ``figure`` fulfils the claim."""
    first = 1 if getattr(trial.kind, "channels_first", False) else 0
    axes = [axis for axis in range(len(shape)) if axis != (0 if first else len(shape) - 1)]
    now = figure(shape)
    claimed = tuples(trial.expected.value)
    if not axes:
        return
    wanted: Shape | None = None
    if trial.expected.metric == "output_shape" and same_axes(claimed, now) and len(claimed) == len(shape):
        wanted = _axis_by_axis(shape, axes, claimed, now, figure)
    if wanted is None or not trial.fits(figure(wanted)):
        wanted = _together(trial, shape, axes, figure)
    if wanted is not None and wanted != shape and trial.fits(figure(wanted)):
        yield wanted


def _axis_by_axis(
    shape: Shape, axes: list[int], claimed: Any, now: Any, figure: Callable[[Shape], Any]
) -> Shape | None:
    wanted = list(shape)
    for axis in axes:
        if claimed[axis] in (None, now[axis]):
            continue

        def compare(size: int, axis: int = axis) -> int:
            shaped = figure((*shape[:axis], size, *shape[axis + 1 :]))
            return -1 if shaped is None else _sign(shaped[axis] - claimed[axis])

        size = bisect(compare, shape[axis] or 1)
        if size is None:
            return None
        wanted[axis] = size
    return tuple(wanted)


def _together(trial: Trial, shape: Shape, axes: list[int], figure: Callable[[Shape], Any]) -> Shape | None:
    """All spatial axes grown or shrunk alike."""
    smallest = min(shape[axis] or 1 for axis in axes)

    def grown(size: int) -> Shape:
        return tuple((dim or 1) + size - smallest if axis in axes else dim for axis, dim in enumerate(shape))

    size = bisect(lambda size: _compare(trial, figure(grown(size))), smallest)
    return None if size is None else grown(size)


def _compare(trial: Trial, figure: Any) -> int:
    """Below, within or above the claim; a layer that cannot stand is below."""
    if figure is None:
        return -1
    if trial.fits(figure):
        return 0
    claimed = tuples(trial.expected.value)
    if isinstance(figure, int) and isinstance(claimed, tuple):
        return -1 if figure < claimed[0] else 1
    sizes: list[Any] = [
        product(v) if isinstance(v, tuple) and all(isinstance(d, int) for d in v) else v for v in (figure, claimed)
    ]
    if not all(isinstance(size, int) for size in sizes):
        return 1
    return _sign(sizes[0] - sizes[1]) or 1


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def bisect(compare: Callable[[int], int], now: int) -> int | None:
    """The size nearest to ``now`` where a growing quantity is as wanted (``compare`` gives 0); None when there is none.

    >>> bisect(lambda size: _sign(-(-size // 4) - 55), 224)
    220
    """
    side = compare(now)
    if side == 0:
        return now
    low, high = (1, now) if side > 0 else (now, 16 * now + 64)
    while low < high:
        if side > 0:  # the largest size that is not above
            middle = (low + high + 1) // 2
            low, high = (middle, high) if compare(middle) <= 0 else (low, middle - 1)
        else:  # the smallest size that is not below
            middle = (low + high) // 2
            low, high = (low, middle) if compare(middle) >= 0 else (middle + 1, high)
    return low if compare(low) == 0 else None
