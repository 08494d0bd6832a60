"""The prediction of a step that runs as one ``tf.function``: what ``simulation`` tells of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cnncost.memory.opgraph import Op
from cnncost.memory.optypes.brgemm import THREADS
from cnncost.memory.prediction import MemoryPrediction, Timeline
from cnncost.memory.simulation import Simulation
from cnncost.memory.timeline import Look
from cnncost.results import Analysis

ORDERS = 15  # alternative orders that the interval looks at, beside the predicted one
ONE_CHANNEL = (
    "oneDNN lays an input of one channel out anew for a convolution, in a scratch that depends on the processor: that "
    f"of {THREADS} threads with AVX-512 is counted"
)
NOT_OPTIMIZED = (
    "TensorFlow ignores its graph optimizer's work on this model and runs it as it was written, without a fusion: "
    "where a Dense layer, an addition and a ReLU, or a depthwise convolution and an addition follow one another, the "
    "node that it makes of them has no op; it would have one without the layer's bias"
)
_CONVOLUTIONS = frozenset(("Conv2D", "_FusedConv2D"))


def predict_graph(
    analysis: Analysis, mode: str, optimizer: str | None = None, orders: int = 0, look: Look | None = None
) -> MemoryPrediction:
    """``orders``: bound the peak by those of as many processes as well (``Simulation.peaks_of``). Raises
    UnsupportedLayer, naming the layer, where a layer or its gradient is not known."""
    with no_collection():
        simulation = Simulation(analysis, mode, optimizer)
        swept = simulation.typical()
        written = simulation.graph is not None and simulation.graph.written
        peaks = simulation.peaks_of(swept, orders, look) if orders else [swept.peak]
        simulation.untie()
    notes = [ONE_CHANNEL] if analysis.processor.wide and _one_channel(swept.ops) else []
    notes += [NOT_OPTIMIZED] if written else []
    return MemoryPrediction(
        mode, "graph", "requested", swept.peak, min(peaks), max(peaks), Timeline(swept), swept.at, tuple(notes)
    )


def _one_channel(ops: Sequence[Op]) -> bool:
    return 1 in [op.inputs[1].shape[2] for op in ops if op.type in _CONVOLUTIONS]


def interval(
    analysis: Analysis, mode: str, optimizer: str | None = None, orders: int = ORDERS, look: Look | None = None
) -> tuple[int, int]:
    """The lowest and the highest peak, in bytes, over orders that TensorFlow's processes may take: the predicted one,
    and those of ``orders`` processes at least. Their edges lie elsewhere in memory (``edges``): the place where
    oneDNN's pass begins (``ordering``) and the order in which arguments are read (``schedule``) follow from that.

    >>> import cnncost
    >>> conv = {"Conv2D": {"filters": 8, "kernel_size": 3}}
    >>> low, high = interval(cnncost.analyze({"input": [32, 32, 3], "layers": [conv]}), "inference")
    >>> low == high
    True
    """
    found = predict_graph(analysis, mode, optimizer, orders, look)
    return found.low_bytes, found.high_bytes


@contextmanager
def no_collection() -> Iterator[None]:
    """Thousands of small objects are made and nearly all stay: looking for garbage among them would take a quarter of
    the time. What was made joins the old objects unsearched: freezing and unfreezing does that."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if hasattr(gc, "freeze") and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
