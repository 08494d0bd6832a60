"""The simulation's figures in an analysis."""

from __future__ import annotations

from dataclasses import replace

from cnncost.findings import Finding
from cnncost.memory.inference import predict_inference
from cnncost.memory.lowering import NotSimulated
from cnncost.results import Analysis


def with_memory(analysis: Analysis) -> Analysis:
    """The analysis with the runtime figures; where a layer is not known to the simulation, a finding names it.

    >>> from cnncost.analysis import analyze_graph
    >>> from cnncost.sources import load
    >>> conv = {"Conv2D": {"filters": 200, "kernel_size": 5, "padding": "same"}}
    >>> graph = load({"input": [150, 100, 3], "layers": [conv]})
    >>> with_memory(analyze_graph(graph, batch=100)).memory.inference_peak_bytes  # 1.2 GB, and oneDNN's scratch
    1200012336
    """
    try:
        prediction = predict_inference(analysis)
    except NotSimulated as error:
        finding = Finding("info", f"inference_peak_bytes is not known: {error.message}", error.layer, error.location)
        return replace(analysis, findings=(*analysis.findings, finding))
    memory = replace(
        analysis.memory, inference_peak_bytes=prediction.peak_bytes, inference_peak_layer=prediction.peak_layer
    )
    return replace(analysis, memory=memory)
