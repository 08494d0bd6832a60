"""Convolutions and poolings. A reverse op reads the filter or the data, then the gradient; shapes are attributes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cnncost.memory.gradients.base import Gradient, Grads, Skip
from cnncost.memory.opgraph import Op, OpGraph, Value


def _convolution(data: str, weights: str) -> Gradient:
    """Of the data first, then of the filter."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        x, kernel = op.inputs
        gx = None if 0 in skip else graph.add(data, (kernel, grad), (x.spec,), **op.attrs)
        gw = None if 1 in skip else graph.add(weights, (x, grad), (kernel.spec,), **op.attrs)
        return gx, gw

    return rule


def _transposed(data: str, weights: str) -> Gradient:
    """A convolution's data gradient used as a layer, inputs (filter, data): of the filter first, then of the data."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        kernel, x = op.inputs
        gw = None if 0 in skip else graph.add(weights, (grad, x), (kernel.spec,), **op.attrs)
        gx = None if 1 in skip else graph.add(data, (grad, kernel), (x.spec,), **op.attrs)
        return gw, gx

    return rule


def _max_pool(type_: str) -> Gradient:
    """Reads input, output and gradient."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        x = op.inputs[0]
        return (graph.add(type_, (x, op.out(), grad), (x.spec,), **op.attrs),)

    return rule


def _average_pool(type_: str) -> Gradient:
    """Reads the gradient and a shape."""

    def rule(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
        return (graph.add(type_, (grad,), (op.inputs[0].spec,), **op.attrs),)

    return rule


def _compiled(graph: OpGraph, op: Op, grad: Value, skip: Skip) -> Grads:
    """Of a function that XLA compiles: in a step that is differentiated it puts out copies of what it has read, and its
    gradient is a function of these."""
    x, kernel = op.inputs
    op.outputs = (op.outputs[0], x.spec, kernel.spec)
    made = graph.add("PartitionedCall", (grad, op.out(1), op.out(2)), (kernel.spec, x.spec), **op.attrs).op
    return None if 0 in skip else made.out(1), None if 1 in skip else made.out(0)


_DEPTHWISE = "DepthwiseConv2dNative"
RULES: Mapping[str, Gradient] = MappingProxyType(
    {
        "StatefulPartitionedCall": _compiled,
        "Conv2D": _convolution("Conv2DBackpropInput", "Conv2DBackpropFilter"),
        "Conv3D": _convolution("Conv3DBackpropInputV2", "Conv3DBackpropFilterV2"),
        _DEPTHWISE: _convolution(f"{_DEPTHWISE}BackpropInput", f"{_DEPTHWISE}BackpropFilter"),
        "Conv2DBackpropInput": _transposed("Conv2D", "Conv2DBackpropFilter"),
        "Conv3DBackpropInputV2": _transposed("Conv3D", "Conv3DBackpropFilterV2"),
        f"{_DEPTHWISE}BackpropInput": _transposed(_DEPTHWISE, f"{_DEPTHWISE}BackpropFilter"),
        "MaxPool": _max_pool("MaxPoolGrad"),
        "MaxPool3D": _max_pool("MaxPool3DGrad"),
        "AvgPool": _average_pool("AvgPoolGrad"),
        "AvgPool3D": _average_pool("AvgPool3DGrad"),
    }
)
