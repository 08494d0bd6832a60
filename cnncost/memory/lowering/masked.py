"""The mask of a recurrent layer's sequence: where a step does not count, the output and states before it stay
(backend/tensorflow/rnn.py: ``_expand_mask``, ``compute_masked_output``)."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.loops import time_first
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value


def mask_in_time(step: Step, mask: Value, backwards: bool) -> Value:
    """A mask [batch, steps] as [steps, batch, 1], in the order in which the steps are made."""
    if len(mask.shape) == 2:
        mask = step.add("ExpandDims", (mask,), shape=(*mask.shape, 1))
    mask = time_first(step.graph, mask)
    return step.add("ReverseV2", (mask,), (mask.spec,)) if backwards else mask


def chosen(
    step: Step, mask: Value, new: Sequence[Value], old: Sequence[Value], fixed: int | None = None
) -> list[Value]:  # fmt: skip
    """``where(mask, new, old)``. The mask is repeated along the values' axes from ``fixed`` on (in a loop those that it
    does not have), and broadcast along the others."""
    return [
        step.add("SelectV2", (_expanded(step, mask, value, fixed), value, before), (value.spec,))
        for value, before in zip(new, old, strict=True)
    ]


def _expanded(step: Step, mask: Value, like: Value, fixed: int | None) -> Value:
    rank = len(mask.shape)
    fixed = rank if fixed is None else fixed
    if len(like.shape) > rank:
        mask = step.add("ExpandDims", (mask,), shape=(*mask.shape, *(1,) * (len(like.shape) - rank)))
    times = ((1,) * fixed + like.shape[fixed:])[: len(mask.shape)]
    if all(n == 1 for n in times):
        return mask
    return step.add("Tile", (mask,), multiples=times)


def zeros(step: Step, spec: Spec) -> Value:
    """``ops.zeros``: a constant in a graph, made anew op by op."""
    if step.eager:
        return step.add("Fill", (), (spec,), "zeros")
    return step.graph.constant(0, spec)
