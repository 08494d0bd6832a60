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

from collections.abc import Container, Sequence
from typing import Any, NamedTuple

from cnncost.memory.awaited import READS, passed_by, reduced, stateful, stepped
from cnncost.memory.compiled import COMPILED, unsized
from cnncost.memory.constants import INVERTED, KEPT
from cnncost.memory.edges import Heap
from cnncost.memory.late_constants import FREED, MADE_OF, SEVERAL, TOLD, Late
from cnncost.memory.layout_order import LayoutPass, replaced_nodes, without_workspaces
from cnncost.memory.names import Names, number
from cnncost.memory.opgraph import FORWARD, UPDATE, Op, Value
from cnncost.memory.reduction import late_ops, waited_for
from cnncost.memory.regroup import REGROUPED
from cnncost.memory.steering import STEERED, convolved, steer
from cnncost.memory.walks import breadth_first, depth_first, last_first
from cnncost.memory.wires import Wires, wires
from cnncost.processors import AVX512

_COMMUTATIVE = frozenset(("AddV2", "Mul", "AddN", "SquaredDifference", "Equal", "NotEqual", "LogicalAnd", "LogicalOr"))
_MERGED = "Conv2DBackpropFilterWithBias"
_RESULT = ("identity_RetVal", 0)
_BEHIND = 1 << 40


class Sorted(NamedTuple):
    """What grappler leaves to oneDNN's pass: the ``order`` of the places in ``sources``, which has the ops, then the
    gradients of biases (``biases``: their places by those of the filters), then the constants that steer ops."""

    ops: list[Op]
    sources: list[list[int]]
    order: list[int]
    biases: dict[int, int]
    layout: LayoutPass
    ends: tuple[int, ...]  # how many edges lead to each of the nodes that end the graph, which are no ops

    def places(self, heap: Heap | None = None) -> list[int]:
        """Places in the executor's node order. ``heap``: the memory of a process."""
        replaced, merged = self.layout.replaced, set(self.biases.values())
        plain = [place for place in self.order if not replaced[place] and place not in merged]
        return plain + self.layout.replaced_order(heap)

    def passed(self, places: list[int]) -> list[Op]:
        """The ops of these places. Constants, which wait for nothing, come first."""
        ops = self.ops
        return [op for op in ops if op.type == "Const"] + [ops[place] for place in places if place < len(ops)]


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
    fused: Container[str] = AVX512.fused, mapped: bool = True,
) -> Sorted:  # fmt: skip
    """Steps 1 to 3, which are the same in every process. ``fused``: the dtypes whose ops oneDNN's pass replaces;
    ``mapped``: whether grappler's remapper runs, and does not fail."""
    ops = edges.ops
    for op in ops:
        if op.type == "AddN" and op.phase != FORWARD:
            names.of(op)  # numbered in the order of creation
    used = _used(ops)
    awaiting, last = _awaited(ops, kept, names, used)
    found, beyond = [value.op.index for value in results], _ends(ops, names, used)
    names.learn(ops, depth_first(edges.sources, found + awaiting + beyond))
    biases = _biases(ops)
    made, folded, late = _sources(edges, names, biases)
    sources = without_workspaces(ops, made)
    walked = _turned(ops, sources)
    first, second = late.first(sources), late.second(sources)
    walk = _folded_last(folded, depth_first(_turned(ops, first), found + last + beyond))
    order = late.merged(breadth_first(first, walk), sources, len(ops))
    if mapped:
        order = breadth_first(sources, last_first(second, order, _ports(ops, sources, biases, late.freed)))
    # A result is returned by one node; where it waits for something, that stands behind an identity of its own.
    ends = (len(results) + len(last), 1) if last else (1,) * len(results)
    layout = LayoutPass(ops, walked, order, biases, replaced_nodes(ops, len(walked), fused), ends)
    return Sorted(ops, _turned(ops, made), order, biases, layout, ends)


def _folded_last(folded: set[int], walk: list[int]) -> list[int]:
    """Constants that shapes were folded to, and that wait for what had the shape, were added to the graph's end."""
    if not folded:
        return walk
    return [place for place in walk if place not in folded] + [place for place in walk if place in folded]


def _ports(
    ops: Sequence[Op], sources: list[list[int]], biases: dict[int, int], freed: dict[int, int]
) -> dict[tuple[int, int], int]:  # fmt: skip
    """Where an op reads an output that is not the first of another's, by both; what has no data stands behind all."""
    constants = range(len(ops) + len(biases), len(sources))
    found = {(place, source): _BEHIND for place in constants for source in sources[place]}
    found |= dict.fromkeys(freed.items(), _BEHIND)
    for op in ops:
        for source, index in op.inputs:
            if index and source.index not in biases:
                found[op.index, source.index] = index
        for source in op.controls:
            found[op.index, source.index] = _BEHIND
    return found


def _turned(ops: Sequence[Op], sources: list[list[int]]) -> list[list[int]]:
    """The sources with the edges that lead back to a loop's next iteration, which a topological order leaves out."""
    back = [op for op in ops if op.type == "Merge"]
    if not back:
        return sources
    found = list(sources)
    for op in back:
        found[op.index] = [*sources[op.index], op.attrs["next"].index]
    return found


def _awaited(
    ops: Sequence[Op], kept: Sequence[Op], names: Names, used: dict[int, str]
) -> tuple[list[int], list[int]]:  # fmt: skip
    """What the result waits for, by name, and what is left of that, in its order (``awaited``)."""
    states = stateful(ops) if names.optimizer else []
    if not states:
        waiting = sorted(kept, key=names.of)
        named = [op.index for op in waiting]
        if names.optimizer:
            return named, named
        return named, reduced((op.index, op.type in READS) for op in waiting)
    passed, steps = passed_by(ops), stepped(ops)
    led = {*READS, COMPILED}  # what these make is read
    keys = [(names.state(op, used, steps), op.index, op.type in led or op.index in passed) for op in states]
    keys.sort()
    return [place for _, place, _ in keys], reduced((place, dropped) for _, place, dropped in keys)


def _used(ops: Sequence[Op]) -> dict[int, str]:
    """What first reads an optimizer's variable, which names the read."""
    used: dict[int, str] = {}
    for op in ops:
        if op.phase == UPDATE:
            for source, _ in op.inputs:
                if source.type == "ReadVariableOp" and source.index not in used:
                    used[source.index] = op.type
    return used


def _ends(ops: Sequence[Op], names: Names, used: dict[int, str]) -> list[int]:
    """What has a state and a name behind the result's, sorted by name."""
    states = [op for op in ops if "variable" in op.attrs and op.type != "_Arg"]
    if names.scopes[UPDATE] < _RESULT[0]:  # all that the update names is before the result
        states = [op for op in states if op.phase != UPDATE]
    keys = [(names.end(op, used), op.index) for op in states]
    return [place for key, place in sorted(keys) if key > _RESULT]


def _biases(ops: Sequence[Op]) -> dict[int, int]:
    """The gradients of filters and of biases, which oneDNN's pass merges, are ops of their own until then: the places
    of the biases', behind the ops, by the filters'."""
    merged = [op.index for op in ops if op.type == _MERGED]
    return dict(zip(merged, range(len(ops), len(ops) + len(merged)), strict=True))


def _sources(edges: Wires, names: Names, biases: dict[int, int]) -> tuple[list[list[int]], set[int], Late]:
    """What each op waits for, in the order of its inputs. The gradients of biases follow the ops, then the constants:
    TensorFlow's steering numbers are nodes too, equal ones but one, and walks pass through them. Beside it, which of
    them were folded and wait, and which are folded late."""
    ops = edges.ops
    found: list[list[int]] = []
    constants: dict[Any, int] = {}
    numbers: dict[tuple[int, bool], int] = {}  # the same by the place of the constant's op
    behind = [[ops[filters].inputs[1].op.index] for filters in biases]  # what those that follow wait for
    folded: set[int] = set()
    late = Late({}, {}, {}, {})

    def constant(key: Any, waits: Sequence[int] = (), last: bool = False) -> int:
        place = constants.get(key)
        if place is None:
            place = constants[key] = len(ops) + len(behind)
            behind.append(list(waits))
            if last:
                folded.add(place)
        return place

    def numbered(source: Op, inverted: bool = False) -> int:
        key = number(source, inverted)
        parts = source.attrs.get(MADE_OF)
        if parts is None:
            return constant(key)
        place = constant((*key, MADE_OF))
        late.made[place] = [constant(number(part)) for part in parts]
        return place

    def instead(place: int, key: Any, waits: Sequence[int] = ()) -> int:
        """A node of the first round, which the second makes one with ``place``."""
        own = constant(key, waits)
        late.equal.setdefault(place, []).append(own)
        return own

    shared: dict[int, int] = {}  # how often each was read

    def apart(op: Op, places: list[int]) -> None:
        if shared and not shared.keys().isdisjoint(places):
            late.own[op.index] = [other(place) if place in shared else place for place in places]

    def other(place: int) -> int:
        shared[place] += 1
        again = shared[place]
        return place if again == 1 else instead(place, (SEVERAL, place, again), found[place])

    data, unknown = convolved(ops), unsized(ops)
    stay = late_ops(ops)
    written = {op.index for op in ops if op.type == "Const"}
    for op, own in zip(ops, edges.sources, strict=True):
        if biases and not biases.keys().isdisjoint(own):
            own = _own(op, own, biases)
        if SEVERAL in op.attrs:
            shared[op.index] = 0
        if FREED in op.attrs:
            late.freed[op.index] = numbered(op.attrs[FREED])
        steered = op.type in STEERED
        if op.controls:
            own = own[: len(op.inputs)] + [source.index for source in waited_for(op, stay)]
        if not steered and written.isdisjoint(own) and (len(own) < 2 or op.type not in _COMMUTATIVE):
            apart(op, own)
            found.append(own)
            continue
        places = []
        read = list(op.inputs)
        regrouped = op.type == "AddV2" and op.name == REGROUPED
        if len(read) > 1 and op.type in _COMMUTATIVE and not (regrouped or KEPT in op.attrs):
            if len(read) == 2:
                one, two = names.operand(read[0].op, op), names.operand(read[1].op, op)
                if two < one:
                    read.reverse()
            else:
                read.sort(key=lambda value: names.operand(value.op, op))
        for source, index in read:
            if source.type != "Const":
                places.append(biases.get(source.index, source.index) if index else source.index)
            elif source.controls:
                places.append(constant(source.index, [control.index for control in source.controls]))
            else:
                inverted = INVERTED in op.attrs
                place = numbers.get((source.index, inverted))
                if place is None:
                    place = numbers[source.index, inverted] = numbered(source, inverted)
                places.append(place)
        own = []
        if INVERTED in op.attrs:
            slot = next(slot for slot, value in enumerate(read) if value.op.type == "Const")
            reciprocal = [instead(places[slot], (INVERTED, op.index))]
            factor = [*places[:slot], *places[slot + 1 :]]
            own = reciprocal + factor if KEPT in op.attrs else factor + reciprocal
        if steered:
            steer(op, places, constant, data, names, unknown)
            if TOLD in op.attrs:
                slot = 1 if op.type == "Slice" else 0
                own = [*places[:slot], instead(places[slot], (TOLD, op.attrs[TOLD])), *places[slot + 1 :]]
        if op.controls:
            waits = [source.index for source in waited_for(op, stay)]
            places, own = places + waits, own and own + waits
        if own:
            late.own[op.index] = own
        apart(op, places)
        found.append(places)
    return found + behind, folded, late


def _own(op: Op, own: list[int], biases: dict[int, int]) -> list[int]:
    """What an op waits for, with a bias's gradient apart from the filter's."""
    places = [biases.get(source.index, source.index) if index else source.index for source, index in op.inputs]
    return places + own[len(places) :]
