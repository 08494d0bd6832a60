"""Text, files and live objects become a Graph; each source recognises its own input."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, Location, OutsideError, nearest, printable
from cnncost.graph import Graph

SPEC_SUFFIXES = (".yaml", ".yml")
FORMS = (
    "a source is a spec (*.yaml, *.json), a Keras file (*.keras, *.h5, *.json), zoo:NAME, keras:NAME, or "
    "package.module:attribute"
)

MAX_DEPTH = 300  # of a Keras config given as a dict; a level of nested models takes about six


def load(source: Any, variables: Mapping[str, Any] | None = None) -> Graph:
    """The graph of any source: a path, ``zoo:NAME``, ``keras:NAME``, ``module:attribute``, a dict, a live model.

    ``variables`` are a spec's own (``--set``). Raises CnncostError with a location where there is a file.
    """
    if variables is not None and not isinstance(variables, Mapping):
        raise CnncostError("wrong variables", rule="they are a mapping of names to values",
                           received=printable(variables))  # fmt: skip
    if isinstance(source, Graph):
        return source
    if isinstance(source, os.PathLike):
        source = os.fspath(source)
    if isinstance(source, str):
        try:
            return _named(source, variables)
        except CnncostError as error:
            raise _placed(error, source) from error.__cause__
    if isinstance(source, Mapping):
        config = keras_form(source)
        if config is not None:
            _no_variables(variables)
            from cnncost.sources.keras_config import read_config

            return read_config(_lists(config), source="dict")
        from cnncost.sources.spec import read_dict

        return read_dict(source, variables)
    if hasattr(source, "get_config") and hasattr(source, "layers"):
        _no_variables(variables)
        from cnncost.sources.keras_live import read_model

        return read_model(source)
    raise CnncostError("this is no model", rule=FORMS, received=printable(type(source).__name__))


def keras_form(data: Mapping[Any, Any]) -> dict[str, Any] | None:
    """A mapping as Keras's {class_name, config}: what ``to_json`` writes, or what ``get_config`` returns; else None."""
    if "class_name" in data and "layers" not in data:
        return {str(key): value for key, value in data.items()}
    layers = data.get("layers")
    first = layers[0] if isinstance(layers, list | tuple) and layers else None
    if isinstance(first, Mapping) and "class_name" in first and "input" not in data:
        return {"class_name": "Functional" if "input_layers" in data else "Sequential", "config": dict(data)}
    return None


def _lists(value: Any, depth: int = 0) -> Any:
    """Plain data with lists for tuples, as JSON has it; ``get_config`` returns tuples."""
    if depth > MAX_DEPTH:
        raise CnncostError("the config is nested too deeply", rule=f"at most {MAX_DEPTH} levels")
    if isinstance(value, list | tuple):
        return [_lists(part, depth + 1) for part in value]
    if isinstance(value, dict):
        return {key: _lists(part, depth + 1) for key, part in value.items()}
    return value


def _named(source: str, variables: Mapping[str, Any] | None) -> Graph:
    low = source.lower()
    if low.startswith("zoo:"):
        from cnncost.sources.spec import read_file
        from cnncost.sources.zoo import path

        return read_file(path(source[4:]), variables, source=source)
    if low.endswith(SPEC_SUFFIXES):
        from cnncost.sources.spec import read_file

        return read_file(source, variables)
    if low.endswith(".json"):
        from cnncost.sources.json_file import read_json

        return read_json(source, variables)
    _no_variables(variables)
    if low.startswith("keras:"):
        from cnncost.sources.keras_live import read_application

        return read_application(source[6:])
    if low.endswith((".keras", ".h5", ".hdf5")):
        from cnncost.sources.keras_file import read_archive, read_h5

        return read_archive(source) if low.endswith(".keras") else read_h5(source)
    if ":" in source and not os.path.exists(source):
        from cnncost.sources.callable import read_callable

        return read_callable(source)
    missing = "is a directory" if os.path.isdir(source) else "is none of these" if os.path.exists(source) else (
        "does not exist"
    )  # fmt: skip
    from cnncost.sources.zoo import names

    hint = nearest(source, names()).replace("'", "'zoo:", 1) if missing == "does not exist" else ""
    raise CnncostError(f"source '{printable(source)}' {missing}", rule=FORMS, nearest=hint)


def _placed(error: CnncostError, source: str) -> CnncostError:
    """What is wrong with a file as a whole stands at its first character."""
    if isinstance(error, OutsideError):
        return error  # not the file's fault
    place = error.location
    file = place.file if place else source
    if (place is None or place.line is None) and os.path.isfile(file):
        error.location = Location(file, 1, 1, place.path if place else "")
    return error


def _no_variables(variables: Mapping[str, Any] | None) -> None:
    if variables:
        raise CnncostError("--set is for a spec's variables", rule="only a YAML or JSON spec has variables")
