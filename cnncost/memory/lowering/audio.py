"""Spectrograms as convolutions with sines and cosines (keras/src/layers/preprocessing/stft_spectrogram.py)."""

from __future__ import annotations

from typing import Any

from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.convolution import conv1d
from cnncost.memory.opgraph import Value
from cnncost.results import LayerCost


def _convolved(step: Step, row: LayerCost, kind: Any, x: Value, kernel: Value, frames: int) -> Value:
    """Every channel by itself: (batch, channels, frequencies, frames)."""
    batch, frequencies = x.shape[0], kernel.shape[-1]
    padding = kind.padding
    attrs = {"strides": (kind.frame_step or kernel.shape[0] // 2,), "padding": padding, "dilations": (1,)}
    first = kind.channels_first
    if not first:
        x = step.add("Transpose", (x,), perm=(0, 2, 1))
    channels, length = x.shape[1:]
    alone = batch * channels
    x = step.reshape(x, (alone, 1, length) if first else (alone, length, 1))
    dims = (alone, frequencies, frames) if first else (alone, frames, frequencies)
    y = conv1d(step, row, x, kernel, dims, attrs, first)
    if not first:
        y = step.add("Transpose", (y,), perm=(0, 2, 1))
    return step.reshape(y, (batch, channels, frequencies, frames))


def _stft(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    x, add = inputs[0], step.add
    names = [weight.name for weight in row.weights]
    axis = (2 if kind.expand_dims else 1) if kind.channels_first else 0
    frames = row.output_shape[axis]
    assert frames is not None  # an analysis has no unknown dimension
    parts = [_convolved(step, row, kind, x, step.weight(row, name), frames) for name in names]
    y = parts[0]
    if kind.mode == "stft":
        y = add("ConcatV2", parts, axis=2)
    elif len(parts) == 2:
        y = add("AddV2", (add("Square", (parts[0],)), add("Square", (parts[1],))))
        if kind.mode != "psd":
            y = add("Sqrt", (add("Maximum", (y, step.number(1e-7, y))),))
    if kind.mode == "psd" and len(parts) == 1:
        y = add("Square", (y,))
    return _arranged(step, row, kind, y)


def _arranged(step: Step, row: LayerCost, kind: Any, y: Value) -> Value:
    batch, channels, frequencies, frames = y.shape
    if kind.expand_dims:
        if not kind.channels_first:
            y = step.add("Transpose", (y,), perm=(0, 3, 2, 1))
    else:
        y = step.reshape(y, (batch, channels * frequencies, frames))
        if not kind.channels_first:
            y = step.add("Transpose", (y,), perm=(0, 2, 1))
    if kind.mode == "log":
        y = step.add("Log", (step.add("Maximum", (y, step.number(1e-7, y))),))
    return y


RULES: dict[str, Any] = {"STFTSpectrogram": _stft}
