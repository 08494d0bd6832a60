"""Ops that move values: views share their input's buffer, the others write a new one."""

from __future__ import annotations

from cnncost.memory.optypes.base import ALIGNED, FIRST, Attrs, OpType, Specs, given
from cnncost.memory.spec import Spec


def _reshape(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``attrs["shape"]`` is the whole new shape, without -1."""
    return (Spec(tuple(attrs["shape"]), inputs[0].dtype),)


def _shape_of(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec((len(inputs[0].shape),), "int32"),)


def _transpose(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    shape = inputs[0].shape
    return (Spec(tuple(shape[axis] for axis in attrs["perm"]), inputs[0].dtype),)


def _concat(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``attrs["axis"]``, not negative."""
    axis, first = attrs["axis"], inputs[0].shape
    joined = sum(spec.shape[axis] for spec in inputs)
    return (Spec((*first[:axis], joined, *first[axis + 1 :]), inputs[0].dtype),)


def _pad(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``attrs["paddings"]``: (before, after) for each axis, the batch's included."""
    dims = zip(inputs[0].shape, attrs["paddings"], strict=True)
    return (Spec(tuple(n + before + after for n, (before, after) in dims), inputs[0].dtype),)


def _tile(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    dims = zip(inputs[0].shape, attrs["multiples"], strict=True)
    return (Spec(tuple(n * times for n, times in dims), inputs[0].dtype),)


ROWS = (
    *(OpType(name, _reshape, expensive=False, shares=FIRST) for name in ("Reshape", "Squeeze", "ExpandDims")),
    OpType("Shape", _shape_of, expensive=False),
    OpType("Transpose", _transpose, shares=ALIGNED),
    OpType("ConcatV2", _concat),
    OpType("Pack", given),
    OpType("Pad", _pad),
    OpType("PadV2", _pad),
    OpType("MirrorPad", _pad),
    OpType("Tile", _tile),
    OpType("BroadcastTo", _reshape),
    OpType("Fill", given),
    OpType("Slice", given),
    OpType("StridedSlice", given),
    OpType("StridedSliceGrad", given),
    OpType("Split", given),
    OpType("SplitV", given),
    OpType("Unpack", given),
    OpType("GatherV2", given),
    OpType("ReverseV2", given),
    OpType("SpaceToBatchND", given),
    OpType("BatchToSpaceND", given),
    OpType("ResizeNearestNeighbor", given),
    OpType("ResizeBilinear", given),
    OpType("ResizeBicubic", given),
    OpType("ResizeNearestNeighborGrad", given),
    OpType("ResizeBilinearGrad", given),
    OpType("ResizeBicubicGrad", given),
    OpType("MirrorPadGrad", given),
    OpType("ImageProjectiveTransformV3", given),
    OpType("Range", given),
    OpType("ScatterNd", given),
    OpType("GatherNd", given),
    OpType("OneHot", given),
    OpType("DepthToSpace", given),
    OpType("SpaceToDepth", given),
    OpType("UnsortedSegmentSum", given),
)
