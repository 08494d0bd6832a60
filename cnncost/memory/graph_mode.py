"""The prediction of a step that runs as one ``tf.function``: lower, rewrite, schedule, sweep."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from cnncost.memory.lowering import lower
from cnncost.memory.prediction import MemoryPrediction
from cnncost.memory.rewrite import rewrite
from cnncost.memory.schedule import schedule
from cnncost.memory.sweep import Sweep, sweep
from cnncost.memory.unfolding import unfold
from cnncost.results import Analysis


def predict_graph(analysis: Analysis, mode: str, optimizer: str | None = None) -> MemoryPrediction:
    """Raises UnsupportedLayer, naming the layer, where a layer or its gradient is not known."""
    with no_collection():
        swept = _inference(analysis) if mode == "inference" else _training(analysis, optimizer or "sgd")
    return MemoryPrediction(
        mode, "graph", "requested", swept.peak, swept.peak, swept.peak, tuple(swept.events), swept.at
    )


def _inference(analysis: Analysis) -> Sweep:
    from cnncost.memory.rewrite_loops import order_loops

    graph = lower(analysis, training=False).graph
    ops = unfold(graph, order_loops(rewrite(graph), analysis.graph.name))
    return sweep(ops, schedule(ops), graph.results)


def _training(analysis: Analysis, choice: str) -> Sweep:
    from cnncost.memory.optimizers import optimizer
    from cnncost.memory.ordering import graph_order
    from cnncost.memory.rewrite_loops import order_loops
    from cnncost.memory.rewrite_training import rewrite_training
    from cnncost.memory.training import training_step

    graph = training_step(analysis, optimizer(choice)).graph
    rewrite(graph, last=False)
    ops = graph_order(rewrite_training(graph), graph.results, graph.kept, analysis.graph.name, choice)
    ops = unfold(graph, order_loops(ops, analysis.graph.name, choice))
    return sweep(ops, schedule(ops, ordered=True), graph.results)


@contextmanager
def no_collection() -> Iterator[None]:
    """Thousands of small objects are made and nearly all stay: looking for garbage among them would take a quarter of
    the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
