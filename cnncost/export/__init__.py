"""A graph as a Keras model: its config as data, the live model, a file."""

from __future__ import annotations

from cnncost.export.config import keras_names, left_out, to_config
from cnncost.export.model import build, write

__all__ = ["build", "keras_names", "left_out", "to_config", "write"]
