"""One step as a ``tf.function`` that can be run on paper in several orders: lowered, rewritten, scheduled, swept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnncost.memory.compiled import read_inside
from cnncost.memory.construction import constructed
from cnncost.memory.lowering import lower
from cnncost.memory.names import Names
from cnncost.memory.opgraph import UPDATE, Op, OpGraph, Value
from cnncost.memory.ordering import Sorted, sorted_nodes
from cnncost.memory.regroup_rates import regroup_rates
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_sums import accumulate_sums
from cnncost.memory.schedule import schedule
from cnncost.memory.sweep import sweep
from cnncost.memory.timeline import Look, Sweep
from cnncost.memory.wires import Wires, wires
from cnncost.results import Analysis

if TYPE_CHECKING:
    from cnncost.memory.apart import Apart
    from cnncost.memory.edges import Heap
    from cnncost.memory.executed import Executed
    from cnncost.memory.frames import Flat

PROCESSES = 15  # whose orders are looked at for the point, at most
FEWEST_PROCESSES = 5  # fewer say little of the others
EFFORT = 20_000  # ops of all of them together
AGREEING, NEAR = 3, 0.01  # how many peaks of a larger step must agree, and how far
MOST = 20_000  # ops of a step that is looked at in more than one order for the point


class Simulation:
    """Lowering and rewriting are done once, unless there are loops: laying
    them out changes the graph."""

    def __init__(self, analysis: Analysis, mode: str, optimizer: str | None) -> None:
        self.analysis = analysis
        self.training = mode != "inference"
        self.optimizer = optimizer or "sgd"
        self.graph: OpGraph | None = None
        self.wires: Wires | None = None
        self.apart: Apart | None = None
        self.whole = False  # whether all ops are made, however many there are
        self.nodes: Sorted | None = None
        self.executed: Executed | None = None
        self.peaks: dict[int, int] = {}  # of the processes that were looked at

    def typical(self) -> Sweep:
        """Of a small step, the order with the median of several processes' peaks: where a step has two, the commoner
        one. Of a large one and of one with loops, the order in which all variables are read first, which was found to
        be as good; but for an optimizer with slots, which may be read late, where it is the first peak that three
        orders have (``agreed``), up to ``MOST`` ops."""
        graph = self.built()
        ops = MOST + 1 if graph.loops else graph.count
        processes = min(PROCESSES, EFFORT // ops)
        if processes < FEWEST_PROCESSES:
            slots = ops <= MOST and _has_slots(graph)
            return self.agreed(self.run()) if slots else self.run()
        first: dict[int, Sweep] = {}  # by its peak
        peaks: list[int] = []
        for process in range(1, processes + 1):
            swept = self.run(process)
            peak = self.peaks[process] = first.setdefault(swept.peak, swept).peak
            peaks.append(peak)
            if peaks.count(peak) > processes // 2:  # which then is the median, whatever the others are
                return first[peak]
        return first[sorted(peaks)[(len(peaks) - 1) // 2]]

    def agreed(self, first: Sweep) -> Sweep:
        """The middle one of the first ``AGREEING`` peaks that lie within ``NEAR`` of one of them, beginning with that
        of ``first``; where there are none, the median."""
        found = [first]
        for process in range(1, PROCESSES + 1):
            found.append(self.run(process))
            self.peaks[process] = found[-1].peak
            for one in found:
                near = [other for other in found if abs(other.peak - one.peak) <= NEAR * one.peak]
                if len(near) >= AGREEING:
                    return _middle(near)
        return _middle(found)

    def peaks_of(self, point: Sweep, orders: int, look: Look | None) -> list[int]:
        """Those of the point, of processes 1 to ``orders``, and of all that were looked at for the point. ``look`` is
        shown the events of the point and of these processes."""
        if look is None:
            return [point.peak, *map(self.peak, range(1, orders + 1)), *self.peaks.values()]
        look(point.events)
        peaks = [point.peak, *self.peaks.values()]
        for process in range(1, orders + 1):
            swept = self.run(process)
            look(swept.events)
            peaks.append(swept.peak)
        return peaks

    def peak(self, process: int) -> int:
        if process not in self.peaks:
            self.peaks[process] = self.run(process).peak
        return self.peaks[process]

    def first(self, apart: Apart) -> Sweep:
        """``run(0)`` of a large step, without walking what its optimizer does to each weight."""
        graph, edges, walked = self.built(), apart.wires, apart.walked
        nodes = sorted_nodes(
            walked, graph.results, graph.kept, self.names(graph), graph.processor.fused, graph.mapped, apart=apart
        )
        numbers = apart.ordered(_constructed(nodes, walked))
        return sweep(schedule(numbers, edges), graph.results, edges, graph.processor, apart.told)

    def run(self, process: int = 0) -> Sweep:
        """In the order that a process takes; 0 is none: inputs last."""
        passing = _heap(2 * process + 1) if process else None
        graph = self.built()
        if self.apart is not None:
            if not process:
                return self.first(self.apart)
            graph = self.remade()
        names = self.names(graph)
        on = graph.processor
        flat = _flat(graph) if graph.loops else None
        results, kept = (graph.results, graph.kept) if self.training else _ends(graph)
        if flat is None:
            edges = self.wires = self.wires or wires(graph.ops)
            self.nodes = nodes = self.nodes or sorted_nodes(
                edges, results, kept, names, on.fused, graph.mapped, graph.written
            )
            if process:
                self.executed = self.executed or _executed(nodes)
                places = constructed(nodes.places(passing), self.executed.sources, nodes.order)
                numbers = nodes.numbers(places)
            else:
                numbers = _constructed(nodes, edges)
        else:
            nodes = sorted_nodes(wires(flat.ops), results, [*kept, *flat.kept], names, on.fused, graph.mapped)
            ops = _unrolled(flat, nodes.passed(nodes.places(passing)))
            self.graph, self.wires, edges = None, None, wires(ops)
            places = numbers = list(range(len(ops)))
        tables = None
        if process:
            self.executed = executed = self.executed if self.executed and flat is None else _executed(nodes)
            tables = executed.tables(_heap(2 * process), places, edges if flat else None)
        return sweep(schedule(numbers, edges, tables), graph.results, edges, on)

    def built(self) -> OpGraph:
        if self.graph is None:
            self.graph = self.training_graph() if self.training else self.inference_graph()
        return self.graph

    def remade(self) -> OpGraph:
        """With all ops."""
        self.untie()
        self.graph = self.apart = None
        self.whole = True
        return self.built()

    def untie(self) -> None:
        """A variable and its argument name each other; without that, a prediction that nobody needs any more is freed
        at once."""
        for variable in self.graph.variables.values() if self.graph else ():
            variable.handle.attrs.pop("variable", None)

    def inference_graph(self) -> OpGraph:
        graph = lower(self.analysis, training=False).graph
        read_inside(graph)
        rewrite(graph)
        if graph.ignored:
            graph = lower(self.analysis, training=False).graph
            graph.written = True
            read_inside(graph)
            _rewrite_as_written(graph)
        return self.accumulated(graph)

    def training_graph(self) -> OpGraph:
        from cnncost.memory.optimizers import optimizer
        from cnncost.memory.rewrite_training import layout, rewrite_training
        from cnncost.memory.training import training_step

        def rewriting(graph: OpGraph) -> None:
            if graph.written:
                _rewrite_as_written(graph)
                layout(graph)
            else:
                rewrite(graph, last=False)
                rewrite_training(graph, self.names(graph))

        chosen = optimizer(self.optimizer)
        graph = training_step(self.analysis, chosen, rewriting, most=None if self.whole else MOST).graph
        if graph.ignored:
            graph = training_step(self.analysis, chosen, rewriting, written=True).graph
        if not graph.written:
            regroup_rates(graph, self.names(graph))
        return self.accumulated(graph)

    def names(self, graph: OpGraph) -> Names:
        return Names(self.analysis.graph.name, self.optimizer if self.training else "", graph.scopes)

    def accumulated(self, graph: OpGraph) -> OpGraph:
        found = _apart(graph)
        edges, created = (wires(graph.ops), None) if found is None else (found.wires, found.created)
        changed = not graph.written and bool(accumulate_sums(graph, edges=edges, created=created))
        self.apart = _apart(graph) if changed else found
        if not changed and found is None:
            self.wires = edges
        return graph


def _constructed(nodes: Sorted, edges: Wires) -> list[int]:
    """The numbers of the ops alone, in the order of the graph that the executor is given."""
    count = len(edges.ops)
    return constructed(nodes.numbers(nodes.places()), edges.sources, [place for place in nodes.order if place < count])


def _flat(graph: OpGraph) -> Flat:
    from cnncost.memory.rewrite_loops import flatten

    return flatten(graph)


def _unrolled(flat: Flat, order: list[Op]) -> list[Op]:
    from cnncost.memory.unrolling import unroll

    return unroll(flat, order)


def _rewrite_as_written(graph: OpGraph) -> None:
    from cnncost.memory.as_written import rewrite_as_written

    rewrite_as_written(graph)


def _apart(graph: OpGraph) -> Apart | None:
    """None where all ops were made. Numbers the ops."""
    if graph.stamps is None or not graph.stamps.others:
        return None
    from cnncost.memory.apart import Apart

    return Apart(graph.ops, graph.stamps)


def _heap(seed: int) -> Heap:
    from cnncost.memory.edges import Heap

    return Heap(seed)


def _executed(nodes: Sorted) -> Executed:
    from cnncost.memory.executed import Executed

    return Executed(nodes)


def _middle(found: Sequence[Sweep]) -> Sweep:
    return sorted(found, key=lambda swept: swept.peak)[(len(found) - 1) // 2]


def _has_slots(graph: OpGraph) -> bool:
    """Whether there are variables of the optimizer's beside its numbers."""
    return any(variable.handle.phase == UPDATE and variable.spec.shape for variable in graph.variables.values())


def _ends(graph: OpGraph) -> tuple[list[Value], list[Op]]:
    """What grappler's pruning of a forward pass begins at: the results, sorted by the names that they have there, each
    of which waits for all variables to be read, and assigned."""
    named = sorted(enumerate(graph.results), key=lambda item: f"_{item[0]}_" if item[0] else "_r")
    return [value for _, value in named], [*graph.kept, *(op for op in graph.ops if op.type == "ReadVariableOp")]
