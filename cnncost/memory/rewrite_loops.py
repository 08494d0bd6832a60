"""Loops laid flat for the node order: TensorFlow does so first, and grappler rewrites their bodies with the rest."""

from __future__ import annotations

from cnncost.memory.frames import Flat
from cnncost.memory.framing import lay
from cnncost.memory.opgraph import OpGraph
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_training import rewrite_training


def flatten(graph: OpGraph) -> Flat:
    """The rewritten graph with its loops laid flat, their bodies rewritten."""
    for op in [op for op in graph.ops if op.type == "While"]:
        body: OpGraph = op.attrs["loop"].graph
        body.processor = graph.processor
        rewrite(body)
        rewrite_training(body)
    return Flat(graph, graph.ops, lay)
