"""Updates that a step makes or not: under loss scaling, and with gradient accumulation.

Keras branches by ``tf.cond``. All of both branches is arithmetic value by value, so the compiler runs both and selects
(conditional_simplifier.cc, TryRemoveConditional): each variable that either branch assigns is a select between what one
branch leaves in it and the other. So every step is the same, and every update waits for the condition, which under loss
scaling waits for all gradients.
"""

from __future__ import annotations

from collections.abc import Mapping

from cnncost.memory.loss_scaling import SCALE
from cnncost.memory.opgraph import UPDATE, Op, OpGraph, Value
from cnncost.memory.spec import Spec
from cnncost.memory.xla.hlo import Hlo, Module, Operand

_FLAG = Spec((), "bool")
_SUMS, _COUNTER = "_gradient_accumulator", "/iteration"
Values = dict[tuple[int, int], Operand]
Held = dict[str, Operand]


class Branch:
    """The one condition of a step, if it has one: ``gate`` is the op that computes it."""

    def __init__(self, graph: OpGraph) -> None:
        self.scaled = SCALE in graph.variables
        self.sums = any(name.endswith(_SUMS) for name in graph.variables)
        self.gate = _gate(graph, "All" if self.scaled else "Equal") if self.scaled or self.sums else None
        self.flag: Operand = None
        self.before: Held = {}
        self.totals = _totals(graph) if self.sums else {}

    def begin(self, module: Module, op: Op, values: Values, held: Held) -> Operand:
        """The condition; what the variables hold here is what the other branch leaves in most of them."""
        parts = op.inputs[0].op.inputs if self.scaled else op.inputs
        flag: Operand = None
        for source, place in parts:
            value = values[source.index, place]
            flag = value if flag is None else module.map("and", (flag, value), _FLAG)
        self.flag = flag if self.scaled else module.map("compare", (flag,), _FLAG)
        self.before = dict(held)
        return self.flag

    def end(self, module: Module, values: Values, held: Held, parameters: Mapping[str, Hlo]) -> None:
        """What the variables hold after either branch."""
        if self.gate is None:
            return
        for name, new in list(held.items()):
            total = self.totals.get(name)
            old = self.before.get(name, parameters[name])
            if total is not None:
                old = values[total.op.index, total.index]
            elif new is old or (name.endswith(_COUNTER) and not self.scaled):
                continue
            held[name] = module.map("select", (self.flag, new, old), _spec(new, old))
        if self.scaled and held.get(SCALE) is not None:  # doubled or halved
            held[SCALE] = module.map("select", (self.flag, held[SCALE]), Spec((), "float32"))


def _spec(new: Operand, old: Operand) -> Spec:
    value = new or old
    assert value is not None
    return Spec(value.shape, value.dtype)


def _gate(graph: OpGraph, type_: str) -> Op | None:
    """The condition is what the update's first ops wait for."""
    for op in graph.ops:
        if op.phase == UPDATE:
            for control in op.controls:
                if control.type == type_ and control.phase == UPDATE:
                    return control
    return None


def _totals(graph: OpGraph) -> dict[str, Value]:
    """For each accumulator the sum of it and the gradient, which it holds between updates."""
    found = {}
    for op in graph.ops:
        if op.type == "AddV2" and op.phase == UPDATE:
            for value in op.inputs:
                if value.op.type == "ReadVariableOp" and value.op.attrs["variable"].name.endswith(_SUMS):
                    found[value.op.attrs["variable"].name] = op.out()
    return found
