"""Normalization layers (keras/src/layers/normalization, tf.nn.batch_normalization, tf.nn.moments)."""

from __future__ import annotations

from typing import Any

from cnncost.kinds.normalization import BatchNormalization
from cnncost.memory.lowering.activation import clip
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.memory.spec import reduced
from cnncost.results import LayerCost


def moments(
    step: Step, x: Value, axes: tuple[int, ...], keepdims: bool = False, written: tuple[int, ...] | None = None
) -> tuple[Value, Value]:
    """``tf.nn.moments``: Mean, StopGradient, SquaredDifference, Mean, and two Squeezes unless the axes are kept.

    Half-precision values are cast to float32 by the caller (Keras does so). ``written``: the axes as they are given,
    which may be negative."""
    own: dict[str, Any] = {} if written is None else {"written": written}
    mean = step.add("Mean", (x,), name="mean", axes=axes, keepdims=True, **own)
    fixed = step.add("StopGradient", (mean,))
    squared = step.add("SquaredDifference", (x, fixed))
    variance = step.add("Mean", (squared,), name="variance", axes=axes, keepdims=True, **own)
    if keepdims:
        return mean, variance
    dims = reduced(x.shape, axes)
    return step.add("Squeeze", (mean,), shape=dims), step.add("Squeeze", (variance,), shape=dims)


def normalize(
    step: Step, x: Value, mean: Value, variance: Value, offset: Value | None, scale: Value | None, epsilon: float
) -> Value:
    """``tf.nn.batch_normalization``: x·inv + (offset - mean·inv), inv = rsqrt(variance + epsilon)·scale."""
    add = step.add
    inv = add("Rsqrt", (add("AddV2", (variance, step.number(epsilon, x))),))
    if scale is not None:
        inv = add("Mul", (inv, scale), name="mul")
    scaled = add("Mul", (x, inv), name="mul_1")
    if offset is None:
        shift = add("Mul", (add("Neg", (mean,)), inv))
    else:
        shift = add("Sub", (offset, add("Mul", (mean, inv), name="mul_2")), name="sub")
    return add("AddV2", (scaled, shift), name="add_1")


def _batch_normalization(step: Step, row: LayerCost, kind: BatchNormalization, inputs: list[Value]) -> Value:
    compute = "float64" if row.compute.name == "float64" else "float32"
    x = step.cast(inputs[0], compute)
    mean = step.weight(row, "moving_mean", compute)
    variance = step.weight(row, "moving_variance", compute)
    scale = step.weight(row, "gamma", compute) if kind.scale else None
    offset = step.weight(row, "beta", compute) if kind.center else None
    axis = kind.axis if kind.axis >= 0 else kind.axis + len(x.shape)
    if step.training and row.layer.trainable:
        axes = tuple(i for i in range(len(x.shape)) if i != axis)
        batch_mean, batch_variance = moments(step, x, axes)
        if kind.renorm:
            scale, offset = _corrected(step, row, kind, batch_mean, batch_variance, scale, offset)
            _renorm_moving(step, row, kind, batch_mean, batch_variance)
        else:
            _moving(step, row, "moving_mean", mean, batch_mean, kind.momentum)
            _moving(step, row, "moving_variance", variance, batch_variance, kind.momentum)
        mean, variance = batch_mean, batch_variance
    if kind.axis != -1:
        wide = tuple(n if i == axis else 1 for i, n in enumerate(x.shape))
        mean, variance = step.reshape(mean, wide), step.reshape(variance, wide)
        offset = None if offset is None else step.reshape(offset, wide)
        scale = None if scale is None else step.reshape(scale, wide)
    return step.cast(normalize(step, x, mean, variance, offset, scale, kind.epsilon), row.compute.name)


def _corrected(
    step: Step, row: LayerCost, kind: Any, mean: Value, variance: Value, scale: Value | None, offset: Value | None
) -> tuple[Value, Value]:
    """Batch renormalization: (x·r + d)·gamma + beta as a scale and an offset; no gradient goes through r and d."""
    add = step.add
    deviation = add("Sqrt", (add("AddV2", (variance, step.number(kind.epsilon, variance))),))
    moving_mean = step.weight(row, "renorm_mean", mean.dtype)
    moving = step.weight(row, "renorm_stddev", mean.dtype)
    moving = add("Maximum", (moving, step.number(kind.epsilon**0.5, moving)))
    r = add("RealDiv", (deviation, moving))
    d = add("RealDiv", (add("Sub", (mean, moving_mean)), moving))
    clipping = kind.options.get("renorm_clipping")
    bounds = clipping if isinstance(clipping, dict) else {}
    if bounds.get("rmin") is not None:
        r = add("Maximum", (r, step.number(0.0, r)))  # which number it is changes no byte
    if bounds.get("rmax") is not None:
        r = add("Minimum", (r, step.number(0.0, r)))
    if bounds.get("dmax") is not None:
        d = clip(step, d, -1.0, 1.0)
    r, d = add("StopGradient", (r,)), add("StopGradient", (d,))
    if scale is not None:
        r, d = add("Mul", (r, scale)), add("Mul", (d, scale))
    return r, d if offset is None else add("AddV2", (d, offset))


def _renorm_moving(step: Step, row: LayerCost, kind: Any, mean: Value, variance: Value) -> None:
    """Two moving pairs; the moving variance is that of the moving deviation."""
    add, dtype = step.add, mean.dtype
    deviation = add("Sqrt", (add("AddV2", (variance, step.number(kind.epsilon, variance))),))
    for name, new, momentum in (
        ("renorm_mean", mean, 0.99),
        ("renorm_stddev", deviation, 0.99),
        ("moving_mean", mean, kind.momentum),
        ("moving_stddev", deviation, kind.momentum),
    ):
        moved = _moving(step, row, name, step.weight(row, name, dtype), new, momentum)
    squared = add("Sub", (add("Mul", (moved, moved)), step.number(kind.epsilon, moved)))
    variable = step.variable(row, "moving_variance")
    step.graph.assign("AssignVariableOp", variable, step.cast(add("Relu", (squared,)), variable.spec.dtype))


def _affine(
    step: Step, row: LayerCost, x: Value, mean: Value, variance: Value, epsilon: float, dims: tuple[int, ...] | None
) -> Value:
    """x·inv + (-mean·inv + beta), inv = rsqrt(variance + ε)·gamma: how Keras writes layer and group normalization.
    ``dims``: the shape that gamma and beta are given, None as they are."""
    add = step.add
    gamma = _shaped(step, row, "gamma", x.dtype, dims)
    beta = _shaped(step, row, "beta", x.dtype, dims)
    inv = add("Rsqrt", (add("AddV2", (variance, step.number(epsilon, x))),))
    if gamma is not None:
        inv = add("Mul", (inv, gamma))
    shift = add("Mul", (add("Neg", (mean,)), inv))
    if beta is not None:
        shift = add("AddV2", (shift, beta))
    return add("AddV2", (add("Mul", (x, inv)), shift))


def _shaped(step: Step, row: LayerCost, name: str, dtype: str, dims: tuple[int, ...] | None) -> Value | None:
    if not step.has(row, name):
        return None
    value = step.weight(row, name, dtype)
    return value if dims is None else step.reshape(value, dims)


def _wide(row: LayerCost) -> str:
    """Statistics are taken in float32 at least."""
    return "float64" if row.compute.name == "float64" else "float32"


def _layer_normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = step.cast(inputs[0], _wide(row))
    rank = len(x.shape)
    axes = tuple(sorted(a % rank for a in (kind.axis if isinstance(kind.axis, tuple) else (kind.axis,))))
    if kind.rms_scaling:
        return step.cast(_rms_scaled(step, row, kind, x, axes), row.compute.name)
    given = kind.axis if isinstance(kind.axis, tuple) else (kind.axis,)
    mean, variance = moments(step, x, axes, keepdims=True, written=tuple(given))
    dims = None if given == (rank - 1,) else tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
    return step.cast(_affine(step, row, x, mean, variance, kind.epsilon, dims), row.compute.name)


def _rms_scaled(step: Step, row: LayerCost, kind: Any, x: Value, axes: tuple[int, ...]) -> Value:
    """x·rsqrt(variance + ε)·gamma; the variance is ``tf.math.reduce_variance``."""
    add = step.add
    squares = add("Square", (add("Sub", (x, add("Mean", (x,), axes=axes, keepdims=True))),))
    variance = add("Mean", (squares,), axes=axes, keepdims=True)
    inv = add("Rsqrt", (add("AddV2", (variance, step.number(kind.epsilon, x))),))
    gamma = _shaped(step, row, "gamma", x.dtype, tuple(n if i in axes else 1 for i, n in enumerate(x.shape)))
    y = add("Mul", (x, inv))
    return y if gamma is None else add("Mul", (y, gamma))


def unit(step: Step, x: Value, axes: tuple[int, ...], epsilon: float = 1e-12) -> Value:
    """``keras.ops.normalize`` of order 2: x·min(rsqrt(Σ x²), 1/ε)."""
    total = step.add("Sum", (step.add("Square", (x,)),), axes=axes, keepdims=True)
    inverse = step.add("Minimum", (step.add("Rsqrt", (total,)), step.number(1 / epsilon, x)))
    return step.add("Mul", (x, inverse))


def _unit_normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    axes = kind.axis if isinstance(kind.axis, tuple) else (kind.axis,)
    return unit(step, x, tuple(sorted(axis % len(x.shape) for axis in axes)))


def _group_normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """Channels split into groups: one more axis, then as layer normalization over all but batch and groups."""
    shape = inputs[0].shape
    axis = kind.axis % len(shape)
    groups = shape[axis] if kind.groups == -1 else kind.groups
    split = (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    x = step.cast(step.reshape(inputs[0], split, written=(-1, *split[1:])), _wide(row))
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


def _moving(step: Step, row: LayerCost, name: str, old: Value, new: Value, momentum: float) -> Value:
    """moving·momentum + batch·(1 - momentum), assigned."""
    kept = step.add("Mul", (old, step.number(momentum, old)))
    taken = step.add("Mul", (new, step.number(1 - momentum, old)))
    variable = step.variable(row, name)
    value = step.add("AddV2", (kept, taken))
    step.graph.assign("AssignVariableOp", variable, step.cast(value, variable.spec.dtype))
    return value


RULES: dict[str, Any] = {
    "BatchNormalization": _batch_normalization,
    "LayerNormalization": _layer_normalization,
    "GroupNormalization": _group_normalization,
    "RMSNormalization": _rms_normalization,
    "UnitNormalization": _unit_normalization,
}
