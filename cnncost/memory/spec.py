"""A tensor as TensorFlow allocates it: shape with the batch, and dtype."""

from __future__ import annotations

from functools import lru_cache
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


@lru_cache(maxsize=16)
def scalar(dtype: str) -> Spec:
    """One number."""
    return Spec((), dtype)


@lru_cache(maxsize=1024)  # a network has many layers of a shape
def reduced(shape: Dims, axes: tuple[int, ...], keepdims: bool = False) -> Dims:
    """A shape without these axes, or with ones in their place.

    >>> reduced((2, 7, 7, 64), (0, 1, 2)), reduced((2, 7, 7, 64), (0, 1, 2), True)
    ((64,), (1, 1, 1, 64))
    """
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)
