"""The update of one weight, made again for the others: an optimizer's rule asks for the same ops each time, on another
gradient, weight and slots. Half of Adam's step are such copies.

Of a large step no more is made than decides the order (``apart``): the ops that read the gradient, and what they wait
for. All others of a copy are known by those of the first update.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from cnncost.memory.awaited import READS, branches
from cnncost.memory.opgraph import Op, Spec, Stamps, Updated, Value, Variable, first_of
from cnncost.memory.optypes.base import op_type
from cnncost.memory.update_ops import Updates

_SHARE = 0.25  # of the ops: where fewer are left out nothing is gained
_GRADIENT, _WEIGHT = -1, -2


class _Like(NamedTuple):
    """An op that is copied: ``read`` takes what it reads from the values that are there, of which those of the ops
    stand first, in their order; ``controls`` by the place of the op; ``outputs`` is None where they have the weight's
    shape; ``own``: whether it has to do with a variable."""

    place: int
    type: str
    name: str
    read: Callable[[Sequence[Any]], Any]
    controls: list[int]
    outputs: tuple[Spec, ...] | None
    attrs: dict[str, Any]
    own: bool


class Stamp:
    """What was emitted for one weight: ``ops``, in the order of creation. ``others``: how many weights still come;
    ``most``: of a step with more ops not all are made."""

    def __init__(
        self, u: Updates, weight: Variable, grad: Value, ops: Sequence[Op], others: int, most: int | None
    ) -> None:
        self.u, self.weight, self.phase = u, weight, ops[0].phase
        self.own = _slots(u, weight)
        slots = [op for op in ops if op.type == "_Arg" and "variable" in op.attrs]
        self.suffixes = [op.attrs["variable"].name.removeprefix(self.own) for op in slots]
        self.known = {self.own}  # how the names of the slots begin that have their update
        shared: dict[Value, int] = {}
        places = {Value(op, 0): place for place, op in enumerate(ops)}
        places |= {grad: _GRADIENT, Value(weight.handle, 0): _WEIGHT}

        def code(value: Value) -> int:
            place = places.get(value)
            return len(ops) + shared.setdefault(value, len(shared)) if place is None else place

        codes = [[code(value) for value in op.inputs] for op in ops]
        likes = [
            _Like(
                place, op.type, op.name, taking(own),
                [places[before.out()] for before in op.controls if before.out() in places],
                None if op.outputs == (weight.spec,) else op.outputs, op.attrs, "variable" in op.attrs,
            )
            for place, (op, own) in enumerate(zip(ops, codes, strict=True))
        ]  # fmt: skip
        self.count, self.behind = len(ops), [*shared]
        gradients = [place for place, own in enumerate(codes) if _GRADIENT in own]
        left = _behind(ops, gradients)
        if most is None or not self._parted(ops, left, others, most):
            left = []
        self.likes = [like for like in likes if like.place not in left]
        reads = [op for op in map(ops.__getitem__, left) if op.type in READS]
        self.awaited = [op for op in reads if not op.attrs["variable"].name.startswith(self.own)]
        self.stamps = u.graph.stamps = Stamps(Updated(weight, self.own, ops), gradients, left, [])

    def _parted(self, ops: Sequence[Op], left: Sequence[int], others: int, most: int) -> bool:
        """Whether so much of a large step is ``left`` that this is worth while, and the first update's ops, which have
        another shape, tell all that is asked of it; the averages of the weights wait for more."""
        graph = self.u.graph
        every = len(graph.ops) + len(ops) * others
        return (
            every > most
            and len(left) * others >= _SHARE * every
            and not self.u.choice.use_ema
            and all(len(op.outputs) == 1 or (not op.outputs and place in left) for place, op in enumerate(ops))
            and all(_unshaped(ops[place]) for place in left)
            and _small(ops, left, self.weight.spec)
            and not branches({op.type for op in graph.ops}, ())  # what is settled accumulates nothing
        )

    @staticmethod
    def suits(u: Updates, weight: Variable, grad: Value) -> bool:
        """Whether a weight's update is like others: a number would be spread differently, and of a gradient that
        weights share the square is computed once."""
        return bool(weight.spec.shape) and grad.spec == weight.spec and grad not in u.shared

    def fits(self, weight: Variable) -> bool:
        """Whether the copied ops are those that the rule would ask for."""
        known, own = self.u.graph.variables, _slots(self.u, weight)
        same = weight.spec.dtype == self.weight.spec.dtype and own not in self.known
        return same and not any(f"{own}{suffix}" in known for suffix in self.suffixes)

    def update(self, weight: Variable, grad: Value) -> None:
        """The same for another weight."""
        ops, layer, phase, wide = self.u.graph.ops, weight.handle.layer, self.phase, (weight.spec,)
        own = _Own(self.u, weight, self.own)
        made: list[Op] = []
        handle = first_of((weight.handle, 0))
        values = [handle] * self.count + [*self.behind, handle, grad]
        number = len(ops)
        for place, type_, name, read, controls, outputs, attrs, variable in self.likes:
            op = Op(number, type_, name, layer, phase, list(read(values)), wide if outputs is None else outputs, attrs)
            values[place] = first_of((op, 0))
            number += 1
            made.append(op)
            if controls:
                op.controls = [values[before].op for before in controls]
            if variable:
                own.take(op)
        ops += made
        self.known.add(own.own)
        if self.stamps.left:
            self.stamps.others.append(Updated(weight, own.own, made, own.left(self.awaited)))


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
                self.found[name] = u.graph.variables[path] = Variable(op, u.slots[path], path, False)
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

    def left(self, reads: Sequence[Op]) -> Sequence[Op]:
        """What the weight's assignment, which is not made, waits for. ``reads``: those of the copied update that stand
        for what is not made either, and is waited for once more."""
        for op in reads:
            self.u.reads.setdefault(op.attrs["variable"].name, []).append(op)
        return self.u.reads.pop(self.weight.name, ())


def _behind(ops: Sequence[Op], gradients: Sequence[int]) -> list[int]:
    """The places of an update's ops that no op reading the gradient waits for."""
    places = {op: place for place, op in enumerate(ops)}
    before = set(gradients)
    for place in reversed(range(len(ops))):
        if place in before:
            op = ops[place]
            before.update(places[source] for source in (*(v.op for v in op.inputs), *op.controls) if source in places)
    return [place for place in range(len(ops)) if place not in before]


def _small(ops: Sequence[Op], left: Sequence[int], wide: Spec) -> bool:
    """Whether what is ``left`` and waits for nothing that is made again allocates numbers alone: its order among the
    updates is the arguments', which is not theirs. With momentum all slots are multiplied when the step begins."""
    late = set(ops).difference(map(ops.__getitem__, left))
    for op in map(ops.__getitem__, left):
        if not late.isdisjoint((*(source for source, _ in op.inputs), *op.controls)):
            late.add(op)
        elif wide in op.outputs and op.type not in READS:
            return False
    return True


def _unshaped(op: Op) -> bool:
    """Whether an op takes no more than its output."""
    kind = op_type(op.type)
    return not (kind.scratch or kind.scratch_on or kind.early or kind.early_on)


def taking(codes: Sequence[int]) -> Callable[[Sequence[Any]], Any]:
    """What takes several of a list."""
    if len(codes) > 1:
        return itemgetter(*codes)
    return itemgetter(slice(codes[0], codes[0] + 1 or None) if codes else slice(0, 0))


def _slots(u: Updates, weight: Variable) -> str:
    """How the names of a weight's slots begin."""
    return f"{u.prefix}/{weight.name.replace('/', '_')}_"
