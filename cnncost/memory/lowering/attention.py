"""Attention with one head (keras/src/layers/attention/attention.py, additive_attention.py)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.dropping import drop
from cnncost.memory.opgraph import Value
from cnncost.results import LayerCost


def _triple(inputs: list[Value]) -> tuple[Value, Value, Value]:
    """(query, value, key); without a key the value is the key."""
    return inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else inputs[1]


def _sums(step: Step, query: Value, key: Value) -> Value:
    """query + key for every pair: (…, queries, keys, features)."""
    *batch, rows, features = query.shape
    first = step.add("ExpandDims", (query,), shape=(*batch, rows, 1, features))
    *batch, columns, features = key.shape
    return step.add("AddV2", (first, step.add("ExpandDims", (key,), shape=(*batch, 1, columns, features))))


def _weighted(step: Step, kind: Any, scores: Value, value: Value) -> Value | tuple[Value, ...]:
    weights = step.add("Softmax", (scores,))
    weights = drop(step, weights, kind.dropout, weights.shape)
    output = step.add("BatchMatMulV2", (weights, value))
    return (output, weights) if kind.return_attention_scores else output


def _attention(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value | tuple[Value, ...]:
    query, value, key = _triple(inputs)
    if kind.score_mode == "dot":
        rank = len(key.shape)
        turned = step.add("Transpose", (key,), perm=(*range(rank - 2), rank - 1, rank - 2))
        scores = step.add("BatchMatMulV2", (query, turned))
        if kind.use_scale:
            scores = step.add("Mul", (scores, step.weight(row, "scale")))
        return _weighted(step, kind, scores, value)
    sums = _sums(step, query, key)
    if kind.use_scale:
        sums = step.add("Mul", (step.weight(row, "scale"), sums))
    total = step.add("Sum", (step.add("Tanh", (sums,)),), axes=(len(sums.shape) - 1,))
    return _weighted(step, kind, step.add("Mul", (step.weight(row, "concat_score_weight"), total)), value)


def _additive(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value | tuple[Value, ...]:
    """Without a scale Keras multiplies by the number 1."""
    query, value, key = _triple(inputs)
    scale = step.weight(row, "scale") if kind.use_scale else None
    sums = step.add("Tanh", (_sums(step, query, key),))
    sums = step.add("Mul", (step.number(1.0, sums) if scale is None else scale, sums))
    return _weighted(step, kind, step.add("Sum", (sums,), axes=(len(sums.shape) - 1,)), value)


RULES: dict[str, Any] = {"Attention": _attention, "AdditiveAttention": _additive}
