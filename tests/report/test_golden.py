"""What every rendering of every shipped spec looks like, as files. ``pytest --update-golden`` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

import cnncost
from cnncost.analysis import Analysis
from cnncost.memory_record import Memory
from cnncost.report import Options, render

HERE = Path(__file__).parent / "golden"
NAMES = sorted(path.stem for path in (Path(cnncost.__file__).parent / "zoo").glob("*.yaml"))
LONG = 60  # longer models are folded, and have no golden JSON
ENDINGS = {"table": "txt", "markdown": "md", "csv": "csv", "json": "json"}


@cache
def analysis(name: str) -> Analysis:
    return cnncost.analyze(f"zoo:{name}", processor="avx512")


@pytest.mark.parametrize("form", ENDINGS)
@pytest.mark.parametrize("name", NAMES)
def test_rendering(name: str, form: str, golden: Callable[[Path, str], None]) -> None:
    found = analysis(name)
    long = len(found.layers) > LONG
    if long and form == "json":
        pytest.skip("too long for a golden file")
    options = Options(depth=1 if long else None, width=100 if form == "table" else None)
    if form == "json":  # what is simulated has tests of its own, and moves with TensorFlow
        found = replace(found, memory=Memory(found.memory.textbook))
    golden(HERE / f"{name}.{ENDINGS[form]}", render(found, form, options))


def test_no_golden_file_is_left_over() -> None:
    assert {path.name.rsplit(".", 1)[0] for path in HERE.iterdir()} <= set(NAMES)
