"""Matrix products, bias additions and softmax."""

from __future__ import annotations

from math import prod

from cnncost.memory.optypes.base import Attrs, OpType, Specs, same
from cnncost.memory.optypes.elementwise import broadcast
from cnncost.memory.spec import Spec
from cnncost.processors import Processor


def _matmul(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``transpose_a``, ``transpose_b``; further inputs (a fused bias) change nothing. Leading axes broadcast."""
    a, b = inputs[0].shape, inputs[1].shape
    rows = a[-1] if attrs.get("transpose_a") else a[-2]
    columns = b[-2] if attrs.get("transpose_b") else b[-1]
    return (Spec((*broadcast(a[:-2], b[:-2]), rows, columns), inputs[0].dtype),)


def _last_axis(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    return (Spec(inputs[0].shape[-1:], inputs[0].dtype),)


def _cross_entropy(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """Loss of each instance, and the gradient of the logits, computed with it."""
    logits = inputs[0]
    return (Spec(logits.shape[:-1], logits.dtype), logits)


_HALF = frozenset(("float16", "bfloat16"))  # oneDNN's products of these have a scratch


def _is_single(on: Processor, result: Spec) -> bool:
    return result.dtype in _HALF and result.dtype not in on.onednn


def _singles(inputs: Specs, result: Spec) -> tuple[int, ...]:
    """TensorFlow's own product of half precision computes on float32 copies of the operands, and turns the result into
    half precision at the end (matmul_op_impl.h)."""
    return tuple(4 * spec.elements for spec in (*inputs, result))


def _product(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    result = outputs[0]
    if _is_single(on, result):
        return _singles(inputs, result)
    if result.dtype not in _HALF or len(result.shape) != 2:
        return ()
    from cnncost.memory.optypes.brgemm_matmul import product_scratch

    turned = bool(attrs.get("transpose_a"))
    depth = inputs[0].shape[0 if turned else 1]
    return (product_scratch(result.shape[0], depth, result.shape[1], turned, result.dtype, on),)


def _batched(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """Where all read one second operand, their rows are those of one product."""
    result, (first, second) = outputs[0], inputs
    if _is_single(on, result):
        return _singles(inputs, result)
    if result.dtype not in _HALF | {"float32"}:
        return ()
    from cnncost.memory.optypes.brgemm_matmul import batched_scratch

    turned = bool(attrs.get("transpose_a")), bool(attrs.get("transpose_b"))
    *stack, rows, columns = result.shape
    batch = prod(stack)
    if (not turned[0] or rows == 1) and prod(second.shape[:-2]) == 1:
        rows, batch = rows * batch, 1
    depth = first.shape[-2 if turned[0] else -1]
    found = batched_scratch(rows, depth, columns, batch, turned, result.dtype, on)
    return (found,) if found else ()


def _inner_product(inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    result = outputs[0]
    if result.dtype not in _HALF or len(result.shape) != 2:
        return ()
    from cnncost.memory.optypes.brgemm_matmul import fused_scratch

    found = fused_scratch(*result.shape, result.dtype)
    return (found,) if found else ()


ROWS = (
    OpType("MatMul", _matmul, scratch_on=_product),
    OpType("BatchMatMulV2", _matmul, scratch_on=_batched),
    OpType("_FusedMatMul", _matmul, forwards=(3,), scratch=_inner_product),  # 3: what it adds, if anything
    OpType("BiasAdd", same, forwards=(0,)),
    OpType("BiasAddGrad", _last_axis),
    OpType("Softmax", same, forwards=(0,)),
    OpType("LogSoftmax", same, forwards=(0,)),
    OpType("SparseSoftmaxCrossEntropyWithLogits", _cross_entropy, forwards=(0,), into=1),
    OpType("SoftmaxCrossEntropyWithLogits", _cross_entropy, forwards=(0,), into=1),
)
