"""What only moves values: joined, cut, padded, turned, repeated."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec
from cnncost.memory.xla.hlo import Hlo, Module, Operand

Rule = Callable[[Module, Op, list[Operand]], Sequence[Operand]]


def _concat(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """Nested concatenations along one axis are one."""
    axis, spec = op.attrs["axis"], op.outputs[0]
    flat: list[Hlo] = []
    for value, source in zip(inputs, op.inputs, strict=True):
        part = module.filled(value, source.spec)
        same = part.opcode == "concatenate" and _axis_of(part) == axis
        flat.extend(part.inputs if same else (part,))
    return (module.add("concatenate", flat, spec.shape, spec.dtype),)


def _axis_of(value: Hlo) -> int:
    first = value.inputs[0].shape
    return next((i for i, n in enumerate(value.shape) if n != first[i]), -1)


def _moving(opcode: str) -> Rule:
    def rule(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
        value = inputs[0]
        if value is None:
            return (None,) * len(op.outputs)
        if opcode == "slice" and value.opcode == "broadcast" and value.inputs:
            return [_sliced(module, value, spec) for spec in op.outputs]
        return [module.add(opcode, (value,), spec.shape, spec.dtype) for spec in op.outputs]

    return rule


def _sliced(module: Module, repeated: Hlo, spec: Spec) -> Hlo:
    """A part of what is repeated: a part of the source, repeated (HandleSlice)."""
    source, wide = repeated.inputs[0], repeated.shape
    own = list(source.shape)
    axis = len(wide) - 1
    for place in reversed(range(len(own))):  # which of the axes each of the source's is
        while axis >= 0 and wide[axis] != own[place] and own[place] != 1:
            axis -= 1
        if axis < 0:
            return module.add("slice", (repeated,), spec.shape, spec.dtype)
        if own[place] != 1:
            own[place] = spec.shape[axis]
        axis -= 1
    part = source if own == list(source.shape) else module.add("slice", (source,), tuple(own), spec.dtype)
    return module.broadcast(part, spec.shape)


def _transpose(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (None if inputs[0] is None else module.transpose(inputs[0], op.attrs["perm"]),)


def _tile(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """Axes of one are broadcast; others get an axis of repeats in front, and a view of the result."""
    value, spec = inputs[0], op.outputs[0]
    if value is None or value.shape == spec.shape:
        return (value,)
    if all(n in (1, wide) for n, wide in zip(value.shape, spec.shape, strict=True)):
        return (module.broadcast(value, spec.shape),)
    pairs = zip(spec.shape, value.shape, strict=True)
    wide = tuple(size for n, own in pairs for size in ((n // own, own) if n != own else (n,)))
    made = module.add("broadcast", (value,), wide, spec.dtype)
    return (module.reshape(made, spec.shape),)


RULES: dict[str, Rule] = {
    "ConcatV2": _concat, "Pack": _concat, "Pad": _moving("pad"), "PadV2": _moving("pad"), "MirrorPad": _moving("pad"),
    "Slice": _moving("slice"), "StridedSlice": _moving("slice"), "Split": _moving("slice"),
    "_SliceView": _moving("slice"), "_SplitView": _moving("slice"), "_UnpackView": _moving("slice"),
    "SplitV": _moving("slice"), "Unpack": _moving("slice"), "StridedSliceGrad": _moving("pad"),
    "ReverseV2": _moving("reverse"), "Transpose": _transpose, "Tile": _tile, "BroadcastTo": _tile,
}  # fmt: skip
