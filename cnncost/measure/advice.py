"""What to change when a step does not fit: the remedies of the textbook with the model's own numbers."""

from __future__ import annotations

from cnncost.results import Analysis, LayerCost
from cnncost.units import bytes_text


def footprint(analysis: Analysis, mode: str) -> int:
    """The textbook's estimate of a step: weights and outputs; in training all outputs, and gradients of the weights."""
    book, weights = analysis.memory.textbook, analysis.totals.weight_bytes
    return weights * 2 + book.training_bytes if mode == "training" else weights + book.inference_bytes


def advice(analysis: Analysis, mode: str) -> str:
    """Smaller mini-batch, a stride, fewer layers, 16-bit floats, several devices: each with what it would save."""
    book = analysis.memory.textbook
    outputs = book.training_bytes if mode == "training" else book.inference_bytes
    parts = []
    if analysis.batch > 1:
        half = analysis.batch // 2
        parts.append(f"a smaller batch (--batch {half:,}: outputs of {bytes_text(outputs * half // analysis.batch)} "
                     f"instead of {bytes_text(outputs)})")  # fmt: skip
    largest = max(analysis.layers, key=lambda row: row.activation_bytes if row.inputs else 0)
    size = largest.activation_bytes
    if _is_strided_once(largest):
        axes = len(largest.windows)
        parts.append(
            f"a stride of 2 in '{largest.name}' (its output of {bytes_text(size)} falls to {bytes_text(size >> axes)})"
        )
    if len(analysis.layers) > 2:
        parts.append(f"fewer layers ('{largest.name}' alone puts out {bytes_text(size)})")
    if largest.compute.bytes == 4:
        parts.append(f"16-bit floats (--dtype float16: outputs of {bytes_text(outputs // 2)})")
    if analysis.batch > 1:
        share = -(-analysis.batch // 2)
        parts.append(
            f"several devices (two: {share:,} instances, {bytes_text(outputs * share // analysis.batch)} each)"
        )
    return ", ".join(parts)


def _is_strided_once(row: LayerCost) -> bool:
    """A layer with a window that moves by one, and so could move by two."""
    strides = getattr(row.layer.kind, "strides", None)
    return bool(row.windows) and strides is not None and all(step == 1 for step in _steps(strides))


def _steps(strides: object) -> tuple[object, ...]:
    return tuple(strides) if isinstance(strides, tuple | list) else (strides,)
