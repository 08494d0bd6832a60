"""Layers of the classic papers that Keras has not: LeNet-5's of 1998, and local response normalization of 2012."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnncost.count import Count, count, plus, tight, times
from cnncost.errors import ArgumentError, GeometryError
from cnncost.kinds.activations import Activation, activation_flops
from cnncost.kinds.arguments import Arg, Choice, Extent, Flag, Integer, Number, arg
from cnncost.kinds.base import WHOLE, Field, Kind, MacTerm, SamePositions, Shapes, Weight, Weightless
from cnncost.kinds.convolution import AXIS_NAMES, CONV_OPTIONS
from cnncost.kinds.spatial import Spatial, data_format
from cnncost.tensor import Shape, product, shape_text
from cnncost.window import Window, reach, slide

LENET = "LeCun, Bottou, Bengio, Haffner: Gradient-Based Learning Applied to Document Recognition, 1998"
ALEXNET = "Krizhevsky, Sutskever, Hinton: ImageNet Classification with Deep Convolutional Neural Networks, 2012"

# Table I of the 1998 paper: the maps of S2 that each map of C3 sees.
LENET5_TABLE = (
    (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5), (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5),
    (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5), (0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5),
)  # fmt: skip
MAX_MAPS = 65_536
MAX_PAIRS = 1_000_000


class Table(Arg):
    """For each output map the list of input maps it sees (counted from 0), or ``lenet5`` for the 1998 paper's."""

    rule = "for each output map a list of the input maps it sees, counted from 0, or the word lenet5"
    _map = Integer(low=0, high=MAX_MAPS)

    def check(self, value: Any, rank: int | None) -> tuple[tuple[int, ...], ...]:
        if isinstance(value, str) and value.lower() == "lenet5":
            return LENET5_TABLE
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_MAPS:
            raise self.fail(value)
        pairs, rows = 0, []
        for i, row in enumerate(value):
            pairs += len(row) if isinstance(row, list | tuple) else 0
            if not isinstance(row, list | tuple) or not row or pairs > MAX_PAIRS:
                raise self._at(i, self.fail(row))
            try:
                maps = tuple(self._map.check(entry, rank) for entry in row)
            except ArgumentError as error:
                raise self._at(i, error) from None
            if len(set(maps)) != len(maps):
                raise self._at(i, self.fail(row, "name each input map once"))
            rows.append(maps)
        return tuple(rows)

    @staticmethod
    def _at(row: int, error: Any) -> Any:
        error.key = (row, *getattr(error, "key", ()))
        return error

    def schema(self, rank: int | None) -> dict[str, Any]:
        row = {"type": "array", "items": self._map.schema(rank), "minItems": 1}
        return {"anyOf": [{"type": "string", "enum": ["lenet5"]}, {"type": "array", "items": row, "minItems": 1}]}

    def dump(self, value: Any) -> Any:
        return [list(row) for row in value]


@dataclass(frozen=True)
class LocalResponseNormalization(Weightless, SamePositions, Kind):
    """y[d] = x[d] / (bias + alpha · Σ x[d - r … d + r]²)^beta, along the maps at one position (r: ``depth_radius``).

    As ``tf.nn.local_response_normalization`` has it: alpha is not divided by the window's size. Operations per value:
    2·depth_radius + 5 (a square, 2·depth_radius sums, alpha, bias, the power, the division); windows at the edge count
    like the others.

    >>> LocalResponseNormalization(depth_radius=2).other_flops(((55, 55, 96),), ((55, 55, 96),)).derivation()
    '9 × 290,400 = 2,613,600'
    """

    depth_radius: int = arg(Integer("maps on each side", low=0), 5)
    bias: float = arg(Number("added before the power"), 1.0)
    alpha: float = arg(Number("factor of the sum of squares"), 1.0)
    beta: float = arg(Number("the power"), 0.5)

    keras = False
    source = ALEXNET
    keeps = ("inputs", "outputs")

    def output(self, inputs: Shapes) -> Shape:
        shape = self.one(inputs)
        if not shape:
            raise GeometryError("LocalResponseNormalization needs an input with maps", received=shape_text(shape))
        return shape

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(2 * self.depth_radius + 5, product(outputs[0]))


@dataclass(frozen=True)
class TrainableAveragePooling2D(Spatial):
    """activation(coefficient · mean of the window + bias), with one coefficient and one bias per map.

    No weighted sum, so no macs. Other operations per output: one for each value of the window (sums and a division,
    as in average pooling), the coefficient, the bias, the activation.

    >>> pool = TrainableAveragePooling2D()
    >>> sum(w.size for w in pool.weights(((28, 28, 6),))), int(pool.connections(((28, 28, 6),), ((14, 14, 6),)))
    (12, 5880)
    """

    pool_size: tuple[int, ...] = arg(Extent("window along each axis", four="pool"), 2)
    strides: tuple[int, ...] | None = arg(
        Extent("step of the window; unset, the window itself", optional=True, four="pool"), None
    )
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    data_format: str | None = data_format()
    activation: str | None = arg(Activation("function applied to the result", optional=True), None)

    rank = 2
    keras = False
    source = LENET
    keeps = ("inputs",)

    def check(self) -> None:
        for name in ("pool_size", "strides"):
            if len(getattr(self, name) or (1, 1)) != 2:
                raise self.wrong(name, "pooling over depth is not possible here", rule="it pools rows and columns")

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        spatial, _ = self.split(inputs)
        parts = zip(spatial, self.pool_size, self.strides or self.pool_size, strict=True)
        return tuple(slide(n, k, s, self.padding) for n, k, s in parts)

    def output(self, inputs: Shapes) -> Shape:
        return self.join(tuple(w.output for w in self.windows(inputs)), self.split(inputs)[1])

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        maps = (self.known(self.split(inputs)[1]),)
        return (Weight("coefficient", maps), Weight("bias", maps))

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        return ()

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        elements = product(outputs[0])
        each = plus(tight(*self.pool_size), 2)
        return plus(times(elements, each), activation_flops(self.activation, elements))

    def connections(self, inputs: Shapes, outputs: Shapes) -> Count:
        """Each output uses the values of its window and the bias."""
        return times(product(outputs[0]), plus(tight(*self.pool_size), 1))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(reach(window) for window in self.windows(inputs))


@dataclass(frozen=True)
class TableConv2D(Spatial):
    """A convolution whose output maps each see only the input maps that ``table`` lists for it.

    ``kernel`` has a filter for each pair of an output and an input map, in the table's order. Multiplications:
    positions × taps × pairs.

    >>> conv = TableConv2D("lenet5", 5)
    >>> conv.params_count(((14, 14, 6),)).derivation()
    '5×5 × 60 + 16 = 1,516'
    """

    table: tuple[tuple[int, ...], ...] = arg(Table("the input maps of each output map"))
    kernel_size: tuple[int, ...] = arg(Extent("taps of the window along each axis"))
    strides: tuple[int, ...] = arg(Extent("step of the window along each axis", four="strides"), 1)
    padding: str = arg(Choice("edges", "valid", "same"), "valid")
    data_format: str | None = data_format()
    activation: str | None = arg(Activation("function applied to the sums", optional=True), None)
    use_bias: bool = arg(Flag("add one bias per map"), True)

    rank = 2
    keras = False
    source = LENET
    passive = CONV_OPTIONS
    keeps = ("inputs",)

    @property
    def pairs(self) -> int:
        """Pairs of an output map and an input map it sees."""
        return sum(len(maps) for maps in self.table)

    def windows(self, inputs: Shapes) -> tuple[Window, ...]:
        spatial, _ = self.split(inputs)
        parts = zip(spatial, self.kernel_size, self.strides, strict=True)
        return tuple(slide(n, k, s, self.padding) for n, k, s in parts)

    def output(self, inputs: Shapes) -> Shape:
        channels = self.known(self.split(inputs)[1])
        last = max(max(maps) for maps in self.table)
        if last >= channels:
            raise GeometryError(
                f"TableConv2D: its table names input map {last}, the input has {channels}",
                rule="maps are counted from 0",
                received=shape_text(inputs[0]),
            )
        return self.join(tuple(w.output for w in self.windows(inputs)), len(self.table))

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        kernel = Weight("kernel", (*self.kernel_size, self.pairs))
        return (kernel, Weight("bias", (len(self.table),))) if self.use_bias else (kernel,)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        places = [count(n, name) for n, name in zip(self.spatial(outputs[0]), AXIS_NAMES[2], strict=True)]
        taps = count(product(self.kernel_size), "taps")
        return (MacTerm("convolution", times(*places, taps, count(self.pairs, "pairs of maps"))),)

    def params_count(self, inputs: Shapes) -> Count:
        """``5×5 × 60 + 16``."""
        return plus(times(tight(*self.kernel_size), self.pairs), len(self.table) if self.use_bias else 0)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        elements = product(outputs[0])
        return plus(times(elements) if self.use_bias else 0, activation_flops(self.activation, elements))

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return tuple(reach(window) for window in self.windows(inputs))


@dataclass(frozen=True)
class RBF(Kind):
    """y[i] = Σ (x[j] - w[i, j])²: each unit's squared Euclidean distance to its own vector.

    Multiplications: one square for each input and unit; other operations: one subtraction for each. The 1998 paper
    draws the vectors by hand and does not train them.

    >>> int(RBF(10).macs(((84,),), ((10,),))[0].count)
    840
    """

    units: int = arg(Integer("outputs"))
    trainable_centers: bool = arg(Flag("train the vectors"), False)

    keras = False
    source = LENET
    passive = ("centers_initializer", "centers_regularizer", "centers_constraint")
    keeps = ("inputs",)

    def _fan_in(self, inputs: Shapes) -> int:
        shape = self.one(inputs)
        return self.known(shape[-1] if shape else None, "last axis")

    def output(self, inputs: Shapes) -> Shape:
        self._fan_in(inputs)
        return (*inputs[0][:-1], self.units)

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return (Weight("centers", (self.units, self._fan_in(inputs)), self.trainable_centers),)

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        places = [count(n, "positions") for n in inputs[0][:-1]]
        pairs = times(*places, count(self._fan_in(inputs), "inputs"), count(self.units, "units"))
        return (MacTerm("squares", pairs, "centers"),)

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return times(*inputs[0], self.units)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        return WHOLE if len(inputs[0]) == 1 else SamePositions.field(self, inputs, outputs)  # type: ignore[arg-type]


def connections(kind: Kind, inputs: Shapes) -> Count:
    """Connections as the 1998 paper counts them: for every output its weights in use, the bias included.

    >>> from cnncost.kinds.convolution import Conv2D
    >>> connections(Conv2D(6, 5), ((32, 32, 1),)).derivation()
    '28 × 28 × 6 × 25 + 4,704 = 122,304'
    """
    outputs = kind.outputs(inputs)
    own = getattr(kind, "connections", None)
    if own is not None:
        result: Count = own(inputs, outputs)
        return result
    biased = any(weight.name == "bias" for weight in kind.weights(inputs))
    return plus(*(term.count for term in kind.macs(inputs, outputs)), product(outputs[0]) if biased else 0)
