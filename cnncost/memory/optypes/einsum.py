"""Einsum: sums over named axes, as one batched matrix product of transposed operands (einsum_op_impl.h)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

from cnncost.memory.optypes.base import Attrs, OpType, Specs
from cnncost.memory.spec import Dims, Spec
from cnncost.processors import Processor

ELLIPSIS = "..."
# How an axis is treated, in the order in which the kernel wants the axes.
_BROADCAST, _BATCH, _FREE, _CONTRACT, _REDUCE = range(5)


class Parsed(NamedTuple):
    """An equation with every axis of an ellipsis under a name of its own (a digit)."""

    operands: tuple[str, ...]
    result: str
    sizes: dict[str, int]

    def kind(self, name: str) -> int:
        """Why an axis is there."""
        shared = sum(name in operand for operand in self.operands) > 1
        if name not in self.result:
            return _CONTRACT if shared else _REDUCE
        if name.isdigit():
            return _BROADCAST
        return _BATCH if shared else _FREE


def parse(equation: str, shapes: tuple[Dims, ...]) -> Parsed:
    """
    >>> parse("...x,xy->...y", ((2, 5, 4), (4, 6))).result
    '10y'
    """
    left, result = equation.split("->")
    names = left.split(",")
    ranks = [len(shape) - len(name.replace(ELLIPSIS, "")) for name, shape in zip(names, shapes, strict=True)]
    most = max((rank for name, rank in zip(names, ranks, strict=True) if ELLIPSIS in name), default=0)
    digits = "9876543210"[10 - most :]
    operands = tuple(
        name.replace(ELLIPSIS, digits[most - rank :]) for name, rank in zip(names, ranks, strict=True)
    )  # fmt: skip
    sizes: dict[str, int] = {}
    for operand, shape in zip(operands, shapes, strict=True):
        for name, size in zip(operand, shape, strict=True):
            sizes[name] = max(size, sizes.get(name, 1))
    return Parsed(operands, result.replace(ELLIPSIS, digits), sizes)


def _infer(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``attrs["equation"]``."""
    parsed = parse(attrs["equation"], tuple(spec.shape for spec in inputs))
    return (Spec(tuple(parsed.sizes[name] for name in parsed.result), inputs[0].dtype),)


class _Work(NamedTuple):
    """``copies``: bytes of what is made of the operands; ``turned``: whether the product is transposed, so that it is
    another tensor than the output; ``own``: oneDNN's scratch while it multiplies, or 0."""

    copies: tuple[int, ...]
    turned: bool
    own: int


def _early(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[tuple[int, bool], ...]:
    """The output comes last where the product is transposed: then oneDNN's scratch is gone."""
    copies, turned, own = _work(on, tuple(inputs), outputs[0], attrs["equation"])
    held = tuple((size, True) for size in copies)
    if not turned:
        return held
    return (*held, (outputs[0].bytes, True), *(((own, False),) if own else ()))


def _scratch(on: Processor, inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """oneDNN's, where the product is the output."""
    _, turned, own = _work(on, tuple(inputs), outputs[0], attrs["equation"])
    return () if turned or not own else (own,)


@lru_cache(maxsize=256)
def _work(on: Processor, inputs: tuple[Spec, ...], output: Spec, equation: str) -> _Work:
    """A transposed copy of each operand whose axes are not in the kernel's order (batch, free, contracted; the last two
    may change places), and its sum over axes that it alone has."""
    parsed = parse(equation, tuple(spec.shape for spec in inputs))
    order = [name for operand in parsed.operands for name in operand]
    made: list[int] = []
    product: list[str] = []
    free: list[str] = []
    turned: list[bool] = []
    for operand, spec in zip(parsed.operands, inputs, strict=True):
        wanted = sorted(operand, key=lambda name: (parsed.kind(name), name.isdigit(), order.index(name)))
        swapped = sorted(
            operand, key=lambda name: ((0, 1, 3, 2, 4)[parsed.kind(name)], name.isdigit(), order.index(name))
        )  # fmt: skip
        if list(operand) not in (wanted, swapped):
            made.append(spec.bytes)
        turned.append(list(operand) == swapped != wanted)
        kept = [name for name in wanted if parsed.kind(name) != _REDUCE]
        if len(kept) < len(wanted):
            size = spec.bytes
            for name in set(wanted) - set(kept):
                size //= max(parsed.sizes[name], 1)
            made.append(size)
        product += [name for name in kept if parsed.kind(name) < _FREE and name not in product]
        free += [name for name in kept if parsed.kind(name) == _FREE]
    batch = sorted(product, key=lambda name: (parsed.kind(name), order.index(name)))
    return _Work(tuple(made), [*batch, *free] != list(parsed.result), _product(on, parsed, turned, output.dtype))


def _product(on: Processor, parsed: Parsed, turned: Sequence[bool], dtype: str) -> int:
    if len(parsed.operands) != 2 or dtype not in on.onednn:
        return 0

    def size(names: Iterable[str], *kinds: int) -> int:
        return prod(parsed.sizes[name] for name in dict.fromkeys(names) if parsed.kind(name) in kinds)

    from cnncost.memory.optypes.brgemm_matmul import batched_scratch

    first, second = parsed.operands
    batch = size(first + second, _BROADCAST, _BATCH)
    return batched_scratch(size(first, _FREE), size(first, _CONTRACT), size(second, _FREE), batch,
                           (turned[0], not turned[1]), dtype, on)  # fmt: skip


ROWS = (OpType("Einsum", _infer, scratch_on=_scratch, early_on=_early),)
