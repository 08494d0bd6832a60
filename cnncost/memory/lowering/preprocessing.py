"""Rescaling and Normalization (keras/src/layers/preprocessing)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost


def _numbers(step: Step, value: Any, dtype: str) -> Value:
    """A number, or one for each channel, as a constant."""
    shape = (len(value),) if isinstance(value, tuple) else ()
    return step.graph.constant(value, Spec(shape, dtype))


def _rescaling(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    dtype = row.compute.name
    scaled = step.add("Mul", (step.cast(inputs[0], dtype), _numbers(step, kind.scale, dtype)))
    return step.add("AddV2", (scaled, _numbers(step, kind.offset, dtype)))


def _normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """(x - mean)/max(√variance, ε). The statistics are tensors that a traced function captures as arguments."""
    dtype = row.compute.name
    x = step.cast(inputs[0], dtype)
    axes = () if kind.axis is None else kind.axis if isinstance(kind.axis, tuple) else (kind.axis,)
    places = {axis % len(x.shape) for axis in axes}
    spec = Spec(tuple(n if i in places else 1 for i, n in enumerate(x.shape)) if places else (), dtype)
    mean = step.graph.argument(f"{row.name}/mean", spec)
    variance = step.graph.argument(f"{row.name}/variance", spec)
    floor = step.graph.constant(1e-7, Spec((), dtype))
    deviation = step.add("Maximum", (step.add("Sqrt", (variance,)), floor))
    if kind.invert:
        return step.add("AddV2", (mean, step.add("Mul", (x, deviation))))
    return step.add("RealDiv", (step.add("Sub", (x, mean)), deviation))


RULES: dict[str, Any] = {"Rescaling": _rescaling, "Normalization": _normalization}
