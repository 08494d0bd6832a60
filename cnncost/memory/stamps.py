"""The update of one weight, made again for the others: an optimizer's rule asks for the same ops each time, on another
gradient, weight and slots. Half of Adam's step are such copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from cnncost.memory.awaited import READS
from cnncost.memory.opgraph import Op, Spec, Stamps, Value, Variable, first_of
from cnncost.memory.update_ops import Updates

_GRADIENT, _WEIGHT = -1, -2


class _Like(NamedTuple):
    """An op that is copied: ``read`` takes what it reads from the values that are there, of which those of the ops
    stand first, in their order; ``controls`` by the place of the op; ``outputs`` is None where they have the weight's
    shape; ``own``: whether it has to do with a variable."""

    type: str
    name: str
    read: Callable[[list[Value]], Sequence[Value]]
    controls: list[int]
    outputs: tuple[Spec, ...] | None
    attrs: dict[str, Any]
    own: bool


class Stamp:
    """What was emitted for one weight: ``ops``, in the order of creation."""

    def __init__(self, u: Updates, weight: Variable, grad: Value, ops: Sequence[Op]) -> None:
        self.u, self.weight, self.phase = u, weight, ops[0].phase
        self.own = _slots(u, weight)
        slots = [op for op in ops if op.type == "_Arg" and "variable" in op.attrs]
        self.suffixes = [op.attrs["variable"].name.removeprefix(self.own) for op in slots]
        shared: dict[Value, int] = {}
        places = {Value(op, 0): place for place, op in enumerate(ops)}
        places |= {grad: _GRADIENT, Value(weight.handle, 0): _WEIGHT}

        def code(value: Value) -> int:
            place = places.get(value)
            return len(ops) + shared.setdefault(value, len(shared)) if place is None else place

        codes = [[code(value) for value in op.inputs] for op in ops]
        self.likes = [
            _Like(
                op.type, op.name, _taking(own),
                [places[before.out()] for before in op.controls if before.out() in places],
                None if op.outputs == (weight.spec,) else op.outputs, op.attrs, "variable" in op.attrs,
            )
            for op, own in zip(ops, codes, strict=True)
        ]  # fmt: skip
        self.behind = [*shared]
        self.stamps = u.graph.stamps = Stamps(
            ops, [], [weight.handle], [place for place, own in enumerate(codes) if _GRADIENT in own]
        )

    @staticmethod
    def suits(u: Updates, weight: Variable, grad: Value) -> bool:
        """Whether a weight's update is like others: a number would be spread differently, and of a gradient that
        weights share the square is computed once."""
        return bool(weight.spec.shape) and grad.spec == weight.spec and grad not in u.shared

    def fits(self, weight: Variable) -> bool:
        """Whether the copied ops are those that the rule would ask for."""
        known, own = self.u.graph.variables, _slots(self.u, weight)
        same = weight.spec.dtype == self.weight.spec.dtype
        return same and not any(f"{own}{suffix}" in known for suffix in self.suffixes)

    def update(self, weight: Variable, grad: Value) -> None:
        """The same for another weight."""
        ops, layer, phase, wide = self.u.graph.ops, weight.handle.layer, self.phase, (weight.spec,)
        own = _Own(self.u, weight, self.own)
        made: list[Op] = []
        handle = Value(weight.handle, 0)
        values = [handle] * len(self.likes) + [*self.behind, handle, grad]
        number = begin = len(ops)
        for type_, name, read, controls, outputs, attrs, variable in self.likes:
            op = Op(number, type_, name, layer, phase, list(read(values)), wide if outputs is None else outputs, attrs)
            values[number - begin] = first_of((op, 0))
            number += 1
            made.append(op)
            if controls:
                op.controls = [made[before] for before in controls]
            if variable:
                own.take(op)
        ops += made
        self.stamps.others.append(made)
        self.stamps.weights.append(weight.handle)


class _Own:
    """The variables of one weight's update; ``like``: how those of the copied one begin."""

    def __init__(self, u: Updates, weight: Variable, like: str) -> None:
        self.u, self.weight, self.like, self.own = u, weight, like, _slots(u, weight)
        self.found: dict[str, Variable] = {}

    def take(self, op: Op) -> None:
        """What a copied op is, reads or writes: a slot of the weight's own, the weight, or a number that all share."""
        u, name = self.u, op.attrs["variable"].name
        if name.startswith(self.like):
            if op.type == "_Arg":
                path = self.own + name[len(self.like) :]
                self.found[name] = u.graph.variables[path] = Variable(op, u.slots[path].spec, path, False)
                op.name = path
            op.attrs = {**op.attrs, "variable": self.found[name]}
        elif op.type in READS:
            u.reads.setdefault(name, []).append(op)
        else:
            op.attrs = {**op.attrs, "variable": self.weight}
            op.controls.extend(u.reads.pop(self.weight.name, ()))
            u.last_write[self.weight.name] = op
        if not op.outputs:
            u.graph.kept.append(op)


def _taking(codes: Sequence[int]) -> Callable[[list[Value]], Sequence[Value]]:
    """What takes several of a list."""
    if len(codes) > 1:
        return itemgetter(*codes)
    return itemgetter(slice(codes[0], codes[0] + 1 or None) if codes else slice(0, 0))


def _slots(u: Updates, weight: Variable) -> str:
    """How the names of a weight's slots begin."""
    return f"{u.prefix}/{weight.name.replace('/', '_')}_"
