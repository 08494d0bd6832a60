"""Convolutions and pooling. Shapes are stated by the lowering: the geometry is the layer kind's."""

from __future__ import annotations

from cnncost.memory.optypes.base import Attrs, OpType, Specs, given
from cnncost.memory.optypes.brgemm import THREADS, convolution_scratch
from cnncost.memory.spec import SIZES, Spec
from cnncost.processors import Processor

ONEDNN_CONVOLUTION = 12_336  # bytes of the scratch pad that oneDNN books for a forward convolution (AVX-512 kernels)
_WORKING_SET = 30 << 20  # bytes that TensorFlow's own gradients take for their work (conv_grad_filter_ops.cc)
_LEAST_WORK = 256 << 10  # bytes of work on one image, for each thread (conv_grad_input_ops.h)


def _columns(image: Spec, kernel: Spec) -> int:
    """Values of one image laid out as columns: output positions times taps and channels."""
    taps = kernel.elements // kernel.shape[-1]
    return image.elements // image.shape[0] // image.shape[-1] * taps


def _filter_scratch(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """TensorFlow's own kernel, for what oneDNN does not compute in: as many images as columns as fit the set."""
    if outputs[0].dtype in on.onednn or len(inputs[1].shape) != 4:
        return ()
    return (_laid_out(outputs[0], inputs[1], one=False),)


def _input_scratch(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """The same for the input's gradient; one image where that is enough work for the threads."""
    if outputs[0].dtype in on.onednn or len(inputs[1].shape) != 4:
        return ()
    kernel, grad = inputs[0], inputs[1]
    enough = _unit(kernel, grad) // THREADS >= _LEAST_WORK // SIZES[kernel.dtype]
    return (_laid_out(kernel, grad, grad.shape[0] == 1 or enough),)


def _laid_out(kernel: Spec, grad: Spec, one: bool) -> int:
    size = SIZES[kernel.dtype]
    images = 1 if one else -(-(_WORKING_SET // size) // _unit(kernel, grad))
    return images * _columns(grad, kernel) * size


def _unit(kernel: Spec, grad: Spec) -> int:
    """Values that the work on one image reads and writes."""
    return _columns(grad, kernel) + grad.elements // grad.shape[0] + kernel.elements


_POINTWISE_FIRST = 9_856  # the same for a kernel of one position and channels first, which needs no copies


def _convolution_scratch(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """With the channels first oneDNN computes on reordered copies of the input and the output."""
    if inputs[0].dtype not in on.onednn:
        return ()
    if attrs.get("data_format") == "NCHW":
        if not on.wide:
            from cnncost.memory.optypes.gemm_convolution import channels_first_scratch

            return channels_first_scratch(inputs[0], inputs[1], outputs[0], attrs.get("strides") or (1, 1))
        if all(taps == 1 for taps in inputs[1].shape[:-2]):
            return (_POINTWISE_FIRST,)
        return (inputs[0].bytes + outputs[0].bytes + ONEDNN_CONVOLUTION + 384,)
    image, kernel = inputs[:2]
    volume, half = len(kernel.shape) != 4, image.dtype != "float32"
    if volume and half:
        return (ONEDNN_CONVOLUTION,)
    strides, dilations = attrs.get("strides") or (1, 1), attrs.get("dilations") or (1, 1)
    if not on.wide and not volume and image.shape[0] == 1:
        from cnncost.memory.optypes.gemm_convolution import columns_scratch

        scratch = columns_scratch(image, kernel, outputs[0], strides, dilations, on.cache)
        return (scratch,) if scratch else ()
    if on.tiles and image.dtype == "bfloat16":
        from cnncost.memory.optypes.amx_convolution import amx_scratch

        return (amx_scratch(image, kernel, outputs[0], strides, dilations),)
    return (convolution_scratch(image, kernel, outputs[0], strides, dilations, relo=on.wide),)


def _pool_scratch(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """The workspace lives no longer than the op where no reverse op reads it, that is where it is no output."""
    if inputs[0].dtype not in on.onednn or len(outputs) > 1:
        return ()
    return (workspace(outputs[0], attrs).bytes,)


def _pool_gradient_early(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[tuple[int, bool], ...]:
    return () if inputs[0].dtype in on.onednn else maxima_again(inputs[1])


def maxima_again(maxima: Spec) -> tuple[tuple[int, bool], ...]:
    """TensorFlow's own kernel finds the maxima again, and where they were, before it allocates its output."""
    return (maxima.bytes, True), (8 * maxima.elements, True)


def workspace(maxima: Spec, attrs: Attrs) -> Spec:
    """Where oneDNN's max pooling found each maximum: one byte each for a window of up to 255 values, else four."""
    window = 1
    for size in attrs["ksize"]:
        window *= size
    return Spec((maxima.elements * (1 if window < 256 else 4),), "uint8")


_BACKWARD = (
    "Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", "DepthwiseConv2dNativeBackpropInput",
    "DepthwiseConv2dNativeBackpropFilter",
)  # fmt: skip
_POOLS = ("AvgPool", "AvgPoolGrad", "MaxPool3DGrad", "AvgPool3D", "AvgPool3DGrad")
ROWS = (
    *(OpType(name, given, scratch_on=_convolution_scratch) for name in ("Conv2D", "Conv3D")),
    *(  # input 3: what it adds, if anything
        OpType(name, given, forwards=(3,), scratch_on=_convolution_scratch) for name in ("_FusedConv2D", "_FusedConv3D")
    ),
    *(OpType(name, given) for name in ("DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative")),
    OpType("Conv2DBackpropInput", given, scratch_on=_input_scratch),
    *(
        OpType(name, given, scratch_on=_filter_scratch)
        for name in ("Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias")
    ),
    *(OpType(name, given) for name in _BACKWARD),
    *(OpType(name, given, scratch_on=_pool_scratch) for name in ("MaxPool", "MaxPool3D")),
    OpType("MaxPoolGrad", given, early_on=_pool_gradient_early, own=(0,), lends=1),
    *(OpType(name, given) for name in _POOLS),
)
