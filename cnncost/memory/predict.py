"""The peak memory of one step: in graph mode, by XLA or op by op; as requested, or in the allocator's chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from cnncost.choices import ALLOCATORS, EXECUTORS, MODES
from cnncost.errors import UnsupportedLayer, one_of, printable
from cnncost.memory.lowering.base import policies
from cnncost.memory.prediction import MemoryPrediction
from cnncost.memory.timeline import Look
from cnncost.results import Analysis

__all__ = ["MemoryPrediction", "predict", "predict_inference", "predict_training"]

INT8 = (
    "int8: the float model's ops with one byte a value, weights and activations alike. Keras runs no such step: a "
    "quantized model is another graph, planned by the runtime that runs it"
)
_HALVES = frozenset(("float16", "mixed_float16", "bfloat16", "mixed_bfloat16"))
_RUNNERS = {
    "graph": ("cnncost.memory.graph_mode", "predict_graph"),
    "xla": ("cnncost.memory.xla", "predict_xla"),
    "eager": ("cnncost.memory.eager", "predict_eager"),
}


def predict(
    analysis: Analysis, mode: str = "inference", optimizer: str | None = None, executor: str = "graph",
    allocator: str = "requested", interval: bool = False, look: Look | None = None,
) -> MemoryPrediction:  # fmt: skip
    """Simulate one step. ``optimizer`` (plain SGD unless named) counts in mode "training" alone. ``interval``: bound
    the peak of graph mode by simulating the orders of fifteen processes and more, which takes a few times as long;
    ``look`` is then shown the events of each.

    Raises UnsupportedLayer, naming the layer, where a layer or its gradient is not known to the simulation, and
    CnncostError for a word that is none of the choices.

    >>> import cnncost
    >>> conv = {"Conv2D": {"filters": 200, "kernel_size": 5, "padding": "same"}}
    >>> model = cnncost.analyze({"input": [150, 100, 3], "layers": [conv]}, batch=100)
    >>> predict(model).peak_bytes > 100 * 150 * 100 * 200 * 4
    True
    """
    one_of("mode", mode, MODES)
    one_of("executor", executor, EXECUTORS)
    one_of("allocator", allocator, ALLOCATORS)
    if mode == "training" and "int8" in policies(analysis):
        raise UnsupportedLayer(
            "a training step in int8 is not simulated, and no optimizer slots are counted",
            rule="int8 has no gradients in TensorFlow: it is for the arithmetic of inference",
            nearest="--dtype mixed_float16 or mixed_bfloat16",
        )
    if mode == "training" and executor == "eager":
        again = next((row for row in analysis.layers if row.layer.recompute is not None), None)
        if again is not None:
            raise UnsupportedLayer(
                f"layer '{printable(again.name)}' is recomputed, which the simulation does not know in eager execution",
                rule="the order in which it runs the group again is not known here",
            )
    if mode == "training" and analysis.gradient_accumulation_steps:
        return _accumulating(analysis, optimizer, executor, allocator, interval, look)
    return _predicted(analysis, mode, optimizer if mode == "training" else None, executor, allocator, interval, look)


def _predicted(
    analysis: Analysis, mode: str, optimizer: str | None, executor: str, allocator: str,
    interval: bool = False, look: Look | None = None,
) -> MemoryPrediction:  # fmt: skip
    bounded = interval and executor == "graph"
    wider = {"orders": import_module("cnncost.memory.graph_mode").ORDERS, "look": look} if bounded else {}
    made: MemoryPrediction = _runner(executor)(analysis, mode, optimizer, **wider)
    used = policies(analysis)
    if "int8" in used:
        made = replace(made, notes=(*made.notes, INT8))
    note = "" if executor == "xla" else analysis.processor.note(not used.isdisjoint(_HALVES), mode == "training")
    if note:
        made = replace(made, notes=(*made.notes, note))
    if allocator == "bfc":
        made = import_module("cnncost.memory.bfc").replay(made, analysis)
    return made


def _accumulating(
    analysis: Analysis, optimizer: str | None, executor: str, allocator: str, interval: bool, look: Look | None
) -> MemoryPrediction:  # fmt: skip
    """Of N steps the one with the highest peak: one that only adds its gradients up, or the one that updates."""
    if executor == "xla":  # which computes both branches and selects: every step is the same
        return _predicted(analysis, "training", optimizer, executor, allocator, interval, look)
    steps = [
        _predicted(
            replace(analysis, between_updates=between), "training", optimizer, executor, allocator, interval, look
        )
        for between in (False, True)
    ]
    update, between = (step.peak_bytes for step in steps)
    note = f"the step that updates the weights peaks at {update:,} bytes, those between updates at {between:,}"
    highest = steps[between > update]
    return replace(highest, notes=(*highest.notes, note))


def predict_inference(analysis: Analysis) -> MemoryPrediction:
    """One prediction of a batch in graph mode."""
    return predict(analysis)


def predict_training(analysis: Analysis, choice: str = "sgd") -> MemoryPrediction:
    """One training step in graph mode with an optimizer, by name."""
    return predict(analysis, "training", choice)


def _runner(executor: str) -> Callable[..., Any]:
    module, name = _RUNNERS[executor]
    try:
        return getattr(import_module(module), name)  # type: ignore[no-any-return]
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise UnsupportedLayer(f"this version does not predict the executor '{executor}'") from None
