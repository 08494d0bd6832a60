"""Rows that are looked up, and rows that are added where they belong: gather and scatter.

A gather costs much, so where it has several readers it is a buffer of its own. A scatter writes into its first operand:
a table that the step updates, or zeros.
"""

from __future__ import annotations

from typing import Any

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec
from cnncost.memory.xla.hlo import Hlo, Module, Operand


def gather(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    table, indices = (module.filled(value, source.spec) for value, source in zip(inputs[:2], op.inputs, strict=False))
    spec = op.outputs[0]
    places = _column(module, indices)
    made = module.add("gather", (table, places), (places.shape[0], spec.elements // places.shape[0]), table.dtype)
    return [module.reshape(made, spec.shape)]


def gather_places(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """GatherNd; the places are a constant, which lies with the code."""
    spec = op.outputs[0]
    return [module.add("gather", (module.filled(inputs[0], op.inputs[0].spec),), spec.shape, spec.dtype)]


def scatter_places(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """ScatterNd of values to constant places."""
    spec = op.outputs[0]
    values = module.filled(inputs[0], op.inputs[0].spec)
    return [module.add("scatter", (module.zeros(spec, op), values), spec.shape, spec.dtype)]


def segments(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    """UnsortedSegmentSum of (values, indices)."""
    values, indices = (module.filled(value, source.spec) for value, source in zip(inputs[:2], op.inputs, strict=False))
    places = _column(module, indices)
    return [added(module, module.zeros(Spec(op.outputs[0].shape, values.dtype), op), places, values)]


def add_rows(module: Module, table: Hlo, indices: Hlo, values: Hlo) -> Hlo:
    """ResourceScatterAdd and ResourceScatterSub: a variable's rows change in its own memory."""
    return added(module, table, _column(module, indices), values)


def added(module: Module, target: Hlo, places: Hlo, values: Hlo) -> Hlo:
    rows = module.reshape(values, (places.shape[0], values.elements // places.shape[0]))
    return module.add("scatter", (target, places, rows), target.shape, target.dtype)


def _column(module: Module, indices: Hlo) -> Hlo:
    return module.reshape(indices, (max(indices.elements, 1), 1))


RULES: dict[str, Any] = {
    "GatherV2": gather,
    "GatherNd": gather_places,
    "ScatterNd": scatter_places,
    "UnsortedSegmentSum": segments,
}
