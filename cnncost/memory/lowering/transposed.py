"""Transposed convolutions: the gradient of a convolution's input, run forward (``tf.nn.conv_transpose``)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.activation import activate
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.convolution import add_bias
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost


def _transposed(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """The op reads the kernel, then the values, as the reverse pass's own does."""
    x = inputs[0]
    kernel = step.weight(row, "kernel")
    attrs = {"strides": kind.strides, "padding": kind.padding, "dilations": kind.dilation_rate}
    shape = row.output_shape
    spatial = shape[1:] if kind.channels_first else shape[:-1]
    dims = step.shape((kind.filters, *spatial) if kind.channels_first else (*spatial, kind.filters))
    if len(spatial) == 1:
        x = step.add("ExpandDims", (x,), shape=(x.shape[0], 1, *x.shape[1:]))
        kernel = step.add("ExpandDims", (kernel,), shape=(1, *kernel.shape))
        attrs |= {"strides": (1, *kind.strides), "dilations": (1, *kind.dilation_rate)}
        y = step.add("Conv2DBackpropInput", (kernel, x), (Spec((dims[0], 1, *dims[1:]), x.dtype),), **attrs)
        sums = step.add("Squeeze", (y,), shape=dims)
    else:
        op = "Conv2DBackpropInput" if len(spatial) == 2 else "Conv3DBackpropInputV2"
        sums = step.add(op, (kernel, x), (Spec(dims, x.dtype),), "conv_transpose", **attrs)
    return activate(step, add_bias(step, row, kind, sums), kind.activation)


RULES: dict[str, Any] = {f"Conv{n}DTranspose": _transposed for n in (1, 2, 3)}
