"""The graph of TensorFlow ops that one step runs: the common language of lowering, gradients, rewriting, scheduling and
the sweep over live bytes.

Shapes include the batch and are fully known. Ops are kept in the order of creation, which is the order in which the
traced ``tf.function`` creates them: layers in Keras's order, inside a layer as its ``call`` and TensorFlow's Python
code do. Numbers that only steer an op (axes, strides, target shapes) are attributes; a constant that takes part in
arithmetic is a ``Const`` op. Neither a constant nor a variable that is read allocates anything in a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

from cnncost.memory.optypes import infer
from cnncost.memory.spec import Dims, Spec, scalar
from cnncost.processors import AVX512

__all__ = [
    "BACKWARD",
    "COMPILED",
    "FORWARD",
    "LOSS",
    "UNTOLD",
    "UPDATE",
    "Op",
    "OpGraph",
    "Scoped",
    "Spec",
    "Value",
    "Variable",
    "first_of",
]

FORWARD, LOSS, BACKWARD, UPDATE = "forward", "loss", "backward", "update"
COMPILED = "StatefulPartitionedCall"  # a function that XLA compiles (``compiled``)
UNTOLD = "untold"  # of a constant whose value the model does not tell: it is no other's equal


class Scoped(str):
    """A phase or a layer whose ops have names of their own. Of a phase ``scope`` stands before the layer's, ``{}`` in
    it for the model's; of a layer behind its own: some of its ops are a layer's inside it.

    >>> phase = Scoped(BACKWARD, "again/")
    >>> phase == BACKWARD, phase.scope
    (True, 'again/')
    """

    scope: str

    def __new__(cls, name: str, scope: str) -> Scoped:
        made = super().__new__(cls, name)
        made.scope = scope
        return made

    def __getnewargs__(self) -> tuple[str, str]:  # type: ignore[override]
        return str(self), self.scope


class Op:
    """One TensorFlow op. Compared and hashed by identity."""

    __slots__ = ("attrs", "controls", "index", "inputs", "layer", "name", "outputs", "phase", "type")

    def __init__(
        self, index: int, type_: str, name: str, layer: str, phase: str, inputs: list[Value], outputs: tuple[Spec, ...],
        attrs: dict[str, Any],
    ) -> None:  # fmt: skip
        self.index = index  # position in OpGraph.ops
        self.type = type_
        self.name = name
        self.layer = layer
        self.phase = phase
        self.inputs = inputs
        self.controls: list[Op] = []  # must have run before, without data
        self.outputs = outputs
        self.attrs = attrs

    def out(self, index: int = 0) -> Value:
        """One of its outputs."""
        return Value(self, index)

    def __repr__(self) -> str:
        read = ", ".join(f"{value.op.name}:{value.index}" for value in self.inputs)
        return f"{self.type} {self.name}({read}) -> {[(spec.shape, spec.dtype) for spec in self.outputs]}"


class Value(NamedTuple):
    """Output ``index`` of an op: what flows along an edge."""

    op: Op
    index: int  # type: ignore[assignment]  # shadows tuple.index, which nobody needs here

    @property
    def spec(self) -> Spec:
        return self.op.outputs[self.index]

    @property
    def shape(self) -> Dims:
        return self.op.outputs[self.index].shape

    @property
    def dtype(self) -> str:
        return self.op.outputs[self.index].dtype


class Variable(NamedTuple):
    """A variable of the step: a layer's weight, an optimizer's slot, a counter. ``handle`` is its argument op."""

    handle: Op
    spec: Spec
    name: str  # "layer/kernel"
    trainable: bool
    constant: bool = False  # when the step begins it holds a constant's buffer, which is not the step's to free

    @property
    def bytes(self) -> int:
        return self.spec.bytes


class Updated(NamedTuple):
    """One weight's update: the ops that were ``made``, in the order of creation; ``slots``: how the names of its slots
    begin; ``waits``: what its assignment, where that was not made, waits for beside its own ops."""

    weight: Variable
    slots: str
    made: Sequence[Op]
    waits: Sequence[Op] = ()


class Stamps(NamedTuple):
    """Updates that are alike. ``gradients``: the places of the ops of the ``first`` that read the gradient; ``left``:
    the places of those that were not made for the ``others``, which are here, in the order of creation, if there are
    any."""

    first: Updated
    gradients: list[int]
    left: list[int]
    others: list[Updated]


class OpGraph:
    """Ops in the order of creation; ``layer`` and ``phase`` are stamped on what is added.

    >>> graph = OpGraph()
    >>> x = graph.argument("x", Spec((2, 8), "float32"))
    >>> w = graph.variable("dense/kernel", Spec((8, 3), "float32"))
    >>> y = graph.add("MatMul", [x, graph.read(w)])
    >>> y.spec.bytes
    24
    """

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.variables: dict[str, Variable] = {}
        self.results: list[Value] = []  # what the step returns
        self.by_rows: set[str] = set()  # variables that are updated by rows
        self.unrecorded: set[Op] = set()  # not on the tape: the reverse pass runs them again
        self.kept: list[Op] = []  # ops with effects (assignments), never pruned
        self.processor = AVX512  # whose kernels run it
        self.mapped = True  # whether grappler's remapper does its work
        self.shaped = True  # whether it knows all shapes
        self.ignored = False  # whether TensorFlow ignores what grappler makes of it
        self.written = False  # whether it is the graph that then runs, as it was written (``as_written``)
        self.stamps: Stamps | None = None  # of what an optimizer does to each weight
        self.layer = ""
        self.phase = FORWARD
        self.scopes: dict[str, str] = {}  # of layers whose ops are not named LAYER_1/… (``names.entered``)

    def __iter__(self) -> Iterator[Op]:
        return iter(self.ops)

    @cached_property
    def compiled(self) -> bool:
        """Whether the forward pass calls functions that XLA compiles; to be asked when it is there."""
        return COMPILED in [op.type for op in self.ops]

    @cached_property
    def loops(self) -> bool:
        """Whether there are loops; to be asked when the forward pass is there."""
        return "While" in [op.type for op in self.ops]

    @property
    def count(self) -> int:
        """How many ops the step has, with those that were not made (``stamps``)."""
        stamps = self.stamps
        return len(self.ops) + (len(stamps.left) * len(stamps.others) if stamps else 0)

    def add(
        self, type_: str, inputs: Iterable[Value] = (), outputs: Sequence[Spec] | None = None, name: str = "",
        **attrs: Any,
    ) -> Value:  # fmt: skip
        """Append an op and return its first output. Without ``outputs`` they follow from the op type's rule
        (``optypes``). ``name`` is the part below the layer's path; it need not be unique."""
        read, ops = list(inputs), self.ops
        if outputs is None:
            outputs = infer(type_, [value[0].outputs[value[1]] for value in read], attrs)
        op = Op(len(ops), type_, name or type_, self.layer, self.phase, read, tuple(outputs), attrs)
        ops.append(op)
        return first_of((op, 0))

    def argument(self, name: str, spec: Spec) -> Value:
        """A tensor that the step is called with; its buffer belongs to the caller."""
        return self.add("_Arg", (), (spec,), name)

    def constant(self, value: Any, spec: Spec | None = None, name: str = "Const") -> Value:
        """A constant tensor (a float32 scalar unless ``spec`` says otherwise)."""
        return self.add("Const", (), (spec or scalar("float32"),), name, value=value)

    def variable(self, name: str, spec: Spec, trainable: bool = True, constant: bool = False) -> Variable:
        """The variable ``name``, declared at its first use: a function takes its captures in that order."""
        found = self.variables.get(name)
        if found is None:
            handle = self.add("_Arg", (), _HANDLE, name).op
            found = self.variables[name] = Variable(handle, spec, name, trainable, constant)
            handle.attrs["variable"] = found
        return found

    def read(self, variable: Variable, name: str = "ReadVariableOp") -> Value:
        """The variable's value: an alias of its buffer."""
        type_ = "ReadVariableCopy" if variable.name in self.by_rows else "ReadVariableOp"
        return self.add(type_, (first_of((variable.handle, 0)),), (variable.spec,), name, variable=variable)

    def assign(self, type_: str, variable: Variable, value: Value, name: str = "") -> Op:
        """An ``AssignVariableOp``, ``AssignAddVariableOp`` or ``AssignSubVariableOp``; it is never pruned."""
        op = self.add(type_, (first_of((variable.handle, 0)), value), (), name, variable=variable).op
        self.kept.append(op)
        return op

    def scatter(self, type_: str, variable: Variable, values: Value, indices: Value) -> Op:
        """A ``ResourceScatterSub`` or ``ResourceScatterAdd``: rows of the variable change in place. From its first one
        on (``copy_on_read_mode`` of resource_variable_ops.cc) every reading of the variable is a copy."""
        op = self.add(type_, (Value(variable.handle, 0), indices, values), (), "", variable=variable).op
        self.kept.append(op)
        self.by_rows.add(variable.name)
        for read in self.ops:
            if read.type == "ReadVariableOp" and read.attrs["variable"].name == variable.name:
                read.type = "ReadVariableCopy"
        return op


_HANDLE = (Spec((), "resource"),)
first_of: Callable[[tuple[Op, int]], Value] = partial(tuple.__new__, Value)  # half the time of Value(op, 0)
