"""Image preprocessing that keeps the shape. Most layers work in training only and are identity at inference; the others
say what they compute for each value.

The table below holds Keras's arguments in Keras's order; none of them changes a cost.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from cnncost.count import ZERO, Count, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Anything, arg
from cnncost.kinds.base import Kind, SamePositions, Shapes, Weightless
from cnncost.tensor import Shape, shape_text

_RANGE = (0, 255)
_NEEDED = object()
_WARP = {"fill_mode": "reflect", "interpolation": "bilinear", "seed": None, "fill_value": 0.0, "data_format": None}
_COLOUR = {"factor": _NEEDED, "value_range": _RANGE, "data_format": None, "seed": None}
_ERASE = {"value_range": _RANGE, "seed": None, "data_format": None}

TRAINING: dict[str, dict[str, Any]] = {
    "AugMix": {"value_range": _RANGE, "num_chains": 3, "chain_depth": 3, "factor": 0.3, "alpha": 1.0, "all_ops": True,
               "interpolation": "bilinear", "seed": None, "data_format": None},
    "CutMix": {"factor": 1.0, "seed": None, "data_format": None},
    "Equalization": {"value_range": _RANGE, "bins": 256, "data_format": None},
    "MixUp": {"alpha": 0.2, "data_format": None, "seed": None},
    "RandAugment": {"value_range": _RANGE, "num_ops": 2, "factor": 0.5, "interpolation": "bilinear", "seed": None,
                    "data_format": None},
    "RandomBrightness": {"factor": _NEEDED, "value_range": _RANGE, "seed": None},
    "RandomColorDegeneration": _COLOUR,
    "RandomColorJitter": {"value_range": _RANGE, "brightness_factor": None, "contrast_factor": None,
                          "saturation_factor": None, "hue_factor": None, "seed": None, "data_format": None},
    "RandomContrast": {"factor": _NEEDED, "value_range": _RANGE, "seed": None},
    "RandomElasticTransform": {"factor": 1.0, "scale": 1.0, "interpolation": "bilinear", "fill_mode": "reflect",
                               "fill_value": 0.0, **_ERASE},
    "RandomErasing": {"factor": 1.0, "scale": (0.02, 0.33), "fill_value": None, **_ERASE},
    "RandomFlip": {"mode": "horizontal_and_vertical", "seed": None, "data_format": None},
    "RandomGaussianBlur": {"factor": 1.0, "kernel_size": 3, "sigma": 1.0, "value_range": _RANGE, "data_format": None,
                           "seed": None},
    "RandomGrayscale": {"factor": 0.5, "data_format": None, "seed": None},
    "RandomHue": _COLOUR,
    "RandomInvert": {"factor": 1.0, **_ERASE},
    "RandomPerspective": {"factor": 1.0, "scale": 1.0, "interpolation": "bilinear", "fill_value": 0.0, "seed": None,
                          "data_format": None},
    "RandomPosterization": _COLOUR,
    "RandomRotation": {"factor": _NEEDED, **_WARP},
    "RandomSaturation": _COLOUR,
    "RandomSharpness": _COLOUR,
    "RandomShear": {"x_factor": 0.0, "y_factor": 0.0, "interpolation": "bilinear", "fill_mode": "reflect",
                    "fill_value": 0.0, "data_format": None, "seed": None},
    "RandomTranslation": {"height_factor": _NEEDED, "width_factor": _NEEDED, **_WARP},
    "RandomZoom": {"height_factor": _NEEDED, "width_factor": None, **_WARP},
    "Solarization": {"addition_factor": 0.0, "threshold_factor": 0.0, "value_range": _RANGE, "seed": None},
}  # fmt: skip
# Layers that work at inference too: operations per value, what they are, and the arguments.
ALWAYS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "AutoContrast": (6, "smallest and largest value (2), shift, scale, clip (2)", {"value_range": _RANGE}),
    "ContrastLimitedAdaptiveHistogramEqualization": (
        9, "histogram (1), four table values and their bilinear mean (8)",
        {"value_range": _RANGE, "clip_limit": 4.0, "tile_grid_size": (8, 8), "data_format": None},
    ),
}  # fmt: skip


class _Plain(Anything):
    """A plain value or a flat list of them; lists become tuples, so that a kind can be compared and hashed."""

    rule = "a text, a number, or a list of numbers"

    def check(self, value: Any, rank: int | None) -> Any:
        if isinstance(value, dict):  # Keras writes a seed generator so
            return None
        entries = value if isinstance(value, list | tuple) else [value]
        if len(entries) > 64 or not all(v is None or isinstance(v, str | int | float) for v in entries):
            raise self.fail(value)
        return tuple(entries) if isinstance(value, list | tuple) else value


class _Augmentation(Weightless, SamePositions, Kind):
    """Images in, images of the same shape out."""

    each = 0

    def output(self, inputs: Shapes) -> Shape:
        shape = self.one(inputs)
        if len(shape) != 3:
            raise GeometryError(
                f"{self.name()} needs images [rows, columns, channels]", received=shape_text(shape)
            )  # fmt: skip
        return shape

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(self.each, *inputs[0]) if self.each else ZERO


def _make(name: str, doc: str, arguments: dict[str, Any], each: int, free: str) -> type[Kind]:
    """A frozen dataclass kind from its row of a table."""
    fields: list[tuple[str, Any, Any]] = []
    for key, default in arguments.items():
        field = arg(_Plain("of the augmentation", optional=True), *(() if default is _NEEDED else (default,)))
        fields.append((key, Any, field))
    # Nothing of it is read, but a kind keeps its arguments, so that it can be written back.
    namespace = {"__doc__": doc, "__module__": __name__, "each": each, "free": free}
    return dataclasses.make_dataclass(name, fields, bases=(_Augmentation,), frozen=True, namespace=namespace)


for _name, _arguments in TRAINING.items():
    globals()[_name] = _make(_name, "A change of images in training.", _arguments, 0,
                             "augmentation: identity at inference")  # fmt: skip
for _name, (_each, _what, _arguments) in ALWAYS.items():
    globals()[_name] = _make(_name, f"Operations per value: {_each}: {_what}.", _arguments, _each, "")
