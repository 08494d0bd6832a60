"""Operations on arrays that stand in a saved functional model like layers: arithmetic, reductions, shapes, products.

One row of a table for each: how its output's shape follows from its operands' and its parameters, and what it costs.
Shapes here have the batch axis, marked ``BATCH``, since an operation's axes count it; a result that moves, merges or
cuts the batch axis is an error. Elementwise operations cost the table's number for each output value, reductions one
for each value they read. The rules of shapes are those of keras.ops (numpy's).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, NamedTuple

from cnncost.count import ZERO, Count, count, plus, times
from cnncost.errors import ArgumentError, GeometryError, UnsupportedLayer, printable
from cnncost.kinds.activations import FUNCTIONS
from cnncost.kinds.arguments import Anything, arg
from cnncost.kinds.base import SCATTERED, WHOLE, Field, Kind, MacTerm, Shapes, Weight
from cnncost.kinds.operation_parameters import BATCH, Parameters, resolved_axes, wrong
from cnncost.kinds.operation_parts import concatenate, get_item, split, stack, take, unstack
from cnncost.kinds.operation_products import einsum_letters, einsum_shape, matmul
from cnncost.kinds.operation_shapes import (
    broadcast,
    broadcast_to,
    depth_to_space,
    expand_dims,
    flip,
    moveaxis,
    one_hot,
    pad,
    reduced,
    repeat,
    reshape,
    same,
    space_to_depth,
    squeeze,
    swapaxes,
    tile,
    transpose,
)
from cnncost.tensor import DTYPES, Dim, DType, Shape, product, shape_text
from cnncost.window import Reach

Operand = int | tuple[int, ...]  # the index of an input tensor, or the shape of a constant
ShapeRule = Callable[[list[Shape], Parameters], list[Shape]]
CostRule = Callable[[list[Shape], list[Shape], Parameters], Count]


class Rule(NamedTuple):
    """One operation: its shapes, its cost beyond products, and where its output's positions come from."""

    shape: ShapeRule
    cost: CostRule | None = None  # None: it moves data only
    dtype: str | None = None  # where it is not the inputs' own
    product: bool = False  # its cost is the multiplications of a weighted sum
    moves: bool = False  # positions do not stay in their place
    keeps: tuple[str, ...] = ()


def _elements(shape: Shape) -> Dim:
    """Values of one instance."""
    return product(1 if dim == BATCH else dim for dim in shape)


def each(operations: int) -> CostRule:
    """A fixed number for each output value."""

    def cost(read: list[Shape], made: list[Shape], p: Parameters) -> Count:
        elements = _elements(made[0])
        return times(operations, elements) if operations > 1 else times(elements)

    return cost


def reading(operations: int, after: int = 0) -> CostRule:
    """A fixed number for each value read, and for each value made."""

    def cost(read: list[Shape], made: list[Shape], p: Parameters) -> Count:
        return plus(times(operations, _elements(read[0])), times(after, _elements(made[0])) if after else 0)

    return cost


def _matmul_macs(read: list[Shape], made: list[Shape], p: Parameters) -> Count:
    inner = read[0][-2] if p.get("transpose_a") else read[0][-1]
    return times(count(_elements(made[0]), "outputs"), count(1 if inner == BATCH else inner, "terms"))


def _einsum_macs(read: list[Shape], made: list[Shape], p: Parameters) -> Count:
    if len(read) == 1:
        return ZERO
    sizes = einsum_letters(read, p)
    return times(*(count(n, letter) for letter, n in sizes.items() if n != BATCH))


_KEPT = ("inputs",)
_UNARY = {
    "Negative": 1, "Absolute": 1, "Abs": 1, "Sign": 1, "Floor": 1, "Ceil": 1, "Round": 1, "Square": 1, "Sqrt": 1,
    "Rsqrt": 2, "Reciprocal": 1, "Exp": 1, "Exp2": 1, "Expm1": 2, "Log": 1, "Log2": 1, "Log10": 1, "Log1p": 2,
    "Sin": 1, "Cos": 1, "Tan": 1, "Arcsin": 1, "Arccos": 1, "Arctan": 1, "Sinh": 1, "Cosh": 1, "Arcsinh": 1,
    "Arccosh": 1, "Arctanh": 1, "Erf": 1, "Erfinv": 1, "Clip": 2, "Trunc": 1, "NanToNum": 1, "Softmax": 5,
    "LogSoftmax": 5, "Normalize": 4, "Cumsum": 1, "Cumprod": 1,
}  # fmt: skip
_BINARY = {
    "Add": 1, "Subtract": 1, "Multiply": 1, "Divide": 1, "TrueDivide": 1, "DivideNoNan": 1, "FloorDivide": 1,
    "Mod": 1, "Power": 1, "Maximum": 1, "Minimum": 1, "Arctan2": 1, "Where": 1, "Logaddexp": 4,
    "SquaredDifference": 2,
}  # fmt: skip
_LOGICAL = (
    "Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "LogicalAnd", "LogicalOr", "LogicalXor",
    "LogicalNot", "Isnan", "Isinf", "Isfinite",
)  # fmt: skip
_REDUCTIONS = {
    "Sum": reading(1), "Mean": reading(1), "Max": reading(1), "Min": reading(1), "Amax": reading(1),
    "Amin": reading(1), "Prod": reading(1), "Var": reading(4), "Std": reading(4, 1), "Logsumexp": reading(3, 2),
    "Norm": reading(2, 1),
}  # fmt: skip


def _activations() -> dict[str, Rule]:
    """Every activation function by its class name in keras.ops: ``relu6`` is ``Relu6``."""
    rows = {}
    for name, (operations, _) in FUNCTIONS.items():
        if name not in ("glu", "softmax", "log_softmax"):
            camel = "".join(part.capitalize() for part in name.split("_"))
            rows[camel] = Rule(same, each(operations) if operations else None, keeps=("outputs",))
    return rows


OPERATIONS: dict[str, Rule] = {
    **_activations(),
    **{name: Rule(same, each(n), keeps=_KEPT) for name, n in _UNARY.items()},
    **{name: Rule(broadcast, each(n), keeps=_KEPT) for name, n in _BINARY.items()},
    **{name: Rule(broadcast, each(1), "bool") for name in _LOGICAL},
    **{name: Rule(reduced, cost, moves=True, keeps=_KEPT) for name, cost in _REDUCTIONS.items()},
    **{name: Rule(reduced, reading(1), "bool", moves=True) for name in ("Any", "All")},
    **{name: Rule(reduced, reading(1), "int32", moves=True) for name in ("Argmax", "Argmin", "CountNonzero")},
    **{name: Rule(same) for name in ("Identity", "StopGradient", "Copy", "Cast", "ZerosLike", "OnesLike")},
    "Reshape": Rule(reshape, moves=True),
    "Transpose": Rule(transpose, moves=True),
    "Swapaxes": Rule(swapaxes, moves=True),
    "Moveaxis": Rule(moveaxis, moves=True),
    "ExpandDims": Rule(expand_dims, moves=True),
    "Squeeze": Rule(squeeze, moves=True),
    "Concatenate": Rule(concatenate),
    "Stack": Rule(stack, moves=True),
    "Unstack": Rule(unstack, moves=True),
    "Split": Rule(split),
    "GetItem": Rule(get_item, moves=True),
    "Take": Rule(take, moves=True),
    "Pad": Rule(pad),
    "Tile": Rule(tile, moves=True),
    "Repeat": Rule(repeat, moves=True),
    "Flip": Rule(flip, moves=True),
    "Roll": Rule(same, moves=True),
    "BroadcastTo": Rule(broadcast_to, moves=True),
    "OneHot": Rule(one_hot, dtype="float32"),
    "DepthToSpace": Rule(depth_to_space, moves=True),
    "SpaceToDepth": Rule(space_to_depth, moves=True),
    "Matmul": Rule(matmul, _matmul_macs, product=True, moves=True, keeps=_KEPT),
    "Einsum": Rule(einsum_shape, _einsum_macs, product=True, moves=True, keeps=_KEPT),
}


@dataclass(frozen=True, eq=False)
class Operation(Kind):
    """An operation of the table; ``operation(NAME)`` gives its class, which is called like the operation.

    >>> operation("Multiply")((0, ()), {}).outputs(((7, 7, 64),))    # a tensor times a scalar
    ((7, 7, 64),)
    >>> operation("Matmul")((0, 1), {}).macs(((8, 4), (4, 5)), ((8, 5),))[0].count.derivation()
    '40 × 4 = 160'
    """

    bare = True
    operands: tuple[Operand, ...] = arg(Anything("indices of the inputs, or shapes of constants"))
    parameters: Parameters = arg(Anything("the operation's other arguments"))  # noqa: RUF009
    title: str = arg(Anything("what the source calls it"), "")

    row: ClassVar[str] = ""

    @classmethod
    def singular(cls) -> bool:
        return True  # parameters may hold lists

    @property
    def rule(self) -> Rule:
        return OPERATIONS[self.row]

    @property
    def keeps(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.rule.keeps

    def _read(self, inputs: Shapes) -> list[Shape]:
        """The operands' shapes, the batch included."""
        wanted = max((n + 1 for n in self.operands if isinstance(n, int)), default=0)
        if not self.operands or wanted > len(inputs):
            raise GeometryError(f"{self.name()} takes {wanted or 'some'} tensors", received=f"{len(inputs)}")
        return [(BATCH, *inputs[n]) if isinstance(n, int) else n for n in self.operands]

    def _made(self, inputs: Shapes) -> list[Shape]:
        try:
            return self.rule.shape(self._read(inputs), self.parameters)
        except (ArgumentError, GeometryError) as error:
            if not error.problem.startswith(self.name()):
                error.problem = f"{self.name()}: {error.problem}"
            raise

    def outputs(self, inputs: Shapes) -> Shapes:
        made = self._made(inputs)
        for shape in made:
            if not shape or shape[0] != BATCH or BATCH in shape[1:]:
                raise GeometryError(
                    f"{self.name()} does not leave the batch axis alone",
                    rule="each instance must be computed by itself, with the batch as the first axis",
                    received=", ".join(shape_text(shape) for shape in inputs),
                )
        return tuple(shape[1:] for shape in made)

    def output_dtype(self, inputs: tuple[DType, ...], compute: DType) -> DType:
        """The inputs' own type; an operation has no policy."""
        named = self.parameters.get("dtype") if self.row in ("Cast", "OneHot") else None
        if named is not None and (not isinstance(named, str) or named not in DTYPES):
            raise wrong("dtype", f"{self.name()} to a type that is none", named)
        name = named or self.rule.dtype
        if name:
            return DTYPES[str(name)]
        return max(inputs, key=lambda t: (t.floating, t.bytes)) if inputs else compute

    def weights(self, inputs: Shapes) -> tuple[Weight, ...]:
        return ()

    def _cost(self, inputs: Shapes) -> Count:
        cost = self.rule.cost
        return cost(self._read(inputs), self._made(inputs), self.parameters) if cost else ZERO

    def macs(self, inputs: Shapes, outputs: Shapes) -> tuple[MacTerm, ...]:
        return (MacTerm("product", self._cost(inputs), None),) if self.rule.product else ()

    def other_flops(self, inputs: Shapes, outputs: Shapes) -> Count:
        return ZERO if self.rule.product else self._cost(inputs)

    def field(self, inputs: Shapes, outputs: Shapes) -> Field:
        if self.rule.product:
            return WHOLE
        places = outputs[0][:-1]
        if self.rule.shape is reduced and self._sums_positions(inputs):
            return WHOLE
        if self.row in ("Concatenate", "Split", "Pad") and any(len(shape) != len(outputs[0]) for shape in inputs):
            return SCATTERED
        if self.row == "Pad":
            read, made = self._read(inputs)[0], pad_before(self.parameters)
            return tuple(Reach(1, -made[i], -made[i]) for i in range(1, len(read) - 1))
        if self.rule.moves or (inputs and places != inputs[0][:-1] and self.row in ("Concatenate", "Split")):
            return SCATTERED
        return tuple(Reach() for _ in places)

    def _sums_positions(self, inputs: Shapes) -> bool:
        shape = self._read(inputs)[0]
        return any(0 < axis < len(shape) - 1 for axis in resolved_axes(self.parameters, len(shape)))

    def notes(self, inputs: Shapes) -> tuple[str, ...]:
        moved = () if self.rule.cost else ("moves data: no arithmetic",)
        return ((f"operation {printable(self.title)}",) if self.title else ()) + moved


def pad_before(parameters: Mapping[str, Any]) -> list[int]:
    """What a Pad adds before each axis."""
    return [int(pair[0]) for pair in parameters["pad_width"]]


@cache
def operation(row: str, name: str = "") -> type[Operation]:
    """The class of an operation of the table, called ``name`` in a layer's row. Raises UnsupportedLayer."""
    if row not in OPERATIONS:
        from cnncost.errors import nearest

        raise UnsupportedLayer(
            f"the operation '{printable(row)}' is not supported",
            rule="every operation in a model is counted, free by rule, or an error",
            nearest=nearest(row, OPERATIONS),
        )
    return type(name or row, (Operation,), {"row": row, "__doc__": f"The operation {row}."})
