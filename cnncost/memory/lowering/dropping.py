"""Layers that act in training alone (keras/src/layers/regularization, backend/tensorflow/random.py)."""

from __future__ import annotations

from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.late_constants import TOLD
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.memory.spec import Dims
from cnncost.results import LayerCost


def _key(step: Step) -> Value:
    """The next seed of the layer's generator, and the generator moved on (keras/src/random/seed_generator.py): the
    random op waits for these few small ops."""
    graph, add, pair = step.graph, step.add, Spec((2,), "int64")
    variable = graph.variable(f"{graph.layer}/seed_generator_state", pair, trainable=False)
    state = graph.read(variable)
    drawn = add("Mul", (state, graph.constant(1.0, pair)))  # a copy, which grappler does without
    again = graph.read(variable)
    earlier = step.moved.get(variable.name)
    if earlier is not None:
        state.op.controls.append(earlier)
        again.op.controls.append(earlier)
    moved = graph.assign("AssignVariableOp", variable, add("AddV2", (again, graph.constant(2, pair))))
    moved.controls += [state.op, again.op]
    step.moved[variable.name] = moved
    seed = step.cast(add("FloorMod", (drawn, graph.constant(2, Spec((), "int64")))), "int32")
    return add("StatelessRandomGetKeyCounter", (seed,), (Spec((1,), "uint64"), Spec((2,), "uint64")))


def uniform(step: Step, shape: Dims, dtype: str, told: Dims | None = None) -> Value:
    """``tf.random.stateless_uniform`` from 0 to 1; ``told``: the shape that theirs was made from as the step ran."""
    own: dict[str, Any] = {} if told is None else {TOLD: told}
    drawn = step.add("StatelessRandomUniformV2", (_key(step),), (Spec(shape, dtype),), **own)
    drawn = step.add("Mul", (drawn, step.number(1.0, drawn)))
    return step.add("AddV2", (drawn, step.number(0.0, drawn)))


def drop(step: Step, x: Value, rate: float, noise: Dims, told: Dims | None = None) -> Value:
    """``tf.nn.experimental.stateless_dropout``: x/(1 - rate) where a random number is at least the rate, else 0."""
    if not step.training or not rate:
        return x
    constant = step.graph.constant
    scaled = step.add("Mul", (x, constant(1 / (1 - rate) if rate < 1 else 0.0, Spec((), x.dtype))))
    mask = step.add("GreaterEqual", (uniform(step, noise, x.dtype, told), constant(rate, Spec((), x.dtype))))
    return step.add("SelectV2", (mask, scaled, constant(0.0, Spec((), x.dtype))))


def _noise(kind: Any, x: Value) -> Dims:
    """The shape of the random numbers: ``noise_shape``, whose None are the input's own."""
    given = kind.options.get("noise_shape")
    if given is None:
        return x.shape
    known = isinstance(given, list | tuple) and len(given) == len(x.shape)
    if not known or not all(
        n is None or (type(n) is int and n in (1, own)) for n, own in zip(given, x.shape, strict=True)
    ):
        raise UnsupportedLayer(
            "the memory simulation cannot follow this noise_shape",
            rule="one entry for each axis, the batch included: None, 1, or the axis's own size",
        )
    return tuple(own if n is None else n for n, own in zip(given, x.shape, strict=True))


def _dropout(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    told = x.shape if None in (kind.options.get("noise_shape") or ()) else None
    return drop(step, x, kind.rate, _noise(kind, x), told)


def _spatial_dropout(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    ones = (1,) * (len(x.shape) - 2)
    first = getattr(kind, "data_format", None) == "channels_first"
    return drop(step, x, kind.rate, (*x.shape[:2], *ones) if first else (x.shape[0], *ones, x.shape[-1]))


def _stochastic_depth(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """(x/keep)·floor(keep + uniform), one number for each instance."""
    x = inputs[0]
    if not step.training:
        return x
    keep = step.graph.constant(1 - kind.drop_path_rate, Spec((), x.dtype))
    noise = uniform(step, (x.shape[0], *(1,) * (len(x.shape) - 1)), x.dtype)
    gate = step.add("Floor", (step.add("AddV2", (keep, noise)),))
    return step.add("Mul", (step.add("RealDiv", (x, keep)), gate))


def normal(step: Step, shape: Dims, dtype: str, mean: float, deviation: float) -> Value:
    """``tf.random.stateless_normal``."""
    drawn = step.add("StatelessRandomNormalV2", (_key(step),), (Spec(shape, dtype),))
    return step.add("AddV2", (step.add("Mul", (drawn, step.number(deviation, drawn))), step.number(mean, drawn)))


def _gaussian_noise(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    if not step.training or not kind.stddev:
        return x
    return step.add("AddV2", (x, normal(step, x.shape, x.dtype, 0.0, kind.stddev)))


def _gaussian_dropout(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    if not step.training or not kind.rate:
        return x
    deviation = (kind.rate / (1 - kind.rate)) ** 0.5 if kind.rate < 1 else 0.0
    return step.add("Mul", (x, normal(step, x.shape, x.dtype, 1.0, deviation)))


def _alpha_dropout(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """a·(x·kept + α·(1 - kept)) + b. Keras draws in float32 whatever the layer computes in."""
    x, add = inputs[0], step.add
    if not step.training or not kind.rate:
        return x
    drawn = uniform(step, _noise(kind, x), "float32")
    kept = step.cast(add("GreaterEqual", (drawn, step.number(kind.rate, drawn))), x.dtype)
    alpha = -1.6732632423543772 * 1.0507009873554805
    a = ((1 - kind.rate) * (1 + kind.rate * alpha**2)) ** -0.5 if kind.rate < 1 else 0.0
    through = add("Mul", (x, kept))
    rest = add("Mul", (step.number(alpha, x), add("Sub", (step.number(1.0, x), kept))))
    scaled = add("Mul", (step.number(a, x), add("AddV2", (through, rest))))
    return add("AddV2", (scaled, step.number(-a * alpha * kind.rate, x)))


def _masking(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """Zeros where every feature is the mask's value."""
    x = inputs[0]
    differs = step.add("NotEqual", (x, step.number(kind.mask_value, x)))
    mask = step.add("Any", (differs,), axes=(len(x.shape) - 1,), keepdims=True)
    return step.add("SelectV2", (mask, x, step.number(0.0, x)))


def _pass(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    return inputs[0]


RULES: dict[str, Any] = {
    "Dropout": _dropout,
    **{f"SpatialDropout{n}D": _spatial_dropout for n in (1, 2, 3)},
    "StochasticDepth": _stochastic_depth,
    "GaussianNoise": _gaussian_noise,
    "GaussianDropout": _gaussian_dropout,
    "AlphaDropout": _alpha_dropout,
    "Masking": _masking,
    "ActivityRegularization": _pass,
}
