"""Merging layers (keras/src/layers/merging)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Value
from cnncost.results import LayerCost


def _fold(op: str) -> Any:
    def rule(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
        total = inputs[0]
        for value in inputs[1:]:
            total = step.add(op, (total, value))
        return total

    return rule


RULES: dict[str, Any] = {"Add": _fold("AddV2")}
