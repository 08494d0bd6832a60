"""SARIF 2.1.0, which code scanning reads: a rule for each figure, a result for each limit that does not hold."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from cnncost.budgets.evaluate import Result
from cnncost.budgets.formats import passed
from cnncost.budgets.metrics import METRICS
from cnncost.budgets.wording import advice, headline, place_of

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def render(results: Sequence[Result], strict: bool = False, color: bool = False) -> str:
    from cnncost import __version__

    bad = [result for result in results if not result.ok]
    names = sorted({result.metric or "model" for result in bad})
    driver = {
        "name": "cnncost",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(n) for n in names],
    }
    run = {
        "tool": {"driver": driver}, "columnKind": "unicodeCodePoints",
        "results": [_result(result, names, strict) for result in bad],
    }  # fmt: skip
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=False) + "\n"


def _rule(name: str) -> dict[str, Any]:
    doc = METRICS[name].doc if name in METRICS else "the model can be analyzed"
    return {"id": f"cnncost/{name}", "name": name, "shortDescription": {"text": f"{name} is within its budget"},
            "fullDescription": {"text": doc}}  # fmt: skip


def _result(result: Result, names: list[str], strict: bool) -> dict[str, Any]:
    name = result.metric or "model"
    found: dict[str, Any] = {
        "ruleId": f"cnncost/{name}", "ruleIndex": names.index(name),
        "level": "warning" if passed(result, strict) else "error",
        "message": {"text": ". ".join([headline(result), *advice(result)])},
    }  # fmt: skip
    place = place_of(result)
    if place:
        found["locations"] = [_location(*place)]
    related = [part.location for part in result.blame if part.location and part.location.file]
    if related:
        found["relatedLocations"] = [
            {"id": i, **_location(at.file, at.line or 1, at.column or 1)} for i, at in enumerate(related)
        ]
    return found


def _location(file: str, line: int, column: int) -> dict[str, Any]:
    region = {"startLine": line, "startColumn": column}
    return {"physicalLocation": {"artifactLocation": {"uri": _uri(file)}, "region": region}}


def _uri(file: str) -> str:
    from urllib.parse import quote

    return quote(os.fsencode(file.replace("\\", "/").removeprefix("./")))
