"""Views."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Value
from cnncost.results import LayerCost


def _reshape(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return step.reshape(inputs[0], step.output(row).shape)


def _identity(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return inputs[0]


RULES: dict[str, Any] = {"Flatten": _reshape, "Reshape": _reshape, "Identity": _identity}
