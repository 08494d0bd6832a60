"""The schemas of limits accept what the reader accepts, and refuse what is visible to a schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cnncost.limitable import budget_schema
from cnncost.sources.spec import read_data
from cnncost.sources.spec.schema import json_schema

jsonschema = pytest.importorskip("jsonschema")
CASES = Path(__file__).parent / "cases"
# What a schema cannot see: what files there are, what a unit or a share says, and the same thing said twice.
UNSEEN = {
    "byte-unit-alone", "byte-unit-of-count", "condition-twice", "duplicate-by-alias", "duplicate-in-other-order",
    "growth-negative", "glob-of-nothing", "file-that-is-not-there", "zoo-of-nothing", "layer-pattern-of-nothing",
    "broken-among-good", "not-a-model", "no-module",
}  # fmt: skip
UNREADABLE = {"duplicate-key", "empty", "not-yaml"}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = budget_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_schema_agrees_with_the_reader(path: Path, validator: Any) -> None:
    if path.stem in UNREADABLE:
        return
    data = read_data(path.read_text().replace("receptive-field", "receptive_field"), path.name).value
    good = path.stem.startswith("ok-") or path.stem in UNSEEN
    assert (list(validator.iter_errors(data)) == []) == good


@pytest.mark.parametrize(
    ("budgets", "good"),
    [
        ({"params": "26M", "inference_peak": {"max": "64 MiB", "at": {"batch": 8}}}, True),
        ({"params": [3, {"max": 4, "batch": 2}], "layer.macs": {"max": 3, "layers": "a*"}}, True),
        ({"prams": 3}, False),
        ({"params": {"mx": 3}}, False),
        ({"params": {"batch": 8}}, False),
        ({"params": {"max": 3, "layers": "a*"}}, False),
        ({"layer.params": {"growth": "2%"}}, False),
        ({"params": {"max": 3, "optimizer": "adem"}}, False),
    ],
)
def test_limits_in_a_spec(budgets: dict[str, Any], good: bool) -> None:
    spec = {"input": [8, 8, 3], "layers": ["Flatten"], "budgets": budgets}
    assert (list(jsonschema.Draft7Validator(json_schema()).iter_errors(spec)) == []) == good
