"""Masks that follow from positions alone: grappler folds what makes them."""

from __future__ import annotations

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value

FOLDED = 100 * 1024  # bytes: grappler keeps no folded constant of this size (constant_folding.cc: kMaxConstantSize)
_NUMBERS = 4  # bytes of an int32: the positions that are compared


def causal(step: Step, queries: int, keys: int) -> Value:
    """(1, queries, keys) of booleans, from sums of int32 ones along either axis."""
    if queries * keys * _NUMBERS >= FOLDED:
        raise UnsupportedLayer(
            f"the memory simulation does not know a mask by position of {queries:,} × {keys:,}",
            rule="grappler folds it to a constant where its numbers take less than 100 KiB",
        )
    return step.graph.constant(True, Spec((1, queries, keys), "bool"))
