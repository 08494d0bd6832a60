"""Normalization layers (keras/src/layers/normalization, tf.nn.batch_normalization, tf.nn.moments)."""

from __future__ import annotations

from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.kinds.normalization import BatchNormalization
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost


def moments(step: Step, x: Value, axes: tuple[int, ...], keepdims: bool = False) -> tuple[Value, Value]:
    """``tf.nn.moments``: Mean, StopGradient, SquaredDifference, Mean, and two Squeezes unless the axes are kept.

    Half-precision values are cast to float32 by the caller (Keras does so)."""
    mean = step.add("Mean", (x,), name="mean", axes=axes, keepdims=True)
    fixed = step.add("StopGradient", (mean,))
    squared = step.add("SquaredDifference", (x, fixed))
    variance = step.add("Mean", (squared,), name="variance", axes=axes, keepdims=True)
    if keepdims:
        return mean, variance
    dims = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    return step.add("Squeeze", (mean,), shape=dims), step.add("Squeeze", (variance,), shape=dims)


def normalize(
    step: Step, x: Value, mean: Value, variance: Value, offset: Value | None, scale: Value | None, epsilon: float
) -> Value:
    """``tf.nn.batch_normalization``: x·inv + (offset - mean·inv), inv = rsqrt(variance + epsilon)·scale."""
    add = step.add
    inv = add("Rsqrt", (add("AddV2", (variance, step.graph.constant(epsilon, Spec((), x.dtype)))),))
    if scale is not None:
        inv = add("Mul", (inv, scale), name="mul")
    scaled = add("Mul", (x, inv), name="mul_1")
    shift = add("Mul", (mean, inv), name="mul_2")
    shift = add("Neg", (shift,)) if offset is None else add("Sub", (offset, shift), name="sub")
    return add("AddV2", (scaled, shift), name="add_1")


def _batch_normalization(step: Step, row: LayerCost, kind: BatchNormalization, inputs: list[Value]) -> Value:
    if kind.renorm:
        raise UnsupportedLayer("the memory simulation does not know batch renormalization")
    compute = "float64" if row.compute.name == "float64" else "float32"
    x = step.cast(inputs[0], compute)
    mean = step.weight(row, "moving_mean", compute)
    variance = step.weight(row, "moving_variance", compute)
    scale = step.cast(step.weight(row, "gamma"), compute) if kind.scale else None
    offset = step.cast(step.weight(row, "beta"), compute) if kind.center else None
    axis = kind.axis if kind.axis >= 0 else kind.axis + len(x.shape)
    if step.training and row.layer.trainable:
        axes = tuple(i for i in range(len(x.shape)) if i != axis)
        batch_mean, batch_variance = moments(step, x, axes)
        _moving(step, row, "moving_mean", mean, batch_mean, kind.momentum)
        _moving(step, row, "moving_variance", variance, batch_variance, kind.momentum)
        mean, variance = batch_mean, batch_variance
    if kind.axis != -1:
        wide = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
        mean, variance = step.reshape(mean, wide), step.reshape(variance, wide)
        offset = None if offset is None else step.reshape(offset, wide)
        scale = None if scale is None else step.reshape(scale, wide)
    return step.cast(normalize(step, x, mean, variance, offset, scale, kind.epsilon), row.compute.name)


def _moving(step: Step, row: LayerCost, name: str, old: Value, new: Value, momentum: float) -> None:
    """moving·momentum + batch·(1 - momentum), assigned."""
    constant = step.graph.constant
    kept = step.add("Mul", (old, constant(momentum, Spec((), old.dtype))))
    taken = step.add("Mul", (new, constant(1 - momentum, Spec((), old.dtype))))
    variable = step.variable(row, name)
    value = step.cast(step.add("AddV2", (kept, taken)), variable.spec.dtype)
    step.graph.assign("AssignVariableOp", variable, value)


RULES: dict[str, Any] = {"BatchNormalization": _batch_normalization}
