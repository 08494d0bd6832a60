"""Where values come from: arguments, constants, variables; and ops that only pass them on."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.optypes.base import EACH, FIRST, Attrs, OpType, Specs, given, same
from cnncost.memory.spec import Spec

_HALF = frozenset(("float16", "bfloat16"))


def _each(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return tuple(inputs)


def _none(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return ()


def _compiled_scratch(inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """XLA's gradient of a grouped convolution turns the incoming gradient and the kernel over, in one temporary. Where
    every channel is a group of its own it computes all pairs of channels, and once more with a mask
    (convolution_group_converter.cc; measured at 96 to 768 channels)."""
    kernel, x = outputs
    if kernel.shape[-2:] == (1, x.shape[-1]):
        return (2 * _single(kernel) * x.shape[-1],)
    grad = inputs[0]
    if x.dtype in _HALF:
        return (_beside(x.bytes, (_single(grad),) * 2 + (_single(x),) + (_single(kernel),) * 2),)
    return (grad.bytes + kernel.bytes,)


def _convolved_scratch(inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """A grouped convolution in half precision is computed in float32, on copies of its operands."""
    result = outputs[0]
    if result.dtype not in _HALF:
        return ()
    read = (attrs["kernel"], inputs[1]) if "kernel" in attrs else inputs
    return (_beside(result.bytes, [_single(spec) for spec in (result, *read)]),)


def _single(spec: Spec) -> int:
    return spec.bytes * 2 if spec.dtype in _HALF else spec.bytes


def _beside(output: int, sizes: Sequence[int]) -> int:
    """The largest first: the first that fits is put where the output will be (XLA's buffer assignment)."""
    fits = next((size for size in sorted(sizes, reverse=True) if size <= output), 0)
    return sum(sizes) - fits


ROWS = (
    OpType("_Arg", given, expensive=False, allocates=False),
    OpType("Const", given, expensive=False, allocates=False),
    OpType("ReadVariableOp", given, expensive=False, allocates=False),
    OpType("ReadVariableCopy", given, expensive=False),  # a ReadVariableOp of a variable that is updated by rows
    OpType("_Retval", _none, expensive=False),
    OpType("NoOp", _none, expensive=False),
    OpType("Identity", same, expensive=False, shares=FIRST),
    OpType("IdentityN", _each, expensive=False, shares=EACH),
    OpType("StopGradient", same, expensive=False, shares=FIRST),
    OpType("PreventGradient", same, expensive=False, shares=FIRST),
    OpType("StatefulPartitionedCall", given, scratch=_convolved_scratch, compiled=True),
    OpType("PartitionedCall", given, scratch=_compiled_scratch, compiled=True),  # its gradient
    OpType("AssignVariableOp", _none),
    OpType("AssignAddVariableOp", _none),
    OpType("AssignSubVariableOp", _none),
    OpType("ResourceScatterAdd", _none),
    OpType("ResourceScatterSub", _none),
    OpType("TemporaryVariable", given),  # of an accumulation; what follows are references to it
    *(OpType(name, same, shares=FIRST) for name in ("Assign", "AssignAdd", "DestroyTemporaryVariable")),
)
