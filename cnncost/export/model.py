"""The live Keras model of a graph, and the files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from typing import Any

from cnncost.errors import CnncostError, OutsideError, printable
from cnncost.export.config import to_config
from cnncost.graph import Graph
from cnncost.sources.keras_live import import_keras


def build(graph: Graph) -> Any:
    """The graph as a ``keras.Model`` with fresh weights. Raises MissingExtra without Keras."""
    config = to_config(graph)
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
        raise CnncostError(
            f"Keras cannot build this model: {type(error).__name__}: {printable(str(error), 300)}"
        ) from error


def write(graph: Graph, path: str) -> None:
    """Write ``*.json`` (the architecture; Keras is not needed) or ``*.keras`` (a model with fresh weights).

    The file is written whole beside its place and then renamed. Raises OutsideError when that fails.
    """
    low = path.lower()
    if low.endswith(".json"):
        text = json.dumps(to_config(graph), indent=1) + "\n"

        def store(target: str) -> None:
            with open(target, "w", encoding="utf-8") as file:
                file.write(text)

        _whole(path, ".json", store)
    elif low.endswith(".keras"):
        model = build(graph)
        _whole(path, ".keras", model.save)
    else:
        raise CnncostError(
            f"'{printable(path)}' names no format",
            rule="export writes FILE.keras (a model) or FILE.json (its architecture)",
        )


def _whole(path: str, suffix: str, store: Callable[[str], object]) -> None:
    if os.path.isdir(path):
        raise CnncostError(f"'{printable(path)}' is a directory", rule="export writes one file")
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(suffix=suffix, prefix=".cnncost-", dir=os.path.dirname(path) or ".")
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        store(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OutsideError(f"'{printable(path)}' cannot be written: {error.strerror or error}") from None
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
