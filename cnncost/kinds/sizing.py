"""Images brought to a size: resized, or a part cut out."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count
from cnncost.kinds.arguments import Choice, Flag, Integer, Number, arg
from cnncost.kinds.base import Field, Kind, Shapes, Weightless
from cnncost.kinds.resampling import TAPS, interpolation_flops, sampled
from cnncost.kinds.reshaping import Moves
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Shape
from cnncost.window import Reach


class _Sized(Spatial):
    """Images that take the size ``height`` × ``width``."""

    rank = 2
    height: int
    width: int

    def output(self, inputs: Shapes) -> Shape:
        return self.join((self.height, self.width), self.split(inputs)[1])

    def _resized(self, inputs: Shapes, method: str) -> Field:
        sizes = zip(self.split(inputs)[0], (self.height, self.width), strict=True)
        return tuple(sampled(n, m, method) for n, m in sizes)


@dataclass(frozen=True)
class Resizing(Weightless, _Sized, Kind):
    """Images resampled to ``height`` × ``width``.

    >>> Resizing(224, 224).output(((427, 640, 3),))
    (224, 224, 3)
    """

    height: int = arg(Integer("rows of the output"))
    width: int = arg(Integer("columns of the output"))
    interpolation: str = arg(
        Choice("how values between are found", *TAPS, "area", "gaussian", "mitchellcubic"), "bilinear"
    )
    crop_to_aspect_ratio: bool = arg(Flag("cut what does not fit the aspect ratio"), False)
    pad_to_aspect_ratio: bool = arg(Flag("pad to the aspect ratio"), False)
    fill_mode: str = arg(Choice("what the pads hold", "constant"), "constant")
    fill_value: float = arg(Number("value of the pads"), 0.0)
    antialias: bool = arg(Flag("widen the kernel when images shrink"), False)
    data_format: str | None = data_format()

    def check(self) -> None:
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise self.wrong(
                "pad_to_aspect_ratio", "cropping and padding at once", rule="at most one of the two may be true"
            )

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return interpolation_flops(outputs[0], self.interpolation, 2)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        if self.crop_to_aspect_ratio or self.pad_to_aspect_ratio or self.antialias:
            return (None, None)
        return self._resized(inputs, self.interpolation)

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return ("resizing: copies, no arithmetic",) if self.interpolation == "nearest" else ()


class _Crop(_Sized, Moves):
    """A part of the image; an image that is too small is resized first, as Keras does."""

    free = "cropping: copies, no arithmetic"

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        if self._fits(inputs):
            return (self.free,)
        return ("the image is smaller than the crop: it is resized, which is not counted",)

    def _fits(self, inputs: Shapes) -> bool:
        sizes = zip(self.split(inputs)[0], (self.height, self.width), strict=True)
        return all(n is None or n >= m for n, m in sizes)


@dataclass(frozen=True)
class CenterCrop(_Crop):
    """The middle ``height`` × ``width`` of an image.

    >>> CenterCrop(224, 224).output(((256, 300, 3),))
    (224, 224, 3)
    """

    height: int = arg(Integer("rows of the output"))
    width: int = arg(Integer("columns of the output"))
    data_format: str | None = data_format()

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        starts = [None if n is None or n < m else (n - m) // 2
                  for n, m in zip(self.split(inputs)[0], (self.height, self.width), strict=True)]  # fmt: skip
        return tuple(None if start is None else Reach(1, start, start) for start in starts)


@dataclass(frozen=True)
class RandomCrop(_Crop):
    """A random ``height`` × ``width`` of an image in training, its middle at inference."""

    height: int = arg(Integer("rows of the output"))
    width: int = arg(Integer("columns of the output"))

    data_format: str | None = data_format()

    passive = ("seed",)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return CenterCrop(self.height, self.width, self.data_format).field(inputs, outputs)
