"""Layers that move values (keras/src/layers/reshaping)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.sizing import resize
from cnncost.memory.opgraph import Value
from cnncost.memory.spec import Dims
from cnncost.results import LayerCost


def _flatten(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    rank = len(x.shape)
    if getattr(kind, "data_format", None) == "channels_first" and rank > 2:
        x = step.add("Transpose", (x,), perm=(0, *range(2, rank), 1))
    return step.reshape(x, step.output(row).shape)


def _reshape(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return step.reshape(inputs[0], step.output(row).shape)


def _identity(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return inputs[0]


def _permute(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return step.add("Transpose", inputs, perm=(0, *kind.dims))


def _sides(kind: Any, pairs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """(before, after) for every axis, batch and channels included."""
    none = (0, 0)
    return (none, none, *pairs) if kind.channels_first else (none, *pairs, none)


def _pad(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return step.add("Pad", inputs, paddings=_sides(kind, kind.padding))


def _crop(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return step.add("StridedSlice", inputs, (step.output(row),), cropping=_sides(kind, kind.cropping))


def repeat(step: Step, x: Value, times: int, axis: int) -> Value:
    """``tf.repeat``: a new axis of one behind ``axis``, Tile, Reshape."""
    wide = (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :])
    multiples = tuple(times if i == axis + 1 else 1 for i in range(len(wide)))
    tiled = step.add("Tile", (step.add("ExpandDims", (x,), shape=wide),), multiples=multiples)
    dims: Dims = tuple(n * times if i == axis else n for i, n in enumerate(x.shape))
    return step.reshape(tiled, dims)


def _repeat_vector(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    return repeat(step, step.add("ExpandDims", (x,), shape=(x.shape[0], 1, *x.shape[1:])), kind.n, 1)


def _upsample(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    sizes = (kind.size,) if isinstance(kind.size, int) else kind.size
    interpolation = getattr(kind, "interpolation", "nearest")
    first = 2 if kind.channels_first else 1
    if interpolation == "nearest":
        flip = kind.channels_first and kind.rank == 2
        if flip:
            x, first = step.add("Transpose", (x,), perm=(0, 2, 3, 1)), 1
        for offset, size in enumerate(sizes):
            x = repeat(step, x, size, first + offset)
        return step.add("Transpose", (x,), perm=(0, 3, 1, 2)) if flip else x
    height, width = row.output_shape[1:] if kind.channels_first else row.output_shape[:2]
    return resize(step, x, int(height or 1), int(width or 1), interpolation, kind.channels_first)


RULES: dict[str, Any] = {
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Identity": _identity,
    "Permute": _permute,
    "RepeatVector": _repeat_vector,
    **{f"ZeroPadding{n}D": _pad for n in (1, 2, 3)},
    **{f"Cropping{n}D": _crop for n in (1, 2, 3)},
    **{f"UpSampling{n}D": _upsample for n in (1, 2, 3)},
}
