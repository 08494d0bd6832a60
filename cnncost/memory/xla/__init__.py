"""The memory of a step that XLA compiles for the CPU: ``tf.function(jit_compile=True)``.

The op graph becomes a small HLO (``emit``), whose instructions are fused (``fusion``), ordered breadth first and given
buffers (``compile``, ``assign``), as XLA of TensorFlow 2.21 does. What is requested at run time is one temporary
allocation, the outputs that no donated variable holds, and the table of outputs.
"""

from __future__ import annotations

from cnncost.memory.graph_mode import no_collection
from cnncost.memory.lowering import lower
from cnncost.memory.opgraph import OpGraph
from cnncost.memory.pruning import prune
from cnncost.memory.xla.assign import ALIGNMENT, Buffer, assign, heap_bytes, live_peak, merged, other_heaps
from cnncost.memory.xla.compile import Compiled, Plan
from cnncost.memory.xla.creation import creation_order
from cnncost.memory.xla.emit import Program, emit
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
        program = program_of(analysis, mode, optimizer)
        plan = Plan(program)
        peaks = [_requested(plan.ordered(reverse=True))[0]]
        compiled = plan.ordered()
        point, size, heap, outputs = _requested(compiled)
        if len(compiled.sequence) <= FEW:
            peaks += _others(plan, heap, point - size)
        chains = merged(heap)
        fullest = min(live_peak(chains), size)
        events = allocations(compiled, size, outputs)
        inside = contents(compiled, chains, size - fullest, outputs)
    at = max(range(len(events)), key=lambda number: events[number].live, default=-1)
    scalars = min(ROUNDING, point // FRACTION) if mode == "training" else 0
    spare = max(_one_small(chains, point), scalars)
    slack = program.module.slack
    low, high = min(point, *peaks) - spare - slack, max(point, *peaks) + spare + slack
    notes = (NOTE.format(spare), *(LOOP.format(slack),) * bool(slack))
    return XlaPrediction(mode, "xla", "requested", point, max(low, 0), high, events, at, notes, inside)


# The interval's reason, in words.
NOTE = (
    "the interval spans other orders of instructions that become ready at once, and {:,} bytes more or less, one small "
    "buffer or some scalars of 64 bytes each: XLA decides for each whether it is fused away or lies in the memory of "
    "an updated weight"
)
LOOP = (
    "the interval has room for the states of loops ({:,} bytes) too: the compiler may copy each of them where its loop "
    "begins or turns"
)
FEW = 1500  # instructions of a program of which more orders are looked at: one buffer is much of a small model's peak
ROUNDING = 16 * ALIGNMENT  # bytes in training: seeds, counters and tables, which are not followed one by one
FRACTION = 16  # they are no larger share of a tiny step's peak than one in so many
SMALL = 100  # a small buffer is less than one in so many of the peak


def _others(plan: Plan, heap: list[Buffer], rest: int) -> list[int]:
    """Peaks of other orders, and of other places for equal buffers. ``rest``: what is requested beside the heap."""
    walked = [_requested(plan.ordered(reverse, walked=True))[0] for reverse in (False, True)]
    return [*walked, *(size + rest for size in other_heaps(heap))]


def program_of(analysis: Analysis, mode: str, optimizer: str | None) -> Program:
    """The compiled step's instructions."""
    graph = _graph(analysis, mode, optimizer)
    return emit(graph, creation_order(graph.ops, analysis.graph.name, optimizer or "sgd"))


def _requested(compiled: Compiled) -> tuple[int, int, list[Buffer], list[Buffer]]:
    """Bytes in all and of the temporary allocation, the buffers that lie in it, the outputs beside it."""
    heap, outputs = assign(compiled.buffers, compiled.donated)
    size, _ = heap_bytes(heap)
    return size + compiled.table + sum(buffer.bytes for buffer in outputs), size, heap, outputs


def _one_small(chains: list[Buffer], point: int) -> int:
    """The largest of the buffers below a hundredth of the peak: how far one decision about such a one moves it."""
    return max((buffer.bytes for buffer in chains if buffer.bytes * SMALL < point), default=0)


def _graph(analysis: Analysis, mode: str, optimizer: str | None) -> OpGraph:
    """The step as it is traced: a function that XLA compiles does not go through grappler. What is recomputed is there
    twice: the zero that makes the second run wait is none that the compiler knows."""
    if mode == "inference":
        graph = lower(analysis, training=False).graph
    else:
        from cnncost.memory.optimizers import optimizer as choose
        from cnncost.memory.training import training_step

        graph = training_step(analysis, choose(optimizer or "sgd")).graph
    prune(graph)
    return graph
