"""How an operation's output shape follows from its operands' shapes and its parameters; numpy's rules. What joins and
takes apart is in ``operation_parts``, products are in ``operation_products``.

Shapes have the batch axis, marked ``BATCH``.
"""

from __future__ import annotations

from cnncost.errors import GeometryError, printable
from cnncost.kinds.operation_parameters import (
    BATCH,
    Parameters,
    axis_of,
    integer,
    integers,
    resolved_axes,
    text,
    whole,
    wrong,
)
from cnncost.tensor import Dim, Shape, product


def join(a: Dim, b: Dim, shapes: list[Shape]) -> Dim:
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
        result = tuple(join(a, b, shapes) for a, b in zip(result, long, strict=True))
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
    sizes = [-1 if size is None else whole(size, "newshape") for size in rest]
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


def pad(shapes: list[Shape], p: Parameters) -> list[Shape]:
    width = p.get("pad_width")
    shape = shapes[0]
    if not isinstance(width, list | tuple) or len(width) != len(shape):
        raise wrong("pad_width", "pad_width must be a pair for each axis, the batch included", width)
    result: list[Dim] = []
    for size, pair in zip(shape, width, strict=True):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise wrong("pad_width", "pad_width must be a pair for each axis", width)
        more = sum(whole(v, "pad_width") for v in pair)
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
