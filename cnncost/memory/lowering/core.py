"""Dense (keras/src/layers/core/dense.py; matmul and add of backend/tensorflow/numpy.py)."""

from __future__ import annotations

from typing import Any

from cnncost.kinds.core import Dense
from cnncost.memory.lowering.activation import activate
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Value
from cnncost.results import LayerCost


def tensordot(step: Step, x: Value, kernel: Value) -> Value:
    """A product over the last axis of x; more than two axes are flattened to a matrix and back (tf.tensordot)."""
    if len(x.shape) == 2:
        return step.add("MatMul", (x, kernel))
    rows = 1
    for dim in x.shape[:-1]:
        rows *= dim
    flat = step.add("Reshape", (x,), shape=(rows, x.shape[-1]))
    product = step.add("MatMul", (flat, kernel))
    return step.add("Reshape", (product,), shape=(*x.shape[:-1], kernel.shape[-1]))


def _dense(step: Step, row: LayerCost, kind: Dense, inputs: list[Value]) -> Value:
    sums = tensordot(step, inputs[0], step.weight(row, "kernel"))
    if kind.use_bias:
        bias = step.weight(row, "bias")
        sums = step.add("AddV2" if bias.shape == (1,) else "BiasAdd", (sums, bias))
    return activate(step, sums, kind.activation)


RULES: dict[str, Any] = {"Dense": _dense}
