"""What ``verify`` wrote as JSON, read back for a report: every part that a report shows is checked first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from cnncost.errors import CnncostError, Location, printable

SCHEMA = "cnncost/verify/1"
MISSING = object()
MOST = 2**28  # bytes of a verification that are read
RULE = "a verification is what `cnncost verify SOURCE --format json` writes"


def read_verification(path: str, model: str | None = None) -> dict[str, Any]:
    """What ``verify`` wrote. Raises CnncostError for anything else, and for another model than ``model``."""
    import json

    place = Location(path)
    try:
        with open(path, "rb") as stream:
            data = json.loads(stream.read(MOST).decode("utf-8"))
    except OSError as error:
        problem = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read: {error.strerror}"
        raise CnncostError(problem, location=place) from None
    except (ValueError, RecursionError):
        raise CnncostError("not JSON", rule=RULE, location=place) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        schema = data.get("schema") if isinstance(data, dict) else None
        raise CnncostError("not a verification", rule=f"its schema is {SCHEMA}", received=printable(schema),
                           location=place, nearest="run: cnncost verify SOURCE --format json")  # fmt: skip
    for name in _wrong(data):
        raise CnncostError(f"a verification that is not whole: '{printable(name)}'", rule=RULE, location=place)
    if model is not None and data["model"] != model:
        raise CnncostError(f"a verification of another model, '{printable(data['model'])}'",
                           rule=f"the report is about '{printable(model)}'", location=place)  # fmt: skip
    return data


def _wrong(data: dict[str, Any]) -> Iterator[str]:
    """Names of the parts that are not what a report needs."""
    for name, good in _PARTS.items():
        part: Any = data
        for key in name.split("."):
            part = part.get(key, MISSING) if isinstance(part, dict) else MISSING
        if not good(part):
            yield name
    timeline = data.get("timeline")
    for name in ("predicted", "measured"):
        if timeline is not None and not (isinstance(timeline, dict) and _all(_whole, timeline.get(name) or [])):
            yield f"timeline.{name}"
    layers = data.get("layers")
    for place, layer in enumerate(layers if isinstance(layers, list) else ()):
        for name, good in _LAYER.items():
            if not isinstance(layer, dict) or not good(layer.get(name)):
                yield f"layers[{place}].{name}"


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _known(value: Any) -> bool:
    return _whole(value) or (isinstance(value, float) and math.isfinite(value))


def _number(value: Any) -> bool:
    return value is None or _known(value)


def _bytes(value: Any) -> bool:
    return value is None or _whole(value)


def _all(good: Callable[[Any], bool], values: Any) -> bool:
    return isinstance(values, list) and all(map(good, values))


_PARTS: dict[str, Callable[[Any], bool]] = {
    "model": _text, "mode": _text, "batch": _whole, "executor": _text, "device": _text, "backend": _text, "ok": _flag,
    "optimizer": lambda value: value is None or _text(value), "verdict": lambda value: value is MISSING or _text(value),
    "versions": lambda value: isinstance(value, dict) and all(map(_text, value.values())),
    "peak.predicted_bytes": _bytes, "peak.measured_bytes": _bytes, "peak.error": _number,
    "step_seconds.median": _number, "step_seconds.low": _number, "step_seconds.high": _number,
    "layers": lambda value: isinstance(value, list),
}  # fmt: skip
_LAYER: dict[str, Callable[[Any], bool]] = {
    "name": _text, "seconds": _number, "shape_ok": _flag, "params_ok": _flag,
}  # fmt: skip
