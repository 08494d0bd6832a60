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


def _affine(
    step: Step, row: LayerCost, x: Value, mean: Value, variance: Value, epsilon: float, dims: tuple[int, ...] | None
) -> Value:
    """x·inv + (-mean·inv + beta), inv = rsqrt(variance + ε)·gamma: how Keras writes layer and group normalization.
    ``dims``: the shape that gamma and beta are given, None as they are."""
    add = step.add
    gamma = _shaped(step, row, "gamma", x.dtype, dims)
    beta = _shaped(step, row, "beta", x.dtype, dims)
    inv = add("Rsqrt", (add("AddV2", (variance, step.graph.constant(epsilon, Spec((), x.dtype)))),))
    if gamma is not None:
        inv = add("Mul", (inv, gamma))
    shift = add("Mul", (add("Neg", (mean,)), inv))
    if beta is not None:
        shift = add("AddV2", (shift, beta))
    return add("AddV2", (add("Mul", (x, inv)), shift))


def _shaped(step: Step, row: LayerCost, name: str, dtype: str, dims: tuple[int, ...] | None) -> Value | None:
    if not step.has(row, name):
        return None
    value = step.cast(step.weight(row, name), dtype)
    return value if dims is None else step.reshape(value, dims)


def _wide(row: LayerCost) -> str:
    """Statistics are taken in float32 at least."""
    return "float64" if row.compute.name == "float64" else "float32"


def _layer_normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    if kind.rms_scaling:
        raise UnsupportedLayer("the memory simulation does not know rms_scaling")
    x = step.cast(inputs[0], _wide(row))
    rank = len(x.shape)
    axes = tuple(sorted(a % rank for a in (kind.axis if isinstance(kind.axis, tuple) else (kind.axis,))))
    mean, variance = moments(step, x, axes, keepdims=True)
    dims = None if axes == (rank - 1,) else tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    return step.cast(_affine(step, row, x, mean, variance, kind.epsilon, dims), row.compute.name)


def _group_normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """Channels split into groups: one more axis, then as layer normalization over all but batch and groups."""
    shape = inputs[0].shape
    axis = kind.axis % len(shape)
    groups = shape[axis] if kind.groups == -1 else kind.groups
    split = (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    x = step.cast(step.reshape(inputs[0], split), _wide(row))
    mean, variance = moments(step, x, tuple(i for i in range(1, len(split)) if i != axis), keepdims=True)
    dims = tuple(n if i in (axis, axis + 1) else 1 for i, n in enumerate(split))
    y = step.cast(_affine(step, row, x, mean, variance, kind.epsilon, dims), inputs[0].dtype)
    return step.cast(step.reshape(y, shape), row.compute.name)


def _rms_normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """x·rsqrt(mean(x²) + ε)·scale."""
    x = step.cast(inputs[0], _wide(row))
    rank, add = len(x.shape), step.add
    axes = tuple(sorted(a % rank for a in (kind.axis if isinstance(kind.axis, tuple) else (kind.axis,))))
    mean = add("Mean", (add("Square", (x,)),), axes=axes, keepdims=True)
    inv = add("Rsqrt", (add("AddV2", (mean, step.graph.constant(kind.epsilon, Spec((), x.dtype)))),))
    dims = None if axes == (rank - 1,) else tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    y = add("Mul", (x, inv))
    scale = _shaped(step, row, "scale", x.dtype, dims)
    return step.cast(y if scale is None else add("Mul", (y, scale)), row.compute.name)


def _moving(step: Step, row: LayerCost, name: str, old: Value, new: Value, momentum: float) -> None:
    """moving·momentum + batch·(1 - momentum), assigned."""
    constant = step.graph.constant
    kept = step.add("Mul", (old, constant(momentum, Spec((), old.dtype))))
    taken = step.add("Mul", (new, constant(1 - momentum, Spec((), old.dtype))))
    variable = step.variable(row, name)
    value = step.cast(step.add("AddV2", (kept, taken)), variable.spec.dtype)
    step.graph.assign("AssignVariableOp", variable, value)


RULES: dict[str, Any] = {
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "RMSNormalization": _rms_normalization,
}
