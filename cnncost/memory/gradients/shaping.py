"""Ops that move values: the gradient moves them back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from cnncost.memory.gradients.base import Gradient, Grads, Skip, reshape
from cnncost.memory.late_constants import TOLD
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.sparse import rows
from cnncost.memory.spec import Spec

# Up to this many inputs a concatenation's gradient is a Slice for each, beyond it one SplitV (array_grad.py).
_MOST_SLICES = 16


def _reshape(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (reshape(graph, grad, op.inputs[0].shape),)


def _transpose(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    perm = op.attrs["perm"]
    inverse = tuple(sorted(range(len(perm)), key=perm.__getitem__))
    return (graph.add("Transpose", (grad,), (op.inputs[0].spec,), perm=inverse),)


def _concat(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    axis = op.attrs["axis"]
    if len(op.inputs) == 1:
        return (grad,)
    if len(op.inputs) > _MOST_SLICES:
        split = graph.add("SplitV", (grad,), tuple(value.spec for value in op.inputs), axis=axis).op
        return [split.out(i) for i in range(len(op.inputs))]
    ends = list(accumulate(value.shape[axis] for value in op.inputs))
    starts = [0, *ends[:-1]]
    shapes = tuple(value.shape for value in op.inputs)

    def part(number: int, value: Value, start: int) -> Value:
        own: dict[str, Any] = {TOLD: (axis, shapes, number)}
        return graph.add("Slice", (grad,), (value.spec,), axis=axis, start=start, **own)

    parts = enumerate(zip(op.inputs, starts, strict=True))
    return [None if i in skip else part(i, value, start) for i, (value, start) in parts]


def _one(type_: str) -> Gradient:
    """One op that writes a value of the operand's shape."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        return (graph.add(type_, (grad,), (op.inputs[0].spec,), **op.attrs), *(None for _ in op.inputs[1:]))

    return rule


def _interpolated(type_: str) -> Gradient:
    """One op that reads the gradient, and the images for their size: they are kept until then."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        x = op.inputs[0]
        return (graph.add(type_, (grad, x), (x.spec,), **op.attrs),)

    return rule


def _pad(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    begin = tuple(before for before, _ in op.attrs["paddings"])
    told: dict[str, Any] = {TOLD: op.attrs["paddings"]}
    return (graph.add("Slice", (grad,), (op.inputs[0].spec,), begin=begin, **told), *(None for _ in op.inputs[1:]))


def _slice(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (graph.add("Pad", (grad,), (op.inputs[0].spec,)),)


def _tile(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """Split every axis into (times, size) and sum over the times."""
    source = op.inputs[0]
    shape = tuple(n for pair in zip(op.attrs["multiples"], source.shape, strict=True) for n in pair)
    axes = tuple(range(0, len(shape), 2))
    return (graph.add("Sum", (reshape(graph, grad, shape),), (source.spec,), axes=axes),)


def _broadcast_to(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    source = op.inputs[0]
    own = (1,) * (len(grad.shape) - len(source.shape)) + source.shape
    axes = tuple(i for i, n in enumerate(own) if n == 1)
    summed = graph.add("Sum", (grad,), axes=axes, keepdims=True)
    return (reshape(graph, summed, source.shape),)


def _pack(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    aligned = op.attrs["axis"] == 0 and op.inputs[0].spec.bytes % 64 == 0  # then each part is a view
    type_ = "_UnpackView" if aligned else "Unpack"
    parts = graph.add(type_, (grad,), tuple(value.spec for value in op.inputs), **op.attrs).op
    return [parts.out(i) for i in range(len(op.inputs))]


def _gather(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """Along the first axis: the rows that were looked up. Along another: everything is turned so that it comes first,
    summed by index, and turned back (array_grad.py: _GatherV2Grad)."""
    params, indices = op.inputs
    axis, count = op.attrs["axis"], indices.spec.elements
    if axis == 0:
        values = reshape(graph, grad, (count, *params.shape[1:]))
        return rows(values, reshape(graph, indices, (count,)), params.spec), None
    before, after = params.shape[:axis], params.shape[axis + 1 :]
    values = reshape(graph, grad, (*before, count, *after))
    order = (axis, *range(axis), *range(axis + 1, len(params.shape)))
    turned = graph.add("Transpose", (values,), perm=order)
    whole = (params.shape[axis], *before, *after)
    summed = graph.add("UnsortedSegmentSum", (turned, reshape(graph, indices, (count,))), (Spec(whole, grad.dtype),))
    return graph.add(
        "Transpose", (summed,), (params.spec,), perm=(*range(1, axis + 1), 0, *range(axis + 1, len(order)))
    ), None


def _scatter_nd(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    return (graph.add("GatherNd", (grad,), (op.inputs[0].spec,)), *(None for _ in op.inputs[1:]))


RULES: Mapping[str, Gradient] = MappingProxyType(
    {
        "Reshape": _reshape,
        "Squeeze": _reshape,
        "ExpandDims": _reshape,
        "Transpose": _transpose,
        "ConcatV2": _concat,
        "Pad": _pad,
        "PadV2": _pad,
        "MirrorPad": _one("MirrorPadGrad"),
        "Slice": _slice,
        "StridedSlice": _one("StridedSliceGrad"),
        "ReverseV2": _one("ReverseV2"),
        "ResizeNearestNeighbor": _one("ResizeNearestNeighborGrad"),
        "ResizeBilinear": _interpolated("ResizeBilinearGrad"),
        "ResizeBicubic": _interpolated("ResizeBicubicGrad"),
        "ImageProjectiveTransformV3": _one("ImageProjectiveTransformV3"),
        "DepthToSpace": _one("SpaceToDepth"),
        "SpaceToDepth": _one("DepthToSpace"),
        "SpaceToBatchND": _one("BatchToSpaceND"),
        "BatchToSpaceND": _one("SpaceToBatchND"),
        "Tile": _tile,
        "BroadcastTo": _broadcast_to,
        "Pack": _pack,
        "GatherV2": _gather,
        "ScatterNd": _scatter_nd,
    }
)
