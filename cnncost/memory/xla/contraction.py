"""Convolutions and matrix products, forward and reverse, as XLA's CPU pipeline of TensorFlow 2.21 leaves them.

A convolution of 1 × 1 at stride 1 becomes a matrix product over views (algebraic simplifier). A window that is larger
than what it slides over trades places with it, which costs a reversed copy of the kernel (SwapConvOperands). The
filter's gradient is a convolution over channels: its operands are transposed copies, and so is what it puts out
(conv_canonicalization.cc wants NHWC); the data's gradient reads a reversed, transposed copy of the kernel.
"""

from __future__ import annotations

from math import prod
from typing import Any

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec
from cnncost.memory.xla import einsum
from cnncost.memory.xla.hlo import Hlo, Module, Operand
from cnncost.memory.xla.reduce import reduce


def _spatial(rank: int) -> range:
    return range(1, rank - 1)


def _ones(strides: Any) -> bool:
    return all(n == 1 for n in strides)


def _window(module: Module, x: Hlo, kernel: Hlo, spec: Spec, strides: Any, plain: bool) -> Hlo:
    """``kernel``: (window, in, out). ``plain``: no dilation of either side."""
    sizes = kernel.shape[:-2]
    if plain and prod(sizes) == 1 and _ones(strides):
        return module.add("pointwise", (x, kernel), spec.shape, spec.dtype)
    swapped = prod(sizes) > prod(x.shape[1:-1])
    if swapped:
        kernel = module.reverse(kernel)
    return module.add("convolution", (x, kernel), spec.shape, spec.dtype)


def convolution(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    x, kernel = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    return [_window(module, _unpadded(x), kernel, op.outputs[0], op.attrs["strides"], _undilated(op))]


def _unpadded(x: Hlo) -> Hlo:
    """Zeros around the data are the window's own padding (FoldConvInputPad)."""
    return x.inputs[0] if x.opcode == "pad" else x


def grouped(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """Groups keep a convolution what it is; for its gradient it hands on what it has read."""
    x, kernel = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    spec = op.outputs[0]
    return [module.add("convolution", (_unpadded(x), kernel), spec.shape, spec.dtype), x, kernel]


def _undilated(op: Op) -> bool:
    return _ones(op.attrs.get("dilations") or ())


def data_gradient(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """Of (kernel, gradient): the window slides over the gradient, spread out by the strides."""
    kernel, grad = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    rank = len(kernel.shape)
    sizes, spec = kernel.shape[:-2], op.outputs[0]
    plain = _ones(op.attrs["strides"])
    full = plain and op.attrs["padding"] == "valid"  # the window hangs over by all but one, on both sides
    swapped = prod(sizes) > prod(k if full and n == 1 else n for n, k in zip(grad.shape[1:-1], sizes, strict=True))
    if prod(sizes) > 1 and not swapped:
        kernel = module.reverse(kernel)
    turned = module.transpose(kernel, (*range(rank - 2), rank - 1, rank - 2))
    opcode = "pointwise" if plain and prod(sizes) == 1 else "convolution"
    return [module.add(opcode, (grad, turned), spec.shape, spec.dtype)]


def filter_gradient(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """Of (data, gradient): (C, H, W, N) * (H, W, N, K) gives (C, kh, kw, K), then (kh, kw, C, K). A window that stood
    in one place, on all of the data, is a product of views (SimplifyConvToDot: a window of one, nothing padded)."""
    x, grad = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    rank, spec = len(x.shape), op.outputs[0]
    spatial = tuple(_spatial(rank))
    left = module.transpose(x, (rank - 1, *spatial, 0))
    window = spec.shape[:-2]
    shape = (spec.shape[-2], *window, spec.shape[-1])
    only = _ones(grad.shape[1:-1]) and x.shape[1:-1] == window and _undilated(op)
    perm = (*spatial, 0, rank - 1)
    right = module.transpose(grad, perm) if only else _turned(module, grad, perm)
    made = module.add("pointwise" if only else "convolution", (left, right), shape, spec.dtype)
    return [module.transpose(made, (*range(1, rank - 1), 0, rank - 1))]


def _turned(module: Module, value: Hlo, perm: tuple[int, ...]) -> Hlo:
    """A copy even where only axes of one move (a batch of one): a convolution wants its operand's plain layout."""
    return module.moved("transpose", value, tuple(value.shape[axis] for axis in perm), perm)


def depthwise(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    x, kernel = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    wide = (*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1])
    spec = op.outputs[0]
    if _scales(op, kernel):
        return [_scaled(module, x, kernel, spec)]
    return [module.add("convolution", (_unpadded(x), module.reshape(kernel, wide)), spec.shape, spec.dtype)]


def _scales(op: Op, kernel: Hlo) -> bool:
    """Whether a depthwise window only multiplies (SimplifyConvToMultiply): of one value for one output, everywhere."""
    return prod(kernel.shape[:-2]) == kernel.shape[-1] == 1 and _ones(op.attrs["strides"]) and _undilated(op)


def _scaled(module: Module, x: Hlo, kernel: Hlo, spec: Spec) -> Hlo:
    made = module.map("multiply", (x, module.reshape(kernel, (kernel.shape[-2],))), spec)
    assert made is not None
    return made


def depthwise_data_gradient(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    kernel, grad = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    spec = op.outputs[0]
    if _scales(op, kernel):
        return [_scaled(module, grad, kernel, spec)]
    return [module.add("convolution", (grad, module.reverse(kernel)), spec.shape, spec.dtype)]


def depthwise_filter_gradient(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    x, grad = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    return [_of_groups(module, x, grad, op.outputs[0])]


def grouped_gradient(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """Of (gradient, data, kernel): the kernel's gradient and the data's, as those of a depthwise convolution."""
    grad, x, kernel = (module.filled(value, spec.spec) for value, spec in zip(inputs, op.inputs, strict=True))
    spec = op.outputs[1]
    data = module.add("convolution", (grad, module.reverse(kernel)), spec.shape, spec.dtype)
    return [_of_groups(module, x, grad, op.outputs[0]), data]


def _of_groups(module: Module, x: Hlo, grad: Hlo, spec: Spec) -> Hlo:
    """The kernel's gradient of a convolution in groups (convolution_group_converter.cc, HandleBatchGroupCount)."""
    groups = x.shape[-1] // spec.shape[-2] if spec.shape[-1] == grad.shape[-1] else x.shape[-1]
    return (_diagonal if groups == grad.shape[-1] else _spread)(module, x, grad, spec, groups)


def _spread(module: Module, x: Hlo, grad: Hlo, spec: Spec, groups: int) -> Hlo:
    """Groups of several outputs are one more axis that the window slides along: (C/g, H, W, g, N) * (H, W, g, N, K/g)
    gives (C/g, kh, kw, g, K/g)."""
    rank, window = len(x.shape), spec.shape[:-2]
    inner, outputs = x.shape[-1] // groups, grad.shape[-1]
    spatial = tuple(_spatial(rank))
    left = module.reshape(x, (*x.shape[:-1], groups, inner))
    right = module.reshape(grad, (*grad.shape[:-1], groups, outputs // groups))
    left = module.transpose(left, (rank, *spatial, rank - 1, 0))
    right = _turned(module, right, (*spatial, rank - 1, 0, rank))
    made = module.add("convolution", (left, right), (inner, *window, groups, outputs // groups), spec.dtype)
    flat = module.reshape(made, (inner, *window, outputs))
    return module.reshape(module.transpose(flat, (*range(1, rank - 1), 0, rank - 1)), spec.shape)


def _diagonal(module: Module, x: Hlo, grad: Hlo, spec: Spec, groups: int) -> Hlo:
    """Groups of one output each: a full convolution, channel against channel, of which only the groups' own are kept: a
    masked copy, summed."""
    rank = len(x.shape)
    spatial = tuple(_spatial(rank))
    left = module.transpose(x, (rank - 1, *spatial, 0))
    right = _turned(module, grad, (*spatial, 0, rank - 1))
    window, channels = spec.shape[:-2], x.shape[-1]
    made = module.add("convolution", (left, right), (channels, *window, groups), spec.dtype)
    turned = module.transpose(made, (*range(1, rank - 1), 0, rank - 1))
    masked = module.map("select", (turned,), Spec(turned.shape, spec.dtype))
    assert masked is not None
    summed = module.add("reduce-window", (masked,), (*window, 1, groups), spec.dtype)
    return module.reshape(summed, spec.shape)


def product(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """Transposed operands are read in place: the product's library takes them. A stack of matrices times one matrix is
    one flat product of views (dot_decomposer.cc)."""
    x, y = (module.filled(value, spec.spec) for value, spec in zip(inputs[:2], op.inputs, strict=False))
    spec = op.outputs[0]
    if len(y.shape) == 2 < len(x.shape):
        x = module.reshape(x, (prod(x.shape[:-1]), x.shape[-1]))
    shape = (prod(spec.shape[:-1]), spec.shape[-1]) if len(x.shape) == len(y.shape) == 2 else spec.shape
    return [module.reshape(module.add("dot", (x, y), shape, spec.dtype), spec.shape)]


def bias_gradient(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    rank = len(op.inputs[0].shape)
    return [reduce(module, inputs[0], range(rank - 1), op.outputs[0])]


RULES: dict[str, Any] = {
    "Conv2D": convolution, "Conv3D": convolution, "StatefulPartitionedCall": grouped,
    "PartitionedCall": grouped_gradient,
    "Conv2DBackpropInput": data_gradient, "Conv3DBackpropInputV2": data_gradient,
    "Conv2DBackpropFilter": filter_gradient, "Conv3DBackpropFilterV2": filter_gradient,
    "DepthwiseConv2dNative": depthwise,
    "DepthwiseConv2dNativeBackpropInput": depthwise_data_gradient,
    "DepthwiseConv2dNativeBackpropFilter": depthwise_filter_gradient,
    "MatMul": product, "BatchMatMulV2": product, "BiasAddGrad": bias_gradient,
    **einsum.RULES,
}  # fmt: skip
