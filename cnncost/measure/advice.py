"""What to change where memory is short: the remedies of the textbook with the model's own numbers."""

from __future__ import annotations

from cnncost.results import Analysis, LayerCost
from cnncost.units import bytes_text


def footprint(analysis: Analysis, mode: str) -> int:
    """The textbook's estimate of a step: weights and outputs; in training all outputs, and gradients of the weights."""
    book, weights = analysis.memory.textbook, analysis.totals.weight_bytes
    return weights * 2 + book.training_bytes if mode == "training" else weights + book.inference_bytes


def advice(analysis: Analysis, mode: str) -> list[str]:
    """Half the mini-batch, a stride, fewer layers, 16-bit floats, several devices: each with what it would save by the
    textbook's estimate, which runs nothing and simulates nothing."""
    book = analysis.memory.textbook
    outputs = book.training_bytes if mode == "training" else book.inference_bytes
    largest = max(analysis.layers, key=lambda row: row.activation_bytes if row.inputs else 0)
    size, parts = largest.activation_bytes, []
    fits = analysis.batch // 2
    if fits:
        parts.append(f"a smaller batch (--batch {fits}: outputs of {bytes_text(outputs * fits // analysis.batch)} "
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
    if fits:
        parts.append(devices_text(analysis.batch, fits))
    return parts


def devices_text(batch: int, each: int) -> str:
    """
    >>> devices_text(100, 23), devices_text(2, 1)
    ('several devices (5 of them, 23 instances each)', 'several devices (2 of them, 1 instance each)')
    """
    return f"several devices ({-(-batch // each):,} of them, {each:,} instance{'s' if each > 1 else ''} each)"


def _moves_by_one(row: LayerCost) -> bool:
    """A layer with a window that moves by one, and so could move by two."""
    strides = getattr(row.layer.kind, "strides", None)
    return bool(row.windows) and strides is not None and all(step == 1 for step in _steps(strides))


def _steps(strides: object) -> tuple[object, ...]:
    return tuple(strides) if isinstance(strides, tuple | list) else (strides,)
