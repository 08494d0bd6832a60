"""Every kind that is lowered gives ops whose last output is the layer's own output: shape with the batch, and dtype."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds.core import InputLayer
from cnncost.kinds.registry import lookup
from cnncost.memory.figures import with_memory
from cnncost.memory.lowering import NotSimulated, lower, supported
from cnncost.results import Analysis
from cnncost.tensor import DTYPES

FILES = sorted((Path(__file__).parents[1] / "kinds").glob("cases_*.yaml"))
CASES = [case for path in FILES for case in yaml.safe_load(path.read_text(encoding="utf-8"))]
BATCH = 3


def single(case: list[Any], dtype: str = "float32") -> Analysis:
    """One layer over inputs of its own."""
    name, arguments, shapes, *options = case
    kind = lookup(name).build(arguments)
    types = (options[0] if options else {}).get("dtype", "float32")
    inputs = tuple(
        Layer(f"in{i}", InputLayer(tuple(shape), types if types in DTYPES else "float32"))
        for i, shape in enumerate(shapes)
    )
    layer = Layer("layer", kind, tuple(Ref(i) for i in range(len(inputs))))
    return analyze_graph(Graph("one", (*inputs, layer), (Ref(len(inputs)),)), batch=BATCH, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", [case for case in CASES if case[0] in supported()], ids=lambda case: str(case[0]))
def test_output_is_the_layers_own(case: list[Any], training: bool, dtype: str) -> None:
    try:
        analysis = single(case, dtype)
    except CnncostError:
        pytest.skip("not a model of its own")
    try:
        lowered = lower(analysis, training)
    except NotSimulated as error:
        assert error.layer == "layer"
        return
    expected = [((BATCH, *tensor.shape), tensor.dtype.name) for tensor in analysis.layers[-1].outputs]
    assert [(value.shape, value.dtype) for value in lowered.outputs] == expected[:1]
    if not training:
        assert with_memory(analysis).memory.inference_peak_bytes is not None


def test_an_unknown_layer_is_named() -> None:
    """Never a silent zero: the figure is None, and a finding says which layer and which kind."""
    found = with_memory(single(["SimpleRNN", {"units": 4, "unroll": True}, [[1000, 3]]]))
    assert found.memory.inference_peak_bytes is None
    (finding,) = [f for f in found.memory.runtime.findings if "inference_peak_bytes" in f.message]
    assert finding.severity == "info" and finding.layer == "layer" and "unrolls 256" in finding.message
    assert finding.to_dict() in found.to_dict()["findings"]
