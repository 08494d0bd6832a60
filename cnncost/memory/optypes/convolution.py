"""Convolutions and pooling. Shapes are stated by the lowering: the geometry is the layer kind's."""

from __future__ import annotations

from cnncost.memory.optypes.base import OpType, given

_CONVOLUTIONS = (
    "Conv2D", "Conv3D", "DepthwiseConv2dNative", "_FusedConv2D", "_FusedDepthwiseConv2dNative", "Conv2DBackpropInput",
    "Conv2DBackpropFilter", "Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", "DepthwiseConv2dNativeBackpropInput",
    "DepthwiseConv2dNativeBackpropFilter",
)  # fmt: skip
_POOLS = (
    "MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad", "MaxPool3D", "MaxPool3DGrad", "AvgPool3D", "AvgPool3DGrad",
)  # fmt: skip
ROWS = (*(OpType(name, given) for name in _CONVOLUTIONS), *(OpType(name, given) for name in _POOLS))
