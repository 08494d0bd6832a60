"""What each node of TensorFlow's graph waits for: the ops, and beside them what is no op here. Equal constants are one
node, under the name of the first; some of them are several, or none yet, until grappler's second round
(``late_constants``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnncost.memory.compiled import unsized
from cnncost.memory.constants import INVERTED, KEPT
from cnncost.memory.late_constants import FREED, MADE_OF, SEVERAL, TOLD, Late
from cnncost.memory.names import Names, number
from cnncost.memory.opgraph import Op
from cnncost.memory.reduction import late_ops, waited_for
from cnncost.memory.regroup import REGROUPED
from cnncost.memory.steering import STEERED, convolved, steer
from cnncost.memory.wires import Wires

_COMMUTATIVE = frozenset(("AddV2", "Mul", "AddN", "SquaredDifference", "Equal", "NotEqual", "LogicalAnd", "LogicalOr"))


def node_sources(
    edges: Wires, names: Names, biases: dict[int, int], written: bool = False
) -> tuple[list[list[int]], set[int], Late]:
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
    literals = {op.index for op in ops if op.type == "Const"}
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
        if not steered and literals.isdisjoint(own) and (len(own) < 2 or op.type not in _COMMUTATIVE):
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
            steer(op, places, constant, data, names, unknown, written)
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
