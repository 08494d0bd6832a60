"""Bare operations of a functional model: keras.ops, as the TensorFlow backend runs them
(keras/src/backend/tensorflow/numpy.py, math.py, nn.py). An operand that is no tensor of the model is a constant."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.kinds.operation_parameters import axis_of, integer, integers, resolved_axes
from cnncost.memory.lowering.activation import FUNCTIONS, clip, gelu_by_tanh, log_sum_exp, softmax
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.core import tensordot
from cnncost.memory.lowering.einsum import einsum
from cnncost.memory.lowering.merging import ops_add
from cnncost.memory.lowering.normalization import unit
from cnncost.memory.lowering.shaping import repeat
from cnncost.memory.opgraph import UNTOLD, Spec, Value
from cnncost.results import LayerCost
from cnncost.tensor import DTYPES

Parameters = Any
Run = Callable[[Step, LayerCost, Parameters, list[Value]], "Value | tuple[Value, ...]"]


def lower_operation(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value | tuple[Value, ...]:
    """One operation of ``cnncost.kinds.operations``."""
    run = _RUNS.get(kind.row) or _activation(kind.row)
    if run is None:
        raise UnsupportedLayer(
            f"the memory simulation does not know the operation '{kind.row}'",
            rule="it follows TensorFlow op by op and guesses nothing",
        )
    return run(step, row, kind.parameters, _operands(step, kind, inputs))


def _operands(step: Step, kind: Any, inputs: list[Value]) -> list[Value]:
    """Tensors and constants, of one dtype: the widest floating one of the tensors where they differ."""
    read = [inputs[n] for n in kind.operands if isinstance(n, int)]
    if kind.row == "Where":
        read = [value for value in read if value.dtype != "bool"] or read
    widest = max((value.dtype for value in read), key=lambda name: (DTYPES[name].floating, DTYPES[name].bytes))
    found = []
    for place, operand in enumerate(kind.operands):
        if isinstance(operand, int):
            value = inputs[operand]
            alike = value.dtype == "bool" or (kind.row == "Take" and place == 1)
            found.append(value if alike else step.cast(value, widest))
        else:
            indices = kind.row == "Take" and place == 1
            constant = step.graph.constant(0.5, Spec(operand, "int32" if indices else widest))
            constant.op.attrs[UNTOLD] = True
            found.append(constant)
    return found


def _made(row: LayerCost, step: Step) -> tuple[Spec, ...]:
    return tuple(step.output(row, index) for index in range(len(row.outputs)))


# -- value by value ----------------------------------------------------------------------------------------------


def _activation(name: str) -> Run | None:
    """An activation function by its class name: ``HardSilu`` is ``hard_silu``."""
    function = FUNCTIONS.get(re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
    return None if function is None else lambda step, row, p, read: function(step, read[0])


def _each(type_: str) -> Run:
    return lambda step, row, p, read: step.add(type_, read[:1])


def _pair(type_: str) -> Run:
    def run(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
        total = read[0]
        for value in read[1:]:
            total = step.add(type_, (total, value))
        return total

    return run


def _add(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    total = read[0]
    for value in read[1:]:
        total = ops_add(step, total, value)
    return total


def _clip(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return clip(step, read[0], -1.0, 1.0)


def _where(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    if len(read) != 3 or read[0].dtype != "bool":
        raise UnsupportedLayer("the memory simulation knows where(condition, x, y) of a Boolean condition alone")
    return step.add("SelectV2", read)


def _cast(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return step.cast(read[0], step.output(row).dtype)


def _gelu(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return (gelu_by_tanh if p.get("approximate", True) else FUNCTIONS["gelu"])(step, read[0])


def _pass(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return read[0]


def _softmax(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    axes = (-1,) if p.get("axis") is None else tuple(integers(p, "axis"))
    if len(axes) != 1:
        raise UnsupportedLayer("the memory simulation knows the operation softmax over one axis alone")
    return softmax(step, read[0], axes)


def _normalize(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    if p.get("order", 2) != 2:
        raise UnsupportedLayer("the memory simulation knows normalize of order 2 alone")
    axes = (-1,) if p.get("axis") is None else tuple(integers(p, "axis"))
    return unit(step, read[0], tuple(sorted(axis_of(axis, len(read[0].shape)) for axis in axes)))


# -- reductions --------------------------------------------------------------------------------------------------


def _reduce(type_: str) -> Run:
    def run(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
        axes = tuple(sorted(resolved_axes(p, len(read[0].shape))))
        return step.add(type_, read[:1], axes=axes, keepdims=bool(p.get("keepdims")))

    return run


def _variance(root: bool) -> Run:
    """``tf.math.reduce_variance``, and its root."""

    def run(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
        x, axes = read[0], tuple(sorted(resolved_axes(p, len(read[0].shape))))
        mean = step.add("Mean", (x,), axes=axes, keepdims=True)
        squares = step.add("Square", (step.add("Sub", (x, mean)),))
        found = step.add("Mean", (squares,), axes=axes, keepdims=bool(p.get("keepdims")))
        return step.add("Sqrt", (found,)) if root else found

    return run


def _log_sum_exp(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    axes = tuple(sorted(resolved_axes(p, len(read[0].shape))))
    return log_sum_exp(step, read[0], axes, bool(p.get("keepdims")))


# -- shapes ------------------------------------------------------------------------------------------------------


def _view(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return step.reshape(read[0], step.output(row).shape)


def _transpose(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    rank = len(read[0].shape)
    axes = range(rank)[::-1] if p.get("axes") is None else [axis_of(a, rank) for a in integers(p, "axes")]
    return step.add("Transpose", read[:1], perm=tuple(axes))


def _swapaxes(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    order = list(range(len(read[0].shape)))
    a, b = (axis_of(integer(p, name), len(order)) for name in ("axis1", "axis2"))
    order[a], order[b] = order[b], order[a]
    return step.add("Transpose", read[:1], perm=tuple(order))


def _moveaxis(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    rank = len(read[0].shape)
    source, target = ([axis_of(a, rank) for a in integers(p, name)] for name in ("source", "destination"))
    order = [axis for axis in range(rank) if axis not in source]
    for to, axis in sorted(zip(target, source, strict=True)):
        order.insert(to, axis)
    return step.add("Transpose", read[:1], perm=tuple(order))


def _concatenate(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    axis = axis_of(integer(p, "axis", -1), len(read[0].shape))
    return step.add("ConcatV2", read, axis=axis) if len(read) > 1 else read[0]


def _stack(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return step.add("Pack", read, _made(row, step), axis=axis_of(integer(p, "axis", 0), len(read[0].shape) + 1))


def _even(p: Parameters) -> bool:
    return isinstance(p.get("indices_or_sections", p.get("sizes")), int)


def _several(type_: str) -> Run:
    def run(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> tuple[Value, ...]:
        axis = axis_of(integer(p, "axis", 0), len(read[0].shape))
        made = _made(row, step)
        even = "Split" if type_ == "SplitV" and len(set(made)) == 1 and _even(p) else type_
        op = step.add(even, read[:1], made, axis=axis).op
        return tuple(op.out(i) for i in range(len(op.outputs)))

    return run


def _written(type_: str) -> Run:
    """One op that writes the layer's output."""
    return lambda step, row, p, read: step.add(type_, read[:1], _made(row, step))


def _take(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return step.add("GatherV2", read[:2], _made(row, step), axis=axis_of(integer(p, "axis"), len(read[0].shape)))


def _pad(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    pairs = tuple((int(a), int(b)) for a, b in p["pad_width"])
    mode = p.get("mode", "constant")
    return step.add("Pad" if mode == "constant" else "MirrorPad", read[:1], paddings=pairs)


def _tile(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    x, many = read[0], integers(p, "repeats")
    rank = max(len(many), len(x.shape))
    x = x if len(x.shape) == rank else step.reshape(x, (1,) * (rank - len(x.shape)) + x.shape)
    return step.add("Tile", (x,), multiples=(*(1,) * (rank - len(many)), *many))


def _repeat(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return repeat(step, read[0], integer(p, "repeats"), axis_of(integer(p, "axis"), len(read[0].shape)))


def _broadcast_to(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    return step.add("BroadcastTo", read[:1], shape=step.output(row).shape)


# -- products ----------------------------------------------------------------------------------------------------


def _matmul(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    a, b = read[:2]
    flags: dict[str, Any] = {name: True for name in ("transpose_a", "transpose_b") if p.get(name)}
    if len(a.shape) == len(b.shape) == 2:
        return step.add("MatMul", (a, b), **flags)
    if len(b.shape) == 2 and not flags:
        return tensordot(step, a, b)
    return step.add("BatchMatMulV2", (a, b), **flags)


def _einsum(step: Step, row: LayerCost, p: Parameters, read: list[Value]) -> Value:
    if len(read) != 2:
        raise UnsupportedLayer("the memory simulation knows einsum of two operands alone")
    return einsum(step, p["subscripts"], read[0], read[1])


_RUNS: dict[str, Run] = {
    **{name: _each(name) for name in (
        "Sign", "Floor", "Ceil", "Round", "Square", "Sqrt", "Rsqrt", "Reciprocal", "Exp", "Expm1", "Log", "Log1p",
        "Sin", "Cos", "Erf", "ZerosLike", "OnesLike", "LogicalNot")},
    "Negative": _each("Neg"), "Absolute": _each("Abs"), "Abs": _each("Abs"), "Isnan": _each("IsNan"),
    "Isfinite": _each("IsFinite"), "Add": _add,
    **{name: _pair(name) for name in (
        "Maximum", "Minimum", "SquaredDifference", "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual",
        "LogicalAnd", "LogicalOr")},
    "Subtract": _pair("Sub"), "Multiply": _pair("Mul"), "Divide": _pair("RealDiv"), "TrueDivide": _pair("RealDiv"),
    "DivideNoNan": _pair("DivNoNan"), "FloorDivide": _pair("FloorDiv"), "Mod": _pair("FloorMod"),
    "Power": _pair("Pow"), "Clip": _clip, "Where": _where, "Cast": _cast, "Identity": _pass, "Copy": _pass,
    "StopGradient": _each("StopGradient"), "Softmax": _softmax, "Gelu": _gelu, "Normalize": _normalize,
    **{name: _reduce(name) for name in ("Sum", "Mean", "Max", "Min", "Prod", "Any", "All")},
    "Amax": _reduce("Max"), "Amin": _reduce("Min"), "Var": _variance(False), "Std": _variance(True),
    "Logsumexp": _log_sum_exp, "Reshape": _view, "ExpandDims": _view, "Squeeze": _view, "Transpose": _transpose,
    "Swapaxes": _swapaxes, "Moveaxis": _moveaxis, "Concatenate": _concatenate, "Stack": _stack,
    "Unstack": _several("Unpack"), "Split": _several("SplitV"), "GetItem": _written("StridedSlice"), "Take": _take,
    "Pad": _pad, "Tile": _tile, "Repeat": _repeat, "Flip": _written("ReverseV2"), "BroadcastTo": _broadcast_to,
    "OneHot": _written("OneHot"), "DepthToSpace": _written("DepthToSpace"), "SpaceToDepth": _written("SpaceToDepth"),
    "Matmul": _matmul, "Einsum": _einsum,
}  # fmt: skip
