"""The prediction for one model: lower, rewrite, schedule, sweep."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.memory.lowering import lower
from cnncost.memory.optimizers import optimizer
from cnncost.memory.ordering import graph_order
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_training import rewrite_training
from cnncost.memory.schedule import schedule
from cnncost.memory.sweep import Event, Held, sweep
from cnncost.memory.training import training_step
from cnncost.results import Analysis


@dataclass(frozen=True, slots=True)
class MemoryPrediction:
    """Requested bytes of one step over and above weights and input, as TensorFlow's graph executor would allocate."""

    mode: str
    peak_bytes: int
    events: tuple[Event, ...]
    peak_event: int  # index into events
    alive_at_peak: tuple[Held, ...]

    @property
    def peak_layer(self) -> str:
        """The layer that was running when the peak was reached."""
        return self.events[self.peak_event].op.layer if self.events else ""

    def by_layer(self) -> dict[str, int]:
        """What each layer's buffers add to the peak, largest first."""
        sums: dict[str, int] = {}
        for held in self.alive_at_peak:
            sums[held.op.layer] = sums.get(held.op.layer, 0) + held.bytes
        return dict(sorted(sums.items(), key=lambda item: -item[1]))


def predict_inference(analysis: Analysis) -> MemoryPrediction:
    """One prediction of a batch. Raises UnsupportedLayer, naming the layer, for a kind that is not known."""
    graph = lower(analysis, training=False).graph
    ops = rewrite(graph)
    swept = sweep(ops, schedule(ops), graph.results)
    return MemoryPrediction("inference", swept.peak, tuple(swept.events), swept.at, tuple(swept.alive))


def predict_training(analysis: Analysis, choice: str = "sgd") -> MemoryPrediction:
    """One training step with an optimizer, by name. Raises UnsupportedLayer, naming the layer, where a layer or its
    gradient is not known."""
    graph = training_step(analysis, optimizer(choice)).graph
    rewrite(graph)
    ops = graph_order(rewrite_training(graph), graph.results, graph.kept, analysis.graph.name, choice)
    swept = sweep(ops, schedule(ops), graph.results)
    return MemoryPrediction("training", swept.peak, tuple(swept.events), swept.at, tuple(swept.alive))
