"""The live Keras model of a graph, and the files."""

from __future__ import annotations

import json
from typing import Any

from cnncost.errors import CnncostError, printable
from cnncost.export.config import to_config
from cnncost.files import store_whole, write_whole
from cnncost.graph import Graph
from cnncost.sources.keras_live import import_keras

# What TensorFlow, JAX and PyTorch say when they are refused memory.
_MEMORY = ("ResourceExhausted", "RESOURCE_EXHAUSTED", "Out of memory", "Cannot allocate memory")


def build(graph: Graph, batch: int = 1) -> Any:
    """The graph as a ``keras.Model`` with fresh weights. Raises MissingExtra without Keras."""
    return build_config(to_config(graph, batch))


def build_config(config: dict[str, Any]) -> Any:
    """The model of a config that ``to_config`` made. Raises MemoryError when its weights do not fit."""
    keras = import_keras()
    from cnncost.export import layers  # noqa: F401 - registers the kinds that Keras lacks

    try:
        model = keras.models.model_from_json(json.dumps(config))
        for layer in model.layers:
            if not layer.trainable:
                # Made from a config, the layers inside such a layer are not frozen; only a change freezes them.
                layer.trainable = True
                layer.trainable = False
        return model
    except Exception as error:
        if isinstance(error, MemoryError) or any(word in f"{type(error).__name__} {error}" for word in _MEMORY):
            raise MemoryError(str(error)) from error  # weights that do not fit are no fault of the model
        raise CnncostError(
            f"Keras cannot build this model: {type(error).__name__}: {printable(_cause(str(error)), 300)}"
        ) from error


def _cause(text: str) -> str:
    """What went wrong innermost: Keras quotes whole configs around it.

    >>> _cause("no Functional. config={} Exception encountered: no Dense. config={} Exception encountered: units < 1")
    'units < 1'
    """
    return text.rpartition("Exception encountered: ")[2]


def write(graph: Graph, path: str, batch: int = 1) -> None:
    """Write ``*.json`` (the architecture; Keras is not needed) or ``*.keras`` (a model with fresh weights).

    Of a model that keeps states the batch size is written, too. The file is written whole beside its place and then
    renamed. Raises OutsideError when that fails.
    """
    low = path.lower()
    if low.endswith(".json"):
        write_whole(path, (json.dumps(to_config(graph, batch), indent=1) + "\n").encode())
    elif low.endswith(".keras"):
        store_whole(path, build(graph, batch).save, ".keras")
    else:
        raise CnncostError(
            f"'{printable(path)}' names no format",
            rule="export writes FILE.keras (a model) or FILE.json (its architecture)",
        )
