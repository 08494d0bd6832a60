"""The prediction of a step that runs as one ``tf.function``: lower, rewrite, schedule, sweep."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from cnncost.memory.edges import GOLDEN
from cnncost.memory.lowering import lower
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.optypes.brgemm import THREADS
from cnncost.memory.ordering import node_order
from cnncost.memory.prediction import MemoryPrediction
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_loops import flatten
from cnncost.memory.rewrite_sums import accumulate_sums
from cnncost.memory.schedule import schedule
from cnncost.memory.sweep import Sweep, sweep
from cnncost.memory.unrolling import unroll
from cnncost.memory.wires import Wires, wires
from cnncost.results import Analysis

ORDERS = 8  # alternative orders that the interval looks at, beside the predicted one
ONE_CHANNEL = (
    "oneDNN lays an input of one channel out anew for a convolution, in a scratch that depends on the processor: that "
    f"of {THREADS} threads with AVX-512 is counted"
)
_CONVOLUTIONS = frozenset(("Conv2D", "_FusedConv2D"))


def predict_graph(analysis: Analysis, mode: str, optimizer: str | None = None) -> MemoryPrediction:
    """Raises UnsupportedLayer, naming the layer, where a layer or its gradient is not known."""
    with no_collection():
        simulation = _Simulation(analysis, mode, optimizer)
        swept = simulation.run()
        simulation.untie()
    notes = (
        (ONE_CHANNEL,)
        if any(event.op.type in _CONVOLUTIONS and _one_channel(event.op) for event in swept.events)
        else ()
    )
    return MemoryPrediction(
        mode, "graph", "requested", swept.peak, swept.peak, swept.peak, tuple(swept.events), swept.at, notes
    )


def _one_channel(convolution: Op) -> bool:
    return convolution.inputs[1].shape[2] == 1


def interval(analysis: Analysis, mode: str, optimizer: str | None = None, orders: int = ORDERS) -> tuple[int, int]:
    """The lowest and the highest peak, in bytes, over orders that TensorFlow's processes may take. Which one a process
    takes follows from addresses in memory: the place where oneDNN's pass begins (``ordering``), and the order in which
    arguments are read (``schedule``). The two places where they start are spread evenly.

    >>> import cnncost
    >>> conv = {"Conv2D": {"filters": 8, "kernel_size": 3}}
    >>> low, high = interval(cnncost.analyze({"input": [32, 32, 3], "layers": [conv]}), "inference")
    >>> low == high
    True
    """
    with no_collection():
        simulation = _Simulation(analysis, mode, optimizer)
        starts = [(place / orders, (place + 0.5) * GOLDEN % 1) for place in range(orders)]
        peaks = [simulation.run().peak, *(simulation.run(walk, reads).peak for walk, reads in starts)]
    return min(peaks), max(peaks)


class _Simulation:
    """A step that can be run in several orders. Lowering and rewriting are done once, unless there are loops: laying
    them out changes the graph."""

    def __init__(self, analysis: Analysis, mode: str, optimizer: str | None) -> None:
        self.analysis = analysis
        self.training = mode != "inference"
        self.optimizer = optimizer or "sgd"
        self.graph: OpGraph | None = None
        self.wires: Wires | None = None

    def run(self, walk: float = 0.0, reads: float | None = None) -> Sweep:
        if self.graph is None:
            self.graph = self.training_graph() if self.training else self.inference_graph()
        graph, name, on = self.graph, self.analysis.graph.name, self.graph.processor
        flat = flatten(graph)
        results, kept = (graph.results, graph.kept) if self.training else _ends(graph)
        choice = self.optimizer if self.training else ""
        if flat is None:
            edges = self.wires = self.wires or wires(graph.ops)
            ops = node_order(edges, results, kept, name, choice, walk, fused=on.fused)
        else:
            order = node_order(wires(flat.ops), results, [*kept, *flat.kept], name, choice, walk, fused=on.fused)
            ops = unroll(flat, order)
            self.graph, self.wires, edges = None, None, wires(ops)
        return sweep(ops, schedule(ops, reads, edges), graph.results, edges, on)

    def untie(self) -> None:
        """A variable and its argument name each other; without that, a prediction that nobody needs any more is freed
        at once."""
        for variable in self.graph.variables.values() if self.graph else ():
            variable.handle.attrs.pop("variable", None)

    def inference_graph(self) -> OpGraph:
        graph = lower(self.analysis, training=False).graph
        rewrite(graph)
        return self.accumulated(graph)

    def training_graph(self) -> OpGraph:
        from cnncost.memory.optimizers import optimizer
        from cnncost.memory.rewrite_training import rewrite_training
        from cnncost.memory.training import training_step

        def rewriting(graph: OpGraph) -> None:
            rewrite(graph, last=False)
            rewrite_training(graph)

        return self.accumulated(training_step(self.analysis, optimizer(self.optimizer), rewriting).graph)

    def accumulated(self, graph: OpGraph) -> OpGraph:
        edges = wires(graph.ops)
        self.wires = None if accumulate_sums(graph, edges=edges) else edges
        return graph


def _ends(graph: OpGraph) -> tuple[list[Value], list[Op]]:
    """What grappler's pruning of a forward pass begins at: the results, sorted by the names that they have there, each
    of which waits for all variables to be read, and assigned."""
    named = sorted(enumerate(graph.results), key=lambda item: f"_{item[0]}_" if item[0] else "_r")
    return [value for _, value in named], [*graph.kept, *(op for op in graph.ops if op.type == "ReadVariableOp")]


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
