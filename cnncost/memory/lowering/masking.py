"""Keras's masks: which positions of a sequence count. A tensor's mask is made by Masking and by embeddings whose zero
is padding, handed on by layers that support masking, and read by a few (keras/src/layers/layer.py; ``compute_mask`` of
the layers).
"""

from __future__ import annotations

from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.base import Step
from cnncost.memory.opgraph import Value

# ``supports_masking = True`` with the default ``compute_mask``: the first input's mask is the output's.
_HANDS_ON = frozenset(
    ("LayerNormalization", "GroupNormalization", "BatchNormalization", "UnitNormalization", "LeakyReLU", "ReLU",
     "PReLU", "Activation", "ELU", "Rescaling", "Normalization", "AlphaDropout", "GaussianDropout", "GaussianNoise",
     "ActivityRegularization", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Dense",
     "Identity", "TimeDistributed", "MultiHeadAttention", "GroupQueryAttention", "Attention", "AdditiveAttention")
)  # fmt: skip
_MERGES = frozenset(("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"))
_RECURRENT = frozenset(("SimpleRNN", "LSTM", "GRU", "RNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional"))
# What these make of a mask is not followed here.
_UNKNOWN = frozenset(("Concatenate", "Dot", "Lambda", "Softmax"))
_TAKES_AWAY = frozenset(("MultiHeadAttention", "GroupQueryAttention"))  # their inputs have no mask any more


def read_mask(step: Step, name: str, kind: Any, inputs: list[Value]) -> Value | None:
    """The mask of the output that follows from the inputs'. Called before the layer."""
    if not step.masks:
        return None
    masks = [step.mask(value) for value in inputs]
    if not any(mask is not None for mask in masks):
        return None
    if name in _UNKNOWN or (name == "BatchNormalization" and step.training):
        raise UnsupportedLayer(f"the memory simulation does not know what {name} makes of a mask")
    if name in _HANDS_ON or (name in _RECURRENT and _every_step(kind)):
        return masks[0]
    if name in _MERGES and all(mask is not None for mask in masks):
        total: Value | None = None
        for mask in masks:
            assert mask is not None
            total = mask if total is None else step.add("LogicalOr", (total, mask))
        return total
    return None


def _every_step(kind: Any) -> bool:
    return bool(getattr(kind, "layer", kind).return_sequences)


def made_mask(step: Step, name: str, kind: Any, inputs: list[Value], output: Value) -> Value | None:
    """The mask that the layer itself makes. Called after it."""
    if name == "Masking":
        differs = output.op.inputs[0].op.inputs[0]
        return step.add("Any", (differs,), axes=(len(differs.shape) - 1,))
    if name in ("Embedding", "ReversibleEmbedding") and kind.mask_zero and not getattr(kind, "reverse", False):
        return step.add("NotEqual", (inputs[0], step.number(0, inputs[0])))
    return None


def take_away(step: Step, name: str, inputs: list[Value]) -> None:
    """Multi-head attention deletes the masks of the tensors that it reads."""
    if name in _TAKES_AWAY:
        for value in inputs:
            step.masks.pop((value.op.index, value.index), None)
