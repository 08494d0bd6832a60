"""What to change when a step does not fit: the remedies of the textbook with the model's own numbers."""

from __future__ import annotations

from cnncost.results import Analysis, LayerCost
from cnncost.units import bytes_text


def footprint(analysis: Analysis, mode: str) -> int:
    """The textbook's estimate of a step: weights and outputs; in training all outputs, and gradients of the weights."""
    book, weights = analysis.memory.textbook, analysis.totals.weight_bytes
    return weights * 2 + book.training_bytes if mode == "training" else weights + book.inference_bytes


def advice(analysis: Analysis, mode: str, free: int | None = None) -> str:
    """Smaller mini-batch, a stride, fewer layers, 16-bit floats, several devices: each with what it would save.

    ``free`` is what the machine has: then the batch, and the number of devices, that fit by the textbook's estimate.
    """
    book, whole = analysis.memory.textbook, footprint(analysis, mode)
    outputs = book.training_bytes if mode == "training" else book.inference_bytes
    room = (free - (whole - outputs)) if free is not None else outputs // 2
    largest = max(analysis.layers, key=lambda row: row.activation_bytes if row.inputs else 0)
    size, parts = largest.activation_bytes, []
    fits = max(1, min(analysis.batch // 2, analysis.batch * max(room, 0) // max(outputs, 1)))
    if analysis.batch > 1:
        parts.append(f"a smaller batch (--batch {fits:,}: outputs of {bytes_text(outputs * fits // analysis.batch)} "
                     f"instead of {bytes_text(outputs)})")  # fmt: skip
    if _moves_by_one(largest):
        less = size >> len(largest.windows)
        parts.append(
            f"a stride of 2 in '{largest.name}' (its output of {bytes_text(size)} falls to {bytes_text(less)})"
        )
    if len(analysis.layers) > 2:
        parts.append(f"fewer layers ('{largest.name}' alone puts out {bytes_text(size)})")
    if largest.compute.bytes == 4:
        parts.append(f"16-bit floats (--dtype float16: outputs of {bytes_text(outputs // 2)})")
    if analysis.batch > 1:
        devices = -(-analysis.batch // fits)
        parts.append(f"several devices ({devices:,} of them, {fits:,} instances each)")
    return ", ".join(parts)


def _moves_by_one(row: LayerCost) -> bool:
    """A layer with a window that moves by one, and so could move by two."""
    strides = getattr(row.layer.kind, "strides", None)
    return bool(row.windows) and strides is not None and all(step == 1 for step in _steps(strides))


def _steps(strides: object) -> tuple[object, ...]:
    return tuple(strides) if isinstance(strides, tuple | list) else (strides,)
