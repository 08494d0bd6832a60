"""Convolutions (keras/src/layers/convolutional/base_conv.py, backend/tensorflow/nn.py)."""

from __future__ import annotations

from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.activation import activate
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.memory.spec import Dims
from cnncost.results import LayerCost


def add_bias(step: Step, row: LayerCost, kind: Any, sums: Value) -> Value:
    """Reshape of the bias to (1, …, 1, C), squeezed again, and BiasAdd, as Keras's ``ops.add`` makes of it."""
    if not kind.use_bias:
        return sums
    bias = step.weight(row, "bias")
    channels = bias.shape[0]
    rank = len(sums.shape)
    wide = (1, channels, *(1,) * (rank - 2)) if kind.channels_first else (*(1,) * (rank - 1), channels)
    bias = step.add("Reshape", (bias,), shape=wide)
    if channels == 1:  # a single map does not look like a bias: ops.add takes a plain addition
        return step.add("AddV2", (sums, bias))
    bias = step.add("Squeeze", (bias,), shape=(channels,))
    return step.add("BiasAdd", (sums, bias), data_format="NCHW" if kind.channels_first else "NHWC")


def window_attrs(kind: Any) -> dict[str, Any]:
    """What a sliding window's gradient and rewriting rules ask for."""
    padding = "valid" if kind.padding == "causal" else kind.padding
    attrs = {"strides": kind.strides, "padding": padding, "dilations": kind.dilation_rate}
    return attrs | {"data_format": "NCHW"} if kind.channels_first else attrs


def dilated(step: Step, row: LayerCost, op: str, x: Value, kernel: Value, dims: Dims, attrs: dict[str, Any]) -> Value:
    """A convolution op; with dilation it runs on blocks: SpaceToBatchND, the op with VALID edges, BatchToSpaceND."""
    dilations = attrs["dilations"]
    if all(d == 1 for d in dilations):
        return step.add(op, (x, kernel), (Spec(dims, x.dtype),), "convolution", **attrs)
    blocks, padded, outputs = 1, [], []
    sides, crops = [], []  # what is padded before and behind each axis, and cut off again
    spatial = tuple(zip(x.shape[1:-1], dims[1:-1], kernel.shape, dilations, strict=False))
    for size, output, taps, dilation in spatial:
        needed = output + (taps - 1) * dilation if attrs["padding"] == "same" else size
        padded.append(-(-needed // dilation))
        outputs.append(padded[-1] - taps + 1)
        blocks *= dilation
        whole = padded[-1] * dilation
        before = (needed - size) // 2
        sides.append((before, whole - size - before))
        crops.append((0, whole - needed))
    inside = {**attrs, "padding": "valid", "dilations": (1,) * len(dilations)}
    split = Spec((x.shape[0] * blocks, *padded, x.shape[-1]), x.dtype)
    x = step.add("SpaceToBatchND", (x,), (split,), block=tuple(dilations), sides=tuple(sides))
    wide = (dims[0] * blocks, *outputs, dims[-1])
    if op == "Conv1D":
        y = conv1d(step, row, x, kernel, wide, inside)
    else:
        y = step.add(op, (x, kernel), (Spec(wide, x.dtype),), "convolution", **inside)
    whole_maps = Spec(dims, x.dtype)
    return step.add("BatchToSpaceND", (y,), (whole_maps,), block=tuple(dilations), sides=tuple(crops))


def _convolution(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    if kind.channels_first and any(d > 1 for d in kind.dilation_rate):
        raise UnsupportedLayer("the memory simulation does not know dilation in channels_first")
    kernel = step.weight(row, "kernel")
    if kind.padding == "causal":
        before = row.windows[0].before
        x = step.add("Pad", (x,), paddings=((0, 0), (before, 0), (0, 0)))
    spatial = tuple(window.output for window in row.windows)
    dims = (kind.filters, *spatial) if kind.channels_first else (*spatial, kind.filters)
    attrs = window_attrs(kind)
    if kind.groups > 1:
        sums = _compiled(step, row, x, kernel, step.shape(dims), attrs)
    elif len(spatial) == 1:
        sums = conv1d(step, row, x, kernel, step.shape(dims), attrs, kind.channels_first)
    else:
        sums = dilated(step, row, f"Conv{len(spatial)}D", x, kernel, step.shape(dims), attrs)
    return activate(step, add_bias(step, row, kind, sums), kind.activation)


def _compiled(step: Step, row: LayerCost, x: Value, kernel: Value, dims: Dims, attrs: dict[str, Any]) -> Value:
    """Grouped convolutions: the CPU has no kernel, so that Keras compiles them, each a function of its own for XLA. It
    allocates its output alone."""
    return step.add("StatefulPartitionedCall", (x, kernel), (Spec(dims, x.dtype),), "convolution", **attrs)


def conv1d(
    step: Step, row: LayerCost, x: Value, kernel: Value, dims: Dims, attrs: dict[str, Any], first: bool = False
) -> Value:
    """One axis: a Conv2D over a height of one, which lies beside the axis. Blocks of a dilation are made before."""
    if any(d > 1 for d in attrs["dilations"]):
        return dilated(step, row, "Conv1D", x, kernel, dims, attrs)
    at = 2 if first else 1
    x = step.add("ExpandDims", (x,), shape=(*x.shape[:at], 1, *x.shape[at:]))
    kernel = step.add("ExpandDims", (kernel,), shape=(1, *kernel.shape))
    attrs = {**attrs, "strides": (1, *attrs["strides"]), "dilations": (1, 1)}
    wide = Spec((*dims[:at], 1, *dims[at:]), x.dtype)
    y = step.add("Conv2D", (x, kernel), (wide,), "convolution", **attrs)
    return step.add("Squeeze", (y,), shape=dims)


RULES: dict[str, Any] = {"Conv1D": _convolution, "Conv2D": _convolution, "Conv3D": _convolution}
