"""The constants that steer ops: shapes, axes, places. They are nodes of TensorFlow's graph, through which its walks
pass, and equal ones are one; here they are attributes of the ops that read them.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from cnncost.memory.names import Names
from cnncost.memory.opgraph import BACKWARD, FORWARD, Op
from cnncost.memory.wires import Wires

# Where TensorFlow's op reads a constant that steers it (-1: last), and what stands in it.
_STEERING: dict[str, tuple[int, str]] = {
    "Reshape": (1, "shape"), "Tile": (1, "multiples"), "Pad": (1, "paddings"), "Slice": (1, "shape"),
    "Transpose": (1, "perm"), "ConcatV2": (-1, "axis"), "Mean": (1, "axes"), "Sum": (1, "axes"), "Max": (1, "axes"),
    "Min": (1, "axes"), "ExpandDims": (1, "shape"), "AvgPoolGrad": (0, "shape"),
    "ResizeBilinear": (1, "size"), "ResizeBicubic": (1, "size"), "ResizeNearestNeighbor": (1, "size"),
    "DepthwiseConv2dNativeBackpropInput": (0, "shape"), "DepthwiseConv2dNativeBackpropFilter": (1, "shape"),
}  # fmt: skip
_OF_SHAPE = {"shape": slice(None), "size": slice(1, 3)}  # the part of the output's shape
_SIZED = {
    "Conv2DBackpropInput": 0, "Conv2DBackpropFilter": 1, "Conv2DBackpropFilterWithBias": 1, "Conv3DBackpropInputV2": 0,
    "Conv3DBackpropFilterV2": 1,
}  # fmt: skip
_BLOCKS = ("SpaceToBatchND", "BatchToSpaceND")
_DRAWN = "StatelessRandomUniformV2"
_STRIDED = {"StridedSlice": 1, "StridedSliceGrad": 0}  # the place of what says which part
STEERED = frozenset((*_STEERING, *_SIZED, *_BLOCKS, *_STRIDED, _DRAWN))
_FILTERS = frozenset(("Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3DBackpropFilterV2"))
_CONVOLUTIONS = frozenset(("Conv2D", "_FusedConv2D", "Conv3D", "_FusedConv3D"))
_VECTOR = "vector"  # of whole numbers: equal ones are one constant, whatever they say
_TABLE = "table"  # of them


def steer(
    op: Op, places: list[int], constant: Callable[..., int], data: dict[tuple[int, str], list[Op]], names: Names,
    unsized: Container[Op] = (), written: bool = False,
) -> None:  # fmt: skip
    """Put the constants that steer an op among the places of what it reads. ``unsized``: ops whose output's shape
    grappler does not know; what reads it is told by an op of its own (ShapeN), which reads the same. ``written``:
    without grappler one such op tells both gradients of a convolution."""
    steering = _STEERING.get(op.type)
    if steering is not None:
        place, attribute = steering
        value: Any = op.attrs.get("written")  # as Keras's code says it
        if value is None:
            part = _OF_SHAPE.get(attribute)
            value = op.attrs.get(attribute) if part is None else op.outputs[0].shape[part]
        key = (_VECTOR, *value) if isinstance(value, tuple) else (attribute, str(value))
        places.insert(len(places) if place < 0 else place, constant(key))
        if op.type == "Slice":
            places.insert(place, constant((_VECTOR, *_begin(op))))
    elif op.type == _DRAWN:  # the key and the counter are one op's
        places[:] = [constant((_VECTOR, *op.outputs[0].shape)), *places[:1], *places, constant(_DRAWN)]
    elif op.type in _STRIDED:
        place = _STRIDED[op.type]
        places[place:place] = [constant(key) for key in _part(op)]
    elif op.type in _BLOCKS:
        places += [constant((_VECTOR, *op.attrs["block"])), constant((_TABLE, *op.attrs["sides"]))]
    else:
        operands = data.get((op.inputs[1].op.index, op.layer), ()) if op.phase == BACKWARD else ()
        if written and operands:
            sizes = constant((operands[-1].index, "ShapeN"), [operand.index for operand in operands])
        elif op.type == "Conv2DBackpropInput" and operands and operands[0] in unsized:
            sizes = constant((op.index, "ShapeN"), [operand.index for operand in operands])
        elif operands:
            waits = [operand.index for operand in sorted(operands, key=names.of)]
            sizes = constant((op.index, "sizes"), waits, last=True)
        else:
            sizes = constant((_VECTOR, *op.outputs[0].shape))
        places.insert(_SIZED[op.type], sizes)


def _begin(op: Op) -> tuple[int, ...]:
    """Where a slice begins: a part of a concatenation's gradient somewhere along its axis."""
    begin: tuple[int, ...] | None = op.attrs.get("begin")
    if begin is not None:
        return begin
    axis, rank = op.attrs["axis"], len(op.outputs[0].shape)
    return tuple(op.attrs["start"] if place == axis % rank else 0 for place in range(rank))


def _part(op: Op) -> list[tuple[object, ...]]:
    """Where a strided slice begins, ends, and its strides, which are 1; its gradient is told the shape before them."""
    back = op.type == "StridedSliceGrad"
    part = (op.inputs[0] if back else op.outputs[0]).shape
    shape: list[tuple[object, ...]] = [(_VECTOR, *op.outputs[0].shape)] if back else []
    if "cropping" in op.attrs:  # x[:, a:-b, c:-d, :]
        begin, end = zip(*((before, -after) for before, after in op.attrs["cropping"]), strict=True)
        return [*shape, (_VECTOR, *begin), (_VECTOR, *end), (_VECTOR, *(1 for _ in begin))]
    if isinstance(op.attrs.get("begin"), int):  # x[..., a:b]
        first = op.attrs["begin"]
        return [*shape, (_VECTOR, 0, first), (_VECTOR, 0, first + part[-1]), (_VECTOR, 1, 1)]
    which = str(sorted((name, str(value)) for name, value in op.attrs.items()))
    return [*shape, ("first", which), ("end", which, part), ("strides", len(part))]


def convolved(edges: Wires) -> dict[tuple[int, str], list[Op]]:
    """What a convolution of a layer read, by the gradient of its output: the shapes of its operands are constants of
    their own, which wait for both operands (constant_folding.cc: MaterializeShapes). A transposed one reads the
    gradient as its image; there the shape of the filter is a constant."""
    kernels = {  # a convolution that a sum was fused with has the sum's layer
        (op.inputs[0].op.index, op.inputs[1].op.layer): op.inputs[1].op
        for op in edges.of(*_CONVOLUTIONS)
        if op.phase == FORWARD
    }
    found = {}
    for op in edges.of(*_FILTERS):
        if op.inputs[0].op.type != "Const" and op.inputs[0].op.phase != BACKWARD:
            image = op.inputs[0].op
            kernel = kernels.get((image.index, op.layer))
            found[op.inputs[1].op.index, op.layer] = [image] if kernel is None else [image, kernel]
    return found
