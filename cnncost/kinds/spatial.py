"""Kinds with spatial axes and a channel axis, in either data format."""

from __future__ import annotations

from typing import Any

from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Choice, arg
from cnncost.kinds.base import Kind, Shapes
from cnncost.tensor import Dim, Shape


def data_format() -> Any:
    """The ``data_format`` argument; unset is channels_last, Keras's own default."""
    return arg(Choice("where the channel axis stands", "channels_last", "channels_first", optional=True), None)


class Spatial(Kind):
    """Splits shapes into spatial axes and channels, and joins them. Needs a ``data_format`` field and a ``rank``."""

    data_format: str | None

    @property
    def channels_first(self) -> bool:
        return self.data_format == "channels_first"

    def split(self, inputs: Shapes) -> tuple[Shape, Dim]:
        """(spatial axes, channels) of the only input."""
        assert self.rank is not None
        shape = self.axes(inputs, self.rank + 1)
        return (shape[1:], shape[0]) if self.channels_first else (shape[:-1], shape[-1])

    def join(self, spatial: Shape, channels: Dim) -> Shape:
        if any(dim == 0 for dim in spatial):
            raise GeometryError(f"{self.name()}: an axis of its output is empty", received=f"{list(spatial)}")
        return (channels, *spatial) if self.channels_first else (*spatial, channels)

    def spatial(self, shape: Shape) -> Shape:
        """The spatial axes of a shape of this kind's own output."""
        return shape[1:] if self.channels_first else shape[:-1]
