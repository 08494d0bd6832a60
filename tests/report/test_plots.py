"""Figures: the same bytes twice, words that can be read, errors in one line."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import cnncost
from cnncost import CnncostError
from cnncost.analysis import Analysis, analyze_graph
from cnncost.errors import MissingExtra
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds.convolution import Conv2D
from cnncost.kinds.core import InputLayer
from cnncost.report.plots import KINDS, save

pytest.importorskip("matplotlib")
HOSTILE = "$\\frac{a$ <b>&\x1b[31m 卷積 \u202e" + "x" * 300
RUN: dict[str, Any] = {"mode": "training", "batch": 8, "timeline": {"predicted": [0, 4096, 9000], "measured": [8000]}}
STARTS = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}


def hostile() -> Analysis:
    layers = [Layer("input", InputLayer(shape=(8, 8, 3))),
              Layer(HOSTILE, Conv2D(filters=4, kernel_size=3), (Ref(0),))]  # fmt: skip
    return analyze_graph(Graph(HOSTILE, tuple(layers), (Ref(1),), source="x.yaml"))


@pytest.mark.parametrize("suffix", STARTS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_twice(kind: str, suffix: str, tmp_path: Path) -> None:
    analysis = cnncost.analyze("zoo:lenet5-1998", mode="training", optimizer="sgd")
    for name in ("a", "b"):
        save(kind, analysis, str(tmp_path / (name + suffix)), RUN)
    one, two = ((tmp_path / (name + suffix)).read_bytes() for name in ("a", "b"))
    assert one == two
    assert one.startswith(STARTS[suffix])
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "timeline"])
def test_hostile_names(kind: str, tmp_path: Path) -> None:
    """A name is never markup, nor mathematics; a sign that the font lacks is no warning."""
    import xml.etree.ElementTree as tree

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(kind, hostile(), str(tmp_path / "a.svg"), RUN)
        save(kind, hostile(), str(tmp_path / "a.png"), RUN)
    root = tree.parse(tmp_path / "a.svg").getroot()
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("}text")]
    assert any("$\\frac{a$ <b>&\\x1b[31m" in text for text in texts)
    assert not [element for element in root.iter() if element.tag.endswith(("}script", "}b", "}image"))]


def words(kind: str, analysis: Analysis, folder: Path) -> str:
    save(kind, analysis, str(folder / "a.svg"), RUN)
    return (folder / "a.svg").read_text(encoding="utf-8")


def test_what_the_figures_say(tmp_path: Path) -> None:
    analysis = cnncost.analyze("zoo:googlenet", mode="training", optimizer="adam")
    timeline = words("timeline", analysis, tmp_path)
    for text in ("training with adam", "kept activations", "gradients", "updates", "temporaries", "live MiB"):
        assert text in timeline
    bars = words("layers", analysis, tmp_path)
    assert ">conv2d_2<" in bars  # the most multiplications
    assert ">dense<" in bars  # the most parameters
    scatter = words("scatter", analysis, tmp_path)
    assert "mathdefault" not in scatter
    assert ">100M<" in scatter
    measured = words("measured", analysis, tmp_path)
    assert "training, predicted and measured (batch 8" in measured
    assert "predicted, peak 8.79 KiB" in measured


def test_peak_is_the_top_of_the_stack() -> None:
    """The areas of all categories sum to the live bytes of every event."""
    import numpy as np
    from matplotlib.figure import Figure

    analysis = cnncost.analyze("zoo:lenet5-1998", mode="training", optimizer="adam")
    step: Any = analysis.memory.runtime.training
    figure = Figure()
    KINDS["timeline"](figure, analysis, None)
    top = max(np.max(path.vertices[:, 1]) for area in figure.axes[0].collections for path in area.get_paths())
    assert top * 1024 == pytest.approx(step.peak_bytes) or top * 2**20 == pytest.approx(step.peak_bytes)


@pytest.mark.parametrize(("kind", "source", "name", "problem"), [
    ("pie", "zoo:lenet5-1998", "a.svg", "unknown figure"),
    ("layers", "zoo:lenet5-1998", "a.gif", "names no format"),
    ("layers", "zoo:lenet5-1998", "none/a.svg", "no directory"),
    ("measured", "zoo:lenet5-1998", "a.svg", "no measured timeline"),
    ("scatter", "zoo:pooling-example", "a.svg", "both parameters and multiplications"),
])  # fmt: skip
def test_errors(kind: str, source: str, name: str, problem: str, tmp_path: Path) -> None:
    with pytest.raises(CnncostError, match=problem):
        save(kind, cnncost.analyze(source), str(tmp_path / name))
    assert not list(tmp_path.iterdir())


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match="matplotlib"):
        save("layers", cnncost.analyze("zoo:lenet5-1998"), str(tmp_path / "a.svg"))
