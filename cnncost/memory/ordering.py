"""The order of nodes in the graph that TensorFlow's executor is given; an op's readers are told in this order.

Found on captured steps (TensorFlow 2.21), where it gives all or nearly all nodes their place:

1. grappler's pruning keeps what the result needs, in the reverse of a depth-first walk from the result that takes the
   last input first (graph_utils: SetTransitiveFaninGraph); commutative ops have their inputs sorted by name, and the
   result waits for the assignments, sorted by name;
2. its passes sort topologically: breadth first, a node when the last of its inputs has its place (topological_sort.cc);
3. oneDNN's layout pass replaces the ops that it knows, in reverse post-order of a depth-first walk from the sources;
   what is replaced goes to the end, and before that what it merged (mkl_layout_pass.cc).

The walk of 3 begins at an edge whose place follows from addresses in memory and changes from process to process; here
it begins at the model's inputs. Where it really begins at a weight, some layers have their two gradients the other way,
and TensorFlow's own peak moves: VGG16 at 64 × 64, batch 2, SGD asked for 144.4 MB in two processes and for 67.2 MB in
two others (144.1 MB here), as its dense layers' updates copy their weights or not.

Names are those that Keras and the tape give, as far as they decide an order.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cnncost.memory.opgraph import BACKWARD, FORWARD, UPDATE, Op, Value

_COMMUTATIVE = frozenset(("AddV2", "Mul", "AddN", "Maximum", "Minimum", "SquaredDifference", "Equal", "NotEqual"))
_REPLACED = frozenset(
    ("Conv2D", "_FusedConv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter", "Conv2DBackpropFilterWithBias", "Conv3D",
     "Conv3DBackpropInputV2", "Conv3DBackpropFilterV2", "DepthwiseConv2dNative", "_FusedDepthwiseConv2dNative",
     "DepthwiseConv2dNativeBackpropInput", "DepthwiseConv2dNativeBackpropFilter", "MatMul", "_FusedMatMul",
     "BatchMatMulV2", "MaxPool", "MaxPoolGrad", "AvgPool", "AvgPoolGrad")
)  # fmt: skip
_MERGED = frozenset(("Conv2DBackpropFilterWithBias",))


def graph_order(
    ops: Sequence[Op], results: Sequence[Value], kept: Sequence[Op], model: str, optimizer: str
) -> list[Op]:
    """The ops in the executor's node order, renumbered. Constants, which wait for nothing, come first."""
    names = _Names(model, optimizer)
    for place, op in enumerate(ops):
        op.index = place
    sources = _sources(ops, names)
    ends = [value.op.index for value in results] + [op.index for op in sorted(kept, key=names.of)]
    order = _breadth_first(sources, _depth_first(sources, ends), len(ops))
    ordered = [op for op in ops if op.type == "Const"]
    plain = [place for place in order if ops[place].type not in _REPLACED]
    ordered += [ops[place] for place in (*plain, *_replaced(ops, sources, order))]
    for place, op in enumerate(ordered):
        op.index = place
    return ordered


def _sources(ops: Sequence[Op], names: _Names) -> list[list[int]]:
    """What each op waits for, in the order of its inputs; constants left out."""
    found = []
    for op in ops:
        read = [source for source, _ in op.inputs if source.type != "Const"]
        if len(read) > 1 and op.type in _COMMUTATIVE:
            read.sort(key=names.of)
        places = [source.index for source in read]
        if op.controls:
            places += [source.index for source in op.controls if source.type != "Const"]
        found.append(places)
    return found


def _depth_first(sources: list[list[int]], ends: list[int]) -> list[int]:
    """Reverse of the walk from the ends, last input first."""
    seen = bytearray(len(sources))
    walk: list[int] = []
    stack = list(ends)
    while stack:
        place = stack.pop()
        if not seen[place]:
            seen[place] = 1
            walk.append(place)
            stack.extend(sources[place])
    return walk[::-1]


def _breadth_first(sources: list[list[int]], start: list[int], count: int) -> list[int]:
    """Kahn's order, first in first out; readers in the order of ``start``."""
    waits = [0] * count
    readers: list[list[int]] = [[] for _ in range(count)]
    for place in start:
        own: Collection[int] = sources[place]
        if len(sources[place]) > 1:
            own = set(own)
        waits[place] = len(own)
        for source in own:
            readers[source].append(place)
    order = [place for place in start if not waits[place]]
    for place in order:  # grows while it is walked
        for reader in readers[place]:
            waits[reader] -= 1
            if not waits[reader]:
                order.append(reader)
    return order


def _replaced(ops: Sequence[Op], sources: list[list[int]], order: list[int]) -> list[int]:
    """oneDNN's ops in reverse post-order of a walk from the sources that takes the last reader first."""
    replaced = [op.type in _REPLACED for op in ops]
    leads = bytearray(replaced)  # to one of them: the walk passes the others by
    for place in reversed(order):
        if leads[place]:
            for source in sources[place]:
                leads[source] = 1
    walked = [place for place in order if leads[place]]
    merged = [place for place in walked if ops[place].type in _MERGED]
    readers: list[list[int]] = [[] for _ in ops]
    roots = []
    for place in (*(place for place in walked if not replaced[place] or ops[place].type not in _MERGED), *merged):
        if not sources[place]:
            roots.append(place)
        for source in sources[place]:
            readers[source].append(place)
    roots.sort(key=lambda place: ops[place].phase == FORWARD and ops[place].outputs[0].dtype != "resource")
    state = bytearray(len(ops))
    finished: list[int] = []
    stack = roots
    while stack:
        place = stack.pop()
        if place < 0:
            finished.append(~place)
        elif not state[place]:
            state[place] = 1
            stack.append(~place)
            stack.extend(reader for reader in readers[place] if not state[reader])
    return [place for place in reversed(finished) if replaced[place]]


class _Names:
    """Sort keys that stand for TensorFlow's node names: scope, then order of creation inside a layer."""

    def __init__(self, model: str, optimizer: str) -> None:
        self.scopes = {FORWARD: f"{model}_1/", BACKWARD: f"gradient_tape/{model}_1/", UPDATE: f"{optimizer}/"}
        self.counts: dict[str, int] = {}
        self.known: dict[int, tuple[str, int]] = {}

    def of(self, op: Op) -> tuple[str, int]:
        key = id(op)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._make(op)
        return found

    def _make(self, op: Op) -> tuple[str, int]:
        if op.type == "AddN":
            return self._numbered("AddN"), op.index
        if op.phase == UPDATE:
            if op.type == "AssignVariableOp" and not op.layer:
                return "AssignVariableOp", 0
            return self._numbered(f"{self.scopes[UPDATE]}{op.type}"), op.index
        scope = self.scopes.get(op.phase)
        return (f"{scope}{op.layer}_1/", op.index) if scope else ("sparse_categorical_crossentropy/", op.index)

    def _numbered(self, stem: str) -> str:
        count = self.counts.get(stem, 0)
        self.counts[stem] = count + 1
        return f"{stem}_{count}" if count else stem
