"""The record of an op type, and the table of them.

Sources: TensorFlow 2.21's kernels (``forward_input_or_allocate_output`` in cwise_ops_common.h, relu_op.h,
aggregate_ops.cc, …) and executor (``IsExpensive`` of the kernels), checked against captured steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from importlib import import_module
from typing import Any, NamedTuple

from cnncost.memory.spec import Spec
from cnncost.processors import Processor

Specs = Sequence[Spec]
Attrs = Mapping[str, Any]
Infer = Callable[[Specs, Attrs], tuple[Spec, ...]]
Scratch = Callable[[Specs, Specs, Attrs], tuple[int, ...]]
ScratchOn = Callable[[Processor, Specs, Specs, Attrs], tuple[int, ...]]
Early = Callable[[Specs, Specs, Attrs], tuple[tuple[int, bool], ...]]
EarlyOn = Callable[[Processor, Specs, Specs, Attrs], tuple[tuple[int, bool], ...]]
FIRST, EACH, ALIGNED = "first", "each", "aligned"


def given(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """For types whose outputs the lowering states: ``OpGraph.add(…, outputs=…)``."""
    raise LookupError("the outputs of this op must be given")


class OpType(NamedTuple):
    """One op type.

    ``infer``      outputs from inputs and attributes
    ``expensive``  the executor queues it; an inexpensive op runs inline as soon as it is ready
    ``forwards``   inputs, in the kernel's order, whose buffer output 0 may take over: same bytes and
                   dtype, and no other reader left
    ``own``        those of TensorFlow's own kernel, where oneDNN is off
    ``into``       the output that takes it over, where that is not output 0
    ``shares``     "first": every output is a view of input 0; "each": output i is input i; "aligned": the output is a
                   view where only axes of one element move (transpose_op.cc). Nothing is allocated
    ``allocates``  False: the outputs belong to somebody else (arguments, constants, variables)
    ``scratch``    byte counts of buffers that live only while it runs, allocated after its outputs
    ``scratch_on`` the same where it depends on the processor
    ``early``      byte counts of buffers that it allocates before its outputs, and whether they stay while it runs
    ``early_on``   the same where it depends on the processor
    ``lends``      the input whose buffer is the first of them, if it has no other reader left
    ``compiled``   by XLA: the outputs are allocated from the largest to the smallest
    """

    name: str
    infer: Infer
    expensive: bool = True
    forwards: tuple[int, ...] = ()
    shares: str = ""
    allocates: bool = True
    scratch: Scratch | None = None
    into: int = 0
    scratch_on: ScratchOn | None = None
    compiled: bool = False
    early: Early | None = None
    early_on: EarlyOn | None = None
    own: tuple[int, ...] = ()
    lends: int | None = None

    def is_view(self, op: Any) -> bool:
        """Whether the outputs of this ``op`` are its inputs' buffers."""
        if self.shares != ALIGNED:
            return bool(self.shares)
        shape = op.inputs[0].shape
        kept = [axis for axis in op.attrs["perm"] if shape[axis] != 1]
        return kept == sorted(kept)


_MODULES = ("source", "elementwise", "shaping", "reduction", "convolution", "matrix", "einsum", "training", "looping")
_TABLE: dict[str, OpType] = {}


def table() -> dict[str, OpType]:
    """Every op type by name."""
    if not _TABLE:
        for module in _MODULES:
            for row in import_module(f"cnncost.memory.optypes.{module}").ROWS:
                _TABLE[row.name] = row
    return _TABLE


@lru_cache(maxsize=8)
def table_on(processor: Processor) -> dict[str, OpType]:
    """The same with every ``scratch`` and ``early`` as that processor's kernels take it."""
    rows = table().items()
    return {name: _bound(row, processor) for name, row in rows}


def _bound(row: OpType, processor: Processor) -> OpType:
    if row.own and not processor.onednn:
        row = row._replace(forwards=row.own)
    if row.scratch_on is not None:
        row = row._replace(scratch=partial(row.scratch_on, processor), scratch_on=None)
    if row.early_on is not None:
        row = row._replace(early=partial(row.early_on, processor), early_on=None)
    return row


def op_type(name: str) -> OpType:
    """The row of an op type; KeyError for one that has none, which is a mistake of this program."""
    return (_TABLE or table())[name]


def infer(name: str, inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """The outputs of an op."""
    return (_TABLE or table())[name].infer(inputs, attrs)


def same(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """Output 0 as input 0."""
    return (inputs[0],)
