"""What grappler and oneDNN's layout pass make of a training step beyond what they do at inference.

- views that change nothing (Identity, StopGradient, a Reshape to the same shape) are bypassed;
- the gradients of a convolution's filter and of its bias, from one incoming gradient, become one op
  (mkl_layout_pass.cc: Conv2DBackpropFilter + BiasAddGrad);
- oneDNN's max pooling keeps its workspace for its gradient.
"""

from __future__ import annotations

from collections.abc import Container

from cnncost.memory.compiled import shapeless
from cnncost.memory.constants import push_constants
from cnncost.memory.names import Names
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.optypes.convolution import workspace
from cnncost.memory.pruning import prune

_PASSED = frozenset(("Identity", "StopGradient", "PreventGradient"))
_POOLED = {"MaxPoolGrad": "MaxPool", "MaxPool3DGrad": "MaxPool3D"}
_FILTERS = {"Conv2DBackpropFilter": "Conv2DBackpropFilterWithBias"}


def rewrite_training(graph: OpGraph, names: Names | None = None) -> list[Op]:
    """The ops that run, renumbered; after ``rewrite``. ``names``: those of the step, which sort operands."""
    _bypass(graph)
    reads = prune(graph)  # what regrouping left over reads nothing any more
    push_constants(graph, names or Names("functional", "sgd"), reads)
    return layout(graph)


def layout(graph: OpGraph) -> list[Op]:
    """oneDNN's pass alone."""
    _keep_workspaces(graph)
    _fuse_bias_gradients(graph)
    prune(graph)
    return graph.ops


def _source(value: Value, unknown: Container[Op]) -> Value:
    """What a value is a needless view of. Where a shape is not known to grappler, no view is."""
    while True:
        op = value.op
        if op.type in _PASSED or (op.type == "Reshape" and op.inputs[0].shape == value.shape and op not in unknown):
            value = op.inputs[0]
        elif op.type == "IdentityN":
            value = op.inputs[value.index]
        else:
            return value


def _bypass(graph: OpGraph) -> None:
    unknown = shapeless(graph.ops)
    for op in graph.ops:
        for place, value in enumerate(op.inputs):
            if value.op.type in _VIEWS:
                op.inputs[place] = _source(value, unknown)
        if op.type == "Reshape" and op.inputs[0].op.type == "Reshape":
            op.inputs[0] = op.inputs[0].op.inputs[0]
        if op.type == "Reshape" and op.inputs[0].op.type == "Const":
            op.type, op.inputs = "Const", []
        if op.controls:
            op.controls = [_source(Value(c, 0), unknown).op if c.type in _VIEWS else c for c in op.controls]
    graph.results = [_source(value, unknown) for value in graph.results]


def _keep_workspaces(graph: OpGraph) -> None:
    onednn = graph.processor.onednn
    for op in graph.ops:
        pool = op.inputs[1].op if op.type in _POOLED else op
        if pool is op or pool.type != _POOLED[op.type] or pool.outputs[0].dtype not in onednn:
            continue
        if len(pool.outputs) == 1:
            pool.outputs = (*pool.outputs, workspace(pool.outputs[0], pool.attrs))
        op.inputs.append(Value(pool, 1))


def _fuse_bias_gradients(graph: OpGraph) -> None:
    """Where a filter's gradient and a bias's gradient read the same value. Of several filters, behind a sum, it is the
    one that the pass comes to first, which may be another in another process; the peak was found to be the same."""
    fused = graph.processor.fused
    biases: list[Op] = []
    filters: dict[Value, list[Op]] = {}
    for op in graph.ops:
        if op.type == "BiasAddGrad" and op.outputs[0].dtype in fused:
            biases.append(op)
        elif op.type in _FILTERS and len(op.outputs) == 1 and op.outputs[0].dtype in fused:
            filters.setdefault(op.inputs[1], []).append(op)
    moved: dict[int, Value] = {}
    for bias in biases:
        found = filters.get(bias.inputs[0], ())
        both = next((op for op in found if op.type in _FILTERS), None)
        if both is None:
            continue
        both.type = _FILTERS[both.type]
        both.outputs = (*both.outputs, bias.outputs[0])
        moved[bias.index] = Value(both, 1)
    for op in graph.ops if moved else ():
        for place, value in enumerate(op.inputs):
            if value.op.index in moved:
                op.inputs[place] = moved[value.op.index]
    graph.results = [moved.get(value.op.index, value) for value in graph.results]


_VIEWS = _PASSED | {"IdentityN", "Reshape"}
