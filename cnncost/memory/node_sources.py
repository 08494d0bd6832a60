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
from cnncost.memory.opgraph import Op, Value
from cnncost.memory.reduction import late_ops, waited_for
from cnncost.memory.regroup import REGROUPED
from cnncost.memory.steering import STEERED, convolved, steer
from cnncost.memory.wires import Wires

_COMMUTATIVE = frozenset(("AddV2", "Mul", "AddN", "SquaredDifference", "Equal", "NotEqual", "LogicalAnd", "LogicalOr"))


def node_sources(
    edges: Wires, names: Names, biases: dict[int, int], written: bool = False
) -> tuple[list[Sequence[int]], set[int], Late]:
    """What each op waits for, in the order of its inputs. The gradients of biases follow the ops, then the constants:
    TensorFlow's steering numbers are nodes too, equal ones but one, and walks pass through them. Beside it, which of
    them were folded and wait, and which are folded late."""
    found = _Found(edges, names, biases, written)
    found.all()
    return found.ops + found.behind, found.folded, found.late


class _Found:
    """``ops``: what each op waits for; ``behind``: what those do that follow."""

    def __init__(self, edges: Wires, names: Names, biases: dict[int, int], written: bool) -> None:
        self.edges, self.names, self.biases, self.written = edges, names, biases, written
        ops = edges.ops
        self.ops: list[Sequence[int]] = []
        self.behind: list[Sequence[int]] = [[ops[filters].inputs[1].op.index] for filters in biases]
        self.folded: set[int] = set()
        self.late = Late({}, {}, {}, {})
        self.constants: dict[Any, int] = {}
        self.numbers: dict[tuple[int, bool], int] = {}  # the same by the place of the constant's op
        self.shared: dict[int, int] = {}  # how often each was read
        self.data, self.unknown, self.stay = convolved(edges), unsized(edges), late_ops(ops)

    def all(self) -> None:
        """Most ops wait for just what ``edges`` says: they read no constant, and nothing sorts their operands."""
        ops, found, shared, biases = self.edges.ops, self.ops, self.shared, self.biases
        plain = set(self.edges.kinds.get("Const", ())).union(biases).isdisjoint
        for op, own in zip(ops, self.edges.sources, strict=True):
            attrs, kind = op.attrs, op.type
            if attrs:
                if SEVERAL in attrs:
                    shared[op.index] = 0
                if FREED in attrs:
                    self.late.freed[op.index] = self.numbered(attrs[FREED])
            if kind in STEERED or not plain(own) or op.controls:
                own = self.places(op)
            elif not own:
                found.append(own)
                continue
            elif kind in _COMMUTATIVE and len(own) > 1:
                read = self.operands(op)
                if read is not op.inputs:
                    own = [value[0].index for value in read]
            if shared and not shared.keys().isdisjoint(own):
                self.late.own[op.index] = [self.other(place) if place in shared else place for place in own]
            found.append(own)

    def places(self, op: Op) -> list[int]:
        """With constants, gradients of biases, the order of operands, and controls as far as they are left."""
        attrs, read = op.attrs, op.inputs
        if len(read) == 1 and read[0].op.type != "Const":
            place = read[0].op.index
            places = [self.biases.get(place, place) if read[0].index else place]
        else:
            read = self.operands(op)
            places = [
                self.place(op, value[0], value[1]) if value[1] or value[0].type == "Const" else value[0].index
                for value in read
            ]
        own: list[int] = []
        if INVERTED in attrs:
            own = self.inverted(op, read, places)
        if op.type in STEERED:
            steer(op, places, self.constant, self.data, self.names, self.unknown, self.written)
            if TOLD in attrs:
                slot = 1 if op.type == "Slice" else 0
                own = [*places[:slot], self.instead(places[slot], (TOLD, attrs[TOLD])), *places[slot + 1 :]]
        if op.controls:
            waits = [source.index for source in waited_for(op, self.stay)]
            places, own = places + waits, own and own + waits
        if own:
            self.late.own[op.index] = own
        return places

    def operands(self, op: Op) -> list[Value]:
        """What an op reads; commutative ones sort it by name, unless grappler has put it so."""
        read, kind = op.inputs, op.type
        if kind not in _COMMUTATIVE or len(read) < 2 or KEPT in op.attrs:
            return read
        if kind == "AddV2" and op.name == REGROUPED:
            return read
        if len(read) > 2:
            return sorted(read, key=lambda value: self.names.operand(value.op, op))
        one, two = read
        return [two, one] if self.names.turned(one[0], two[0], op) else read

    def place(self, op: Op, source: Op, index: int) -> int:
        if source.type != "Const":
            return self.biases.get(source.index, source.index) if index else source.index
        if source.controls:
            return self.constant(source.index, [control.index for control in source.controls])
        key = (source.index, INVERTED in op.attrs)
        place = self.numbers.get(key)
        if place is None:
            place = self.numbers[key] = self.numbered(source, key[1])
        return place

    def inverted(self, op: Op, read: list[Value], places: list[int]) -> list[int]:
        """What a product that was a division reads in the first round: the reciprocal is a node of its own."""
        slot = next(slot for slot, value in enumerate(read) if value.op.type == "Const")
        reciprocal = [self.instead(places[slot], (INVERTED, op.index))]
        factor = [*places[:slot], *places[slot + 1 :]]
        return reciprocal + factor if KEPT in op.attrs else factor + reciprocal

    def constant(self, key: Any, waits: Sequence[int] = (), last: bool = False) -> int:
        place = self.constants.get(key)
        if place is None:
            place = self.constants[key] = len(self.edges.ops) + len(self.behind)
            self.behind.append(list(waits))
            if last:
                self.folded.add(place)
        return place

    def numbered(self, source: Op, inverted: bool = False) -> int:
        key = number(source, True) if inverted else self.names.number(source)
        parts = source.attrs.get(MADE_OF)
        if parts is None:
            return self.constant(key)
        place = self.constant((*key, MADE_OF))
        self.late.made[place] = [self.constant(number(part)) for part in parts]
        return place

    def instead(self, place: int, key: Any, waits: Sequence[int] = ()) -> int:
        """A node of the first round, which the second makes one with ``place``."""
        own = self.constant(key, waits)
        self.late.equal.setdefault(place, []).append(own)
        return own

    def other(self, place: int) -> int:
        """Another node for each time that it is read."""
        self.shared[place] += 1
        again = self.shared[place]
        return place if again == 1 else self.instead(place, (SEVERAL, place, again), self.ops[place])
