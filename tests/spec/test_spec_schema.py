"""The generated JSON Schema: valid, current, accepts what the reader accepts, refuses a set of wrong specs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cnncost.errors import CnncostError
from cnncost.kinds import registry
from cnncost.sources import zoo
from cnncost.sources.spec.compose import compose
from cnncost.sources.spec.nodes import List, Node, Origin, Scalar
from cnncost.sources.spec.schema import json_schema

jsonschema = pytest.importorskip("jsonschema")
CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
# What a schema can see: a wrong key, kind, type or range.
REFUSED = [
    "unknown-kind", "unknown-key", "unknown-argument", "unknown-top-key", "unknown-in-default", "wrong-in-default",
    "missing-input", "missing-layers", "boolean-for-integer", "large-number", "negative", "yes-for-true",
    "tuple-as-positional", "tuple-as-positional-2", "too-many-positional", "missing-indent", "astronomic-repeat",
    "wrong-repeat", "block-named-like-kind", "block-without-layers", "input-text", "input-number", "input-zero",
    "input-wrong-dtype", "input-layer-entry", "wrong-when", "wrong-name", "wrong-dtype", "residual-typo",
    "residual-empty", "merge-typo", "null-entry", "number-entry", "text-layers", "nested-list-entry", "list-document",
]  # fmt: skip


def plain(node: Node) -> Any:
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, List):
        return [plain(part) for part in node.value]
    return {key: plain(part) for key, part in node.value.items()}


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


def problems(validator: Any, text: str) -> list[str]:
    return [error.message for error in validator.iter_errors(plain(compose(text, Origin("spec.yaml"))))]


def test_every_kind_and_argument_is_in_the_schema() -> None:
    schema = json_schema()
    for name in registry.names():
        if name == "InputLayer":
            continue
        assert name in schema["definitions"]["entry"]["anyOf"][1]["properties"]
        for argument, type_ in registry.lookup(name).arguments().items():
            described = schema["definitions"][f"{name}.arguments"]["properties"][argument]
            assert described["description"] == type_.doc


@pytest.mark.parametrize("name", zoo.names())
def test_zoo_is_accepted(validator: Any, name: str) -> None:
    assert problems(validator, Path(zoo.path(name)).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", [p for p in CASES if p.stem.startswith(("ok-", "design"))], ids=lambda p: p.stem)
def test_good_cases_are_accepted(validator: Any, path: Path) -> None:
    assert problems(validator, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("name", REFUSED)
def test_wrong_specs_are_refused(validator: Any, name: str) -> None:
    assert problems(validator, (Path(__file__).parent / "cases" / f"{name}.yaml").read_text(encoding="utf-8"))


def test_nothing_that_the_reader_takes_is_refused(validator: Any) -> None:
    """Over all case files: whatever the schema refuses, the reader refuses."""
    for path in CASES:
        text = path.read_text(encoding="utf-8")
        try:
            found = problems(validator, text)
        except CnncostError:
            continue
        if found:
            lines = [line for line in text.split("\n") if line.startswith("#> ")]
            assert lines[0].startswith("#> spec.yaml:"), (path.stem, found)
