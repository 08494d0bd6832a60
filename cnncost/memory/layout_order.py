"""The order in which oneDNN's layout pass puts the ops that it replaces (mkl_layout_pass.cc of TensorFlow 2.21).

It replaces them in reverse post-order of a depth-first walk from the source, which takes the last edge of each node
first; what is replaced goes to the end of the graph. Before that it merges the gradients of a filter and of its bias:
the new node's edges are added, then the old ones' are removed, the bias's first. A node keeps up to eight edges in an
array, where the last edge takes the place of one that is removed (edgeset.cc); so which of a layer's two gradients runs
first may depend on where the bias's gradient stood.

The source has more edges than eight: they stand in a hash table over addresses (``edges``), another in each process.
Unless told of one, they are taken as they were made, last first.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from cnncost.memory.edges import Arena, source_order
from cnncost.memory.opgraph import Op
from cnncost.memory.walks import post_order

_REPLACED = frozenset(
    ("Conv2D", "_FusedConv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3D",
     "Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", "DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative",
     "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter", "MatMul", "_FusedMatMul",
     "BatchMatMulV2", "MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad", "Softmax", "Transpose")
)  # fmt: skip
Sources = list[list[int]]


def replaced_nodes(ops: Sequence[Op], nodes: int, fused: Container[str]) -> list[bool]:
    """Which nodes the pass replaces, the ops' first: those of a dtype that oneDNN computes in."""
    own = [op.type in _REPLACED and op.outputs[0].dtype in fused for op in ops]
    return own + [False] * (nodes - len(ops))


def replaced_order(
    ops: Sequence[Op], sources: Sources, order: Sequence[int], biases: Mapping[int, int], replaced: Sequence[bool],
    arena: Arena | None = None,
) -> list[int]:  # fmt: skip
    """The replaced ops in their order. ``order``: the nodes before the pass, ``sources``: what each of them waits for;
    ``replaced``: which of them the pass replaces; ``biases``: the place of the bias's gradient that each filter's is
    merged with; ``arena``: where a process's edges lie."""
    leads = bytearray(replaced)  # to one of them: the walk passes the others by
    loops = any(op.type == "Merge" for op in ops)
    for place in (*reversed(order), *(reversed(order) if loops else ())):  # again: a loop leads to its beginning
        if leads[place]:
            for source in sources[place]:
                leads[source] = 1
    merging = [place for place in order if place in biases]
    changed = {source for place in merging for source in sources[place]}  # all of its edges decide their places
    readers: list[list[int]] = [[] for _ in sources]
    for place in order:
        own = sources[place]
        if not leads[place]:
            if changed.isdisjoint(own):
                continue
            own = [source for source in own if source in changed]
        for source in own:
            readers[source].append(place)
    for place in merging:
        _merge(place, biases[place], sources, readers)
    stack = _roots(sources, order, leads, arena)
    finished = post_order(stack, readers)
    return [place for place in reversed(finished) if place < len(ops) and replaced[place]]


def _merge(filters: int, bias: int, sources: Sources, readers: list[list[int]]) -> None:
    """The two gradients become one node, which bears the filter's number."""
    new = -1
    for source in sources[filters]:
        readers[source].append(new)
    _remove(readers[sources[bias][0]], bias)
    for source in sources[filters]:
        own = readers[source]
        _remove(own, filters)
        own[own.index(new)] = filters


def _remove(edges: list[int], place: int) -> None:
    edges[edges.index(place)] = edges[-1]
    edges.pop()


def _roots(sources: Sources, order: Sequence[int], leads: bytearray, arena: Arena | None) -> list[int]:
    """What waits for nothing, in the order of the source's edges."""
    roots = [place for place in order if not sources[place]]
    if arena is not None:
        roots = [roots[edge] for edge in source_order(len(roots), arena, sum(map(len, sources)), copies=0)]
    return [place for place in roots if leads[place]]
