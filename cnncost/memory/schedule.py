"""The order in which TensorFlow's executor runs the ops, with one worker thread (inter-op threads 1).

- The roots (arguments, and constants, which are left out here) wait in the worker's queue, first in, first out.
- A finished op makes those of its readers ready that have nothing else to wait for, in out-edge order.
- Ready ops that are cheap run inline, in order. Of the expensive ones the last runs inline if nothing else does; the
  others, and that one too otherwise, go to the FRONT of the worker's queue: last in, first out.

Source: executor.cc (``ExecutorState::ScheduleReady``), Eigen's thread pool (own tasks are pushed to and popped from the
front); found to reproduce captured steps.

The roots stand in an order that follows the addresses of graph edges and changes from process to process, and with it
how many weights are read, and folded into batch normalization's scales and shifts, before the input is: 54 to 100 % of
them in 21 captured inference steps, 98.5 % in the median. That alone moves a measured peak by up to 3 %.
"""

from __future__ import annotations

from collections import deque

from cnncost.memory.opgraph import Op
from cnncost.memory.optypes.base import table

_ONEDNN = frozenset({
    "Conv2D", "_FusedConv2D", "Conv3D", "DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative", "MatMul",
    "_FusedMatMul", "BatchMatMulV2", "MaxPool", "AvgPool", "MaxPool3D", "AvgPool3D", "Softmax",
    "Conv2DBackpropInput", "Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3DBackpropInputV2",
    "Conv3DBackpropFilterV2", "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter",
    "MaxPoolGrad", "AvgPoolGrad", "MaxPool3DGrad", "AvgPool3DGrad",
})  # fmt: skip
READ_FIRST = 0.98  # the share of the variables that are read before the input: the median of captured steps


def schedule(ops: list[Op], ordered: bool = False) -> list[Op]:
    """The ops in the order they run; ``op.index`` must be the position in ``ops``. ``ordered``: they stand in the
    executor's node order already (``ordering.graph_order``), else in the order of creation.

    Constants never wait and stand nowhere: they are left out of the order.
    """
    types = table()
    pending, readers = _edges(ops)
    if not ordered:
        _onednn_last(ops, readers)
    expensive = [types[op.type].expensive for op in ops]
    roots = [op.index for op in ops if not pending[op.index] and op.type != "Const"]
    roots = _roots(ops, roots)
    queue = deque(roots)
    order: list[Op] = []
    while queue:
        inline = deque((queue.popleft(),))
        while inline:
            index = inline.popleft()
            order.append(ops[index])
            last = -1
            for reader in readers[index]:
                pending[reader] -= 1
                if pending[reader]:
                    continue
                if not expensive[reader]:
                    inline.append(reader)
                    continue
                if last >= 0:
                    queue.appendleft(last)
                last = reader
            if last >= 0:
                if inline:
                    queue.appendleft(last)
                else:
                    inline.append(last)
    return order


def _roots(ops: list[Op], roots: list[int]) -> list[int]:
    """Variables but for the last few, then the inputs, then those few."""
    variables = [index for index in roots if "variable" in ops[index].attrs]
    inputs = [index for index in roots if "variable" not in ops[index].attrs]
    early = round(len(variables) * READ_FIRST)
    loops = [index for index in inputs if ops[index].type == "Less"]  # they begin with constants
    if loops:
        inputs = [index for index in inputs if ops[index].type != "Less"]
    return variables[:early] + loops + inputs + variables[early:]


def _edges(ops: list[Op]) -> tuple[list[int], list[list[int]]]:
    """For each op what it waits for, counted in edges, and who waits for it, in out-edge order."""
    pending = [0] * len(ops)
    readers: list[list[int]] = [[] for _ in ops]
    for op in ops:
        place = op.index
        count = 0
        for value in op.inputs:
            source = value.op
            if source.type != "Const":
                count += 1
                readers[source.index].append(place)
        for source in op.controls:
            if source.type != "Const":
                count += 1
                readers[source.index].append(place)
        pending[place] = count
    return pending, readers


def _onednn_last(ops: list[Op], readers: list[list[int]]) -> None:
    """TensorFlow's oneDNN pass replaces its ops by new ones, whose edges are added last, in the order of a depth-first
    walk from the step's results over the inputs (mkl_layout_pass.cc walks the graph in reverse postorder)."""
    place: list[int] = []
    for own in readers:
        if len(own) < 2:
            continue
        replaced = [index for index in own if ops[index].type in _ONEDNN]
        if not replaced:
            continue
        if len(replaced) > 1:
            place = place or _postorder(ops, readers)
            replaced.sort(key=place.__getitem__)
        own[:] = [index for index in own if ops[index].type not in _ONEDNN] + replaced


def _postorder(ops: list[Op], readers: list[list[int]]) -> list[int]:
    """For each op its place in a depth-first walk from the ops that nobody reads: inputs first, in their order."""
    place = [-1] * len(ops)
    count = 0
    for root in range(len(ops)):
        if readers[root] or place[root] >= 0:
            continue
        stack = [(ops[root], 0)]
        place[root] = 0
        while stack:
            op, next_ = stack.pop()
            if next_ < len(op.inputs):
                stack.append((op, next_ + 1))
                source = op.inputs[next_].op
                if place[source.index] < 0:
                    place[source.index] = 0
                    stack.append((source, 0))
            else:
                place[op.index] = count
                count += 1
    return place
