"""Every example of the language's page is a spec that analyses, and its claims hold."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import cnncost

PAGE = Path(__file__).parents[2] / "docs" / "spec-language.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def test_page_has_examples() -> None:
    assert len(EXAMPLES) >= 10


@pytest.mark.parametrize("text", EXAMPLES, ids=range(len(EXAMPLES)))
def test_example_analyses(text: str, tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_text(text, encoding="utf-8")
    result = cnncost.analyze(str(file))
    assert [finding.message for finding in result.findings] == []


@pytest.mark.parametrize("key", ["name", "inputs", "repeat", "when", "expect", "trainable", "dtype"])
def test_common_keys_are_documented(key: str) -> None:
    from cnncost.sources.spec.entries import COMMON

    assert key in COMMON
    assert f"| `{key}` |" in PAGE.read_text(encoding="utf-8")
