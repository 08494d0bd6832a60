"""Sort keys that stand for the names that Keras and the tape give to nodes, as far as they decide an order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ctypes import c_float
from functools import lru_cache
from typing import Any

from cnncost.memory.awaited import READS
from cnncost.memory.opgraph import BACKWARD, FORWARD, UPDATE, Op, Scoped, Spec
from cnncost.memory.regroup import CAPITAL, REGROUPED
from cnncost.memory.wires import Wires

_BEFORE = 1 << 40
_NUMBERS = (float, int)
_CAPITALS = (
    "EluGrad", "Neg_1", "Relu6Grad", "ReluGrad", "SeluGrad", "Sigmoid", "SigmoidGrad", "SoftsignGrad", "TanhGrad",
)  # fmt: skip
# Before mul/Mul, the highest first: capitals by the alphabet, then mul.
_FOREMOST = {"mul": 1} | {name: place for place, name in enumerate(reversed(_CAPITALS), 2)}
_COUNTED = frozenset(("AddN", "PartitionedCall", "_Arg"))  # some of which are numbered
_UNSCOPED = _COUNTED | {"Const"}  # whose names need not begin with the scopes of their phase and layer
_AHEAD = READS | {"Reshape"}  # Cast/ReadVariableOp and Reshape_1 are before mul/y and batchnorm/add/y
_WRITTEN = {"RealDiv": "truediv"}  # what Python's operator is called
_PYTHON = {"Mul": "mul", "Sub": "sub", "AddV2": "add"}  # the same where the name has no scope


def number(constant: Op, inverted: bool = False) -> Any:
    """What is the same for equal constants: 1 − 0.999 and 0.001 are, in 32 bits; ``inverted``: of the reciprocal."""
    value, spec = constant.attrs.get("value"), constant.outputs[0]
    return _number(value, spec, inverted) if isinstance(value, _NUMBERS) else (str(value), spec)


@lru_cache(maxsize=1024, typed=True)  # layers have the same few
def _number(value: float, spec: Spec, inverted: bool) -> tuple[str, Spec]:
    if inverted and value:
        value = 1 / value
    return str(c_float(value).value if spec.dtype == "float32" else value), spec


def entered(layers: Iterable[str]) -> dict[str, str]:
    """The name scopes of layers that are called in this order, of those alone whose scope is not LAYER_1. Keras enters
    each twice, and a name that is taken gets a number (``unique_name`` of TensorFlow's ops.py); ops have the second.

    >>> entered(["conv", "conv_1", "conv_2"]), entered(["conv_1", "conv"])
    ({'conv_1': 'conv_1_2/'}, {'conv': 'conv_2/'})
    """
    used: dict[str, int] = {}

    def unique(name: str) -> str:
        count = used.get(name, 0)
        used[name] = count + 1
        found = name
        while count and found in used:
            found = f"{name}_{count}"
            count += 1
        used.setdefault(found, 1)
        return found

    scopes: dict[str, str] = {}
    for layer in layers:
        unique(layer)
        scope = unique(layer)
        if scope != f"{layer}_1":
            scopes[layer] = f"{scope}/"
    return scopes


class Names:
    """Scope, then order of creation inside a layer."""

    def __init__(self, model: str, optimizer: str, layers: Mapping[str, str] | None = None) -> None:
        self.layers = layers or {}  # the scopes of those that are not named LAYER_1 (``entered``)
        self.scopes = {FORWARD: f"{model}_1/", BACKWARD: f"gradient_tape/{model}_1/", UPDATE: f"{optimizer}/"}
        self.model, self.optimizer = model, optimizer
        self.stems: dict[str, dict[str, str]] = {BACKWARD: {}, FORWARD: {}}  # scope and layer, by those
        self.counts: dict[str, int] = {}
        self.known: dict[int, tuple[str, int]] = {}
        self.numbers: dict[int, Any] = {}  # of constants
        self.read: dict[int, tuple[str, int]] = {}
        self.copies: dict[int, str] = {}  # of ops that are not there
        self.kinds: dict[Op, str] = {}  # how their names begin
        self.moments: set[str] = set()  # the layers that compute a mean and a variance
        self.batched: set[str] = set()  # those of them that are batch normalizations
        self.first: dict[Any, Op] = {}  # of the constants that are equal
        self.updating = (f"{self.scopes[UPDATE]}Const", 0)  # the name of a constant of the update
        before = self.scopes[FORWARD] < self.scopes[BACKWARD]
        told = not model.startswith("gradient_tape/")  # by the scopes alone
        self.turns = {(FORWARD, BACKWARD): not before, (BACKWARD, FORWARD): before} if told else {}

    def layer(self, op: Op) -> str:
        """The scope of the op's layer."""
        name = op.layer
        scope = self.layers.get(name) or f"{name}_1/"
        return scope + name.scope if isinstance(name, Scoped) else scope

    def of(self, op: Op) -> tuple[str, int]:
        key = id(op)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = self._make(op)
        return found

    def _make(self, op: Op) -> tuple[str, int]:
        kind, phase = op.type, op.phase
        if kind in _COUNTED:
            if kind == "AddN" and phase != FORWARD and "inside" not in op.attrs:
                return self._numbered("AddN"), op.index
            if kind == "PartitionedCall":  # the gradient of what XLA compiles
                return self._numbered(kind), op.index
            if kind == "_Arg" and phase == FORWARD and "variable" not in op.attrs:
                return self._numbered("x"), 0
        if phase == UPDATE:
            if kind == "AssignVariableOp" and not op.layer:
                return "AssignVariableOp", 0
            return self._numbered(self.scopes[UPDATE] + kind), op.index
        if "outside" in op.attrs:
            return _PYTHON.get(kind, kind), op.index
        if phase == BACKWARD and not op.layer:  # of the loss
            return f"gradient_tape/mean_squared_error/{_WRITTEN.get(op.name, op.name)}", op.index
        return self._stem(op) or "sparse_categorical_crossentropy/", self._place(op)

    def _place(self, op: Op) -> int:
        """Among the names of its phase and layer."""
        if op.name == REGROUPED:  # capitals sort before the names of other ops
            return -1
        turn = self._turn(op)
        return op.index + _BEFORE * turn if turn else op.index

    def _turn(self, op: Op) -> int:
        """How far an op's name is before or behind those of others of its layer."""
        phase = op.phase
        if phase == BACKWARD:
            if op.name in _FOREMOST:
                return -_FOREMOST[op.name]
            return self._moment(op) if op.layer in self.moments else 0
        if phase == FORWARD:
            if op.type in CAPITAL or (op.type in READS and op.name.endswith("bias")):  # Add/ReadVariableOp
                return -1
            return op.type == "Squeeze"  # moments/Squeeze beside batchnorm/mul
        return 0

    def _stem(self, op: Op) -> str | None:
        """The scopes of an op's phase and layer; None where its phase has none."""
        phase, layer = op.phase, op.layer
        if type(phase) is str and type(layer) is str:
            stems = self.stems.get(phase)
            if stems is not None:
                stem = stems.get(layer)
                if stem is None:
                    stem = stems[layer] = f"{self.scopes[phase]}{self.layer(op)}"
                return stem
        scope = self._scope(op)
        return f"{scope}{self.layer(op)}" if scope else None

    def _moment(self, op: Op) -> int:
        """Gradients of one layer: batchnorm/mul_1/Mul, moments/mul_1, moments/truediv, mul_1/Mul_1 of what the negated
        mean was multiplied with, mul_2/Mul, mul_2/Sum."""
        if op.name == "RealDiv":
            return 1
        if op.type == "Sum":
            return 4
        if op.type != "Mul" or op.layer in self.batched:
            return 0
        read = {value.op.type for value in op.inputs if value.op.phase == FORWARD}
        if not read:
            return 0
        return 2 if "Neg" in read else 3

    def turned(self, one: Op, two: Op, reader: Op) -> bool:
        """Whether the second operand of a commutative op has the name that stands first. Few names are made for it: two
        phases are told by their scopes, two ops of one layer by their places, and grappler's constants are first."""
        phase, again = one.phase, two.phase
        if reader.phase == UPDATE or phase == UPDATE or again == UPDATE:  # names that are numbered as they are made
            return self._named(one, two, reader)
        if one.type in _UNSCOPED or two.type in _UNSCOPED:
            return self._unscoped(one, two, reader)
        layer = one.layer
        if layer and two.layer and "outside" not in one.attrs and "outside" not in two.attrs:
            if phase is again:
                if layer is two.layer:
                    return self._place(two) < self._place(one)
            elif type(phase) is type(again) is str and (phase, again) in self.turns:
                return self.turns[phase, again]
        return self.of(two) < self.of(one)

    def _named(self, one: Op, two: Op, reader: Op) -> bool:
        """The same by the names themselves, which are numbered in the order of the operands."""
        first = self.operand(one, reader)
        return self.operand(two, reader) < first

    def _unscoped(self, one: Op, two: Op, reader: Op) -> bool:
        """The same of constants and of what is counted."""
        if (one.type == "Const") is (two.type == "Const") or not _COUNTED.isdisjoint((one.type, two.type)):
            return self._named(one, two, reader)
        if one.type == "Const":
            name = self.operand(one, reader)
            return bool(name[0]) and self.of(two) < name
        name = self.operand(two, reader)
        return not name[0] or name < self.of(one)

    def operand(self, op: Op, reader: Op) -> tuple[str, int]:
        """Constants that grappler made come first: their names begin with a capital letter. Equal ones that Keras
        wrote are one, which bears the name that the first has."""
        if reader.phase == UPDATE and not reader.layer:  # of the step's counter
            return ("Cast", 0) if op.type == "Const" else ("Add", 0)
        if op.type != "Const":
            return self.known.get(id(op)) or self.of(op)
        first = self.first.get(self.number(op), op)
        if first.phase == UPDATE != reader.phase:
            return self.updating
        stem = self._stem(first) if first.phase == FORWARD and first.layer and first.name == "Const" else None
        if not stem:
            return "", op.index
        others = [value[0].type for value in reader.inputs]
        behind = not _AHEAD.isdisjoint(others) or (reader.type == "Mul" and "Squeeze" in others)
        return stem, first.index + (2 * _BEFORE if behind else -_BEFORE)

    def number(self, constant: Op) -> Any:
        key = self.numbers.get(id(constant))
        if key is None:
            key = self.numbers[id(constant)] = number(constant)
        return key

    def learn(self, edges: Wires, walk: Iterable[int]) -> None:
        """What of the whole graph decides names: which layers have moments, and equal constants. Of those the one that
        stands first in ``walk``, the places of the ops behind the first pruning, gives its name."""
        constants, ops = set[int](), edges.ops
        for op in edges.of("Const"):
            if not op.controls:
                constants.add(op.index)
                if op.phase == UPDATE:  # each update has its own; the last is walked to last
                    self.first.setdefault(self.number(op), op)
        self.moments.update(op.layer for op in edges.of("Mean") if op.name == "variance" and op.phase == FORWARD)
        self.batched.update(op.layer for op in edges.of("Mul") if op.name == "mul_1" and op.phase == FORWARD)
        for place in filter(constants.__contains__, walk):
            self.first.setdefault(self.number(ops[place]), ops[place])

    def end(self, op: Op, used: dict[int, str]) -> tuple[str, int]:
        """The name of an op with a state, as far as it decides: a bias is read before a kernel."""
        if op.type != "ReadVariableOp":
            return self.of(op)
        found = self.read.get(op.index)
        if found is None:
            found = self.read[op.index] = self._reading(op, used)
        return found

    def _reading(self, op: Op, used: dict[int, str]) -> tuple[str, int]:
        if op.phase == UPDATE:
            return (self._numbered(self._updating(op, used)), op.index) if op.layer else ("Add", 0)
        weight = "bias" if op.attrs["variable"].name.endswith("/bias") else "kernel"
        stem = self._stem(op) if op.phase == FORWARD else None
        if stem is None:
            scope = self._scope(op) if isinstance(op.phase, Scoped) else self.scopes[FORWARD]
            stem = f"{scope}{self.layer(op)}"
        return stem + weight, op.index

    def state(self, op: Op, used: dict[int, str], steps: set[int]) -> tuple[str, int]:
        """The same with the counter's read, ``Add/ReadVariableOp``, and a seed's, ``LAYER_1/Add/ReadVariableOp``."""
        if op.type not in READS:
            return self.of(op)
        if op.index in steps:
            return f"{self._scope(op)}{self.layer(op)}", op.index
        return self.end(op, used)

    def like(self, op: Op, used: dict[int, str], number: int) -> str:
        """The name, which is no other's, of an op of the update that is not there, but would be like ``op``."""
        found = self.copies.get(number)
        if found is None:
            stem = self.kinds.get(op)
            if stem is None:
                stem = self.kinds[op] = self._updating(op, used)
            count = self.counts.get(stem, 0)
            self.counts[stem] = count + 1
            found = self.copies[number] = f"{stem}_{count}" if count else stem
        return found

    def _updating(self, op: Op, used: dict[int, str]) -> str:
        """How the name begins of what reads or assigns a variable in the update."""
        kind = op.type
        if kind == "ReadVariableOp":
            rate = op.attrs["variable"].name.endswith("/learning_rate")
            kind = f"{'Cast' if rate else used.get(op.index, '')}/read"
        return f"{self.scopes[UPDATE]}{kind}"

    def _scope(self, op: Op) -> str | None:
        phase = op.phase
        return phase.scope.format(self.model) if isinstance(phase, Scoped) else self.scopes.get(phase)

    def _numbered(self, stem: str) -> str:
        count = self.counts.get(stem, 0)
        self.counts[stem] = count + 1
        return f"{stem}_{count}" if count else stem
