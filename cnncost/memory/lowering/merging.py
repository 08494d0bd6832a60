"""Merging layers, and those that scale (keras/src/layers/merging, applications/convnext.py, inception_resnet_v2.py)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.normalization import unit
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost
from cnncost.tensor import product


def ops_add(step: Step, a: Value, b: Value) -> Value:
    """Keras's ``ops.add``: what looks like a bias (one axis longer than 1, as long as a's channels) is a BiasAdd."""
    wide = [n for n in b.shape if n > 1]
    if len(wide) != 1 or len(a.shape) < 2 or wide[0] not in (a.shape[1], a.shape[-1]):
        return step.add("AddV2", (a, b))
    if len(b.shape) > 1:
        b = step.add("Squeeze", (b,), shape=tuple(wide))
    return step.add("BiasAdd", (a, b), data_format="NHWC" if a.shape[-1] == wide[0] else "NCHW")


def _add(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    total = inputs[0]
    for value in _same_rank(step, inputs)[1:]:
        total = ops_add(step, total, value)
    return total


def _average(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    total = _add(step, row, kind, inputs)
    return step.add("RealDiv", (total, step.graph.constant(float(len(inputs)), Spec((), total.dtype))))


def _fold(op: str) -> Any:
    def rule(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
        values = _same_rank(step, inputs)
        total = values[0]
        for value in values[1:]:
            total = step.add(op, (total, value))
        return total

    return rule


def _same_rank(step: Step, values: list[Value]) -> list[Value]:
    """Axes of one are put in behind the batch until all ranks agree."""
    rank = max(len(value.shape) for value in values)
    result = []
    for value in values:
        while len(value.shape) < rank:
            value = step.add("ExpandDims", (value,), shape=(value.shape[0], 1, *value.shape[1:]))
        result.append(value)
    return result


def _concatenate(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    axis = kind.axis if kind.axis >= 0 else kind.axis + len(inputs[0].shape)
    return step.add("ConcatV2", inputs, axis=axis) if len(inputs) > 1 else inputs[0]


def _dot(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """``batch_dot``: the summed axis of x to its end, of y to its front, one batched product of three axes each."""
    x, y = inputs
    axes = (kind.axes, kind.axes) if isinstance(kind.axes, int) else kind.axes
    a, b = axes[0] % len(x.shape), axes[1] % len(y.shape)
    if kind.normalize:
        x, y = unit(step, x, (a,)), unit(step, y, (b,))
    flat_x, flat_y = len(x.shape) == 2, len(y.shape) == 2
    if flat_x:
        x, a = step.add("ExpandDims", (x,), shape=(x.shape[0], 1, x.shape[1])), a + 1
    if flat_y:
        y = step.add("ExpandDims", (y,), shape=(*y.shape, 1))
    if a != len(x.shape) - 1:
        x = step.add("Transpose", (x,), perm=(*(i for i in range(len(x.shape)) if i != a), a))
    if b != 1:
        y = step.add("Transpose", (y,), perm=(0, b, *(i for i in range(1, len(y.shape)) if i != b)))
    middle, trail = x.shape[1:-1], y.shape[2:]
    if len(middle) > 1:
        x = step.reshape(x, (x.shape[0], product(middle) or 0, x.shape[-1]))
    if len(trail) > 1:
        y = step.reshape(y, (*y.shape[:2], product(trail) or 0))
    result = step.add("BatchMatMulV2", (x, y))
    dims = step.output(row).shape
    return result if result.shape == dims else step.reshape(result, dims)


def _custom_scale(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    scale = step.graph.constant(kind.scale, Spec((), inputs[1].dtype))
    return step.add("AddV2", (inputs[0], step.add("Mul", (inputs[1], scale))))


def _layer_scale(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return step.add("Mul", (inputs[0], step.weight(row, "gamma")))


RULES: dict[str, Any] = {
    "Add": _add,
    "Average": _average,
    "Subtract": _fold("Sub"),
    "Multiply": _fold("Mul"),
    "Maximum": _fold("Maximum"),
    "Minimum": _fold("Minimum"),
    "Concatenate": _concatenate,
    "Dot": _dot,
    "CustomScaleLayer": _custom_scale,
    "LayerScale": _layer_scale,
}
