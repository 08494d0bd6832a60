"""The prediction of one inference step: lower, rewrite, schedule, sweep."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from cnncost.memory.lowering import lower
from cnncost.memory.prediction import MemoryPrediction
from cnncost.memory.rewrite import rewrite
from cnncost.memory.schedule import schedule
from cnncost.memory.sweep import sweep
from cnncost.results import Analysis


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


def predict_inference(analysis: Analysis) -> MemoryPrediction:
    """One prediction of a batch. Raises UnsupportedLayer, naming the layer, for a kind that is not known."""
    with no_collection():
        graph = lower(analysis, training=False).graph
        ops = rewrite(graph)
        swept = sweep(ops, schedule(ops), graph.results)
    return MemoryPrediction("inference", swept.peak, tuple(swept.events), swept.at, tuple(swept.alive))
