"""Reductions over axes."""

from __future__ import annotations

from cnncost.memory.optypes.base import Attrs, OpType, Specs
from cnncost.memory.spec import Spec


def _reduce(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``attrs["axes"]``: the axes, not negative; ``attrs["keepdims"]``: keep them as ones."""
    shape, axes = inputs[0].shape, attrs["axes"]
    if attrs.get("keepdims"):
        return (Spec(tuple(1 if i in axes else n for i, n in enumerate(shape)), inputs[0].dtype),)
    return (Spec(tuple(n for i, n in enumerate(shape) if i not in axes), inputs[0].dtype),)


def _shuffled(inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """Neighbouring axes that are kept, or reduced, count as one; with more than three such groups the kernel copies its
    input, the reduced axes moved together (reduction_ops_common.h)."""
    shape, axes = inputs[0].shape, attrs["axes"]
    kinds = [i in axes for i, n in enumerate(shape) if n != 1]
    groups = sum(1 for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1])
    return (inputs[0].bytes,) if groups > 3 else ()


ROWS = (
    *(
        OpType(name, _reduce, scratch=_shuffled)
        for name in ("Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm")
    ),
    OpType("ArgMax", lambda inputs, attrs: (Spec(_reduce(inputs, attrs)[0].shape, "int64"),)),
)
