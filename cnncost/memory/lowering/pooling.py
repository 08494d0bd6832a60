"""Pooling over windows and over whole axes (max_pool, average_pool of keras/src/backend/tensorflow/nn.py)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost

_FIRST = {1: (0, 2, 1), 2: (0, 2, 3, 1), 3: (0, 2, 3, 4, 1)}  # channels to the end
_BACK = {1: (0, 2, 1), 2: (0, 3, 1, 2), 3: (0, 4, 1, 2, 3)}


def _pool(op: str) -> Any:
    def rule(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
        x, rank = inputs[0], kind.rank
        if kind.channels_first:
            x = step.add("Transpose", (x,), perm=_FIRST[rank])
        spatial = row.output_shape[1:] if kind.channels_first else row.output_shape[:-1]
        channels = row.output_shape[0 if kind.channels_first else -1]  # fewer, where depth is pooled
        dims = step.shape((*spatial, channels))
        attrs = {"ksize": kind.pool_size, "strides": kind.strides or kind.pool_size, "padding": kind.padding}
        if rank == 1:  # a window over a height of one
            x = step.add("ExpandDims", (x,), shape=(x.shape[0], 1, *x.shape[1:]))
            attrs |= {"ksize": (1, *attrs["ksize"]), "strides": (1, *attrs["strides"])}
            y = step.add(op, (x,), (Spec((dims[0], 1, *dims[1:]), x.dtype),), **attrs)
            y = step.add("Squeeze", (y,), shape=dims)
        else:
            y = step.add(f"{op}3D" if rank == 3 else op, (x,), (Spec(dims, x.dtype),), **attrs)
        return step.add("Transpose", (y,), perm=_BACK[rank]) if kind.channels_first else y

    return rule


def _global(op: str) -> Any:
    def rule(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
        first = 2 if kind.channels_first else 1
        axes = tuple(range(first, first + kind.rank))
        mask = step.mask(inputs[0]) if op == "Mean" and kind.rank == 1 else None
        if mask is not None:
            return _masked_mean(step, kind, inputs[0], mask, axes)
        if op != "Mean":
            return step.add(op, inputs, axes=axes, keepdims=kind.keepdims)
        x = inputs[0]  # Keras takes a mean in float32 at least
        wide = step.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x
        return step.cast(step.add(op, (wide,), axes=axes, keepdims=kind.keepdims), x.dtype)

    return rule


def _masked_mean(step: Step, kind: Any, x: Value, mask: Value, axes: tuple[int, ...]) -> Value:
    """Σ of what counts over their number."""
    add, dims = step.add, (mask.shape[0], 1, mask.shape[1]) if kind.channels_first else (*mask.shape, 1)
    wide = add("ExpandDims", (mask,), shape=dims)
    kept = add("SelectV2", (wide, x, step.number(0.0, x)))
    number = step.cast(wide, x.dtype)
    total = add("Sum", (kept,), axes=axes, keepdims=kind.keepdims)
    return add("RealDiv", (total, add("Sum", (number,), axes=axes, keepdims=kind.keepdims)))


RULES: dict[str, Any] = {
    **{f"MaxPooling{n}D": _pool("MaxPool") for n in (1, 2, 3)},
    **{f"AveragePooling{n}D": _pool("AvgPool") for n in (1, 2, 3)},
    **{f"GlobalAveragePooling{n}D": _global("Mean") for n in (1, 2, 3)},
    **{f"GlobalMaxPooling{n}D": _global("Max") for n in (1, 2, 3)},
}
