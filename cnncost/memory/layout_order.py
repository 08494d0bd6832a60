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
from typing import TYPE_CHECKING

from cnncost.memory.walks import post_order
from cnncost.memory.wires import Wires

if TYPE_CHECKING:
    from cnncost.memory.edges import Heap
    from cnncost.memory.merges import Merges

_REPLACED = frozenset(
    ("Conv2D", "_FusedConv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3D",
     "_FusedConv3D", "Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", "DepthwiseConv2dNative",
     "_FusedDepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter",
     "MatMul", "_FusedMatMul", "BatchMatMulV2", "Einsum", "MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad",
     "MaxPool3D", "MaxPool3DGrad", "AvgPool3D", "AvgPool3DGrad", "Softmax", "Transpose")
)  # fmt: skip
_POOLED = frozenset(("MaxPoolGrad", "MaxPool3DGrad"))
Sources = Sequence[Sequence[int]]


def replaced_nodes(edges: Wires, nodes: int, fused: Container[str]) -> list[bool]:
    """Which nodes the pass replaces, the ops' first: those of a dtype that oneDNN computes in."""
    own = [False] * nodes
    for op in edges.of(*_REPLACED):
        own[op.index] = op.outputs[0].dtype in fused
    return own


def without_workspaces(edges: Wires, sources: Sources) -> Sources:
    """Before the pass no pooling's gradient reads a workspace: the pass adds that edge, behind the others."""
    found = list(sources)
    for op in edges.of(*_POOLED):
        if op.inputs[-1].index:
            found[op.index] = found[op.index][:-1]
    return found


class LayoutPass:
    """What is the same in every process; nothing is walked where the pass replaces no node. ``order``: the nodes before
    the pass, ``sources``: what each of them waits for; ``replaced``: which of them the pass replaces; ``biases``: the
    place of the bias's gradient that each filter's is merged with; ``ends``: how many edges lead to each node behind
    them; ``loops``: whether edges lead back."""

    def __init__(
        self, sources: Sources, order: Sequence[int], biases: Mapping[int, int], replaced: Sequence[bool],
        ends: Sequence[int] = (1,), loops: bool = False,
    ) -> None:  # fmt: skip
        self.sources = sources
        self.order, self.replaced, self.biases = order, replaced, biases
        self.ends, self.loops = ends, loops
        self.replaces = True in replaced
        if self.replaces:
            self._lead()
        self.merges: Merges | None = None  # made when they are first needed

    def _lead(self) -> None:
        """What the walk passes by, and the edges that it takes."""
        sources, order, biases, loops = self.sources, self.order, self.biases, self.loops
        leads = bytearray(self.replaced)  # to one of them: the walk passes the others by
        for place in (*reversed(order), *(reversed(order) if loops else ())):  # again: a loop leads to its beginning
            if leads[place]:
                for source in sources[place]:
                    leads[source] = 1
        self.leads = leads
        self.merging = [place for place in order if place in biases]
        self.changed = {source for place in self.merging for source in sources[place]}  # all of its edges have places
        self.roots = [place for place in order if not sources[place]]
        self.readers: list[list[int]] = [[] for _ in sources]
        readers, apart = self.readers, self.changed.isdisjoint
        for place in order:
            own = sources[place]
            if leads[place]:
                for source in own:
                    readers[source].append(place)
            elif not apart(own):
                for source in own:
                    if source in self.changed:
                        readers[source].append(place)

    def replaced_order(self, heap: Heap | None = None) -> list[int]:
        """The replaced nodes in their order, in the memory of a process; None: the source's edges as they were made."""
        if not self.replaces:
            return []
        readers = self.readers[:]
        roots = self.roots
        if heap is None:
            for place in self.changed:
                readers[place] = readers[place][:]
            for place in self.merging:
                _merge(place, self.biases[place], self.sources, readers)
        else:
            from cnncost.memory.merges import Merges

            self.merges = self.merges or Merges(self)
            roots = self.merges.merged(readers, heap)
        finished = post_order([place for place in roots if self.leads[place]], readers)
        return [place for place in reversed(finished) if self.replaced[place]]


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
