"""Merges: several tensors become one."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.count import Count, count, plus, times
from cnncost.errors import GeometryError
from cnncost.kinds.arguments import AxisOrAxes, Flag, Integer, arg
from cnncost.kinds.base import SCATTERED, WHOLE, Field, Free, Kind, MacTerm, SamePositions, Shapes, Weightless
from cnncost.tensor import Dim, Shape, product, shape_text


def broadcast(a: Shape, b: Shape) -> Shape | None:
    """The shape of an elementwise operation on two shapes, aligned at their last axes; a size of 1 stretches. None:
    they clash.

    >>> broadcast((56, 56, 64), (1, 1, 64))
    (56, 56, 64)
    """
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    result: list[Dim] = list(long[: len(long) - len(short)])
    for x, y in zip(long[len(long) - len(short) :], short, strict=True):
        if x is None or y is None:
            result.append(None)
        elif x != y and 1 not in (x, y):
            return None
        else:
            result.append(y if x == 1 else x)
    return tuple(result)


def clash(kind: Kind, inputs: Shapes, rule: str, hint: str = "") -> GeometryError:
    """The inputs do not fit together."""
    shown = ", ".join(shape_text(shape) for shape in inputs[:6]) + (", …" if len(inputs) > 6 else "")
    return GeometryError(f"{kind.name()}: its inputs do not fit together", rule=rule, received=shown, nearest=hint)


def _differing(inputs: Shapes) -> str:
    """Where two shapes of the same rank first differ, in words."""
    for number, shape in enumerate(inputs[1:], 2):
        if len(shape) != len(inputs[0]):
            return f"input {number} has {len(shape)} axes, input 1 has {len(inputs[0])}"
        for axis, (x, y) in enumerate(zip(inputs[0], shape, strict=True), 1):
            if x != y and None not in (x, y) and 1 not in (x, y):
                return f"axis {axis} is {x} in input 1 and {y} in input {number}"
    return ""


class _Elementwise(Weightless, Kind):
    """The same operation on the values at each place of several tensors; sizes of 1 stretch (broadcasting)."""

    at_least = 1

    def output(self, inputs: Shapes) -> Shape:
        if len(inputs) < self.at_least or (self.at_least == 2 and len(inputs) != 2):
            wanted = "exactly 2 inputs" if self.at_least == 2 else "at least one input"
            raise GeometryError(f"{self.name()} takes {wanted}", received=f"{len(inputs)} inputs")
        result = inputs[0]
        for shape in inputs[1:]:
            joined = broadcast(result, shape)
            if joined is None:
                rule = "sizes must be equal on each axis, or 1, counted from the last axis"
                raise clash(self, inputs, rule, _differing(inputs))
            result = joined
        return result

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        """One operation for each input after the first and output value."""
        return self._each(len(inputs) - 1, outputs[0])

    def _each(self, operations: int, shape: Shape) -> Count:
        return times(*([operations] if operations > 1 else []), *shape) if operations else count(0)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        """Every position reads its own; where an input is stretched along space, positions are not kept apart."""
        if any(shape[:-1] != outputs[0][:-1] for shape in inputs):
            return SCATTERED
        return SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Add(_Elementwise):
    """The sum: one addition for each further input.

    >>> Add().other_flops(((56, 56, 256),) * 2, ((56, 56, 256),)).derivation()
    '56 × 56 × 256 = 802,816'
    """


@dataclass(frozen=True)
class Subtract(_Elementwise):
    """The first input less the second."""

    at_least = 2


@dataclass(frozen=True)
class Multiply(_Elementwise):
    """The product; its gradient multiplies with the other inputs, so that they are kept."""

    keeps = ("inputs",)


@dataclass(frozen=True)
class Average(_Elementwise):
    """The mean: the additions and one division."""

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return self._each(len(inputs), outputs[0])


@dataclass(frozen=True)
class Maximum(_Elementwise):
    """The largest: one comparison for each further input; its gradient compares again."""

    keeps = ("inputs",)


@dataclass(frozen=True)
class Minimum(_Elementwise):
    """The smallest: one comparison for each further input; its gradient compares again."""

    keeps = ("inputs",)


def place(kind: Kind, axis: int, shape: Shape) -> int:
    """The index into a batch-free shape of an axis that counts the batch as 0. Raises GeometryError."""
    index = axis - 1 if axis >= 0 else axis + len(shape)
    if not 0 <= index < len(shape):
        raise GeometryError(
            f"{kind.name()}: axis {axis} is not an axis of its input",
            rule=f"axes count from the batch, which is 0: 1 to {len(shape)}, or -1 to -{len(shape)}",
            received=shape_text(shape),
        )
    return index


@dataclass(frozen=True)
class Concatenate(Free, Kind):
    """Inputs one after the other along ``axis``; copied, not computed.

    >>> Concatenate().output(((28, 28, 64), (28, 28, 128)))
    (28, 28, 192)
    """

    axis: int = arg(Integer("axis along which the inputs follow each other; the batch is axis 0", low=-64), -1)

    free = "concatenation: copies, no arithmetic"

    def output(self, inputs: Shapes) -> Shape:
        if not inputs:
            raise GeometryError(f"{self.name()} takes at least one input", received="none")
        first = inputs[0]
        index = place(self, self.axis, first)
        result = list(first)
        for shape in inputs[1:]:
            if len(shape) != len(first):
                raise clash(self, inputs, "all inputs must have as many axes", _differing(inputs))
            for i, (x, y) in enumerate(zip(result, shape, strict=True)):
                if i == index:
                    result[i] = None if x is None or y is None else x + y
                elif None not in (x, y) and x != y:
                    rule = f"sizes must be equal on every axis but the concatenated one ({self.axis})"
                    raise clash(self, inputs, rule, f"axis {i + 1} is {x} in one and {y} in another")
                elif x is None:
                    result[i] = y
        return tuple(result)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        if place(self, self.axis, inputs[0]) != len(inputs[0]) - 1:
            return SCATTERED
        return SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Dot(Kind):
    """Sums products of two inputs along one axis of each. Multiplications: the output values × the summed axis.
    ``normalize`` brings both to unit length first: square, sum and division, 3 operations per input value.

    >>> dot = Dot(axes=1)
    >>> dot.output(((10, 4), (10, 6))), dot.macs(((10, 4), (10, 6)), ((4, 6),))[0].count.derivation()
    ((4, 6), '4 × 6 × 10 = 240')
    """

    axes: int | tuple[int, ...] = arg(  # type: ignore[assignment]
        AxisOrAxes("the summed axis, or one for each input; the batch is axis 0")
    )
    normalize: bool = arg(Flag("cosine: unit length first"), False)

    keeps = ("inputs",)

    def check(self) -> None:
        if isinstance(self.axes, tuple) and len(self.axes) != 2:
            raise self.wrong("axes", "a wrong number of axes", rule="one axis, or one for each of the two inputs",
                             received=str(list(self.axes)))  # fmt: skip

    def _places(self, inputs: Shapes) -> tuple[int, int]:
        if len(inputs) != 2:
            raise GeometryError(f"{self.name()} takes exactly 2 inputs", received=f"{len(inputs)} inputs")
        if isinstance(self.axes, tuple):
            first, second = self.axes
        else:  # Keras counts one axis that is negative round and round (``axes % rank``)
            first, second = (self.axes % (len(shape) + 1) if self.axes < 0 else self.axes for shape in inputs)
        a, b = place(self, first, inputs[0]), place(self, second, inputs[1])
        x, y = inputs[0][a], inputs[1][b]
        if None not in (x, y) and x != y:
            raise clash(self, inputs, "the summed axes must have the same size", f"they are {x} and {y}")
        return a, b

    def output(self, inputs: Shapes) -> Shape:
        a, b = self._places(inputs)
        left, right = inputs
        return (*left[:a], *left[a + 1 :], *right[:b], *right[b + 1 :]) or (1,)

    def weights(self, inputs: Shapes) -> tuple[()]:
        return ()

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        summed = inputs[0][self._places(inputs)[0]]
        outer = [count(dim, "outputs") for dim in outputs[0]]
        return (MacTerm("dot product", times(*outer, count(summed, "summed axis")), None),)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        if not self.normalize:
            return count(0)
        return plus(*(times(3, product(shape)) for shape in inputs))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        """Positions keep apart only where the summed axis is the last, the channels."""
        places = self._places(inputs)
        return SCATTERED if places == tuple(len(shape) - 1 for shape in inputs) else WHOLE
