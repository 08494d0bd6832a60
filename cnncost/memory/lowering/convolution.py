"""Convolutions (keras/src/layers/convolutional/base_conv.py, backend/tensorflow/nn.py)."""

from __future__ import annotations

from typing import Any

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
    return {"strides": kind.strides, "padding": kind.padding, "dilations": kind.dilation_rate}


def _convolution(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    kernel = step.weight(row, "kernel")
    spatial = tuple(window.output for window in row.windows)
    dims = (kind.filters, *spatial) if kind.channels_first else (*spatial, kind.filters)
    sums = _OPS[len(spatial)](step, x, kernel, step.shape(dims), window_attrs(kind))
    return activate(step, add_bias(step, row, kind, sums), kind.activation)


def _conv1d(step: Step, x: Value, kernel: Value, dims: Dims, attrs: dict[str, Any]) -> Value:
    """One axis: a Conv2D over a height of one."""
    x = step.add("ExpandDims", (x,), shape=(x.shape[0], 1, *x.shape[1:]))
    kernel = step.add("ExpandDims", (kernel,), shape=(1, *kernel.shape))
    attrs = {**attrs, "strides": (1, *attrs["strides"]), "dilations": (1, *attrs["dilations"])}
    y = step.add("Conv2D", (x, kernel), (Spec((dims[0], 1, *dims[1:]), x.dtype),), "convolution", **attrs)
    return step.add("Squeeze", (y,), shape=dims)


def _conv2d(step: Step, x: Value, kernel: Value, dims: Dims, attrs: dict[str, Any]) -> Value:
    return step.add("Conv2D", (x, kernel), (Spec(dims, x.dtype),), "convolution", **attrs)


def _conv3d(step: Step, x: Value, kernel: Value, dims: Dims, attrs: dict[str, Any]) -> Value:
    return step.add("Conv3D", (x, kernel), (Spec(dims, x.dtype),), "convolution", **attrs)


_OPS = {1: _conv1d, 2: _conv2d, 3: _conv3d}
RULES: dict[str, Any] = {"Conv1D": _convolution, "Conv2D": _convolution, "Conv3D": _convolution}
