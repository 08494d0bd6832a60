"""The Markdown report: GitHub's limits, hostile names, pictures that fail, what a reader must be told."""

from __future__ import annotations

import copy
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import cnncost
from cnncost.analysis import Analysis, analyze_graph
from cnncost.errors import OutsideError
from cnncost.findings import Finding
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds.convolution import Conv2D
from cnncost.kinds.core import InputLayer
from cnncost.report.document import COMMENT, SUMMARY, document, write_document

HOSTILE = "a|`<img src=x onerror=alert(1)>`\n# x [y](javascript:z) @me $x$ https://evil.example </details>"
RUN: dict[str, Any] = {
    "mode": "training", "batch": 8, "device": "CPU:0 |", "timeline": {"predicted": [0, 4096], "measured": [4000]},
    "peak": {"predicted_bytes": 4096, "measured_bytes": 4000, "error": 0.024},
    "step_seconds": {"median": 0.002, "low": 0.001, "high": 0.003},
}  # fmt: skip


def chain(count: int, name: str = "conv", findings: int = 0) -> Analysis:
    layers = [Layer("input", InputLayer(shape=(8, 8, 3)))]
    layers += [
        Layer(f"{name}{i}", Conv2D(filters=3, kernel_size=3, padding="same"), (Ref(i),)) for i in range(count)
    ]  # fmt: skip
    found = tuple(Finding("error", f"{i} {name} " + "y" * 500, name) for i in range(findings))
    return analyze_graph(Graph(name, tuple(layers), (Ref(count),), source=f"{name}.yaml", findings=found))


@pytest.mark.parametrize("limit", [12_000, COMMENT, SUMMARY])
@pytest.mark.parametrize(("count", "findings"), [(3, 0), (3000, 0), (20, 500), (3000, 500)])
def test_limits(count: int, findings: int, limit: int) -> None:
    """Rows that are left out are counted, and nothing that was opened stays open."""
    text = document(chain(count, findings=findings), limit=limit, advice=["x" * 3000])
    assert len(text.encode()) <= limit
    shown = len(re.findall(r"^\| (?:conv|input)", text, re.MULTILINE))
    if shown < count + 1:
        assert f"{count + 1 - shown:,} of {count + 1:,} layers are left out for want of room." in text
    told = len(re.findall(r"^- error", text, re.MULTILINE))
    if told < findings:
        assert f"{findings - told:,} of {findings:,} findings are left out for want of room." in text
    assert text.count("<details>") == text.count("</details>")
    assert "**Total**" in text
    assert "left out" not in text or len(text.encode()) > limit * 0.4


def test_hostile_names() -> None:
    text = document(chain(2, HOSTILE, findings=1), verification=RUN, advice=[HOSTILE])
    assert not re.search(r"<img|(?<!\\)\]\(|@me|https://evil", text)
    assert all(line.strip() in ("</details>", "") or "</details>" not in line for line in text.splitlines())
    rows = [line for line in text.splitlines() if line.startswith("| a")]
    assert rows
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (6, 9) for row in rows)


def test_what_it_says() -> None:
    analysis = cnncost.analyze("zoo:lenet5-1998", mode="training", optimizer="adam")
    text = document(analysis, verification=RUN, advice=["a smaller batch"], pictures={"layers": "a b_files/layers.svg"})
    for part in ("## Figures", "What lives at the peak", "## Predicted against measured", "+2.40%", "2.00 ms",
                 "What to change when it does not fit", "](a%20b_files/layers.svg)", "Every layer (9)"):  # fmt: skip
        assert part in text
    assert "60,840" in text


def test_findings_and_a_step_that_is_not_known(tmp_path: Path) -> None:
    """A model whose step is not simulated still has its report, which says why."""
    analysis = chain(3, findings=2)  # made without the simulation
    write_document(analysis, str(tmp_path / "a.md"))
    text = (tmp_path / "a.md").read_text()
    assert "## Findings" in text
    assert "timeline" not in text
    assert "layers.svg" in text


def test_pictures_beside_it(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_document(cnncost.analyze("zoo:lenet5-1998"), str(tmp_path / "a b.md"), verification=RUN)
    files = {path.name for path in (tmp_path / "a b_files").iterdir()}
    assert files == {k + s for k in ("timeline", "layers", "scatter", "measured") for s in (".svg", ".png")}
    text = (tmp_path / "a b.md").read_text()
    assert set(re.findall(r"\]\(a%20b_files/(\w+\.svg)\)", text)) == {name for name in files if name.endswith("svg")}


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    write_document(cnncost.analyze("zoo:lenet5-1998"), str(tmp_path / "a.md"))
    assert "There are no pictures: matplotlib is not installed" in (tmp_path / "a.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["a.md"]


def test_a_picture_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import cnncost.report.plots as plots

    real = copy.copy(plots.save)

    def full(kind: str, *args: Any) -> None:
        if kind == "layers":
            raise OutsideError("cannot write 'x': No space left on device")
        real(kind, *args)

    monkeypatch.setattr(plots, "save", full)
    write_document(cnncost.analyze("zoo:lenet5-1998"), str(tmp_path / "a.md"))
    text = (tmp_path / "a.md").read_text()
    assert "The picture 'Each layer's part' could not be written: cannot write 'x': No space left on device." in text
    assert "layers.svg" not in text
    assert "timeline.svg" in text


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "a_files").write_text("mine")
    write_document(cnncost.analyze("zoo:lenet5-1998"), str(tmp_path / "a.md"))
    assert "There are no pictures: cannot make" in (tmp_path / "a.md").read_text()
    assert (tmp_path / "a_files").read_text() == "mine"


def test_a_text_that_cannot_be_written_leaves_no_pictures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import cnncost.report.document as module

    def refuse(path: str, content: bytes) -> None:
        raise OutsideError("cannot write")

    monkeypatch.setattr(module, "write_whole", refuse)
    with pytest.raises(OutsideError):
        write_document(cnncost.analyze("zoo:lenet5-1998"), str(tmp_path / "a.md"))
    assert not list(tmp_path.iterdir())
