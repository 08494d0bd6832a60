"""The order in which oneDNN's layout pass puts the ops that it replaces (mkl_layout_pass.cc of TensorFlow 2.21).

It replaces them in reverse post-order of a depth-first walk from the source, which takes the last edge of each node
first; what is replaced goes to the end of the graph. Before that it merges the gradients of a filter and of its bias:
the new node's edges are added, then the old ones' are removed, the bias's first. A node keeps up to eight edges in an
array, where the last edge takes the place of one that is removed (edgeset.cc); so which of a layer's two gradients runs
first may depend on where the bias's gradient stood.

The source has more edges than eight: they stand in a hash table (``edges``), which begins anywhere. Unless told where,
they are taken as they were made, last first.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from cnncost.memory.edges import table_order
from cnncost.memory.opgraph import Op

_REPLACED = frozenset(
    ("Conv2D", "_FusedConv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3D",
     "Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", "DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative",
     "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter", "MatMul", "_FusedMatMul",
     "BatchMatMulV2", "MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad", "Softmax", "Transpose")
)  # fmt: skip
_MERGED = "Conv2DBackpropFilterWithBias"
Shuffle = Callable[[list[int]], object]
Sources = list[list[int]]


def replaced_nodes(ops: Sequence[Op], nodes: int, fused: Container[str]) -> list[bool]:
    """Which nodes the pass replaces, the ops' first: those of a dtype that oneDNN computes in."""
    own = [op.type in _REPLACED and op.outputs[0].dtype in fused for op in ops]
    return own + [False] * (nodes - len(ops))


def replaced_order(
    ops: Sequence[Op], sources: Sources, order: Sequence[int], replaced: Sequence[bool], start: float = 0.0,
    shuffle: Shuffle | None = None,
) -> list[int]:  # fmt: skip
    """The replaced ops in their order. ``order``: the nodes before the pass, ``sources``: what each of them waits for;
    ``replaced``: which of them the pass replaces; ``start``: where the source's table begins, as a share of it."""
    leads = bytearray(replaced)  # to one of them: the walk passes the others by
    loops = any(op.type == "Merge" for op in ops)
    for place in (*reversed(order), *(reversed(order) if loops else ())):  # again: a loop leads to its beginning
        if leads[place]:
            for source in sources[place]:
                leads[source] = 1
    walked = [place for place in order if leads[place]]
    readers: list[list[int]] = [[] for _ in sources]
    for place in walked:
        for source in sources[place]:
            readers[source].append(place)
    for place in walked:
        if place < len(ops) and ops[place].type == _MERGED:
            _merge(place, sources, readers)
    stack = _roots(sources, order, leads, start)
    if shuffle is not None:
        shuffle(stack)
    finished = _post_order(stack, readers)
    return [place for place in reversed(finished) if place < len(ops) and replaced[place]]


def _merge(filters: int, sources: Sources, readers: list[list[int]]) -> None:
    """The two gradients become one node, which bears the filter's number. The bias's stood right behind the filter's
    among the readers of the gradient that both read."""
    gradient = readers[sources[filters][-1]]
    new, bias = -1, -2
    gradient.insert(gradient.index(filters) + 1, bias)
    for source in sources[filters]:
        readers[source].append(new)
    _remove(gradient, bias)
    for source in sources[filters]:
        own = readers[source]
        _remove(own, filters)
        own[own.index(new)] = filters


def _remove(edges: list[int], place: int) -> None:
    edges[edges.index(place)] = edges[-1]
    edges.pop()


def _roots(sources: Sources, order: Sequence[int], leads: bytearray, start: float) -> list[int]:
    """What waits for nothing, in the order of the source's edges; its first edge leads to the sink."""
    roots = [place for place in order if not sources[place]]
    if start:
        roots = [roots[edge - 1] for edge in table_order(len(roots) + 1, start) if edge]
    return [place for place in roots if leads[place]]


def _post_order(stack: list[int], readers: list[list[int]]) -> list[int]:
    state = bytearray(len(readers))
    finished: list[int] = []
    while stack:
        place = stack.pop()
        if place < 0:
            finished.append(~place)
        elif not state[place]:
            state[place] = 1
            stack.append(~place)
            stack.extend(reader for reader in readers[place] if not state[reader])
    return finished
