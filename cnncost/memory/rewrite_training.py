"""What grappler and oneDNN's layout pass make of a training step beyond what they do at inference.

- views that change nothing (Identity, StopGradient, a Reshape to the same shape) are bypassed;
- the gradients of a convolution's filter and of its bias, from one incoming gradient, become one op
  (mkl_layout_pass.cc: Conv2DBackpropFilter + BiasAddGrad);
- oneDNN's max pooling keeps its workspace for its gradient.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from cnncost.memory.compiled import shapeless
from cnncost.memory.constants import push_constants
from cnncost.memory.names import Names
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.optypes.convolution import workspace
from cnncost.memory.pruning import drop, prune

_PASSED = frozenset(("Identity", "StopGradient", "PreventGradient"))
_POOLED = {"MaxPoolGrad": "MaxPool", "MaxPool3DGrad": "MaxPool3D"}
_FILTERS = {"Conv2DBackpropFilter": "Conv2DBackpropFilterWithBias"}
_BIAS = "BiasAddGrad"
_CHANGED = frozenset((_BIAS, *_POOLED, *_FILTERS))  # by oneDNN's pass


def rewrite_training(graph: OpGraph, names: Names | None = None) -> list[Op]:
    """The ops that run, renumbered; after ``rewrite``. ``names``: those of the step, which sort operands."""
    reads = drop(graph, _bypass(graph))  # what regrouping left over reads nothing any more
    whole = not push_constants(graph, names or Names("functional", "sgd"), reads)
    return layout(graph, reads if whole else None)


def layout(graph: OpGraph, reads: Sequence[int] | None = None) -> list[Op]:
    """oneDNN's pass alone. ``reads``: how often each op is needed, where all are."""
    onednn, fused = graph.processor.onednn, graph.processor.fused
    biases: list[Op] = []
    filters: dict[Value, list[Op]] = {}
    for op in graph.ops:
        if op.type not in _CHANGED:
            continue
        if op.type in _POOLED:
            _keep_workspace(op, onednn)
        elif op.outputs[0].dtype not in fused:
            continue
        elif op.type == _BIAS:
            biases.append(op)
        elif len(op.outputs) == 1:
            filters.setdefault(op.inputs[1], []).append(op)
    moved = _fuse_bias_gradients(biases, filters)
    returned = sum(value.op.index in moved for value in graph.results)
    graph.results = [moved.get(value.op.index, value) for value in graph.results]
    if reads is not None and returned == sum(map(reads.__getitem__, moved)):  # the step alone has read them
        if moved:
            graph.ops = [op for op in graph.ops if op.index not in moved]
            for place, op in enumerate(graph.ops):
                op.index = place
        return graph.ops
    for op in graph.ops if moved else ():
        for place, value in enumerate(op.inputs):
            if value.op.index in moved:
                op.inputs[place] = moved[value.op.index]
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


def _bypass(graph: OpGraph) -> list[int]:
    """Returns how often each op is read or waited for."""
    unknown = shapeless(graph)
    read = [0] * len(graph.ops)
    for op in graph.ops:
        own = op.inputs
        for place, value in enumerate(own):
            if value[0].type in _VIEWS:
                value = own[place] = _source(value, unknown)
                if value.op.type == op.type == "Reshape":
                    value = own[place] = value.op.inputs[0]
            read[value[0].index] += 1
        if op.type == "Reshape" and own[0].op.type == "Const":
            read[own[0].op.index] -= 1
            op.type, op.inputs = "Const", []
        if op.controls:
            op.controls = [_source(Value(c, 0), unknown).op if c.type in _VIEWS else c for c in op.controls]
            for source in op.controls:
                read[source.index] += 1
    graph.results = [_source(value, unknown) for value in graph.results]
    return read


def _keep_workspace(gradient: Op, onednn: Container[str]) -> None:
    pool = gradient.inputs[1].op
    if pool.type != _POOLED[gradient.type] or pool.outputs[0].dtype not in onednn:
        return
    if len(pool.outputs) == 1:
        pool.outputs = (*pool.outputs, workspace(pool.outputs[0], pool.attrs))
    gradient.inputs.append(Value(pool, 1))


def _fuse_bias_gradients(biases: Sequence[Op], filters: Mapping[Value, Sequence[Op]]) -> dict[int, Value]:
    """Where a filter's gradient (``filters``, by what they read) and a bias's gradient read the same value: the value
    that takes the place of the bias's, by its number. Of several filters, behind a sum, it is the one that the pass
    comes to first, which may be another in another process; the peak was found to be the same."""
    moved: dict[int, Value] = {}
    for bias in biases:
        both = next((op for op in filters.get(bias.inputs[0], ()) if op.type in _FILTERS), None)
        if both is not None:
            both.type = _FILTERS[both.type]
            both.outputs = (*both.outputs, bias.outputs[0])
            moved[bias.index] = Value(both, 1)
    return moved


_VIEWS = _PASSED | {"IdentityN", "Reshape"}
