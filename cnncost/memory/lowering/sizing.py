"""Images brought to a size (keras/src/layers/preprocessing/image_preprocessing, backend/tensorflow/image.py)."""

from __future__ import annotations

from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost

# The ops that ``tf.image.resize`` has without antialiasing, and whether they put out float32.
_RESIZE = {
    "nearest": ("ResizeNearestNeighbor", False),
    "bilinear": ("ResizeBilinear", True),
    "bicubic": ("ResizeBicubic", True),
}


def resize(step: Step, x: Value, height: int, width: int, method: str, channels_first: bool) -> Value:
    """``keras.ops.image.resize``: channels last inside; cast back to the images' dtype."""
    found = _RESIZE.get(method)
    if found is None:
        raise UnsupportedLayer(f"the memory simulation does not know resizing by '{method}'")
    op, single = found
    dtype = x.dtype
    if channels_first:
        x = step.add("Transpose", (x,), perm=(0, 2, 3, 1))
    spec = Spec((x.shape[0], height, width, x.shape[-1]), "float32" if single else dtype)
    y = step.add(op, (x,), (spec,))
    if channels_first:
        y = step.add("Transpose", (y,), perm=(0, 3, 1, 2))
    return step.cast(y, dtype)


def _resizing(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = inputs[0]
    if kind.antialias or kind.crop_to_aspect_ratio or kind.pad_to_aspect_ratio or x.dtype != row.compute.name:
        raise UnsupportedLayer(
            "the memory simulation knows resizing of floating images without antialiasing, crops and pads alone"
        )
    return resize(step, x, kind.height, kind.width, kind.interpolation, kind.channels_first)


def _center_crop(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x = step.cast(inputs[0], row.compute.name)
    rows, columns = x.shape[2:4] if kind.channels_first else x.shape[1:3]
    if rows < kind.height or columns < kind.width:
        raise UnsupportedLayer("the memory simulation does not know crops that are larger than the image")
    return step.add("StridedSlice", (x,), (step.output(row),))


def _random_crop(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """In training a crop, and a resize of it, since its size is not known beforehand."""
    if not step.training:
        raise UnsupportedLayer(
            "the memory simulation does not know RandomCrop at inference",
            rule="Keras hands the whole image on there, which is not the shape that the layer states",
        )
    x = step.cast(inputs[0], row.compute.name)
    cropped = step.add("StridedSlice", (x,), (step.output(row),))
    return resize(step, cropped, kind.height, kind.width, "bilinear", kind.channels_first)


RULES: dict[str, Any] = {"Resizing": _resizing, "CenterCrop": _center_crop, "RandomCrop": _random_crop}
