"""TensorFlow's ops as HLO: what tf2xla's kernels build and XLA's simplifications leave of it.

One rule for each op type; ops that compute value by value are rows of tables. Variables are values here: an assignment
only renames, and what a variable holds at the end is an output of the compiled step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from cnncost.errors import UnsupportedLayer
from cnncost.memory.lowering.model import NotSimulated
from cnncost.memory.opgraph import Op, OpGraph
from cnncost.memory.spec import Spec
from cnncost.memory.xla.branches import Branch
from cnncost.memory.xla.halves import half, in_float32
from cnncost.memory.xla.hlo import Hlo, Module, Operand
from cnncost.memory.xla.lookup import add_rows
from cnncost.memory.xla.rules import RULES, VALUEWISE


class Program(NamedTuple):
    """The compiled step: its instructions, what it returns, and for each updated variable its parameter and value."""

    module: Module
    results: tuple[Operand, ...]
    updates: tuple[tuple[Hlo, Operand], ...]


def emit(graph: OpGraph) -> Program:
    """Raises NotSimulated, naming the layer, for an op type that has no rule."""
    module = Module()
    values: dict[tuple[int, int], Operand] = {}
    parameters: dict[str, Hlo] = {}
    held: dict[str, Operand] = {}
    first: dict[Any, Op] = {}
    branch = Branch(graph)
    for op in graph.ops:
        module.op = op
        if op is branch.gate:
            values[op.index, 0] = branch.begin(module, op, values, held)
        elif op.type == "_Arg":
            _argument(module, op, values, parameters, held)
        elif op.type in _READ:
            values[op.index, 0] = held[op.attrs["variable"].name]
        elif op.type in _ASSIGN:
            name = op.attrs["variable"].name
            new = values[op.inputs[1].op.index, op.inputs[1].index]
            spec = op.attrs["variable"].spec
            held[name] = module.map(_ASSIGN[op.type], (held[name], new), spec) if _ASSIGN[op.type] else new
        elif op.type in _SCATTER:
            name = op.attrs["variable"].name
            indices, new = (values[source.index, place] for source, place in op.inputs[1:])
            shapes = (op.inputs[1].spec, op.inputs[2].spec)
            held[name] = add_rows(
                module, _there(held[name]), module.filled(indices, shapes[0]), module.filled(new, shapes[1])
            )
        else:
            inputs = [values[source.index, place] for source, place in op.inputs]
            key = _key(op, inputs)
            same = None if key is None else first.setdefault(key, op)
            if same is not None and same is not op:
                for place in range(len(op.outputs)):
                    values[op.index, place] = values[same.index, place]
                continue
            for place, made in enumerate(_translate(module, op, inputs)):
                values[op.index, place] = made
    branch.end(module, values, held, parameters)
    results = tuple(values[value.op.index, value.index] for value in graph.results)
    updates = tuple((parameters[name], held[name]) for name in held if held[name] is not parameters[name])
    return Program(module, results, updates)


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


def _argument(
    module: Module, op: Op, values: dict[tuple[int, int], Operand], parameters: dict[str, Hlo],
    held: dict[str, Operand],
) -> None:  # fmt: skip
    variable = op.attrs.get("variable")
    spec = op.outputs[0] if variable is None else variable.spec
    made = module.add("parameter", (), spec.shape, spec.dtype)
    made.fusible = False
    values[op.index, 0] = made
    if variable is not None:
        parameters[variable.name] = made
        held[variable.name] = made


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
    if rule is None:
        raise _unknown(op, f"TensorFlow's {op.type}")
    return half(module, op, inputs, rule) if in_float32(op) else rule(module, op, inputs)


def _there(value: Operand) -> Hlo:
    assert value is not None
    return value


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
