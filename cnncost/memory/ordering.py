"""The order of nodes in the graph that TensorFlow's executor is given; an op's readers are told in this order.

Found on captured steps (TensorFlow 2.21), and on the graph behind each of grappler's passes; it gives all or most nodes
their place:

1. grappler's pruning keeps what the result needs, in the reverse of a depth-first walk that takes the last input first
   (transitive_fanin.cc). It walks from the ends sorted by name, last first (model_pruner.cc): the result,
   "identity_RetVal", which waits for the assignments, sorted by name but begun anywhere (``awaited``); and everything
   with a state, reads of variables too. So the names of the model and of the optimizer decide: what is called
   "vgg16/..." or "sgd/..." is walked before the result, what is called "adam/..." or "functional/..." is reached from
   it. Commutative ops have their inputs sorted by name;
2. its passes sort topologically: breadth first, a node when the last of its inputs has its place (topological_sort.cc);
3. the remapper puts them in reverse post-order of a walk down the edges, the last node without inputs and the last
   reader first (graph_view.cc: SortTopologically); where it fails (``contraction.refused``) it leaves the order alone.
   The dependency optimizer sorts breadth first once more: of what becomes ready with one node, the order is that of 3;
4. oneDNN's layout pass puts the ops that it replaces behind all others (``layout_order``).

The walk of 1 runs twice, as grappler does: commutative ops have been sorted by the first round, but the sums that this
round regrouped have the smaller operand first, and what an op's data wait for it does not wait for itself. That of 4
begins anywhere, as the process's memory does. Which of a layer's two gradients runs first may depend on it: VGG16 at
64 × 64, batch 2, SGD asks for 67.2 MB where its dense layers' updates can be made in place, and for 144.4 MB where they
copy their weights.

Names (``names``) are those that Keras and the tape give, as far as they decide an order. Equal constants are one node,
under the name of the first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cnncost.memory.awaited import READS, STATEFUL, branches, reduced, stateful, stepped
from cnncost.memory.layout_order import LayoutPass, replaced_nodes, without_workspaces
from cnncost.memory.names import Names
from cnncost.memory.node_sources import node_sources
from cnncost.memory.opgraph import COMPILED, FORWARD, UPDATE, Op, Value
from cnncost.memory.walks import breadth_first, depth_first, last_first
from cnncost.memory.wires import Wires, readers_of, wires
from cnncost.processors import AVX512

if TYPE_CHECKING:
    from cnncost.memory.apart import Apart, State
    from cnncost.memory.edges import Heap

_MERGED = "Conv2DBackpropFilterWithBias"
_RESULT = ("identity_RetVal", 0)
_BEHIND = 1 << 40


class Sorted(NamedTuple):
    """What grappler leaves to oneDNN's pass: the ``order`` of the places in ``sources``, which has the ops, then the
    gradients of biases (``biases``: their places by those of the filters), then the constants that steer ops."""

    edges: Wires
    sources: Sequence[Sequence[int]]
    order: list[int]
    biases: dict[int, int]
    layout: LayoutPass
    ends: tuple[int, ...]  # how many edges lead to each of the nodes that end the graph, which are no ops

    @property
    def ops(self) -> list[Op]:
        return self.edges.ops

    def places(self, heap: Heap | None = None) -> list[int]:
        """Places in the executor's node order. ``heap``: the memory of a process."""
        if not self.layout.replaces and not self.biases:
            return self.order
        replaced, merged = self.layout.replaced, set(self.biases.values())
        plain = [place for place in self.order if not replaced[place] and place not in merged]
        return plain + self.layout.replaced_order(heap)

    def numbers(self, places: Sequence[int]) -> list[int]:
        """Those of the ops of these places. Constants, which wait for nothing, come first."""
        count = len(self.ops)
        return [*self.edges.kinds.get("Const", ()), *[place for place in places if place < count]]

    def passed(self, places: Sequence[int]) -> list[Op]:
        """The ops themselves."""
        return [self.ops[number] for number in self.numbers(places)]


def graph_order(
    ops: list[Op],
    results: Sequence[Value],
    kept: Sequence[Op],
    model: str,
    optimizer: str,
    heap: Heap | None = None,
) -> list[Op]:
    """The ops in the executor's node order, renumbered."""
    nodes = sorted_nodes(wires(ops), results, kept, Names(model, optimizer))
    ordered = nodes.passed(nodes.places(heap))
    for place, op in enumerate(ordered):
        op.index = place
    return ordered


def sorted_nodes(
    edges: Wires, results: Sequence[Value], kept: Sequence[Op], names: Names,
    fused: Container[str] = AVX512.fused, mapped: bool = True, written: bool = False, apart: Apart | None = None,
) -> Sorted:  # fmt: skip
    """Steps 1 to 3, which are the same in every process. ``fused``: the dtypes whose ops oneDNN's pass replaces;
    ``mapped``: whether grappler's remapper runs, and does not fail; ``written``: the order is that of creation;
    ``apart``: the ops that ``edges`` leaves out."""
    ops = edges.ops
    if written:
        return _as_created(edges, len(results), names, fused)
    for op in edges.of("AddN"):
        if op.phase != FORWARD:
            names.of(op)  # numbered in the order of creation
    used = _used(ops)
    states = [(op.index, op) for op in stateful(edges.of(*STATEFUL))] if apart is None else apart.states()
    waiting = [op for op in ops if op.controls]
    awaiting, last, behind = _awaited(edges, states, kept, names, used, waiting)
    found = [value.op.index for value in results]
    beyond = _ends(states, names, used) if behind is None else behind

    def ends(sources: Sequence[Sequence[int]], waiting: list[int]) -> list[int]:
        every = [*found, *waiting, *beyond]
        return every if apart is None else apart.ends(sources, every)

    names.learn(edges, depth_first(edges.sources, ends(edges.sources, awaiting)))
    biases = _biases(edges)
    made, folded, late = node_sources(edges, names, biases)
    sources = without_workspaces(edges, made)
    back = edges.of("Merge")
    walked = _turned(back, sources)
    first, second = late.first(sources), late.second(sources)
    turned = _turned(back, first)
    walk = _folded_last(folded, depth_first(turned, ends(turned, last)))
    order = late.merged(breadth_first(first, walk), sources, len(ops))
    if mapped:
        readers = readers_of(second, order)
        ports = _ports(ops, sources, readers, biases, late.freed, waiting)
        order = breadth_first(sources, last_first(second, order, readers, ports))
    # A result is returned by one node; where it waits for something, that stands behind an identity of its own.
    returned = (len(results) + len(last), 1) if last else (1,) * len(results)
    replaced = replaced_nodes(edges, len(walked), fused)
    layout = LayoutPass(walked, order, biases, replaced, returned, loops=bool(back))
    return Sorted(edges, _turned(back, made), order, biases, layout, returned)


def _as_created(edges: Wires, results: int, names: Names, fused: Container[str]) -> Sorted:
    """Without grappler: as the ops were made, a bias's gradient before those of its convolution, and each constant when
    it is first read."""
    ops = edges.ops
    biases = _biases(edges)
    made, _, _ = node_sources(edges, names, biases, written=True)
    sources = without_workspaces(edges, made)
    gradients = {(ops[both].inputs[1].op, ops[both].layer): bias for both, bias in biases.items()}
    found: dict[int, None] = {}
    for op in ops:
        if op.type != "Const":
            for source, _ in op.inputs:
                bias = gradients.get((source, op.layer))
                if bias is not None:
                    found[bias] = None
            found.update(dict.fromkeys(place for place in sources[op.index] if place >= len(ops)))
            found[op.index] = None
    order = list(found)
    ends = (1,) * results
    layout = LayoutPass(sources, order, biases, replaced_nodes(edges, len(sources), fused), ends)
    return Sorted(edges, made, order, biases, layout, ends)


def _folded_last(folded: set[int], walk: list[int]) -> list[int]:
    """Constants that shapes were folded to, and that wait for what had the shape, were added to the graph's end."""
    if not folded:
        return walk
    return sorted(walk, key=folded.__contains__)


def _ports(
    ops: Sequence[Op], sources: Sequence[Sequence[int]], readers: Sequence[Sequence[int]], biases: dict[int, int],
    freed: dict[int, int], waiting: Sequence[Op],
) -> dict[int, dict[int, int]]:  # fmt: skip
    """Where an op reads an output that is not the first of another's, by that one, then by the reader; what has no data
    stands behind all. ``waiting``: the ops that wait without data."""
    found: dict[int, dict[int, int]] = defaultdict(dict)
    for place in range(len(ops) + len(biases), len(sources)):
        for source in sources[place]:
            found[source][place] = _BEHIND
    for place, constant in freed.items():
        found[constant][place] = _BEHIND
    count = len(ops)
    for several in [op for op in ops if len(op.outputs) > 1 and op.index not in biases]:
        for reader in readers[several.index]:
            for read, index in ops[reader].inputs if reader < count else ():
                if index and read is several:
                    found[several.index][reader] = index
    for op in waiting:
        for before in op.controls:
            found[before.index][op.index] = _BEHIND
    return found


def _turned(back: Sequence[Op], sources: Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    """The sources with the edges that lead back to a loop's next iteration, which a topological order leaves out.
    ``back``: where a loop begins."""
    if not back:
        return sources
    found = list(sources)
    for op in back:
        found[op.index] = [*sources[op.index], op.attrs["next"].index]
    return found


def _awaited(
    edges: Wires, states: Sequence[State], kept: Sequence[Op], names: Names, used: dict[int, str], waiting: Sequence[Op]
) -> tuple[list[int], list[int], list[int] | None]:  # fmt: skip
    """What the result waits for, by name, what is left of that, in its order (``awaited``), and what has a name behind
    the result's; None where the names that are waited for are others (``_ends``)."""
    if not states or not names.optimizer or branches(edges.kinds, edges.of("FloorMod")):
        named_first = sorted(kept, key=names.of)
        places = [op.index for op in named_first]
        if names.optimizer:
            return places, places, None
        return places, reduced((op.index, op.type in READS) for op in named_first), None
    passed = {source.index for op in waiting for source in op.controls}
    steps = stepped(edges.of("AssignVariableOp"))
    led = {*READS, COMPILED}  # what these make is read
    named: dict[str, list[tuple[int, int, bool]]] = {}  # most names are one op's: strings are sorted, and few numbers
    for place, op in states:
        dropped = op.type in led or op.index in passed
        if place == op.index:
            name, number = names.state(op, used, steps)
            named.setdefault(name, []).append((number, place, dropped))
        else:
            named[names.like(op, used, place)] = [(0, place, dropped)]
    groups = [named[name] if len(named[name]) == 1 else sorted(named[name]) for name in sorted(named)]
    keys = [key for group in groups for key in group]
    places = [place for _, place, _ in keys]
    behind = sum(len(group) for name, group in named.items() if name > _RESULT[0])
    beyond = None if steps else places[len(places) - behind :]
    return places, reduced([(place, dropped) for _, place, dropped in keys]), beyond


def _used(ops: Sequence[Op]) -> dict[int, str]:
    """What first reads an optimizer's variable, which names the read."""
    used: dict[int, str] = {}
    for op in ops:
        if op.phase == UPDATE:
            for value in op.inputs:
                source = value[0]
                if source.type == "ReadVariableOp" and source.index not in used:
                    used[source.index] = op.type
    return used


def _ends(states: Sequence[State], names: Names, used: dict[int, str]) -> list[int]:
    """What has a state and a name behind the result's, sorted by name."""
    if names.scopes[UPDATE] < _RESULT[0]:  # all that the update names is before the result
        states = [(place, op) for place, op in states if op.phase != UPDATE]
    keys = [
        (names.end(op, used) if place == op.index else (names.like(op, used, place), place), place)
        for place, op in states
    ]
    return [place for key, place in sorted(keys) if key > _RESULT]


def _biases(edges: Wires) -> dict[int, int]:
    """The gradients of filters and of biases, which oneDNN's pass merges, are ops of their own until then: the places
    of the biases', behind the ops, by the filters'."""
    merged, count = edges.kinds.get(_MERGED, ()), len(edges.ops)
    return dict(zip(merged, range(count, count + len(merged)), strict=True))
