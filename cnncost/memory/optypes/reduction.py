"""Reductions over axes."""

from __future__ import annotations

from functools import lru_cache

from cnncost.memory.optypes.base import Attrs, OpType, Specs
from cnncost.memory.spec import Dims, Spec, reduced


def _reduce(inputs: Specs, attrs: Attrs) -> tuple[Spec, ...]:
    """``attrs["axes"]``: the axes, not negative; ``attrs["keepdims"]``: keep them as ones."""
    shape, dtype = inputs[0]
    return (Spec(reduced(shape, attrs["axes"], attrs.get("keepdims", False)), dtype),)


def _shuffled(inputs: Specs, outputs: Specs, attrs: Attrs) -> tuple[int, ...]:
    """With more than three groups of axes the kernel copies its input, the reduced axes moved together
    (reduction_ops_common.h)."""
    return (inputs[0].bytes,) if _groups(inputs[0].shape, attrs["axes"]) > 3 else ()


@lru_cache(maxsize=1024)  # a network has many layers of a shape
def _groups(shape: Dims, axes: tuple[int, ...]) -> int:
    """Neighbouring axes that are kept, or reduced, count as one."""
    kinds = [i in axes for i, n in enumerate(shape) if n != 1]
    return sum(1 for i, kind in enumerate(kinds) if i == 0 or kind != kinds[i - 1])


ROWS = (
    *(
        OpType(name, _reduce, scratch=_shuffled)
        for name in ("Mean", "Sum", "Max", "Min", "Prod", "All", "Any", "EuclideanNorm")
    ),
    OpType("ArgMax", lambda inputs, attrs: (Spec(_reduce(inputs, attrs)[0].shape, "int64"),)),
)
