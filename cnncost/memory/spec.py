"""A tensor as TensorFlow allocates it: shape with the batch, and dtype."""

from __future__ import annotations

from typing import NamedTuple

from cnncost.tensor import DTYPES

Dims = tuple[int, ...]
SIZES = {name: dtype.bytes for name, dtype in DTYPES.items()} | {"resource": 0, "variant": 0, "complex64": 8}


class Spec(NamedTuple):
    """One tensor's shape, batch included, and dtype.

    >>> Spec((4, 64, 64, 32), "float32").bytes
    2097152
    """

    shape: Dims
    dtype: str

    @property
    def elements(self) -> int:
        total = 1
        for dim in self.shape:
            total *= dim
        return total

    @property
    def bytes(self) -> int:
        return self.elements * SIZES[self.dtype]
