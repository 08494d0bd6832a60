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

from collections.abc import Callable, Sequence

from cnncost.memory.edges import table_order
from cnncost.memory.opgraph import Op

REPLACED = frozenset(
    ("Conv2D", "_FusedConv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3D",
     "Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", "DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative",
     "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter", "MatMul", "_FusedMatMul",
     "BatchMatMulV2", "MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad", "Softmax", "Transpose")
)  # fmt: skip
_MERGED = "Conv2DBackpropFilterWithBias"
Shuffle = Callable[[list[int]], object]
Sources = list[list[int]]


def with_biases(ops: Sequence[Op], sources: Sources) -> Sources:
    """The sources with the gradients of biases, which are merged with their filters' later, as nodes of their own at
    the end, one for each merged op in their order."""
    merged = _merged(ops, len(sources))
    if not merged:
        return sources
    found = list(sources)
    for op in ops:
        for source, index in op.inputs:
            if index == 1 and source.index in merged:
                own = found[op.index] = list(found[op.index])
                own[own.index(source.index)] = merged[source.index]
    return found + [[ops[place].inputs[1].op.index] for place in merged]


def replaced_order(
    ops: Sequence[Op], sources: Sources, order: Sequence[int], start: float = 0.0, shuffle: Shuffle | None = None
) -> list[int]:
    """The replaced ops in their order. ``sources`` from ``with_biases``; ``order``: the nodes before the pass;
    ``start``: where the source's table begins, as a share of it."""
    replaced = [op.type in REPLACED for op in ops] + [False] * (len(sources) - len(ops))
    biases = _merged(ops, len(sources) - sum(op.type == _MERGED for op in ops))
    leads = bytearray(replaced)  # to one of them: the walk passes the others by
    for bias in biases.values():
        leads[bias] = 1
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
    for place in walked if biases else ():
        if place in biases:
            _merge(place, biases[place], sources, readers)
    stack = _roots(sources, order, leads, start)
    if shuffle is not None:
        shuffle(stack)
    finished = _post_order(stack, readers)
    return [place for place in reversed(finished) if place < len(ops) and replaced[place]]


def _merged(ops: Sequence[Op], place: int) -> dict[int, int]:
    """Where the biases' gradients of the merged ops stand, from ``place`` on."""
    merged = [op.index for op in ops if op.type == _MERGED]
    return dict(zip(merged, range(place, place + len(merged)), strict=True))


def _merge(filters: int, bias: int, sources: Sources, readers: list[list[int]]) -> None:
    """The two gradients become one node, which bears the filter's number."""
    new = ~filters
    for source in sources[filters]:
        readers[source].append(new)
    for old in (bias, filters):
        for source in sources[old]:
            own = readers[source]
            own[own.index(old)] = own[-1]
            own.pop()
    for source in sources[filters]:
        own = readers[source]
        own[own.index(new)] = filters
    readers[filters] = readers[bias] + readers[filters]


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
