"""Which arguments a list gives: Keras's constructor order, as far as all of it are arguments here."""

from __future__ import annotations

from cnncost.kinds.base import Kind

# Where Keras's order has initializers and the like before further arguments, those further ones are given by name; the
# number is how many stand before. A test holds the table against Keras's signatures.
BEFORE_GAP = {
    "SimpleRNNCell": 3, "LSTMCell": 4, "GRUCell": 4, "SimpleRNN": 3, "LSTM": 4, "GRU": 4, "ConvLSTM1D": 9,
    "ConvLSTM2D": 9, "ConvLSTM3D": 9, "Embedding": 2, "ReversibleEmbedding": 3, "Attention": 3, "AdditiveAttention": 2,
    "MultiHeadAttention": 8, "GroupQueryAttention": 6, "Bidirectional": 2, "BatchNormalization": 5,
    "LayerNormalization": 4, "PReLU": 0, "RandomCrop": 2,
}  # fmt: skip


def positional(kind: type[Kind]) -> list[str]:
    """The names that a list fills, in order.

    >>> from cnncost.kinds import registry
    >>> positional(registry.lookup("LSTM"))
    ['units', 'activation', 'recurrent_activation', 'use_bias']
    """
    return list(kind.arguments())[: BEFORE_GAP.get(kind.name())]
