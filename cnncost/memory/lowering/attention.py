"""Attention with one head (keras/src/layers/attention/attention.py, additive_attention.py)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.causal import causal
from cnncost.memory.lowering.dropping import drop
from cnncost.memory.opgraph import Value
from cnncost.results import LayerCost


def _pair(inputs: list[Value]) -> tuple[Value, Value]:
    """(query, key); without a key the value is the key."""
    return inputs[0], inputs[2] if len(inputs) > 2 else inputs[1]


def _sums(step: Step, query: Value, key: Value) -> Value:
    """query + key for every pair: (…, queries, keys, features)."""
    *batch, rows, features = query.shape
    first = step.add("ExpandDims", (query,), shape=(*batch, rows, 1, features))
    *batch, columns, features = key.shape
    return step.add("AddV2", (first, step.add("ExpandDims", (key,), shape=(*batch, 1, columns, features))))


def _weighted(step: Step, kind: Any, scores: Value, inputs: list[Value]) -> Value | tuple[Value, ...]:
    """Masked values get a score far below all others; masked queries put out zeros."""
    query_mask, mask = step.mask(inputs[0]), step.mask(inputs[1])
    padding = _padding(step, kind, scores, mask)
    if padding is not None:
        lowered = step.add("Sub", (scores, step.number(1e9, scores)))
        scores = step.add("SelectV2", (padding, lowered, scores))
    weights = step.add("Softmax", (scores,))
    weights = drop(step, weights, kind.dropout, weights.shape)
    output = step.add("BatchMatMulV2", (weights, inputs[1]))
    if query_mask is not None:
        wide = step.add("ExpandDims", (query_mask,), shape=(*query_mask.shape, 1))
        output = step.add("SelectV2", (wide, output, step.number(0.0, output)))
    return (output, weights) if kind.return_attention_scores else output


def _padding(step: Step, kind: Any, scores: Value, mask: Value | None) -> Value | None:
    """Where a query may not look. The triangle that is causal is made of constants, and folded to one."""
    if kind.use_causal_mask:
        triangle = causal(step, scores.shape[-2], scores.shape[-1])
        if mask is None:
            return triangle
        wide = step.add("ExpandDims", (mask,), shape=(*mask.shape[:-1], 1, mask.shape[-1]))
        return step.add("LogicalNot", (step.add("LogicalAnd", (wide, triangle)),))
    if mask is None:
        return None
    turned = step.add("LogicalNot", (mask,))
    return step.add("ExpandDims", (turned,), shape=(*mask.shape[:-1], 1, mask.shape[-1]))


def _attention(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value | tuple[Value, ...]:
    query, key = _pair(inputs)
    if kind.score_mode == "dot":
        rank = len(key.shape)
        turned = step.add("Transpose", (key,), perm=(*range(rank - 2), rank - 1, rank - 2))
        scores = step.add("BatchMatMulV2", (query, turned))
        if kind.use_scale:
            scores = step.add("Mul", (scores, step.weight(row, "scale")))
        return _weighted(step, kind, scores, inputs)
    sums = _sums(step, query, key)
    if kind.use_scale:
        sums = step.add("Mul", (step.weight(row, "scale"), sums))
    total = step.add("Sum", (step.add("Tanh", (sums,)),), axes=(len(sums.shape) - 1,))
    return _weighted(step, kind, step.add("Mul", (step.weight(row, "concat_score_weight"), total)), inputs)


def _additive(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value | tuple[Value, ...]:
    """Without a scale Keras multiplies by the number 1."""
    query, key = _pair(inputs)
    scale = step.weight(row, "scale") if kind.use_scale else None
    sums = step.add("Tanh", (_sums(step, query, key),))
    sums = step.add("Mul", (step.number(1.0, sums) if scale is None else scale, sums))
    return _weighted(step, kind, step.add("Sum", (sums,), axes=(len(sums.shape) - 1,)), inputs)


RULES: dict[str, Any] = {"Attention": _attention, "AdditiveAttention": _additive}
