"""Shapes, dtypes and tensors of one instance (no batch axis). An unknown dimension is ``None`` and propagates."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cnncost.errors import CnncostError, nearest, printable

Dim = int | None
Shape = tuple[Dim, ...]


def product(dims: Iterable[Dim]) -> Dim:
    """The product of dimensions; unknown when any factor is.

    >>> product((150, 100, 200))
    3000000
    >>> product((None, 3)) is None
    True
    """
    total = 1
    for dim in dims:
        if dim is None:
            return None
        total *= dim
    return total


class DType(NamedTuple):
    """A storage type: its Keras name and its size."""

    name: str
    bytes: int
    floating: bool = False


_FLOATS = {
    "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1,
}  # fmt: skip
_OTHERS = {
    "bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4, "uint32": 4, "int64": 8, "uint64": 8,
    "string": 8,
}  # fmt: skip
DTYPES = {name: DType(name, size, True) for name, size in _FLOATS.items()} | {
    name: DType(name, size) for name, size in _OTHERS.items()
}
FLOAT32 = DTYPES["float32"]


class Policy(NamedTuple):
    """Keras's dtype policy: the type a layer computes in, and the type its weights are stored in."""

    name: str
    compute: DType
    variable: DType


POLICY_NAMES = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64", "int8")


def policy(name: str) -> Policy:
    """The policy of a Keras dtype or policy name.

    >>> policy("mixed_float16").compute.bytes, policy("mixed_float16").variable.bytes
    (2, 4)
    """
    if name.startswith("mixed_") and name[6:] in ("float16", "bfloat16"):
        return Policy(name, DTYPES[name[6:]], FLOAT32)
    if name in DTYPES and name != "string":  # text is an input, nothing is computed in it
        return Policy(name, DTYPES[name], DTYPES[name])
    raise CnncostError(
        f"unknown dtype '{printable(name)}'",
        rule=f"a dtype is one of {', '.join(POLICY_NAMES)}",
        nearest=nearest(name, POLICY_NAMES),
    )


class Tensor(NamedTuple):
    """What flows along an edge, for one instance.

    >>> Tensor((150, 100, 200), FLOAT32).bytes
    12000000
    """

    shape: Shape
    dtype: DType

    @property
    def elements(self) -> Dim:
        return product(self.shape)

    @property
    def bytes(self) -> Dim:
        elements = self.elements
        return None if elements is None else elements * self.dtype.bytes


def shape_text(shape: Shape) -> str:
    """
    >>> shape_text((150, None, 3))
    '[150, ?, 3]'
    """
    return "[" + ", ".join("?" if dim is None else str(dim) for dim in shape) + "]"
