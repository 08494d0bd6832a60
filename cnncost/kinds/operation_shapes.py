"""How an operation's output shape follows from its operands' shapes and its parameters; numpy's rules.

Shapes have the batch axis, marked ``BATCH``. A parameter that is no number where one belongs is an ArgumentError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cnncost.errors import ArgumentError, GeometryError, printable
from cnncost.kinds.arguments import MAX_INTEGER
from cnncost.tensor import Dim, Shape, product, shape_text

Parameters = Mapping[str, Any]
BATCH = -1  # the batch axis's size in a shape; every other size is positive or unknown
MAX_PARTS = 10_000  # outputs of one operation


def text(shape: Shape) -> str:
    return shape_text(shape[1:] if shape and shape[0] == BATCH else shape)


def wrong(name: str, problem: str, value: Any) -> ArgumentError:
    return ArgumentError(problem, (name,), received=printable(value))


def integer(p: Parameters, name: str, default: int | None = None) -> int:
    """A whole number among the parameters."""
    return _whole(p.get(name, default), name)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > MAX_INTEGER:
        raise wrong(name, f"{name} must be a whole number", value)
    return value


def integers(p: Parameters, name: str) -> list[int]:
    """A list of whole numbers, or one of them."""
    value = p.get(name)
    if not isinstance(value, list | tuple):
        value = [value]
    if len(value) > MAX_PARTS:
        raise wrong(name, f"{name} is too long", len(value))
    return [_whole(v, name) for v in value]


def axis_of(value: int, rank: int) -> int:
    """An axis counted from 0."""
    if not -rank <= value < rank:
        raise GeometryError(f"axis {value} of a tensor of {rank} axes", rule="the batch is axis 0, -1 the last")
    return value % rank


def resolved_axes(p: Parameters, rank: int) -> tuple[int, ...]:
    """The axes that ``axis`` names; all of them where it names none."""
    if p.get("axis") is None:
        return tuple(range(rank))
    return tuple(axis_of(a, rank) for a in integers(p, "axis"))


def _join(a: Dim, b: Dim, shapes: list[Shape]) -> Dim:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if None in (a, b) and BATCH not in (a, b):
        return a if b is None else b
    raise GeometryError("shapes that do not broadcast", received=" and ".join(text(shape) for shape in shapes))


def broadcast(shapes: list[Shape], p: Parameters) -> list[Shape]:
    return [broadcasted(shapes)]


def broadcasted(shapes: list[Shape]) -> Shape:
    """The common shape: aligned at the last axis, where a 1 stretches."""
    rank = max(len(shape) for shape in shapes)
    result: Shape = (1,) * rank
    for shape in shapes:
        long = (1,) * (rank - len(shape)) + shape
        result = tuple(_join(a, b, shapes) for a, b in zip(result, long, strict=True))
    return result


def same(shapes: list[Shape], p: Parameters) -> list[Shape]:
    return [shapes[0]]


def reduced(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = shapes[0]
    axes = resolved_axes(p, len(shape))
    if p.get("keepdims"):
        return [tuple(1 if i in axes else dim for i, dim in enumerate(shape))]
    return [tuple(dim for i, dim in enumerate(shape) if i not in axes)]


def reshape(shapes: list[Shape], p: Parameters) -> list[Shape]:
    """The target's first entry is the batch: -1, null, or a tensor that holds it. One other -1 is what is left."""
    target = p.get("newshape")
    if not isinstance(target, list | tuple) or not target or len(target) > 64:
        raise wrong("newshape", "newshape must be a list of whole numbers", target)
    first, *rest = target
    if isinstance(first, int) and first != -1:
        raise wrong("newshape", "newshape fixes the batch", target)
    sizes = [-1 if size is None else _whole(size, "newshape") for size in rest]
    if shapes[0][:1] != (BATCH,) or sizes.count(-1) > 1 or any(size < -1 or size == 0 for size in sizes):
        raise wrong("newshape", "a newshape that cannot be", target)
    have = product(shapes[0][1:])
    known = product(size for size in sizes if size != -1) or 1
    if -1 in sizes:
        left = None if have is None else have // known
        fits = have is None or have % known == 0
    else:
        left, fits = None, have is None or have == known
    if not fits:
        raise GeometryError(
            f"{text(shapes[0])} has {have:,} values, which do not fill {printable(list(target))}",
            rule="a reshape keeps every value of an instance",
        )
    return [(BATCH, *(left if size == -1 else size for size in sizes))]


def transpose(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = shapes[0]
    if p.get("axes") is None:
        return [shape[::-1]]
    axes = [axis_of(a, len(shape)) for a in integers(p, "axes")]
    if sorted(axes) != list(range(len(shape))):
        raise wrong("axes", "axes must name every axis once", p.get("axes"))
    return [tuple(shape[a] for a in axes)]


def swapaxes(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = list(shapes[0])
    a, b = (axis_of(integer(p, name), len(shape)) for name in ("axis1", "axis2"))
    shape[a], shape[b] = shape[b], shape[a]
    return [tuple(shape)]


def moveaxis(shapes: list[Shape], p: Parameters) -> list[Shape]:
    rank = len(shapes[0])
    source = [axis_of(a, rank) for a in integers(p, "source")]
    target = [axis_of(a, rank) for a in integers(p, "destination")]
    if len(source) != len(target) or len(set(source)) != len(source) or len(set(target)) != len(target):
        raise wrong("source", "source and destination must name as many axes, each once", p.get("source"))
    order = [a for a in range(rank) if a not in source]
    for to, frm in sorted(zip(target, source, strict=True)):
        order.insert(to, frm)
    return [tuple(shapes[0][a] for a in order)]


def expand_dims(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = list(shapes[0])
    rank = len(shape) + len(integers(p, "axis"))
    for axis in sorted(axis_of(a, rank) for a in integers(p, "axis")):
        shape.insert(axis, 1)
    return [tuple(shape)]


def squeeze(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = shapes[0]
    if p.get("axis") in (None, []):
        return [tuple(dim for dim in shape if dim != 1)]
    axes = resolved_axes(p, len(shape))
    if any(shape[a] not in (1, None) for a in axes):
        raise GeometryError("only an axis of length 1 can be left out", received=f"axis {p['axis']} of {text(shape)}")
    return [tuple(dim for i, dim in enumerate(shape) if i not in axes)]


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
            _inside(shape.pop(0), _whole(entry, "key"))
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
    ends = [None if parts.get(n) is None else _whole(parts[n], "key") for n in ("start", "stop", "step")]
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


def pad(shapes: list[Shape], p: Parameters) -> list[Shape]:
    width = p.get("pad_width")
    shape = shapes[0]
    if not isinstance(width, list | tuple) or len(width) != len(shape):
        raise wrong("pad_width", "pad_width must be a pair for each axis, the batch included", width)
    result: list[Dim] = []
    for size, pair in zip(shape, width, strict=True):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise wrong("pad_width", "pad_width must be a pair for each axis", width)
        more = sum(_whole(v, "pad_width") for v in pair)
        if size == BATCH and more:
            raise GeometryError("it pads the batch", rule="each instance must be computed by itself")
        result.append(size if size is None or size == BATCH else size + more)
    return [tuple(result)]


def tile(shapes: list[Shape], p: Parameters) -> list[Shape]:
    repeats = integers(p, "repeats")
    rank = max(len(repeats), len(shapes[0]))
    long = (1,) * (rank - len(shapes[0])) + shapes[0]
    many = [1] * (rank - len(repeats)) + repeats
    return [tuple(_times(n, size) for n, size in zip(many, long, strict=True))]


def _times(n: int, size: Dim) -> Dim:
    if n < 1 or (size == BATCH and n != 1):
        raise wrong("repeats", "repeats must be positive, and 1 for the batch", n)
    return size if size is None or size == BATCH else n * size


def repeat(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = shapes[0]
    axis = axis_of(integer(p, "axis"), len(shape))
    return [(*shape[:axis], _times(integer(p, "repeats"), shape[axis]), *shape[axis + 1 :])]


def flip(shapes: list[Shape], p: Parameters) -> list[Shape]:
    if 0 in resolved_axes(p, len(shapes[0])):
        raise GeometryError("it turns the batch around", rule="each instance must be computed by itself")
    return [shapes[0]]


def broadcast_to(shapes: list[Shape], p: Parameters) -> list[Shape]:
    return [broadcasted([shapes[0], tuple(integers(p, "shape"))])]


def one_hot(shapes: list[Shape], p: Parameters) -> list[Shape]:
    shape = list(shapes[0])
    shape.insert(axis_of(integer(p, "axis", -1), len(shape) + 1), integer(p, "num_classes"))
    return [tuple(shape)]


def _block(shapes: list[Shape], p: Parameters) -> tuple[int, Dim, Dim, Dim]:
    if len(shapes[0]) != 4 or p.get("data_format") in ("channels_first", "NCHW"):
        raise GeometryError("it needs [rows, columns, channels]", received=text(shapes[0]))
    block = integer(p, "block_size")
    if block < 1:
        raise wrong("block_size", "block_size must be positive", block)
    return (block, *shapes[0][1:])


def depth_to_space(shapes: list[Shape], p: Parameters) -> list[Shape]:
    block, rows, columns, channels = _block(shapes, p)
    if channels is not None and channels % block**2:
        raise GeometryError("the channels do not fill blocks", received=f"{channels} and block_size {block}")
    area = None if channels is None else channels // block**2
    return [(BATCH, *(None if n is None else n * block for n in (rows, columns)), area)]


def space_to_depth(shapes: list[Shape], p: Parameters) -> list[Shape]:
    block, rows, columns, channels = _block(shapes, p)
    if any(n is not None and n % block for n in (rows, columns)):
        raise GeometryError("rows and columns do not divide into blocks", received=text(shapes[0]))
    deep = None if channels is None else channels * block**2
    return [(BATCH, *(None if n is None else n // block for n in (rows, columns)), deep)]


def matmul(shapes: list[Shape], p: Parameters) -> list[Shape]:
    if len(shapes) != 2 or min(len(shape) for shape in shapes) < 2:
        raise GeometryError(
            "a product needs two tensors of at least two axes", received=" and ".join(map(text, shapes))
        )
    a, b = (
        (*shape[:-2], shape[-1], shape[-2]) if p.get(f"transpose_{name}") else shape
        for name, shape in zip("ab", shapes, strict=True)
    )
    if BATCH in (a[-1], b[-2]) or (None not in (a[-1], b[-2]) and a[-1] != b[-2]):
        raise GeometryError("inner axes that differ", received=" and ".join(map(text, shapes)))
    return [(*broadcasted([a[:-2], b[:-2]]), a[-2], b[-1])]


_EINSUM = re.compile(r"[a-zA-Z]+(,[a-zA-Z]+)*->[a-zA-Z]+")


def _subscripts(shapes: list[Shape], p: Parameters) -> tuple[list[str], str]:
    subscripts = p.get("subscripts")
    if not isinstance(subscripts, str) or not _EINSUM.fullmatch(subscripts.replace(" ", "")) or len(subscripts) > 200:
        raise wrong("subscripts", "subscripts must be letters, such as ij,jk->ik", subscripts)
    read, made = subscripts.replace(" ", "").split("->")
    parts = read.split(",")
    if len(parts) != len(shapes) or any(len(part) != len(shape) for part, shape in zip(parts, shapes, strict=False)):
        raise GeometryError("operands that do not fit the subscripts", received=" and ".join(map(text, shapes)))
    return parts, made


def einsum_letters(shapes: list[Shape], p: Parameters) -> dict[str, Dim]:
    """The size of every letter."""
    sizes: dict[str, Dim] = {}
    for part, shape in zip(_subscripts(shapes, p)[0], shapes, strict=True):
        for letter, size in zip(part, shape, strict=True):
            sizes[letter] = _join(sizes.get(letter, size), size, shapes)
    return sizes


def einsum_shape(shapes: list[Shape], p: Parameters) -> list[Shape]:
    sizes, made = einsum_letters(shapes, p), _subscripts(shapes, p)[1]
    if not set(made) <= set(sizes):
        raise wrong("subscripts", "a letter of the result that no operand has", p.get("subscripts"))
    return [tuple(sizes[letter] for letter in made)]
