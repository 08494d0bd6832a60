"""Claims bind the model as written; an override sets them aside, and says so."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost

SPEC: dict[str, Any] = {
    "variables": {"filters": 2},
    "input": [8, 8, 3],
    "layers": [
        {"Conv2D": ["$filters", 3], "name": "c", "expect": {"activation_bytes": 288, "output_shape": [6, 6, 3]}}
    ],
    "expect": {"params": 1},
}


def messages(**arguments: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"error": [], "info": []}
    for finding in cnncost.analyze(SPEC, **arguments).findings:
        found[finding.severity].append(finding.message)
    return found


def test_as_written_every_claim_is_checked() -> None:
    assert len(messages()["error"]) == 2  # the shape and the params do not hold, the bytes do
    assert not messages()["info"]


@pytest.mark.parametrize("override", [{"input": (9, 9, 3)}, {"variables": {"filters": 4}}])
def test_an_override_sets_all_aside(override: dict[str, Any]) -> None:
    assert messages(**override)["error"] == []
    assert messages(**override)["info"][0].startswith("3 claims describe the model as written")


def test_the_same_input_is_no_override() -> None:
    assert messages(input=(8, 8, 3)) == messages()


@pytest.mark.parametrize("override", [{"batch": 2}, {"dtype": "float16"}])
def test_batch_and_dtype_set_bytes_aside(override: dict[str, Any]) -> None:
    assert len(messages(**override)["error"]) == 2
    assert messages(**override)["info"][0].startswith("1 claim describes the model as written")
