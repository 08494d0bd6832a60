"""What grappler knows of shapes behind a function that XLA compiles (grouped convolutions): nothing of its output's,
not even the rank, and only parts of what follows. A convolution's output has the rank and the channels that its filter
says; a reshape by a constant all; a join what any of its parts has.

A shape is None where the rank is not known, else a tuple; a size that is not known is a negative number, the same where
TensorFlow's inference can tell that two sizes are (common_shape_fns.cc; graph_properties.cc numbers them so).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count, zip_longest

from cnncost.memory.opgraph import Op

Shape = tuple[int, ...] | None
_CALLS = frozenset(("StatefulPartitionedCall", "PartitionedCall"))  # forward, and its gradient
_SIZED = frozenset(  # a constant says what shape they make
    ("Reshape", "Slice", "AvgPoolGrad", "Conv2DBackpropInput", "Conv2DBackpropFilter",
     "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter", "Conv3DBackpropInputV2",
     "Conv3DBackpropFilterV2", "Conv2DBackpropFilterWithBias")
)  # fmt: skip
_MERGED = frozenset(("AddN", "ReluGrad", "Relu6Grad", "EluGrad", "SeluGrad", "LeakyReluGrad", "SoftsignGrad"))
_FIRST = frozenset(("TanhGrad", "SigmoidGrad", "RsqrtGrad", "SqrtGrad", "ReciprocalGrad"))  # as their first operand
_BROADCAST = frozenset(("AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "SquaredDifference", "Pow", "SelectV2",
                        "GreaterEqual", "Greater", "Less", "LessEqual", "Equal", "NotEqual"))  # fmt: skip
_WINDOWS = frozenset(
    ("Conv2D", "Conv3D", "DepthwiseConv2dNative", "_FusedConv2D", "_FusedConv3D", "_FusedDepthwiseConv2dNative")
)  # fmt: skip
_POOLS = frozenset(("MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D"))
_REDUCED = frozenset(("Mean", "Sum", "Max", "Min", "Prod"))


class Inference:
    """Shapes of the outputs of ops, in the order that they are shown; those that are all known stand nowhere."""

    def __init__(self) -> None:
        self.found: dict[Op, list[Shape]] = {}
        self.fresh = count(-1, -1)

    def of(self, op: Op, index: int = 0) -> Shape:
        shapes = self.found.get(op)
        return op.outputs[index].shape if shapes is None else shapes[index]

    def add(self, op: Op) -> None:
        """Its outputs' shapes, from its inputs'."""
        if op.type in _CALLS:
            self.found[op] = [None] * len(op.outputs)
            return
        if not op.outputs or op.type in _SIZED or all(value.op not in self.found for value in op.inputs):
            return
        rule = _RULES.get(op.type, Inference.other)
        shape = rule(self, op, [self.of(*value) for value in op.inputs])
        if shape is None or min(shape, default=0) < 0:
            self.found[op] = [shape if index == 0 else None for index in range(len(op.outputs))]

    def rankless(self, op: Op) -> bool:
        """Whether it reads or makes a shape without rank."""
        return None in self.found.get(op, ()) or any(self.of(*value) is None for value in op.inputs)

    def unlike(self, op: Op) -> bool:
        """Whether it reads or makes what grappler cannot compare: a shape without rank, sizes that need not be equal,
        or one to be reshaped of which a size is not known."""
        if all(value.op not in self.found for value in op.inputs):
            return op.type in _CALLS
        if self.rankless(op):
            return True
        shapes = [self.of(*value) for value in op.inputs]
        if op.type == "Reshape":
            return min(shapes[0] or (0,)) < 0
        if op.type not in _BROADCAST and op.type != "AddN":
            return False
        return any(len(set(sizes) - {1}) > 1 for sizes in zip_longest(*map(_turned, shapes), fillvalue=1))

    # -- rules ---------------------------------------------------------------------------------------------------

    def other(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        """Of one operand, value by value, or an op of which only the rank is looked at."""
        if None in shapes:
            return None
        if len(shapes) == 1 and op.inputs[0].shape == op.outputs[0].shape:
            return shapes[0]
        return tuple(next(self.fresh) for _ in op.outputs[0].shape)

    def merged(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        """All are of one shape: what is known of any."""
        ranked = [shape for shape in shapes if shape is not None]
        return tuple(max(sizes) for sizes in zip(*ranked, strict=True)) if ranked else None

    def first(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        return shapes[0]

    def broadcast(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        if None in shapes:
            return None
        sizes = [self._wider(each) for each in zip_longest(*map(_turned, shapes), fillvalue=1)]
        return tuple(reversed(sizes))

    def _wider(self, sizes: Sequence[int]) -> int:
        """The size of an axis that others are repeated along."""
        known = max(sizes)
        others = set(sizes) - {1}
        if known > 1 or not others:
            return known
        return others.pop() if len(others) == 1 else next(self.fresh)

    def window(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        """The filter says the rank and the channels."""
        return self._moved(op, shapes[0], op.outputs[0].shape[-1])

    def pool(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        return self._moved(op, shapes[0], next(self.fresh) if shapes[0] is None else shapes[0][-1])

    def _moved(self, op: Op, shape: Shape, channels: int) -> Shape:
        size, given = op.outputs[0].shape, op.inputs[0].shape
        if shape is None:
            return (*(next(self.fresh) for _ in size[:-1]), channels)
        spatial = [
            now if now < 0 and before == after else after if now >= 0 else next(self.fresh)
            for now, before, after in zip(shape[1:-1], given[1:-1], size[1:-1], strict=True)
        ]
        return (shape[0], *spatial, channels)

    def reduced(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        if shape is None:
            return None
        axes = {axis % len(shape) for axis in op.attrs["axes"]}
        if op.attrs.get("keepdims"):
            return tuple(1 if axis in axes else size for axis, size in enumerate(shape))
        return tuple(size for axis, size in enumerate(shape) if axis not in axes)

    def biased(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        shape = shapes[0]
        return None if shape is None else (*shape[:-1], op.outputs[0].shape[-1])

    def joined(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        ranked = [shape for shape in shapes if shape is not None]
        if not ranked:
            return None
        axis = op.attrs["axis"] % len(ranked[0])
        sizes = [max(size) for size in zip(*ranked, strict=True)]
        along = [shape[axis] for shape in ranked]
        known = len(ranked) == len(shapes) and min(along) >= 0
        sizes[axis] = sum(along) if known else next(self.fresh)
        return tuple(sizes)

    def product(self, op: Op, shapes: Sequence[Shape]) -> Shape:
        if len(op.outputs[0].shape) != 2:
            return self.other(op, shapes)
        left, right = shapes[:2]
        rows = next(self.fresh) if left is None else left[bool(op.attrs.get("transpose_a"))]
        columns = next(self.fresh) if right is None else right[not op.attrs.get("transpose_b")]
        return rows, columns


def _turned(shape: Shape) -> Sequence[int]:
    return (shape or ())[::-1]


_Rule = Callable[[Inference, Op, Sequence[Shape]], Shape]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(_MERGED, Inference.merged),
    **dict.fromkeys(_FIRST, Inference.first),
    **dict.fromkeys(_BROADCAST, Inference.broadcast),
    **dict.fromkeys(_WINDOWS, Inference.window),
    **dict.fromkeys(_POOLS, Inference.pool),
    **dict.fromkeys(_REDUCED, Inference.reduced),
    "BiasAdd": Inference.biased,
    "ConcatV2": Inference.joined,
    "MatMul": Inference.product,
    "_FusedMatMul": Inference.product,
}
