"""Which module defines which kind. A family's module is imported when one of its kinds is first asked for."""

from __future__ import annotations

from importlib import import_module

from cnncost.errors import UnsupportedLayer, nearest, printable
from cnncost.kinds.base import Kind

FAMILIES: dict[str, tuple[str, ...]] = {
    "core": ("InputLayer", "Dense"),
    "recurrent": ("SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells", "RNN", "SimpleRNN", "LSTM", "GRU"),
    "conv_lstm": ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
    "wrappers": ("TimeDistributed", "Bidirectional", "SpectralNormalization"),
    "convolution": ("Conv1D", "Conv2D", "Conv3D"),
}
_MODULE_OF = {kind: family for family, kinds in FAMILIES.items() for kind in kinds}
ALIASES: dict[str, str] = {"Convolution1D": "Conv1D", "Convolution2D": "Conv2D", "Convolution3D": "Conv3D"}
# Layers of Keras whose cost is not a matter of arithmetic on tensors, and why.
REFUSED: dict[str, str] = {}


def names() -> tuple[str, ...]:
    """Every kind's name, family by family."""
    return tuple(_MODULE_OF)


def lookup(name: str) -> type[Kind]:
    """The class of a kind. Raises UnsupportedLayer, naming the nearest kind, when there is none.

    >>> lookup("Convolution2D").name()
    'Conv2D'
    """
    name = ALIASES.get(name, name)
    family = _MODULE_OF.get(name)
    if family is None:
        if name in REFUSED:
            raise UnsupportedLayer(f"layer kind '{name}' is not supported", rule=REFUSED[name])
        raise UnsupportedLayer(
            f"unknown layer kind '{printable(name)}'",
            rule="every layer is counted, free by rule, or an error",
            nearest=nearest(name, [*_MODULE_OF, *ALIASES]),
        )
    found: type[Kind] = getattr(import_module(f"cnncost.kinds.{family}"), name)
    return found
