"""The shapes of operations that join and take apart; numpy's rules. Shapes have the batch axis, marked ``BATCH``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import GeometryError, printable
from cnncost.kinds.operation_parameters import (
    BATCH,
    MAX_PARTS,
    Parameters,
    axis_of,
    integer,
    integers,
    text,
    whole,
    wrong,
)
from cnncost.tensor import Dim, Shape


def _alike(shapes: list[Shape], axis: int | None) -> list[Dim]:
    """The common shape of tensors that may differ along ``axis`` alone."""
    result = list(shapes[0])
    for shape in shapes[1:]:
        if len(shape) != len(result):
            raise GeometryError("tensors with different numbers of axes", received=" and ".join(map(text, shapes)))
        for i, dim in enumerate(shape):
            if i == axis:
                continue
            if None not in (dim, result[i]) and dim != result[i]:
                raise GeometryError("tensors that differ along another axis", received=" and ".join(map(text, shapes)))
            result[i] = dim if result[i] is None else result[i]
    return result


def concatenate(shapes: list[Shape], p: Parameters) -> list[Shape]:
    axis = axis_of(integer(p, "axis", -1), len(shapes[0]))
    result = _alike(shapes, axis)
    sizes = [shape[axis] for shape in shapes]
    if BATCH in sizes and len(shapes) > 1:
        raise GeometryError("it joins batches", rule="each instance must be computed by itself")
    result[axis] = None if None in sizes else sum(size or 0 for size in sizes)
    return [tuple(result)]


def stack(shapes: list[Shape], p: Parameters) -> list[Shape]:
    result = _alike(shapes, None)
    result.insert(axis_of(integer(p, "axis", 0), len(result) + 1), len(shapes))
    return [tuple(result)]


def unstack(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = shapes[0]
    axis = axis_of(integer(p, "axis", 0), len(shape))
    number = shape[axis] if p.get("num") is None else integer(p, "num")
    if number is None or not 1 <= number <= MAX_PARTS:
        raise GeometryError("an axis that cannot be taken apart", received=f"axis {axis} of {text(shape)}")
    return [shape[:axis] + shape[axis + 1 :]] * number


def split(shapes: list[Shape], p: Parameters) -> list[Shape]:
    """``sizes`` (TensorFlow) or ``indices_or_sections`` (numpy)."""
    shape = shapes[0]
    axis = axis_of(integer(p, "axis", 0), len(shape))
    size = shape[axis]
    if size == BATCH or size is None:
        raise GeometryError("an axis that cannot be split", received=f"axis {axis} of {text(shape)}")
    return [(*shape[:axis], part, *shape[axis + 1 :]) for part in _parts(size, p)]


def _parts(size: int, p: Parameters) -> list[int]:
    sizes = p.get("sizes")
    given = p.get("indices_or_sections")
    if isinstance(sizes, list | tuple):
        parts = integers(p, "sizes")
        if parts.count(-1) == 1:
            parts = [size - sum(parts) - 1 if part == -1 else part for part in parts]
    elif isinstance(given, list | tuple):
        ends = [min(e if e >= 0 else size + e, size) for e in integers(p, "indices_or_sections")]
        parts = [b - a for a, b in zip([0, *ends], [*ends, size], strict=True)]
    else:
        number = integer(p, "sizes" if given is None else "indices_or_sections")
        if not 1 <= number <= MAX_PARTS or size % number:
            raise GeometryError("it does not divide into equal parts", received=f"{size} into {number}")
        parts = [size // number] * number
    if sum(parts) != size or min(parts) < 1:
        raise GeometryError("the parts are not the whole", received=f"{size} into {printable(parts)}")
    return parts


def _is(entry: Any, mark: str) -> bool:
    return isinstance(entry, Mapping) and entry.get("class_name") == mark


def get_item(shapes: list[Shape], p: Parameters) -> list[Shape]:
    """numpy's indexing with whole numbers, slices, an ellipsis and new axes."""
    key = p.get("key")
    if isinstance(key, Mapping) and _is(key, "__tuple__"):
        key = key.get("items")
    entries = list(key) if isinstance(key, list | tuple) else [key]
    used = sum(entry is not None and not _is(entry, "__ellipsis__") for entry in entries)
    shape, missing = list(shapes[0]), len(shapes[0]) - used
    if missing < 0 or len(entries) > 64:
        raise GeometryError("more indices than axes", received=f"{used} for {text(shapes[0])}")
    if not any(_is(entry, "__ellipsis__") for entry in entries):
        entries.append({"class_name": "__ellipsis__"})
    result: list[Dim] = []
    for entry in entries:
        if entry is None:
            result.append(1)
        elif _is(entry, "__ellipsis__"):
            result += [shape.pop(0) for _ in range(missing)]
            missing = 0
        elif isinstance(entry, Mapping):
            result.append(_sliced(shape.pop(0), entry))
        else:
            _inside(shape.pop(0), whole(entry, "key"))
    return [tuple(result)]


def _inside(size: Dim, index: int) -> None:
    if size is not None and (size == BATCH or not -size <= index < size):
        raise GeometryError(
            "an index outside its axis", received=f"{index} of {'the batch' if size == BATCH else size}"
        )


def _sliced(size: Dim, entry: Mapping[str, Any]) -> Dim:
    parts = entry.get("config", entry)
    if not isinstance(parts, Mapping):
        raise wrong("key", "a slice without start and stop", entry)
    ends = [None if parts.get(n) is None else whole(parts[n], "key") for n in ("start", "stop", "step")]
    if ends[0] in (None, 0) and ends[1] is None and ends[2] in (None, 1):
        return size
    if size is None:
        return None
    if size == BATCH:
        raise GeometryError("it cuts the batch", rule="each instance must be computed by itself")
    if ends[2] == 0:
        raise wrong("key", "a slice's step is never 0", ends[2])
    found = len(range(size)[slice(*ends)])
    if not found:
        raise GeometryError("an empty slice", received=f"{printable(ends)} of {size}")
    return found


def take(shapes: list[Shape], p: Parameters) -> list[Shape]:
    """Constant indices along an axis; ``shapes[1]`` is the indices' shape."""
    shape = shapes[0]
    axis = axis_of(integer(p, "axis"), len(shape))
    if len(shapes) != 2 or BATCH in shapes[1]:
        raise GeometryError("indices that depend on the data")
    return [(*shape[:axis], *shapes[1], *shape[axis + 1 :])]
