"""The simulation's figures in an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from cnncost.errors import UnsupportedLayer
from cnncost.findings import Finding
from cnncost.memory.predict import MemoryPrediction, predict
from cnncost.memory_record import ResidentMemory, RuntimeMemory
from cnncost.results import Analysis

DEFAULT_OPTIMIZER = "sgd"


def with_memory(analysis: Analysis) -> Analysis:
    """The analysis whose ``memory`` simulates TensorFlow when first asked; where a layer is not known to the
    simulation, a finding names it. The optimizer is plain SGD where none is named; in mode "inference" the training
    step is simulated when its peak is asked for.

    >>> from cnncost.analysis import analyze_graph
    >>> from cnncost.sources import load
    >>> conv = {"Conv2D": {"filters": 200, "kernel_size": 5, "padding": "same"}}
    >>> graph = load({"input": [150, 100, 3], "layers": [conv]})
    >>> memory = with_memory(analyze_graph(graph, batch=100)).memory
    >>> memory.inference_peak_bytes  # 1.2 GB, and oneDNN's scratch
    1200012336
    >>> memory.resident  # 15,200 weights and 100 images of 150 × 100 × 3, four bytes each
    ResidentMemory(weights=60800, optimizer_slots=0, inputs=18000000)
    """
    return replace(analysis, memory=analysis.memory.simulated(partial(simulate, analysis), analysis.mode))


def simulate(analysis: Analysis, modes: Sequence[str]) -> RuntimeMemory:
    """The runtime figures of an analysis, for these steps."""
    steps: dict[str, MemoryPrediction] = {}
    findings: list[Finding] = []
    for mode in modes:
        try:
            steps[mode] = predict(
                analysis, mode, analysis.optimizer, analysis.executor, analysis.allocator,
                analysis.interval and mode == analysis.mode,
            )  # fmt: skip
        except UnsupportedLayer as error:
            message = f"{mode}_peak_bytes is not known: {error.message}"
            findings.append(Finding("info", message, getattr(error, "layer", None), error.location))
    return RuntimeMemory(**steps, resident=resident(analysis), findings=tuple(findings))


def resident(analysis: Analysis) -> ResidentMemory:
    """Weights in their storage dtype, the optimizer's variables in mode "training", the batch as the caller has it."""
    slots = 0
    if analysis.mode == "training":
        from cnncost.memory.lowering.base import policies
        from cnncost.memory.optimizers import optimizer, slot_bytes, with_loss_scaling
        from cnncost.memory.training import state_variables

        used = policies(analysis)
        choice = with_loss_scaling(optimizer(analysis.optimizer or DEFAULT_OPTIMIZER), used)
        choice = choice._replace(accumulation=analysis.gradient_accumulation_steps)
        slots = 0 if "int8" in used else slot_bytes(choice, state_variables(analysis))  # nothing is trained in int8
    sizes = [analysis.layers[index].outputs[0] for index in analysis.graph.inputs]
    return ResidentMemory(analysis.totals.weight_bytes, slots, analysis.batch * sum(t.bytes or 0 for t in sizes))
