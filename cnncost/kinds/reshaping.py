"""Layers that rearrange values: nothing is computed."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.errors import GeometryError
from cnncost.kinds.arguments import Integer, Integers, arg
from cnncost.kinds.base import SCATTERED, Field, Free, Kind, SamePositions, Shapes
from cnncost.kinds.spatial import data_format
from cnncost.tensor import DType, Shape, product, shape_text


class Moves(Free, Kind):
    """Values are moved, not changed: integers stay integers, floats take the layer's compute type."""

    free = "moves values, no arithmetic"

    def output_dtype(self, inputs: tuple[DType, ...], compute: DType) -> DType:
        return compute if not inputs or inputs[0].floating else inputs[0]


@dataclass(frozen=True)
class Flatten(Moves):
    """All values in one axis.

    >>> Flatten().output(((7, 7, 512),))
    (25088,)
    """

    data_format: str | None = data_format()

    def output(self, inputs: Shapes) -> Shape:
        return (product(self.one(inputs)),)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return SCATTERED


@dataclass(frozen=True)
class Reshape(Moves):
    """The same values in another shape; one -1 is found from the others.

    >>> Reshape([7, -1]).output(((7, 7, 512),))
    (7, 3584)
    """

    target_shape: tuple[int, ...] = arg(Integers("the shape without the batch; one entry may be -1", low=-1))

    def check(self) -> None:
        if self.target_shape.count(-1) > 1:
            raise self.wrong("target_shape", "several unknown sizes", rule="at most one entry may be -1",
                             received=str(list(self.target_shape)))  # fmt: skip
        if 0 in self.target_shape:
            raise self.wrong("target_shape", "an empty axis", rule="entries must be positive, or one -1",
                             received=str(list(self.target_shape)))  # fmt: skip

    def output(self, inputs: Shapes) -> Shape:
        shape, target = self.one(inputs), self.target_shape
        values = product(shape)
        known = product(dim for dim in target if dim != -1) or 1
        if values is None:
            return tuple(None if dim == -1 else dim for dim in target)
        if values % known or (-1 not in target and values != known):
            raise GeometryError(
                f"{self.name()}: {values:,} values do not fit into {shape_text(target)}",
                rule="the number of values must stay the same",
                received=f"{shape_text(shape)} = {values:,} values, {known:,} in the target",
            )
        return tuple(values // known if dim == -1 else dim for dim in target)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        if inputs[0] == outputs[0]:
            return SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]
        return SCATTERED


@dataclass(frozen=True)
class Permute(Moves):
    """Axes in another order, counted from 1.

    >>> Permute([2, 1]).output(((10, 64),))
    (64, 10)
    """

    dims: tuple[int, ...] = arg(Integers("the new order of the axes; the first after the batch is 1", low=1))

    def check(self) -> None:
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise self.wrong("dims", "no order of the axes", rule="it must hold each of 1 … n once",
                             received=str(list(self.dims)))  # fmt: skip

    def output(self, inputs: Shapes) -> Shape:
        shape = self.axes(inputs, len(self.dims))
        return tuple(shape[i - 1] for i in self.dims)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        if self.dims == tuple(range(1, len(self.dims) + 1)):
            return SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]
        return SCATTERED


@dataclass(frozen=True)
class RepeatVector(Moves):
    """The same vector n times.

    >>> RepeatVector(3).output(((32,),))
    (3, 32)
    """

    n: int = arg(Integer("how often"))

    def output(self, inputs: Shapes) -> Shape:
        return (self.n, *self.axes(inputs, 1))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return SCATTERED


@dataclass(frozen=True)
class Identity(SamePositions, Moves):
    """Its input, unchanged."""

    free = "identity"

    def output(self, inputs: Shapes) -> Shape:
        return self.one(inputs)
