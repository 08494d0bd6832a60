"""Adaptive pooling: along each axis windows of two sizes, one position apart, and of all their outputs those that are
wanted (``_adaptive_average_pool2d`` and its like in keras/src/backend/tensorflow/nn.py)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost


def _adaptive(op: str) -> Any:
    def rule(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
        x, rank = inputs[0], kind.rank
        last = (0, *range(2, rank + 2), 1)
        if kind.channels_first:
            x = step.add("Transpose", (x,), perm=last)
        for axis, wanted in enumerate(kind.output_size, 1):
            small = -(-x.shape[axis] // wanted)
            parts = [_pooled(step, op, x, axis, window) for window in (small, small + 1)]
            joined = step.add("ConcatV2", parts, axis=axis)
            indices = step.graph.constant(0, Spec((wanted,), "int32"))
            dims = (*x.shape[:axis], wanted, *x.shape[axis + 1 :])
            x = step.add("GatherV2", (joined, indices), (Spec(dims, x.dtype),), axis=axis)
        return step.add("Transpose", (x,), perm=(0, rank + 1, *range(1, rank + 1))) if kind.channels_first else x

    return rule


def _pooled(step: Step, op: str, x: Value, axis: int, window: int) -> Value:
    """A window along one axis, every position, no padding."""
    rank = len(x.shape) - 2
    size = tuple(window if i == axis else 1 for i in range(1, rank + 1))
    dims = (*x.shape[:axis], x.shape[axis] - window + 1, *x.shape[axis + 1 :])
    attrs: dict[str, Any] = {"ksize": size, "strides": (1,) * rank, "padding": "valid"}
    if rank == 1:
        wide = step.add("ExpandDims", (x,), shape=(x.shape[0], 1, *x.shape[1:]))
        attrs |= {"ksize": (1, *size), "strides": (1, 1)}
        y = step.add(op, (wide,), (Spec((dims[0], 1, *dims[1:]), x.dtype),), **attrs)
        return step.add("Squeeze", (y,), shape=dims)
    return step.add(f"{op}3D" if rank == 3 else op, (x,), (Spec(dims, x.dtype),), **attrs)


RULES: dict[str, Any] = {
    f"Adaptive{name}Pooling{n}D": _adaptive(op)
    for name, op in (("Average", "AvgPool"), ("Max", "MaxPool"))
    for n in (1, 2, 3)
}
