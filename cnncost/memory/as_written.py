"""A step that TensorFlow 2.21 runs as it was written, since it throws away what grappler made of it
(``contraction.lost``): nothing is fused, no batch normalization folded, no sum accumulated.

Keras hands all gradients to its optimizer through one IdentityN, which grappler would have removed: no update begins
before the last gradient is there, and all of them are alive at once.

What remains is oneDNN's pass, and what every function goes through: identities and equal ops go.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.contraction import fuse_pad, merge_bias
from cnncost.memory.opgraph import OpGraph, Value
from cnncost.memory.pruning import prune, pruned_readers
from cnncost.memory.rewrite import merge_equals
from cnncost.memory.swish import scale_swish


def handed_on(graph: OpGraph, grads: Sequence[Value | None]) -> list[Value | None]:
    """The gradients behind the op that waits for all of them."""
    found = [grad for grad in grads if grad is not None]
    if not found:
        return list(grads)
    every = graph.add("IdentityN", found).op
    values = iter([Value(every, place) for place in range(len(found))])
    return [None if grad is None else next(values) for grad in grads]


def rewrite_as_written(graph: OpGraph) -> None:
    """What is left to do for a graph that grappler does not touch; ``rewrite`` for one that it does."""
    through = {op.index: op.inputs[0] for op in graph.ops if op.type == "Identity"}

    def source(value: Value) -> Value:
        while value.op.index in through:
            value = through[value.op.index]
        return value

    for op in graph.ops if through else ():
        op.inputs = [source(value) for value in op.inputs]
        op.controls = [source(Value(waited, 0)).op for waited in op.controls]
    graph.results = [source(value) for value in graph.results]
    scale_swish(graph)
    merge_equals(graph, prune(graph))
    readers = pruned_readers(graph)
    for op in graph.ops:
        if op.outputs and op.outputs[0].dtype in graph.processor.fused:
            if op.type == "BiasAdd":
                merge_bias(op, readers)
            elif op.type == "Conv2D":
                fuse_pad(op, readers)
    prune(graph)
