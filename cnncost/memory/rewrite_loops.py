"""Grappler's rewriting, and the executor's node order, inside the bodies of loops: they are functions of their own."""

from __future__ import annotations

from cnncost.memory.opgraph import Op, OpGraph
from cnncost.memory.ordering import graph_order
from cnncost.memory.rewrite import rewrite
from cnncost.memory.rewrite_training import rewrite_training


def order_loops(ops: list[Op], model: str, optimizer: str = "") -> list[Op]:
    """The same ops; each loop among them has its body rewritten, its ops in the executor's node order."""
    for op in ops:
        if op.type == "While":
            body: OpGraph = op.attrs["loop"].graph
            rewrite(body)
            body.ops = graph_order(rewrite_training(body), body.results, body.kept, model, optimizer)
    return ops
