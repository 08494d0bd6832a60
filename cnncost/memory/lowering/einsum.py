"""Sums over named axes: ``keras.ops.einsum`` on TensorFlow, and EinsumDense.

Keras runs twenty equations as transpositions, views and one matrix product (``use_custom_ops`` in
keras/src/backend/tensorflow/numpy.py), every other as TensorFlow's Einsum.
"""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.activation import activate
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.merging import ops_add
from cnncost.memory.opgraph import Scoped, Value
from cnncost.memory.spec import Dims
from cnncost.results import LayerCost

# The operands and the product as the matrix product sees them: transposed to this order of letters, letters in
# parentheses seen as one axis, "1" an axis of length one.
_PRODUCTS: dict[str, tuple[str, str, str]] = {
    "a,b->ab": ("a1", "1b", "ab"),
    "ab,b->a": ("ab", "b1", "a1"),
    "ab,bc->ac": ("ab", "bc", "ac"),
    "ab,cb->ac": ("ab", "bc", "ac"),
    "abc,cd->abd": ("abc", "cd", "abd"),
    "abc,dc->abd": ("abc", "cd", "abd"),
    "abc,cde->abde": ("abc", "c(de)", "ab(de)"),
    "abc,dce->abde": ("abc", "c(de)", "ab(de)"),
    "abc,dec->abde": ("abc", "c(de)", "ab(de)"),
    "abcd,abde->abce": ("abcd", "abde", "abce"),
    "abcd,abed->abce": ("abcd", "abde", "abce"),
    "abcd,acbe->adbe": ("abdc", "abce", "abde"),
    "abcd,adbe->acbe": ("abcd", "abde", "abce"),
    "abcd,aecd->acbe": ("acbd", "acde", "acbe"),
    "abcd,aecd->aceb": ("acbd", "acde", "acbe"),
    "abcd,cde->abe": ("ab(cd)", "(cd)e", "abe"),
    "abcd,ced->abe": ("ab(cd)", "(cd)e", "abe"),
    "abcd,ecd->abe": ("ab(cd)", "(cd)e", "abe"),
    "abcde,aebf->adbcf": ("ab(cd)e", "abef", "ab(cd)f"),
    "abcde,afce->acdbf": ("ac(db)e", "acef", "ac(db)f"),
}


def einsum(step: Step, equation: str, x: Value, y: Value) -> Value:
    """``keras.ops.einsum(equation, x, y)``."""
    equation = normalized(equation)
    views = _PRODUCTS.get(equation)
    if views is None:
        return step.add("Einsum", (x, y), equation=equation)
    operands, result = equation.split("->")
    left, right = operands.split(",")
    sizes = dict(zip(left, x.shape, strict=True)) | dict(zip(right, y.shape, strict=True)) | {"1": 1}
    x, y = _seen(step, x, left, views[0], sizes), _seen(step, y, right, views[1], sizes)
    product = step.add("MatMul" if len(x.shape) == len(y.shape) == 2 else "BatchMatMulV2", (x, y))
    letters = "".join(c for c in views[2] if c not in "()")
    flat = _reshaped(step, product, tuple(sizes[c] for c in letters))
    if "1" in letters:
        made = _reshaped(step, flat, tuple(sizes[c] for c in result))
    else:
        made = _ordered(step, flat, letters, result)
    step.hold(x, y)
    return made


def normalized(equation: str) -> str:
    """Letters renamed by their first appearance, no spaces.

    >>> normalized("BTNH,BSNH->BNTS")
    'abcd,aecd->acbe'
    """
    names: dict[str, str] = {}
    for c in equation:
        if c.isalpha():
            names.setdefault(c, chr(ord("a") + len(names)))
    return "".join(names.get(c, c) for c in equation if c != " ")


def _seen(step: Step, value: Value, letters: str, view: str, sizes: dict[str, int]) -> Value:
    """An operand as the product sees it."""
    order = "".join(c for c in view if c not in "()1")
    value = _ordered(step, value, letters, order)
    dims, inside = [], False
    for c in view:
        if c in "()":
            inside = c == "("
            dims += [1] * inside
        elif inside:
            dims[-1] *= sizes[c]
        else:
            dims.append(sizes[c])
    return _reshaped(step, value, tuple(dims))


def _ordered(step: Step, value: Value, letters: str, order: str) -> Value:
    return value if letters == order else step.add("Transpose", (value,), perm=tuple(letters.index(c) for c in order))


def _reshaped(step: Step, value: Value, dims: Dims) -> Value:
    return value if value.shape == dims else step.reshape(value, dims)


def dense(step: Step, row: LayerCost, equation: str, x: Value, prefix: str = "", use_bias: bool = True) -> Value:
    """The layer's product with its kernel, and its bias; ``prefix``: those of a layer inside it."""
    graph = step.graph
    outer = graph.layer
    if prefix:
        graph.layer = Scoped(outer, prefix.replace("/", "_1/"))
    y = einsum(step, equation, x, step.weight(row, f"{prefix}kernel"))
    y = ops_add(step, y, step.weight(row, f"{prefix}bias")) if use_bias else y
    graph.layer = outer
    return y


def _einsum_dense(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    y = dense(step, row, kind.equation, inputs[0], use_bias=step.has(row, "bias"))
    return activate(step, y, kind.activation)


RULES: dict[str, Any] = {"EinsumDense": _einsum_dense}
