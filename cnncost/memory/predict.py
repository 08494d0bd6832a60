"""The prediction for one model: lower, rewrite, schedule, sweep."""

from __future__ import annotations

from cnncost.memory.inference import predict_inference
from cnncost.memory.optimizers import optimizer
from cnncost.memory.ordering import graph_order
from cnncost.memory.prediction import MemoryPrediction
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_training import rewrite_training
from cnncost.memory.schedule import schedule
from cnncost.memory.sweep import sweep
from cnncost.memory.training import training_step
from cnncost.results import Analysis

__all__ = ["MemoryPrediction", "predict_inference", "predict_training"]


def predict_training(analysis: Analysis, choice: str = "sgd") -> MemoryPrediction:
    """One training step with an optimizer, by name. Raises UnsupportedLayer, naming the layer, where a layer or its
    gradient is not known."""
    graph = training_step(analysis, optimizer(choice)).graph
    rewrite(graph)
    ops = graph_order(rewrite_training(graph), graph.results, graph.kept, analysis.graph.name, choice)
    swept = sweep(ops, schedule(ops, ordered=True), graph.results)
    return MemoryPrediction("training", swept.peak, tuple(swept.events), swept.at, tuple(swept.alive))
