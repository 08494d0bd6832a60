"""What grappler and oneDNN's layout pass make of a training step beyond what they do at inference.

- views that change nothing (Identity, StopGradient, a Reshape to the same shape) are bypassed;
- the gradients of a convolution's filter and of its bias, from one incoming gradient, become one op
  (mkl_layout_pass.cc: Conv2DBackpropFilter + BiasAddGrad).
"""

from __future__ import annotations

from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.rewrite import prune, readers_of

_PASSED = frozenset(("Identity", "StopGradient", "PreventGradient"))
_FILTERS = {"Conv2DBackpropFilter": "Conv2DBackpropFilterWithBias"}


def rewrite_training(graph: OpGraph) -> list[Op]:
    """The ops that run, renumbered; after ``rewrite``."""
    _bypass(graph)
    _fuse_bias_gradients(graph)
    prune(graph)
    return graph.ops


def _source(value: Value) -> Value:
    """What a value is a needless view of."""
    while True:
        op = value.op
        if op.type in _PASSED or (op.type == "Reshape" and op.inputs[0].shape == value.shape):
            value = op.inputs[0]
        elif op.type == "IdentityN":
            value = op.inputs[value.index]
        else:
            return value


def _bypass(graph: OpGraph) -> None:
    for op in graph.ops:
        for place, value in enumerate(op.inputs):
            if value.op.type in _VIEWS:
                op.inputs[place] = _source(value)
        if op.controls:
            op.controls = [_source(Value(c, 0)).op if c.type in _VIEWS else c for c in op.controls]


def _fuse_bias_gradients(graph: OpGraph) -> None:
    """Where a filter's gradient and a bias's gradient read the same value."""
    readers = readers_of(graph.ops, graph.results)
    for bias in graph.ops:
        if bias.type != "BiasAddGrad":
            continue
        grad = bias.inputs[0]
        filters = [
            op
            for op in readers[grad.op.index]
            if op is not None and op.type in _FILTERS and op.inputs[1] == grad and len(op.outputs) == 1
        ]
        if len(filters) != 1:
            continue
        fused = filters[0]
        fused.type = _FILTERS[fused.type]
        fused.outputs = (*fused.outputs, bias.outputs[0])
        for reader in readers[bias.index]:
            if reader is not None:
                reader.inputs = [Value(fused, 1) if value.op is bias else value for value in reader.inputs]


_VIEWS = _PASSED | {"IdentityN", "Reshape"}
