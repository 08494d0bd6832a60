"""What an optimizer's update is made of: reads, arithmetic and assignments, in the order that TensorFlow keeps.

Reads and assignments of a variable keep their order, as TensorFlow's automatic control dependencies see to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cnncost.memory.late_constants import SEVERAL
from cnncost.memory.opgraph import Op, OpGraph, Value, Variable
from cnncost.memory.optimizers import Optimizer, StateVariable, slots
from cnncost.memory.sparse import SPARSE, apply, dense, is_sparse, rows
from cnncost.memory.spec import Dims, Spec

Number = float
Operand = Value | Number


class Updates:
    """Emits arithmetic on values and numbers; knows the optimizer's variables by path."""

    def __init__(self, graph: OpGraph, choice: Optimizer, trained: Sequence[Variable]) -> None:
        self.graph, self.choice = graph, choice
        weights = [StateVariable(variable.name, variable.spec.shape, variable.spec.dtype) for variable in trained]
        self.slots: dict[str, Spec] = {}
        # most slots have their weight's
        specs: dict[tuple[Dims, str], Spec] = {variable.spec: variable.spec for variable in trained}
        for slot in slots(choice, weights):
            name = slot.path if slot.path not in self.slots else f"{slot.path}_{len(self.slots)}"
            self.slots[name] = specs.get(slot[1:]) or Spec(slot.shape, slot.dtype)
        self.prefix = [name for name in self.slots if name.endswith("/iteration")][-1].rsplit("/", 1)[0]
        self.last_write: dict[str, Op] = {}
        self.reads: dict[str, list[Op]] = {}
        for op in graph.ops:
            if op.type == "ReadVariableOp":
                self.reads.setdefault(op.attrs["variable"].name, []).append(op)
        self.constants: dict[tuple[float, str], Value] = {}
        self.dtype = "float32"
        self.gate: Op | None = None  # what every update waits for
        self.shared: Collection[Operand] = ()  # of these grappler computes one square, however many are asked for
        self.squares: dict[Operand, Value] = {}

    # -- variables ---------------------------------------------------------------------------------------------

    def accumulator(self, weight: Variable) -> Variable:
        """The sum of the gradients since the last update; after an update, the zeros of a constant."""
        path = f"{self.prefix}/{weight.name.replace('/', '_')}_gradient_accumulator"
        return self.graph.variable(path, self.slots[path], trainable=False, constant=self.choice.between)

    def slot(self, weight: Variable, name: str) -> Variable:
        return self._declared(f"{self.prefix}/{weight.name.replace('/', '_')}_{name}")

    def scalar(self, name: str) -> Variable:
        return self._declared(f"{self.prefix}/{name}")

    def _declared(self, path: str) -> Variable:
        return self.graph.variable(path, self.slots[path], trainable=False)

    def read(self, variable: Variable) -> Value:
        value = self.graph.read(variable)
        if self.gate is not None:
            value.op.controls.append(self.gate)
        written = self.last_write.get(variable.name)
        if written is not None:
            value.op.controls.append(written)
        self.reads.setdefault(variable.name, []).append(value.op)
        return value

    def assign(self, variable: Variable, value: Value, how: str = "") -> None:
        """``how``: "Add", "Sub", or nothing for plain assignment. Rows are added where they belong."""
        if is_sparse(value) and how:
            op = self.graph.scatter(f"ResourceScatter{how}", variable, *value.op.inputs)
        else:
            op = self.graph.assign(f"Assign{how}VariableOp", variable, dense(self.graph, value))
        op.controls.extend(self.reads.pop(variable.name, ()))
        self.last_write[variable.name] = op

    # -- arithmetic --------------------------------------------------------------------------------------------

    def value(self, operand: Operand) -> Value:
        if isinstance(operand, Value):
            return operand
        key = (operand, self.dtype)
        if key not in self.constants:
            self.constants[key] = self.graph.constant(operand, Spec((), self.dtype))
        return self.constants[key]

    def op(self, type_: str, *operands: Operand) -> Value:
        values = [operand if type(operand) is Value else self.value(operand) for operand in operands]
        rank, made = -1, values[0].op.outputs
        for source, index in values:
            if source.type == SPARSE:
                return self._on_rows(type_, values)
            outputs = source.outputs
            if len(outputs) > 1:
                outputs = (outputs[index],)
            if len(outputs[0].shape) > rank:
                rank, made = len(outputs[0].shape), outputs
        return self.graph.add(type_, values, made)

    def _on_rows(self, type_: str, values: Sequence[Value]) -> Value:
        """With a sparse gradient among the operands."""
        found = apply(self.graph, type_, values)
        return self.op(type_, *(dense(self.graph, value) for value in values)) if found is None else found

    def mul(self, a: Operand, b: Operand) -> Value:
        return self.op("Mul", a, b)

    def add(self, a: Operand, b: Operand) -> Value:
        return self.op("AddV2", a, b)

    def sub(self, a: Operand, b: Operand) -> Value:
        return self.op("Sub", a, b)

    def div(self, a: Operand, b: Operand) -> Value:
        return self.op("RealDiv", a, b)

    def sqrt(self, a: Operand) -> Value:
        return self.op("Sqrt", a)

    def square(self, a: Operand) -> Value:
        if a not in self.shared:
            return self.op("Square", a)
        if a not in self.squares:
            self.squares[a] = self.op("Square", a)
        else:
            self.squares[a].op.attrs[SEVERAL] = True
        return self.squares[a]

    def mean(self, a: Value, axis: int, keepdims: bool = False) -> Value:
        return self.graph.add("Mean", (a,), axes=(axis % len(a.shape),), keepdims=keepdims)

    def rms(self, a: Value) -> Value:
        square = self.square(a)
        if is_sparse(square):  # the rows' sum over the elements of the whole table
            values = square.op.inputs[0]
            total = self.graph.add("Sum", (values,), axes=tuple(range(len(values.shape))), keepdims=False)
            return self.sqrt(self.div(total, float(a.spec.elements)))
        return self.sqrt(self.graph.add("Mean", (square,), axes=tuple(range(len(a.shape)))))

    def cast(self, a: Value) -> Value:
        if a.dtype == self.dtype:
            return a
        if is_sparse(a):
            values, indices = a.op.inputs
            cast = self.graph.add("Cast", (values,), (Spec(values.shape, self.dtype),), to=self.dtype)
            return rows(cast, indices, Spec(a.shape, self.dtype))
        return self.graph.add("Cast", (a,), (Spec(a.shape, self.dtype),), to=self.dtype)

    # -- what most optimizers begin with -----------------------------------------------------------------------

    def rate(self) -> Value:
        return self.cast(self.read(self.scalar("learning_rate")))

    def step_number(self) -> Op:
        """Whether this is an N-th step: (iteration + 1) mod N = 0."""
        self.graph.layer = ""
        one, steps, zero = (self.graph.constant(n, Spec((), "int64")) for n in (1, self.choice.accumulation, 0))
        read = self.read(self.scalar("iteration"))
        number = self.graph.add("AddV2", (read, one), (read.spec,))
        rest = self.graph.add("FloorMod", (number, steps), (read.spec,))
        return self.graph.add("Equal", (rest, zero), (Spec((), "bool"),)).op

    def step(self, ahead: int = 1) -> Value:
        """iterations + ahead, in the weight's dtype."""
        read = self.read(self.scalar("iteration"))
        one = self.graph.constant(ahead, Spec((), "int64"))
        return self.cast(self.graph.add("AddV2", (read, one), (read.spec,)))
