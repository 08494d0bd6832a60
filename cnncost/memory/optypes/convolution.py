"""Convolutions and pooling. Shapes are stated by the lowering: the geometry is the layer kind's."""

from __future__ import annotations

from cnncost.memory.optypes.base import Attrs, OpType, Specs, given

ONEDNN_CONVOLUTION = 12_336  # bytes of the scratch pad that oneDNN books for a forward convolution (AVX-512 kernels)


def _convolution_scratch(inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """With the channels first oneDNN computes on reordered copies of the input and the output."""
    if attrs.get("data_format") == "NCHW":
        return (inputs[0].bytes + outputs[0].bytes + ONEDNN_CONVOLUTION + 384,)
    return (ONEDNN_CONVOLUTION,)


def _pool_scratch(inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """oneDNN's workspace of max pooling: where each maximum was found, one byte each for a window of up to 255."""
    window = 1
    for size in attrs["ksize"]:
        window *= size
    return (outputs[0].elements * (1 if window < 256 else 4),)


_BACKWARD = (
    "Conv2DBackpropInput", "Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3DBackpropInputV2",
    "Conv3DBackpropFilterV2", "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter",
)  # fmt: skip
_POOLS = ("MaxPoolGrad", "AvgPool", "AvgPoolGrad", "MaxPool3DGrad", "AvgPool3D", "AvgPool3DGrad")
ROWS = (
    *(OpType(name, given, scratch=_convolution_scratch) for name in ("Conv2D", "Conv3D")),
    OpType("_FusedConv2D", given, forwards=(3,), scratch=_convolution_scratch),  # 3: what it adds, if anything
    *(OpType(name, given) for name in ("DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative")),
    *(OpType(name, given) for name in _BACKWARD),
    *(OpType(name, given, scratch=_pool_scratch) for name in ("MaxPool", "MaxPool3D")),
    *(OpType(name, given) for name in _POOLS),
)
