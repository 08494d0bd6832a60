"""The shapes of matrix products and of Einstein's sums; numpy's rules. Shapes have the batch axis, marked ``BATCH``."""

from __future__ import annotations

import re

from cnncost.errors import GeometryError
from cnncost.kinds.operation_parameters import BATCH, Parameters, text, wrong
from cnncost.kinds.operation_shapes import broadcasted, join
from cnncost.tensor import Dim, Shape


def matmul(shapes: list[Shape], p: Parameters) -> list[Shape]:
    if len(shapes) != 2 or min(len(shape) for shape in shapes) < 2:
        raise GeometryError(
            "a product needs two tensors of at least two axes", received=" and ".join(map(text, shapes))
        )
    a, b = (
        (*shape[:-2], shape[-1], shape[-2]) if p.get(f"transpose_{name}") else shape
        for name, shape in zip("ab", shapes, strict=True)
    )
    if BATCH in (a[-1], b[-2]) or (None not in (a[-1], b[-2]) and a[-1] != b[-2]):
        raise GeometryError("inner axes that differ", received=" and ".join(map(text, shapes)))
    return [(*broadcasted([a[:-2], b[:-2]]), a[-2], b[-1])]


_EINSUM = re.compile(r"[a-zA-Z]+(,[a-zA-Z]+)*->[a-zA-Z]+")


def _subscripts(shapes: list[Shape], p: Parameters) -> tuple[list[str], str]:
    subscripts = p.get("subscripts")
    if not isinstance(subscripts, str) or not _EINSUM.fullmatch(subscripts.replace(" ", "")) or len(subscripts) > 200:
        raise wrong("subscripts", "subscripts must be letters, such as ij,jk->ik", subscripts)
    read, made = subscripts.replace(" ", "").split("->")
    parts = read.split(",")
    if len(parts) != len(shapes) or any(len(part) != len(shape) for part, shape in zip(parts, shapes, strict=False)):
        raise GeometryError("operands that do not fit the subscripts", received=" and ".join(map(text, shapes)))
    return parts, made


def einsum_letters(shapes: list[Shape], p: Parameters) -> dict[str, Dim]:
    """The size of every letter."""
    sizes: dict[str, Dim] = {}
    for part, shape in zip(_subscripts(shapes, p)[0], shapes, strict=True):
        for letter, size in zip(part, shape, strict=True):
            sizes[letter] = join(sizes.get(letter, size), size, shapes)
    return sizes


def einsum_shape(shapes: list[Shape], p: Parameters) -> list[Shape]:
    sizes, made = einsum_letters(shapes, p), _subscripts(shapes, p)[1]
    if not set(made) <= set(sizes):
        raise wrong("subscripts", "a letter of the result that no operand has", p.get("subscripts"))
    return [tuple(sizes[letter] for letter in made)]
