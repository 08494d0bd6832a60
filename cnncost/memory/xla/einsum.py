"""Einsum as one batched matrix product (xla::Einsum, dot_decomposer.cc, transpose_folding.cc).

The product wants (batch, free, summed) on the left and (batch, summed, free) on the right. An operand in another order
is copied, unless its batch axes lead and only the other two trade places, which the product's library reads as it is.
"""

from __future__ import annotations

from math import prod
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.model import NotSimulated
from cnncost.memory.opgraph import Op
from cnncost.memory.xla.hlo import Hlo, Module, Operand


def einsum(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    operands, result = op.attrs["equation"].split("->")
    left, right = operands.split(",")
    x, y = (module.filled(value, source.spec) for value, source in zip(inputs, op.inputs, strict=True))
    batch = [c for c in left if c in right and c in result]
    summed = [c for c in left if c in right and c not in result]
    own = [[c for c in names if c not in batch and c not in summed] for names in (left, right)]
    if not _plain(left, right, result, own):
        raise NotSimulated(
            UnsupportedLayer(
                f"the simulation of XLA does not know the Einsum {op.attrs['equation']}",
                rule="it knows products of two operands, each axis of which is in the other or in the result",
            ),
            op.layer,
        )
    sizes = dict(zip(left, x.shape, strict=True)) | dict(zip(right, y.shape, strict=True))
    x = _laid(module, x, left, (batch, own[0], summed))
    y = _laid(module, y, right, (batch, summed, own[1]))
    names = [*batch, *own[0], *own[1]]
    spec = op.outputs[0]
    flat = (*(sizes[c] for c in batch), prod(sizes[c] for c in own[0]), prod(sizes[c] for c in own[1]))
    made = module.reshape(module.add("dot", (x, y), flat, spec.dtype), tuple(sizes[c] for c in names))
    return [module.transpose(made, tuple(names.index(c) for c in result))]


def _plain(left: str, right: str, result: str, own: list[list[str]]) -> bool:
    unique = all(len(set(names)) == len(names) and (not names or names.isalpha()) for names in (left, right, result))
    return unique and set(result) <= set(left) | set(right) and all(c in result for names in own for c in names)


def _laid(module: Module, value: Hlo, names: str, groups: tuple[list[str], list[str], list[str]]) -> Hlo:
    """One operand with an axis for each batch letter and one for each other group."""
    batch, *others = groups
    if list(names[: len(batch)]) == batch and len(names) <= len(batch) + 2 and all(len(g) <= 1 for g in others):
        return value
    sizes = dict(zip(names, value.shape, strict=True))
    order = [c for group in groups for c in group]
    turned = module.transpose(value, tuple(names.index(c) for c in order))
    shape = (*(sizes[c] for c in batch), *(prod(sizes[c] for c in group) for group in others))
    return module.reshape(turned, shape)


RULES: dict[str, Any] = {"Einsum": einsum}
