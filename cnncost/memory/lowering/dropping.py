"""Layers that act in training alone (keras/src/layers/regularization, backend/tensorflow/random.py)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.memory.spec import Dims
from cnncost.results import LayerCost


def uniform(step: Step, shape: Dims, dtype: str) -> Value:
    """Random numbers from a seed that the layer draws; the seed's own few bytes are left out."""
    return step.add("StatelessRandomUniformV2", (), (Spec(shape, dtype),))


def _drop(step: Step, x: Value, rate: float, noise: Dims) -> Value:
    """``tf.nn.experimental.stateless_dropout``: x/(1 - rate) where a random number is at least the rate, else 0."""
    if not step.training or not rate:
        return x
    constant = step.graph.constant
    scaled = step.add("Mul", (x, constant(1 / (1 - rate) if rate < 1 else 0.0, Spec((), x.dtype))))
    mask = step.add("GreaterEqual", (uniform(step, noise, x.dtype), constant(rate, Spec((), x.dtype))))
    return step.add("SelectV2", (mask, scaled, constant(0.0, Spec((), x.dtype))))


def _dropout(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return _drop(step, inputs[0], kind.rate, inputs[0].shape)


def _spatial_dropout(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    ones = (1,) * (len(x.shape) - 2)
    first = getattr(kind, "data_format", None) == "channels_first"
    return _drop(step, x, kind.rate, (*x.shape[:2], *ones) if first else (x.shape[0], *ones, x.shape[-1]))


def _stochastic_depth(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """(x/keep)·floor(keep + uniform), one number for each instance."""
    x = inputs[0]
    if not step.training:
        return x
    keep = step.graph.constant(1 - kind.drop_path_rate, Spec((), x.dtype))
    noise = uniform(step, (x.shape[0], *(1,) * (len(x.shape) - 1)), x.dtype)
    gate = step.add("Floor", (step.add("AddV2", (keep, noise)),))
    return step.add("Mul", (step.add("RealDiv", (x, keep)), gate))


def _pass(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return inputs[0]


RULES: dict[str, Any] = {
    "Dropout": _dropout,
    **{f"SpatialDropout{n}D": _spatial_dropout for n in (1, 2, 3)},
    "StochasticDepth": _stochastic_depth,
    "ActivityRegularization": _pass,
}
