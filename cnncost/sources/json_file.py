"""A ``.json`` file: a spec, or the architecture of a Keras model (it has ``class_name``), told apart by its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, Location, printable
from cnncost.graph import Graph

MAX_BYTES = 64 * 2**20


def read_json(path: str, variables: Mapping[str, Any] | None = None) -> Graph:
    """The graph of a JSON file. Raises CnncostError with line and column where the JSON is broken."""
    from cnncost.sources.spec.files import text_of

    text = text_of(path, MAX_BYTES, "JSON file")
    data = parse_json(text, path)
    if not isinstance(data, dict):
        raise CnncostError(
            "a JSON source is an object", rule="a spec has 'input' and 'layers', a Keras architecture has 'class_name'",
            received=f"a {type(data).__name__}", location=Location(path, 1, 1),
        )  # fmt: skip
    if "class_name" in data:
        if variables:
            raise CnncostError("--set is for a spec's variables", rule="a Keras architecture has none",
                               location=Location(path))  # fmt: skip
        from cnncost.sources.keras_config import read_config
        from cnncost.sources.places import Origin

        return read_config(data, source=path, origin=Origin(path, text))
    from cnncost.sources.spec import read_text
    from cnncost.sources.spec.files import MAX_BYTES as SPEC_BYTES

    if len(text) > SPEC_BYTES:
        raise CnncostError(
            "larger than 4 MiB", rule=f"a spec has at most {SPEC_BYTES:,} bytes", location=Location(path)
        )
    return read_text(text, path, variables)


def parse_json(text: str, path: str) -> Any:
    """JSON as plain data; NaN, broken text, thousands of levels or digits are errors."""
    import json

    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        cut = "; the file may be cut off" if error.pos >= len(text.rstrip()) else ""
        place = Location(path, error.lineno, error.colno)
        raise CnncostError(f"not JSON: {printable(error.msg)}{cut}", location=place) from None
    except RecursionError:
        raise CnncostError("not JSON that can be read: nested too deeply", location=Location(path)) from None
    except ValueError as error:  # a number of thousands of digits, NaN
        raise CnncostError(f"not JSON: {printable(error, 120)}", location=Location(path)) from None


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")
