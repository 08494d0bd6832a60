"""Layers of the early networks, as ``cnncost.export.layers`` writes them for Keras."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.activation import activate
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost


def _local_response(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """x/(bias + alpha·Σ)^beta; Σ adds shifted slices of the padded squares."""
    x, add = inputs[0], step.add
    radius, rank = kind.depth_radius, len(x.shape)
    pads = (*((0, 0),) * (rank - 1), (radius, radius))
    padded = add("Pad", (add("Square", (x,)),), paddings=pads)
    total = None
    for shift in range(2 * radius + 1):
        view = add("StridedSlice", (padded,), (x.spec,), begin=shift)
        total = view if total is None else add("AddV2", (total, view))
    assert total is not None
    number = {name: step.graph.constant(getattr(kind, name), Spec((), x.dtype)) for name in ("alpha", "bias", "beta")}
    base = add("AddV2", (number["bias"], add("Mul", (number["alpha"], total))))
    return add("RealDiv", (x, add("Pow", (base, number["beta"]))))


def _per_map(step: Step, row: LayerCost, kind: Any, name: str) -> Value:
    value = step.weight(row, name)
    return step.reshape(value, (1, *value.shape, 1, 1)) if kind.channels_first else value


def _average_pooling(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """activation(coefficient·mean + bias)."""
    x = inputs[0]
    if kind.channels_first:
        x = step.add("Transpose", (x,), perm=(0, 2, 3, 1))
    spatial = row.output_shape[1:] if kind.channels_first else row.output_shape[:-1]
    attrs = {"ksize": kind.pool_size, "strides": kind.strides or kind.pool_size, "padding": kind.padding}
    means = step.add("AvgPool", (x,), (Spec(step.shape((*spatial, x.shape[-1])), x.dtype),), **attrs)
    if kind.channels_first:
        means = step.add("Transpose", (means,), perm=(0, 3, 1, 2))
    scaled = step.add("Mul", (_per_map(step, row, kind, "coefficient"), means))
    return activate(step, step.add("AddV2", (scaled, _per_map(step, row, kind, "bias"))), kind.activation)


def _table_convolution(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """The pairs' filters are scattered into a full kernel, then a convolution as any other."""
    x, add = inputs[0], step.add
    kernel = step.weight(row, "kernel")
    rows, columns, pairs = kernel.shape
    shape = row.output_shape
    channels, maps = (x.shape[1], shape[0]) if kind.channels_first else (x.shape[-1], shape[-1])
    flat = add("Transpose", (step.reshape(kernel, (rows * columns, pairs)),), perm=(1, 0))
    full = add("ScatterNd", (flat,), (Spec((channels * (maps or 1), rows * columns), x.dtype),))
    wide = step.reshape(add("Transpose", (full,), perm=(1, 0)), (rows, columns, channels, maps or 1))
    attrs = {"strides": kind.strides, "padding": kind.padding, "dilations": (1, 1)}
    if kind.channels_first:
        attrs["data_format"] = "NCHW"
    sums = add("Conv2D", (x, wide), (Spec(step.shape(shape), x.dtype),), "convolution", **attrs)
    if kind.use_bias:
        sums = add("AddV2", (sums, _per_map(step, row, kind, "bias")))
    return activate(step, sums, kind.activation)


def _rbf(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """Σ (x - w)²."""
    x = inputs[0]
    wide = step.add("ExpandDims", (x,), shape=(*x.shape[:-1], 1, x.shape[-1]))
    distance = step.add("Square", (step.add("Sub", (wide, step.weight(row, "centers"))),))
    return step.add("Sum", (distance,), axes=(len(x.shape),), keepdims=False)


RULES: dict[str, Any] = {
    "LocalResponseNormalization": _local_response,
    "TrainableAveragePooling2D": _average_pooling,
    "TableConv2D": _table_convolution,
    "RBF": _rbf,
}
