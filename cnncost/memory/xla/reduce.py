"""Reductions: through YNNPACK, as a tree, or as a loop that fuses.

``IsReduceOpOffloadedToYnn`` (ynn_support.cc) and ``TreeReductionRewriter`` (tree_reduction_rewriter.cc), in the order
in which XLA's CPU pipeline of TensorFlow 2.21 applies them.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.spec import Spec
from cnncost.memory.xla.hlo import F32, HALVES, Hlo, Module, Operand
from cnncost.memory.xla.repeating import squeezed

OFFLOADED = 32 * 1024  # elements that a reduction by YNNPACK reads at least
WINDOW = 32  # of a tree of reductions
_NOT_OFFLOADED = frozenset(("multiply", "reshape", "broadcast", "slice", "concatenate", "convert"))


def reduce(module: Module, value: Operand, axes: Sequence[int], spec: Spec, extreme: bool = False) -> Operand:
    """A sum, or a maximum or minimum (``extreme``), over ``axes``; ``spec`` is the result's, with or without the axes
    kept. Sums of half precision are taken in float32 (tf2xla: SumAccumulationType), extremes of bfloat16 too."""
    if value is None:
        return None
    if value.dtype in HALVES and spec.dtype == value.dtype and not (extreme and value.dtype == "float16"):
        wide = module.convert(value, F32, asked=not extreme)
        made = reduce(module, wide, axes, Spec(spec.shape, F32), extreme)
        return module.rounded(made) if extreme else module.convert(made, spec.dtype)
    gone = [axis for axis in axes if value.shape[axis] != 1]
    if not gone:
        return module.reshape(value, spec.shape)
    if value.opcode == "negate" and not extreme:  # the sum is negated, not what is summed
        return module.map("negate", (reduce(module, value.inputs[0], axes, spec),), spec)
    if value.opcode == "broadcast" and value.inputs and spec.elements > 1:
        smaller = _of_source(module, value, axes, spec)
        if smaller is not None:
            return smaller
    narrow = tuple(n for axis, n in enumerate(value.shape) if axis not in axes)
    if value.elements >= OFFLOADED and value.opcode not in _NOT_OFFLOADED and spec.dtype == "float32":
        made = module.add("library-reduce", (value,), narrow, spec.dtype)
    else:
        if any(value.shape[axis] > WINDOW for axis in gone):
            value = _tree(module, value, gone, spec)
        made = module.add("reduce", (value,), narrow, spec.dtype)
    return module.reshape(made, spec.shape)


def _tree(module: Module, value: Hlo, axes: Sequence[int], spec: Spec) -> Hlo:
    """Windows of 32 along every reduced axis first; a window operation reads a whole buffer."""
    shape = tuple(-(-n // min(n, WINDOW)) if axis in axes else n for axis, n in enumerate(value.shape))
    return module.add("reduce-window", (value,), shape, spec.dtype)


def _of_source(module: Module, value: Hlo, gone: Sequence[int], spec: Spec) -> Operand:
    """A sum of repeated values is a product, then repeated where it still has to be: known where none of the axes that
    go is the source's own."""
    source = value.inputs[0]
    stay = tuple(n for axis, n in enumerate(value.shape) if axis not in gone and n != 1)
    if squeezed(source.shape) == stay:
        return module.map("multiply", (module.reshape(source, spec.shape),), spec)
    places = module.axes.get(value.index)
    if places is None or any(axis in gone for axis in places):
        return None
    kept = len(spec.shape) == len(value.shape)
    left = [axis for axis in range(len(value.shape)) if kept or axis not in gone]
    scaled = module.map("multiply", (source,), Spec(source.shape, spec.dtype))
    assert scaled is not None
    return module.repeated(scaled, spec.shape, tuple(left.index(axis) for axis in places))
