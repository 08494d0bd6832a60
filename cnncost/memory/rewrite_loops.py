"""Loops laid flat for the node order: TensorFlow does so first, and grappler rewrites their bodies with the rest."""

from __future__ import annotations

from cnncost.memory.frames import Flat
from cnncost.memory.opgraph import OpGraph
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_training import rewrite_training


def has_loops(graph: OpGraph) -> bool:
    """Before they are laid flat."""
    return any(op.type == "While" for op in graph.ops)


def flatten(graph: OpGraph) -> Flat | None:
    """The rewritten graph with its loops laid flat, their bodies rewritten; None where there is no loop."""
    loops = [op for op in graph.ops if op.type == "While"]
    if not loops:
        return None
    from cnncost.memory.framing import lay

    for op in loops:
        body: OpGraph = op.attrs["loop"].graph
        body.processor = graph.processor
        rewrite(body)
        rewrite_training(body)
    return Flat(graph, graph.ops, lay)
