"""Pooling over a sliding window: maximum and average, in 1, 2 and 3 dimensions, over space or over depth.

Arithmetic: one operation (a comparison, or an addition and at last a division) for each value of each window, as
TensorFlow's profiler counts it.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, tight, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Choice, Extent, arg
from cnncost.kinds.base import Field, SamePositions, Shapes, Weightless
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Dim, Shape
from cnncost.window import Window, reach, slide


@dataclass(frozen=True)
class _Pool(Weightless, Spatial):
    """Every output value pools one window of one map. ``[1, 1, 1, d]``, in TensorFlow's notation, pools each position's
    maps in groups of d instead."""

    pool_size: tuple[int, ...] = arg(Extent("window along each axis", four="pool"))
    strides: tuple[int, ...] | None = arg(
        Extent("step of the window along each axis; unset, the window itself", optional=True, four="pool"), None
    )
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    data_format: str | None = data_format()

    @property
    def _depth(self) -> int:
        """Maps that are pooled together; 1 where the pooling is over space."""
        assert self.rank is not None
        return self.pool_size[-1] if len(self.pool_size) > self.rank else 1

    @property
    def _steps(self) -> tuple[int, ...]:
        return self.pool_size if self.strides is None else self.strides

    def check(self) -> None:
        assert self.rank is not None
        over_depth = [len(value) > self.rank for value in (self.pool_size, self._steps)]
        if not any(over_depth):
            return
        if not all(over_depth) and set(self.pool_size if over_depth[1] else self._steps) != {1}:
            raise self.wrong(
                "strides", "pooling over space and depth at once",
                rule="either the spatial entries of window and strides are 1 or their depth entries are",
                received=f"pool_size {list(self.pool_size)}, strides {list(self._steps)}",
            )  # fmt: skip
        if self.pool_size != self._steps:
            raise self.wrong(
                "strides", "pooling over depth needs windows that lie side by side",
                rule="the depth entries of window and strides must be equal (TensorFlow's rule)",
                received=f"pool_size {list(self.pool_size)}, strides {list(self._steps)}",
                nearest=f"write strides {list(self.pool_size)}" if over_depth[0] else "",
            )  # fmt: skip

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        spatial, _ = self.split(inputs)
        if self._depth > 1:
            return ()
        parts = zip(spatial, self.pool_size, self._steps, strict=True)
        return tuple(slide(n, k, s, self.padding) for n, k, s in parts)

    def _maps(self, channels: Dim) -> Dim:
        """Maps of the output."""
        if channels is not None and channels % self._depth:
            raise GeometryError(
                f"{self.name()}: {channels} maps do not divide into windows of {self._depth}",
                rule="the depth window must divide the number of maps (TensorFlow's rule)",
            )
        return None if channels is None else channels // self._depth

    def output(self, inputs: Shapes) -> Shape:
        spatial, channels = self.split(inputs)
        if self._depth == 1:
            spatial = tuple(window.output for window in self.windows(inputs))
        return self.join(spatial, self._maps(channels))

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        window = (self._depth,) if self._depth > 1 else self.pool_size
        return times(*outputs[0], tight(*window))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        if self._depth > 1:
            return SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]
        return tuple(reach(window) for window in self.windows(inputs))

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        return (f"pools over depth: {self._depth} maps become one",) if self._depth > 1 else ()


@dataclass(frozen=True)
class _MaxPool(_Pool):
    """The largest value of each window; its reverse pass looks for it again, so that it keeps input and output."""

    pool_size: tuple[int, ...] = arg(Extent("window along each axis", four="pool"), 2)

    keeps = ("inputs", "outputs")


@dataclass(frozen=True)
class MaxPooling1D(_MaxPool):
    """
    >>> MaxPooling1D().output(((9, 4),))
    (4, 4)
    """

    rank = 1


@dataclass(frozen=True)
class MaxPooling2D(_MaxPool):
    """
    >>> MaxPooling2D([1, 2, 2, 1], [1, 2, 2, 1]).output(((427, 640, 3),))
    (213, 320, 3)
    >>> MaxPooling2D([1, 1, 1, 3]).output(((427, 640, 3),))
    (427, 640, 1)
    """

    rank = 2


@dataclass(frozen=True)
class MaxPooling3D(_MaxPool):
    """
    >>> MaxPooling3D(2, padding="same").output(((5, 7, 7, 8),))
    (3, 4, 4, 8)
    """

    rank = 3


@dataclass(frozen=True)
class AveragePooling1D(_Pool):
    """
    >>> AveragePooling1D(3, 2).output(((9, 4),))
    (4, 4)
    """

    rank = 1


@dataclass(frozen=True)
class AveragePooling2D(_Pool):
    """
    >>> pool = AveragePooling2D(2)
    >>> pool.other_flops(((28, 28, 6),), pool.outputs(((28, 28, 6),))).derivation()
    '14 × 14 × 6 × 2×2 = 4,704'
    """

    rank = 2


@dataclass(frozen=True)
class AveragePooling3D(_Pool):
    """
    >>> AveragePooling3D((1, 2, 2)).output(((5, 8, 8, 3),))
    (5, 4, 4, 3)
    """

    rank = 3
