"""A saved analysis: what ``cnncost analyze --format json`` wrote, checked as any input is."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from cnncost.errors import CnncostError, Location, printable

SCHEMA = "cnncost/analysis/1"
FAMILY = b"cnncost/analysis/"
MOST = 2**28  # bytes of a file that are read
RULE = "it is what `cnncost analyze SOURCE --format json` wrote"


def saved(path: str) -> dict[str, Any] | None:
    """A saved analysis, or None where the file is something else. Raises CnncostError for one that is not whole."""
    import json

    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as stream:
            content = stream.read(1)
            if content != b"{" or FAMILY not in (content := content + stream.read(MOST)):
                return None
    except OSError:
        return None
    try:
        data = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        place = Location(path, line, getattr(error, "colno", None))
        raise CnncostError("a saved analysis that is not whole: not JSON", rule=RULE, location=place) from None
    if not isinstance(data, dict) or not str(data.get("schema")).startswith(FAMILY.decode()):
        return None  # somebody else's file that mentions an analysis
    if data["schema"] != SCHEMA:
        raise CnncostError("a saved analysis of another version", rule=f"its schema is {SCHEMA}",
                           received=printable(data["schema"]), location=Location(path),
                           nearest="save it anew: cnncost analyze SOURCE --format json")  # fmt: skip
    _check(data, path)
    return data


def _check(data: Mapping[str, Any], path: str) -> None:
    """Every part that a difference reads is what it should be."""
    _of(data, _MODEL, "", path)
    for part, known in (("totals", None), ("memory", _MEMORY), ("time", _TIME)):
        values = data.get(part) or {}
        for name in values if known is None else known:
            _held(_number(values.get(name)), f"{part}.{name}", values.get(name), path)
    for place, layer in enumerate(data["layers"]):
        where = f"layers[{place}]"
        _held(isinstance(layer, dict), where, layer, path)
        _of(layer, _LAYER, f"{where}.", path)
        for name in _FIGURES:
            _held(_number(layer.get(name)), f"{where}.{name}", layer.get(name), path)


def _of(
    values: Mapping[str, Any], known: Mapping[str, tuple[bool, Callable[[Any], bool]]], where: str, path: str
) -> None:
    for name, (needed, good) in known.items():
        if needed or values.get(name) is not None:
            _held(name in values and good(values[name]), where + name, values.get(name), path)


def _held(good: bool, what: str, value: Any, path: str) -> None:
    if not good:
        raise CnncostError(f"a saved analysis that is not whole: '{printable(what)}'", rule=RULE,
                           received=printable(value), location=Location(path))  # fmt: skip


def _number(value: Any) -> bool:
    """None, or a number that arithmetic can go on with."""
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return value is None or (plain and abs(value) < 1e30)


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _shape(value: Any) -> bool:
    return isinstance(value, list) and all(v is None or (isinstance(v, int) and _number(v)) for v in value)


def _shapes(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_shape, value))


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _list(value: Any) -> bool:
    return isinstance(value, list)


# name → whether every version of the schema has it, and what it is
_MODEL = {"model": (True, _text), "totals": (True, _mapping), "memory": (True, _mapping), "layers": (True, _list),
          "time": (False, _mapping)}  # fmt: skip
_LAYER = {"name": (True, _text), "kind": (True, _text), "inputs": (True, _texts), "params": (True, _number),
          "macs": (True, _number), "output_shape": (False, _shape), "output_shapes": (False, _shapes),
          "arguments": (False, _mapping)}  # fmt: skip
_MEMORY = ("inference_peak_bytes", "training_peak_bytes", "resident_bytes")
_TIME = ("inference_seconds", "training_step_seconds")
_FIGURES = ("trainable_params", "flops", "activation_bytes", "weight_bytes", "peak_bytes", "seconds")
