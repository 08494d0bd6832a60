"""Functions that XLA compiles inside a step: grouped convolutions, for which the CPU has no kernel.

Keras hands such a function the variable, which it reads itself: in the graph nothing reads the weight for it. Grappler
does not know the shape of what it returns (``known_shapes``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnncost.memory.known_shapes import Inference
from cnncost.memory.opgraph import COMPILED, Op, OpGraph, Value
from cnncost.memory.wires import Wires


def shapeless(graph: OpGraph) -> set[Op]:
    """The ops that read or make shapes which grappler cannot compare."""
    return _found(graph.ops, Inference.unlike) if graph.compiled else set()


def rankless(graph: OpGraph) -> set[Op]:
    """Those of them that read or make one without rank."""
    return _found(graph.ops, Inference.rankless) if graph.compiled else set()


def unsized(edges: Wires) -> set[Op]:
    """Those whose output's shape is not all known."""
    return _found(edges.ops, lambda known, op: op in known.found) if COMPILED in edges.kinds else set()


def _found(ops: Sequence[Op], asked: Callable[[Inference, Op], bool]) -> set[Op]:
    found: set[Op] = set()
    known = Inference()
    for op in ops:
        known.add(op)
        if asked(known, op):
            found.add(op)
    return found


def read_inside(graph: OpGraph) -> None:
    """Give each function the variable in place of the value; for a graph that has its gradients. A weight that has been
    cast is cast outside."""
    if not graph.compiled:
        return
    calls = [op for op in graph.ops if op.type == COMPILED and op.inputs[1].op.type == "ReadVariableOp"]
    if not calls:
        return
    reads = {op.inputs[1].op for op in calls}
    for op in calls:
        x, kernel = op.inputs
        variable = kernel.op.attrs["variable"]
        op.attrs = {**op.attrs, "variable": variable, "kernel": kernel.spec}
        op.inputs = [Value(variable.handle, 0), x]
    needed: set[Op] = {value.op for op in graph.ops for value in op.inputs}
    needed.update(value.op for value in graph.results)
    graph.ops = [op for op in graph.ops if op not in reads or op in needed]
    for place, op in enumerate(graph.ops):
        op.index = place
