"""Dilated convolutions: TensorFlow runs them on blocks, SpaceToBatchND, the convolution, BatchToSpaceND.

To the compiler that is padding, a transpose between two views, and a slice (tf2xla: spacetobatch_op.cc,
batchtospace_op.cc). The padded data are a buffer of their own where a gradient reads them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Dims
from cnncost.memory.xla.hlo import Module, Operand


def _whole(blocks: Dims, plain: Dims) -> Dims:
    """The space that the blocks make up: each of their sides as many times as there are blocks along it. Which of them
    lie along which axis is not told where the axes differ; equal axes are what convolutions have."""
    count, sides = blocks[0] // plain[0], len(blocks) - 2
    each = round(count ** (1 / sides))
    steps = (
        (each,) * sides if each**sides == count else [-(-n // b) for n, b in zip(plain[1:], blocks[1:], strict=True)]
    )
    return (plain[0], *(n * step for n, step in zip(blocks[1:-1], steps, strict=False)), plain[-1])


def to_batch(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    value, spec = inputs[0], op.outputs[0]
    if value is None:
        return (None,)
    whole = _whole(spec.shape, value.shape)
    if whole != value.shape:
        value = module.moved("pad", value, whole, None)
    return (module.moved("transpose", value, spec.shape, "blocks"),)


def to_space(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    value, spec = inputs[0], op.outputs[0]
    if value is None:
        return (None,)
    whole = _whole(value.shape, spec.shape)
    made = module.moved("transpose", value, whole, "blocks")
    return (made if whole == spec.shape else module.add("slice", (made,), spec.shape, spec.dtype),)


RULES: dict[str, Any] = {"SpaceToBatchND": to_batch, "BatchToSpaceND": to_space}
