"""Attention with several heads (keras/src/layers/attention/multi_head_attention.py, grouped_query_attention.py).

Without dropout, returned scores and further axes Keras runs ``dot_product_attention``: two Einsums around a softmax. In
every other case the query is scaled and ``keras.ops.einsum`` makes both products.
"""

from __future__ import annotations

from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.activation import softmax
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.causal import FOLDED, causal
from cnncost.memory.lowering.dropping import drop
from cnncost.memory.lowering.einsum import dense, einsum
from cnncost.memory.lowering.shaping import repeat
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost

Made = Value | tuple[Value, ...]


def _multi_head(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Made:
    rank = len(inputs[0].shape)
    axes = kind.attention_axes or tuple(range(1, rank - 1))
    attended = tuple(axis if axis >= 0 else rank + axis for axis in axes)
    mask = _mask(step, kind, inputs, len(attended))
    query, key, value, gate = _projected(step, row, kind, inputs)
    made = _attend(step, row, kind, query, key, value, gate, attended, kind.key_dim, mask)
    step.hold(query, key, value)
    return made


def _grouped(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Made:
    """Every key and value head is repeated for its query heads."""
    if kind.use_causal_mask:
        raise UnsupportedLayer("the memory simulation does not know causal masks of grouped queries")
    mask = _mask(step, kind, inputs, 1)
    query, key, value, gate = _projected(step, row, kind, inputs)
    times = kind.num_query_heads // kind.num_key_value_heads
    key, value = repeat(step, key, times, 2), repeat(step, value, times, 2)
    made = _attend(step, row, kind, query, key, value, gate, (1,), kind.head_dim, mask)
    step.hold(query, key, value)
    return made


def _projected(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> tuple[Value, Value, Value, Value | None]:
    """Query, key, value and gate, with an axis for the heads, in the order in which Keras computes them."""
    query, value = inputs[0], inputs[1]
    key = inputs[2] if len(inputs) > 2 else value

    def project(name: str, x: Value) -> Value:
        free = "abcdefgh"[: len(x.shape) - 1]
        return dense(step, row, f"{free}x,xyz->{free}yz", x, f"{name}/", kind.use_bias)

    gate = step.add("Sigmoid", (project("gate", query),)) if kind.use_gate else None
    projected = project("query", query)
    return projected, project("key", key), project("value", value), gate


def _attend(
    step: Step, row: LayerCost, kind: Any, query: Value, key: Value, value: Value, gate: Value | None,
    axes: tuple[int, ...], width: int, mask: Value | None,
) -> Made:  # fmt: skip
    scale = step.number(width**-0.5, query)
    scores: Value | None = None
    if kind.dropout or kind.return_attention_scores or len(query.shape) != 4:
        output, scores = _by_parts(step, kind, query, key, value, axes, scale, mask)
    else:
        output = _at_once(step, kind, query, key, value, scale, mask)
    if gate is not None:
        output = step.add("Mul", (output, gate))
    free, last = "abcdefgh"[: len(output.shape) - 2], "uvwxyz"[: len(row.outputs[0].shape) + 3 - len(output.shape)]
    output = dense(step, row, f"{free}st,st{last}->{free}{last}", output, "attention_output/", kind.use_bias)
    if scores is not None:
        step.hold(scores)
    return (output, scores) if kind.return_attention_scores and scores is not None else output


def _at_once(step: Step, kind: Any, query: Value, key: Value, value: Value, scale: Value, mask: Value | None) -> Value:
    """``dot_product_attention`` of the TensorFlow backend: softmax in float32 at least."""
    wide = "float64" if query.dtype == "float64" else "float32"
    logits = step.cast(step.add("Einsum", (query, key), equation="BTNH,BSNH->BNTS"), wide)
    logits = step.add("Mul", (logits, step.number(scale.op.attrs["value"], logits)))
    if mask is not None:
        spec = Spec(logits.shape, "bool")
        mask = step.reshape(mask, (mask.shape[0], 1, *mask.shape[1:]))
        if mask.op.inputs[0].op.type == "Const" and spec.elements < FOLDED:
            combined = step.graph.constant(True, spec)
        else:
            combined = step.add("LogicalAnd", (step.graph.constant(True, spec), mask))
        logits = step.add("SelectV2", (combined, logits, step.number(-1e9, logits)))
    weights = step.cast(step.add("Softmax", (logits,), plain=True), value.dtype)
    made = step.add("Einsum", (weights, value), equation="BNTS,BSNH->BTNH")
    step.hold(logits, weights)
    return made


def _by_parts(
    step: Step, kind: Any, query: Value, key: Value, value: Value, axes: tuple[int, ...], scale: Value,
    mask: Value | None,
) -> tuple[Value, Value]:  # fmt: skip
    dot, combine, grouped = *_equations(len(query.shape), axes), hasattr(kind, "head_dim")
    query = step.add("Mul", (query, scale))
    scores = einsum(step, "bquh,bkuh->buqk", query, key) if grouped else einsum(step, dot, key, query)
    places = tuple(range(len(scores.shape) - len(axes), len(scores.shape)))
    if mask is not None:
        mask = step.reshape(mask, (*mask.shape[:1], *(1,) * (len(scores.shape) - 3), *mask.shape[1:]))
        scores = step.add("SelectV2", (mask, scores, step.number(-1e9, scores)))
    scores = softmax(step, scores, places)
    if mask is not None:
        scores = step.add("SelectV2", (mask, scores, step.number(0.0, scores)))
    dropped = drop(step, scores, kind.dropout, scores.shape)
    made = einsum(step, "buqk,bkuh->bquh" if grouped else combine, dropped, value)
    step.hold(query, dropped)
    return made, scores


def _mask(step: Step, kind: Any, inputs: list[Value], attended: int) -> Value | None:
    """(batch, queries, values): where a query may look. The triangle that is causal and the band of ``sliding_window``
    are made of constants, and folded to one."""
    query, value = inputs[0], inputs[1]
    masks = [step.mask(x) for x in inputs]
    banded = kind.sliding_window is not None or kind.use_causal_mask
    if all(mask is None for mask in masks) and not banded:
        return None
    if attended != 1 or len(query.shape) != 3:
        raise UnsupportedLayer("the memory simulation does not know masks of attention over several axes")
    total: Value | None = None
    for place, mask in enumerate(masks):
        if mask is None:
            continue
        size = mask.shape[-1]
        wide = step.add("ExpandDims", (mask,), shape=(mask.shape[0], *((size, 1) if place == 0 else (1, size))))
        total = wide if total is None else step.add("LogicalAnd", (total, wide))
    if banded:
        band = causal(step, query.shape[1], value.shape[1])
        total = band if total is None else step.add("LogicalAnd", (total, band))
    return total


def _equations(rank: int, axes: tuple[int, ...]) -> tuple[str, str]:
    """The scores' and the weighted values' equations (``_build_attention_equation``).

    >>> _equations(4, (1,))
    ('aecd,abcd->acbe', 'acbe,aecd->abcd')
    """
    target = "abcdefghijklmnopqrstuvwxyz"[:rank]
    source, fresh = "", rank
    for i in range(rank):
        if i in axes:
            source += chr(ord("a") + fresh)
            fresh += 1
        else:
            source += target[i]
    batch = "".join(target[i] for i in range(rank - 1) if i not in axes)
    product = batch + "".join(target[i] for i in axes) + "".join(source[i] for i in axes)
    return f"{source},{target}->{product}", f"{product},{source}->{target}"


RULES: dict[str, Any] = {"MultiHeadAttention": _multi_head, "GroupQueryAttention": _grouped}
