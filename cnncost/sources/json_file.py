"""A ``.json`` file: a spec, or the architecture of a Keras model (it has ``class_name``), told apart by its keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, Location, printable
from cnncost.graph import Graph
from cnncost.sources.places import Origin, parse_json

MAX_BYTES = 64 * 2**20
USES = {
    "cnncost/verify/1": "name the model, and give this file to --verification of `cnncost report` or `cnncost plot`",
    "cnncost/analysis/1": "`cnncost diff` reads it",
}
_SORTS = {list: "list", str: "text", bool: "truth value", type(None): "null"}


def read_json(path: str, variables: Mapping[str, Any] | None = None) -> Graph:
    """The graph of a JSON file. Raises CnncostError with line and column where the JSON is broken."""
    from cnncost.sources import keras_form
    from cnncost.sources.spec.files import text_of

    text = text_of(path, MAX_BYTES, "JSON file")
    origin = Origin(path, text)
    data = parse_json(origin, strict=True)
    if not isinstance(data, dict):
        raise CnncostError(
            "a JSON source is an object", rule="a spec has 'input' and 'layers', a Keras architecture has 'class_name'",
            received=f"a {_SORTS.get(type(data), 'number')}", location=Location(path, 1, 1),
        )  # fmt: skip
    if isinstance(data.get("schema"), str) and data["schema"].startswith("cnncost/"):
        raise CnncostError("an answer of this tool, and no model", rule="a source is a spec or a Keras architecture",
                           received=printable(data["schema"]), nearest=USES.get(data["schema"], ""),
                           location=Location(path, 1, 1))  # fmt: skip
    config = keras_form(data)
    if config is not None:
        if variables:
            raise CnncostError("--set is for a spec's variables", rule="a Keras architecture has none",
                               location=Location(path))  # fmt: skip
        from cnncost.sources.keras_config import read_config

        return read_config(config, source=path, origin=origin)
    from cnncost.sources.spec import read_text
    from cnncost.sources.spec.files import MAX_BYTES as SPEC_BYTES

    if len(text) > SPEC_BYTES:
        raise CnncostError(
            "larger than 4 MiB", rule=f"a spec has at most {SPEC_BYTES:,} bytes", location=Location(path)
        )
    return read_text(text, path, variables)
