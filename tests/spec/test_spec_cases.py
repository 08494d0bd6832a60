"""Case files: a spec, then ``#>`` lines with the exact error or with the layers it makes.

A new case is a new file in ``cases/``; run the tests with UPDATE_CASES=1 to have its lines written, and read them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError
from cnncost.expectations import with_findings
from cnncost.sources.spec import read_text

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))
MARK = "#> "


def outcome(text: str) -> list[str]:
    """The error, or a line for each layer and finding."""
    try:
        graph = read_text(text, "spec.yaml")
        analysis = with_findings(analyze_graph(graph))
    except CnncostError as error:
        return [str(error)]
    rows = []
    for row in analysis.layers:
        shape = "x".join(map(str, row.output_shape))
        line = f"{row.name}: {row.kind}({', '.join(row.inputs)}) -> {shape} {row.compute.name} {row.params:,}"
        group = row.layer.recompute
        again = "" if group is None else f" recomputed with {graph.layers[group].name}"
        rows.append(line + (" shared" if row.shared else "") + ("" if row.layer.trainable else " frozen") + again)
    rows.append("outputs: " + ", ".join(graph.layers[ref.layer].name for ref in graph.outputs))
    return rows + [f"{f.location} {f.severity}: {f.message}" for f in analysis.findings if f.severity == "error"]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").split("\n")
    spec = "\n".join(line for line in lines if not line.startswith(MARK))
    expected = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    actual = outcome(spec)
    if os.environ.get("UPDATE_CASES"):
        path.write_text(spec.rstrip("\n") + "\n" + "".join(f"{MARK}{line}\n" for line in actual), encoding="utf-8")
    else:
        assert actual == expected
    if path.stem.startswith("ok-"):
        assert not actual[0].startswith("spec.yaml")
    else:
        assert actual[0].startswith("spec.yaml:"), "an error has its place"
        assert len(actual[0]) < 800
