"""Half precision: what the compiler computes in float32 all the same.

Convolutions and matrix products are widened first (change_op_data_type.cc); windowed averages and error functions are
widened by tf2xla's own kernels. Of bfloat16 the CPU computes nothing at all: every instruction is widened, those that
only move values too (float_normalization.cc); value by value that is done in ``Module.map``. A rounding to bfloat16
costs much, so it is not repeated in several readers (CpuInstructionFusion::IsExpensive): those values are kept in half
the bytes, where float16 is computed anew from the float32 result of a convolution.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec
from cnncost.memory.xla.contraction import RULES
from cnncost.memory.xla.hlo import BF16, F32, HALVES, Module, Operand

_PRODUCTS = frozenset(RULES) - {"BiasAddGrad"}  # which is a sum
_ASKED = frozenset(("AvgPool", "AvgPool3D", "AvgPoolGrad", "AvgPool3DGrad", "Erf", "Erfc"))
_MOVING = frozenset(
    ("ConcatV2", "Pack", "Pad", "PadV2", "MirrorPad", "Slice", "StridedSlice", "Split", "SplitV", "Unpack",
     "StridedSliceGrad", "SpaceToBatchND", "BatchToSpaceND", "ReverseV2", "Transpose", "Tile", "BroadcastTo", "MaxPool",
     "MaxPool3D", "MaxPoolGrad", "MaxPool3DGrad", "GatherV2")
)  # fmt: skip


Rule = Callable[[Module, Op, list[Operand]], Any]


def in_float32(op: Op) -> bool:
    """Whether an op of half precision is computed in float32 as a whole."""
    dtype = op.outputs[0].dtype if op.outputs else ""
    if dtype not in HALVES:
        return False
    return op.type in _PRODUCTS or op.type in _ASKED or (dtype == BF16 and op.type in _MOVING)


def half(module: Module, op: Op, inputs: Sequence[Operand], rule: Rule) -> list[Operand]:
    """The op's rule on widened operands, and its results rounded."""
    asked = op.type in _ASKED
    wide = [module.convert(v, F32, asked) if v is not None and v.dtype in HALVES else v for v in inputs]
    outputs = tuple(Spec(spec.shape, F32) if spec.dtype in HALVES else spec for spec in op.outputs)
    twin = Op(op.index, op.type, op.name, op.layer, op.phase, op.inputs, outputs, op.attrs)
    made = rule(module, twin, wide)
    found: list[Operand] = []
    for value, spec in zip(made, op.outputs, strict=False):  # grouped convolutions hand on what they read
        if value is None or value.dtype == spec.dtype or spec.dtype not in HALVES:
            found.append(value)
        elif asked or spec.dtype != BF16:
            found.append(module.convert(value, spec.dtype))
        else:
            found.append(module.rounded(value))
    return found
