"""Depthwise and separable convolutions (``tf.nn.depthwise_conv2d``, ``tf.nn.separable_conv2d``)."""

from __future__ import annotations

from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.activation import activate
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.convolution import add_bias, dilated
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost


def _depthwise(step: Step, row: LayerCost, kind: Any, x: Value, kernel: Value) -> Value:
    """On channels-last values; one spatial axis gets a height of one."""
    if any(s > 1 for s in kind.strides) and any(d > 1 for d in kind.dilation_rate):
        raise UnsupportedLayer("the memory simulation does not know depthwise windows with both strides and dilation")
    spatial = tuple(window.output for window in row.windows)
    dims = step.shape((*spatial, kernel.shape[-2] * kernel.shape[-1]))
    attrs = {"strides": kind.strides, "padding": kind.padding, "dilations": kind.dilation_rate}
    if len(spatial) == 1:
        x = step.add("ExpandDims", (x,), shape=(x.shape[0], 1, *x.shape[1:]))
        kernel = step.add("ExpandDims", (kernel,), shape=(1, *kernel.shape))
        attrs |= {"strides": kind.strides * 2, "dilations": (1, *kind.dilation_rate)}
        wide = (dims[0], 1, *dims[1:])
        y = dilated(step, row, "DepthwiseConv2dNative", x, kernel, wide, attrs)
        return step.add("Squeeze", (y,), shape=dims)
    return dilated(step, row, "DepthwiseConv2dNative", x, kernel, dims, attrs)


def _last(step: Step, kind: Any, x: Value) -> Value:
    """Channels to the end: the CPU has no other depthwise kernel."""
    rank = len(x.shape)
    return step.add("Transpose", (x,), perm=(0, *range(2, rank), 1)) if kind.channels_first else x


def _back(step: Step, kind: Any, y: Value) -> Value:
    rank = len(y.shape)
    return step.add("Transpose", (y,), perm=(0, rank - 1, *range(1, rank - 1))) if kind.channels_first else y


def _depthwise_conv(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    kernel = step.weight(row, "kernel")
    sums = _back(step, kind, _depthwise(step, row, kind, _last(step, kind, inputs[0]), kernel))
    return activate(step, add_bias(step, row, kind, sums), kind.activation)


def _separable_conv(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    depthwise = step.weight(row, "depthwise_kernel")
    pointwise = step.weight(row, "pointwise_kernel")
    between = _depthwise(step, row, kind, _last(step, kind, inputs[0]), depthwise)
    dims = (*between.shape[:-1], kind.filters)
    attrs = {"strides": (1, 1), "padding": "valid", "dilations": (1, 1)}
    if len(dims) == 3:
        between = step.add("ExpandDims", (between,), shape=(between.shape[0], 1, *between.shape[1:]))
        pointwise = step.add("ExpandDims", (pointwise,), shape=(1, *pointwise.shape))
        wide = (dims[0], 1, *dims[1:])
        y = step.add("Conv2D", (between, pointwise), (Spec(wide, between.dtype),), "separable_conv2d", **attrs)
        y = step.add("Squeeze", (y,), shape=dims)
    else:
        y = step.add("Conv2D", (between, pointwise), (Spec(dims, between.dtype),), "separable_conv2d", **attrs)
    return activate(step, add_bias(step, row, kind, _back(step, kind, y)), kind.activation)


RULES: dict[str, Any] = {
    **{f"DepthwiseConv{n}D": _depthwise_conv for n in (1, 2)},
    **{f"SeparableConv{n}D": _separable_conv for n in (1, 2)},
}
