"""The memory of a step that XLA compiles for the CPU: ``tf.function(jit_compile=True)``.

The op graph becomes a small HLO (``emit``), whose instructions are fused (``fusion``), ordered breadth first and given
buffers (``compile``, ``assign``), as XLA of TensorFlow 2.21 does. What is requested at run time is one temporary
allocation, the outputs that no donated variable holds, and the table of outputs.
"""

from __future__ import annotations

from cnncost.memory.graph_mode import no_collection
from cnncost.memory.lowering import lower
from cnncost.memory.opgraph import OpGraph
from cnncost.memory.rewrite import prune
from cnncost.memory.xla.assign import assign, heap_bytes, live_peak, merged
from cnncost.memory.xla.compile import compile_program
from cnncost.memory.xla.emit import emit
from cnncost.memory.xla.prediction import XlaPrediction, allocations, contents
from cnncost.results import Analysis

__all__ = ["predict_xla"]


def predict_xla(analysis: Analysis, mode: str, optimizer: str | None = None) -> XlaPrediction:
    """Raises UnsupportedLayer, naming the layer, where a layer, a gradient or an op is not known.

    >>> import cnncost
    >>> model = {"input": [32, 32, 3], "layers": [{"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}}]}
    >>> predict_xla(cnncost.analyze(model, batch=4), "inference").peak_bytes  # the output: the bias is added in it
    262144
    """
    with no_collection():
        compiled = compile_program(emit(_graph(analysis, mode, optimizer)))
        heap, outputs = assign(compiled.buffers, compiled.donated)
        chains = merged(heap)
        size, _ = heap_bytes(heap)
        fullest = live_peak(chains)
        events = allocations(compiled, size, outputs)
        inside = contents(compiled, chains, size - min(fullest, size), outputs)
    outside = compiled.table + sum(buffer.bytes for buffer in outputs)
    point = size + outside
    at = max(range(len(events)), key=lambda number: events[number].live, default=-1)
    return XlaPrediction(mode, "xla", "requested", point, min(fullest, size) + outside, point, events, at, (), inside)


def _graph(analysis: Analysis, mode: str, optimizer: str | None) -> OpGraph:
    """The step as it is traced: a function that XLA compiles does not go through grappler."""
    if mode == "inference":
        graph = lower(analysis, training=False).graph
    else:
        from cnncost.memory.optimizers import optimizer as choose
        from cnncost.memory.training import training_step

        graph = training_step(analysis, choose(optimizer or "sgd")).graph
    prune(graph)
    return graph
