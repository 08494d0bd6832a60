"""Augmentation of images (keras/src/layers/preprocessing/image_preprocessing).

At inference all but AutoContrast hand their images on. In training those below are followed op by op; a
transformation's own few numbers for each image (angles, matrices) are left out. The others are named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.activation import clip
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.dropping import uniform
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost

Augment = Callable[[Step, Any, Value], Value]


def _first(kind: Any) -> bool:
    return getattr(kind, "data_format", None) == "channels_first" or kind.options.get("data_format") == "channels_first"


def _one_each(step: Step, x: Value) -> Value:
    """A random number for each image."""
    return uniform(step, (x.shape[0], *(1,) * (len(x.shape) - 1)), x.dtype)


def _flip(step: Step, kind: Any, x: Value) -> Value:
    chosen = step.add("LessEqual", (_one_each(step, x), step.number(0.5, x)))
    for _ in range(2 if "_and_" in str(getattr(kind, "mode", "")) else 1):
        x = step.add("SelectV2", (chosen, step.add("ReverseV2", (x,), (x.spec,)), x))
    return x


def _affine(step: Step, kind: Any, x: Value) -> Value:
    return step.add("ImageProjectiveTransformV3", (x,), (x.spec,))


def _brightness(step: Step, kind: Any, x: Value) -> Value:
    added = step.add("Mul", (_one_each(step, x), step.number(255.0, x)))
    return clip(step, step.add("AddV2", (x, added)), 0.0, 255.0)


def _contrast(step: Step, kind: Any, x: Value) -> Value:
    factor, add = _one_each(step, x), step.add
    height = 2 if _first(kind) else 1
    mean = add("Mean", (x,), axes=(height,), keepdims=True)
    mean = add("Mean", (mean,), axes=(height + 1,), keepdims=True)
    scaled = add("Mul", (add("Sub", (x, mean)), factor))
    return clip(step, add("AddV2", (scaled, mean)), 0.0, 255.0)


def _invert(step: Step, kind: Any, x: Value) -> Value:
    chosen = step.add("Less", (_one_each(step, x), _one_each(step, x)))
    return step.add("SelectV2", (chosen, step.add("Sub", (step.number(255.0, x), x)), x))


def _mix_up(step: Step, kind: Any, x: Value) -> Value:
    """Every image with another of the batch."""
    add = step.add
    weight = add("RealDiv", (_one_each(step, x), step.number(2.0, x)))
    order = step.graph.constant(0, Spec((x.shape[0],), "int64"))
    other = add("GatherV2", (x, order), (x.spec,), axis=0)
    own = add("Mul", (weight, x))
    rest = add("Mul", (add("Sub", (step.number(1.0, x), weight)), other))
    return add("AddV2", (own, rest))


def _solarize(step: Step, kind: Any, x: Value) -> Value:
    added, threshold = _one_each(step, x), _one_each(step, x)
    y = clip(step, step.add("AddV2", (x, added)), 0.0, 255.0)
    below = step.add("Less", (y, threshold))
    return step.add("SelectV2", (below, y, step.add("Sub", (step.number(255.0, y), y))))


def _auto_contrast(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """Each channel of each image stretched to the whole range; the same at inference."""
    x, add = inputs[0], step.add
    axes = (2, 3) if _first(kind) else (1, 2)
    low = add("Min", (x,), axes=axes, keepdims=True)
    high = add("Max", (x,), axes=axes, keepdims=True)
    scale = add("RealDiv", (step.number(255.0, x), add("Sub", (high, low))))
    offset = add("Mul", (add("Neg", (low,)), scale))
    y = clip(step, add("AddV2", (add("Mul", (x, scale)), offset)), 0.0, 255.0)
    return add("SelectV2", (add("IsNan", (y,)), x, y))


def _random(name: str, augment: Augment | None) -> Any:
    def rule(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
        x = inputs[0]
        if not step.training:
            return x
        if augment is None or x.dtype != "float32":
            raise UnsupportedLayer(
                f"the memory simulation does not know what {name} does in training",
                rule="it follows TensorFlow op by op and guesses nothing",
            )
        return augment(step, kind, x)

    return rule


_KNOWN: dict[str, Augment] = {
    "RandomFlip": _flip,
    "RandomRotation": _affine,
    "RandomShear": _affine,
    "RandomTranslation": _affine,
    "RandomZoom": _affine,
    "RandomBrightness": _brightness,
    "RandomContrast": _contrast,
    "RandomInvert": _invert,
    "MixUp": _mix_up,
    "Solarization": _solarize,
}
_UNKNOWN = (
    "AugMix", "ContrastLimitedAdaptiveHistogramEqualization", "CutMix", "RandAugment", "RandomColorDegeneration",
    "RandomColorJitter", "RandomElasticTransform", "RandomErasing", "RandomGaussianBlur", "RandomGrayscale",
    "RandomHue", "RandomPerspective", "RandomPosterization", "RandomSaturation", "RandomSharpness",
)  # fmt: skip
RULES: dict[str, Any] = {
    "AutoContrast": _auto_contrast,
    **{name: _random(name, augment) for name, augment in _KNOWN.items()},
    **{name: _random(name, None) for name in _UNKNOWN},
}
