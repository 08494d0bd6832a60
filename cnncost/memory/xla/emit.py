"""TensorFlow's ops as HLO: what tf2xla's kernels build and XLA's simplifications leave of it.

One rule for each op type; ops that compute value by value are rows of tables. Variables are values here: an assignment
only renames, and what a variable holds at the end is an output of the compiled step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.model import NotSimulated
from cnncost.memory.opgraph import Op, OpGraph
from cnncost.memory.spec import Spec
from cnncost.memory.xla.branches import Branch
from cnncost.memory.xla.halves import half, in_float32
from cnncost.memory.xla.hlo import HALVES, Hlo, Module, Operand
from cnncost.memory.xla.lookup import add_rows
from cnncost.memory.xla.looping import LISTS, while_loop
from cnncost.memory.xla.rules import RULES, VALUEWISE

Values = dict[tuple[int, int], Operand]


class Program(NamedTuple):
    """The compiled step: its instructions, what it returns, and for each updated variable its parameter and value."""

    module: Module
    results: tuple[Operand, ...]
    updates: tuple[tuple[Hlo, Operand], ...]


def emit(graph: OpGraph, turns: Mapping[int, int] | None = None) -> Program:
    """Raises NotSimulated, naming the layer, for an op type that has no rule. ``turns``: when the compiler makes an
    op's instructions (``creation``), by the op's identity."""
    emitter = Emitter(graph)
    values: Values = {}
    emitter.run(graph.ops, values)
    emitter.branch.end(emitter.module, values, emitter.held, emitter.parameters)
    emitter.module.settle()
    _put_in_order(emitter.module, turns or {})
    results = tuple(values[value.op.index, value.index] for value in graph.results)
    parameters, held = emitter.parameters, emitter.held
    updates = tuple((parameters[name], held[name]) for name in held if held[name] is not parameters[name])
    return Program(emitter.module, results, updates)


def _put_in_order(module: Module, turns: Mapping[int, int]) -> None:
    """What a loop's body makes goes with the loop."""
    turn, module.turns = 0, turns
    for hlo in module.all:
        turn = turns.get(id(hlo.op), turn)
        if hlo.opcode != "parameter":
            hlo.order = turn * len(module.all) + hlo.index


class Emitter:
    """Translates ops one after the other. ``held``: what each variable holds at this point."""

    def __init__(self, graph: OpGraph) -> None:
        self.module = Module()
        self.parameters: dict[str, Hlo] = {}
        self.held: dict[str, Operand] = {}
        self.pushed: dict[int, Hlo] = {}  # by the pushing op: the list of what a loop keeps for its gradient
        self.loop: Op | None = None  # whose body is translated
        self.branch = Branch(graph)
        self.readers = Counter((source.index, place) for op in graph.ops for source, place in op.inputs)

    def run(self, ops: Sequence[Op], values: Values) -> None:
        """``values``: by the index of an op and of its output."""
        module, held, first = self.module, self.held, dict[Any, Op]()
        for op in ops:
            module.op = op
            if op is self.branch.gate:
                values[op.index, 0] = self.branch.begin(module, op, values, held)
            elif (op.index, 0) in values:
                continue  # what a loop hands to its body
            elif op.type == "_Arg":
                values[op.index, 0] = self.argument(op)
            elif op.type in _READ:
                values[op.index, 0] = held[op.attrs["variable"].name]
            elif op.type in _ASSIGN:
                name = op.attrs["variable"].name
                new = values[op.inputs[1].op.index, op.inputs[1].index]
                spec = op.attrs["variable"].spec
                held[name] = module.map(_ASSIGN[op.type], (held[name], new), spec) if _ASSIGN[op.type] else new
            elif op.type in _SCATTER:
                self.scatter(op, values)
            elif op.type == "While":
                for place, made in enumerate(while_loop(self, op, values)):
                    values[op.index, place] = made
            elif op.type in LISTS:
                values[op.index, 0] = LISTS[op.type](self, op, [values[source.index, n] for source, n in op.inputs])
            else:
                self.plain(op, values, first)

    def plain(self, op: Op, values: Values, first: dict[Any, Op]) -> None:
        """An op that computes its outputs from its inputs. ``first``: equal ones are one."""
        inputs = [values[source.index, place] for source, place in op.inputs]
        key = _key(op, inputs)
        same = op if key is None else first.setdefault(key, op)
        made = [values[same.index, n] for n in range(len(op.outputs))] if same is not op else None
        for place, value in enumerate(_translate(self.module, op, inputs) if made is None else made):
            values[op.index, place] = value
            if value is not None and value.opcode == "scatter":
                lone = same is op and self.readers[op.index, place] == 1
                (self.module.once.add if lone else self.module.once.discard)(value.index)

    def argument(self, op: Op) -> Hlo:
        variable = op.attrs.get("variable")
        if variable is not None and variable.name in self.parameters:
            return self.parameters[variable.name]
        spec = op.outputs[0] if variable is None else variable.spec
        made = self.module.add("parameter", (), spec.shape, spec.dtype)
        made.fusible = False
        if variable is not None:
            self.parameters[variable.name] = made
            self.held[variable.name] = made
        return made

    def scatter(self, op: Op, values: Values) -> None:
        module, name = self.module, op.attrs["variable"].name
        indices, new = (
            module.filled(values[value.op.index, value.index], value.spec) for value in op.inputs[1:]
        )  # fmt: skip
        table = self.held[name]
        assert table is not None
        self.held[name] = add_rows(module, table, indices, new)


def _key(op: Op, inputs: list[Operand]) -> Any:
    """What an op computes: ops of equal keys are one (HloCSE). None where that cannot be told."""
    if op.type in _OWN:
        return None
    read: list[Any] = []
    for value, (source, _) in zip(inputs, op.inputs, strict=True):
        if value is not None:
            read.append(value.index)
        elif source.type == "Const":
            read.append(("constant", str(source.attrs["value"])))
        else:
            return None
    attrs = tuple((name, op.attrs[name]) for name in sorted(op.attrs) if name not in _NAMING)
    return (op.type, tuple(read), attrs, op.outputs)


def _translate(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    name = VALUEWISE.get(op.type)
    if name is not None:
        value: Operand = None
        for number, opcode in enumerate(name):
            value = module.map(opcode, inputs if number == 0 else (value,), _spec_of(op, opcode))
        return (value,)
    rule = RULES.get(op.type)
    if op.type in _UNCOMPILED:
        what = f"XLA compiles no {op.type} for the CPU, so there is no such step"
        raise NotSimulated(UnsupportedLayer(what, rule="TensorFlow has no kernel for it there"), op.layer)
    if op.type == "ResizeBilinearGrad" and op.outputs[0].dtype in HALVES:
        what = f"XLA does not compile the gradient of bilinear resizing in {op.outputs[0].dtype}"
        why = "TensorFlow's kernel puts out float32 there, and the compiler refuses to mix them"
        raise NotSimulated(UnsupportedLayer(what, rule=why), op.layer)
    if rule is None:
        raise _unknown(op, f"TensorFlow's {op.type}")
    return half(module, op, inputs, rule) if in_float32(op) else rule(module, op, inputs)


def _unknown(op: Op, what: str) -> NotSimulated:
    rule = "it follows the compiler instruction by instruction and guesses nothing"
    return NotSimulated(UnsupportedLayer(f"the simulation of XLA does not know {what}", rule=rule), op.layer)


def _spec_of(op: Op, opcode: str) -> Spec:
    return Spec(op.outputs[0].shape, "bool") if opcode == "compare" and op.outputs[0].dtype != "bool" else op.outputs[0]


# Never merged: random numbers, and what is as good as free.
_OWN = frozenset(("RandomUniform", "RandomStandardNormal", "Const", "Identity", "IdentityN"))
_NAMING = frozenset(("gradient", "outside"))  # attributes that change no value
_READ = frozenset(("ReadVariableOp", "ReadVariableCopy"))
_SCATTER = frozenset(("ResourceScatterAdd", "ResourceScatterSub"))
_UNCOMPILED = frozenset(("ResizeBicubic", "ResizeBicubicGrad", "ResizeNearestNeighborGrad"))
_ASSIGN = {"AssignVariableOp": "", "AssignAddVariableOp": "add", "AssignSubVariableOp": "subtract"}
