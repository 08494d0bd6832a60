"""Embeddings (keras/src/layers/core/embedding.py, reversible_embedding.py; ``take`` of the TensorFlow backend)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.core import tensordot
from cnncost.memory.opgraph import Value
from cnncost.memory.spec import Spec
from cnncost.results import LayerCost


def take(step: Step, table: Value, indices: Value, axis: int = 0) -> Value:
    """``keras.ops.take``: negative indices count from the end, then one GatherV2."""
    below = step.add("Less", (indices, step.number(0, indices)))
    wrapped = step.add("AddV2", (indices, step.number(table.shape[axis], indices)))
    fixed = step.add("SelectV2", (below, wrapped, indices))
    dims = (*table.shape[:axis], *indices.shape, *table.shape[axis + 1 :])
    return step.add("GatherV2", (table, fixed), (Spec(dims, table.dtype),), axis=axis)


def _embedding(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """The table is looked up as it is stored; what was looked up is cast."""
    indices = inputs[0] if inputs[0].dtype in ("int32", "int64") else step.cast(inputs[0], "int32")
    table = step.weight(row, "embeddings", row.compute.name)
    return take(step, table, indices)


def _reversible(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    if not kind.reverse:
        return _embedding(step, row, kind, inputs)
    if kind.tie_weights:
        kernel = step.add("Transpose", (step.weight(row, "embeddings"),), perm=(1, 0))
    else:
        kernel = step.weight(row, "reverse_embeddings")
    x = inputs[0]
    if kind.reverse_dtype is not None:
        x, kernel = step.cast(x, kind.reverse_dtype), step.cast(kernel, kind.reverse_dtype)
    logits = tensordot(step, x, kernel)
    if kind.logit_soft_cap is not None:
        cap = step.number(kind.logit_soft_cap, logits)
        logits = step.add("Mul", (step.add("Tanh", (step.add("RealDiv", (logits, cap)),)), cap))
    return logits


RULES: dict[str, Any] = {"Embedding": _embedding, "ReversibleEmbedding": _reversible}
