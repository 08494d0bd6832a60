"""The optimizers' update ops, variable by variable, as Keras 3.15's ``update_step`` runs them on TensorFlow 2.21.

Reads and assignments of a variable keep their order, as TensorFlow's automatic control dependencies see to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

from cnncost.memory.loss_scaling import counted, tested, unscaled
from cnncost.memory.opgraph import UPDATE, Op, OpGraph, Value, Variable
from cnncost.memory.optimizers import Optimizer, StateVariable, slots
from cnncost.memory.sparse import SPARSE, apply, dense, is_sparse, rows
from cnncost.memory.spec import Spec

Number = float
Operand = Value | Number


class Updates:
    """Emits arithmetic on values and numbers; knows the optimizer's variables by path."""

    def __init__(self, graph: OpGraph, choice: Optimizer, trained: Sequence[Variable]) -> None:
        self.graph, self.choice = graph, choice
        weights = [StateVariable(variable.name, variable.spec.shape, variable.spec.dtype) for variable in trained]
        self.slots: dict[str, Variable] = {}
        for slot in slots(choice, weights):
            name = slot.path if slot.path not in self.slots else f"{slot.path}_{len(self.slots)}"
            self.slots[name] = Variable(_NO_HANDLE, Spec(slot.shape, slot.dtype), name, False)
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
        return self.graph.variable(path, self.slots[path].spec, trainable=False, constant=self.choice.between)

    def slot(self, weight: Variable, name: str) -> Variable:
        return self._declared(f"{self.prefix}/{weight.name.replace('/', '_')}_{name}")

    def scalar(self, name: str) -> Variable:
        return self._declared(f"{self.prefix}/{name}")

    def _declared(self, path: str) -> Variable:
        return self.graph.variable(path, self.slots[path].spec, trainable=False)

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


def is_settled(choice: Optimizer, grads: Sequence[Value | None]) -> bool:
    """Whether grappler leaves the ops of the update as they are, but for the squares of a gradient that two weights
    share: where two normalized branches are added, both shifts have the same. Nesterov's momentum computes a step
    twice."""
    return (
        choice.kind in _SETTLED
        and not (choice.nesterov or choice.loss_scaling or choice.accumulation)
        and not any(grad is not None and is_sparse(grad) for grad in grads)
    )


def apply_updates(
    graph: OpGraph, choice: Optimizer, trained: Sequence[Variable], grads: Sequence[Value | None],
    rewritten: bool = False, eager: bool = False,
) -> list[Value]:  # fmt: skip
    """Add the optimizer's update of every weight that has a gradient, and of the iteration counter. ``rewritten``: the
    graph has been rewritten, and will not be again; ``eager``: it is none, and zeros are made. Returns the sums of
    accumulated gradients, which Keras has in a list until all weights are updated."""
    graph.phase = UPDATE
    updates = Updates(graph, choice, trained)
    if rewritten:
        updates.shared = {grad for grad, often in Counter(grads).items() if grad is not None and often > 1}
    pairs = [(weight, grad) for weight, grad in zip(trained, grads, strict=True) if grad is not None]
    if choice.loss_scaling and pairs:
        updates.gate = tested(graph, [grad for _, grad in pairs])
        pairs = [(weight, unscaled(graph, grad, updates.gate)) for weight, grad in pairs]
        counted(graph, updates.gate)
    if choice.accumulation:
        pairs = _accumulated(updates, pairs)
    if not choice.between:
        _update(updates, pairs)
        if choice.accumulation:
            _reset(updates, trained, eager)
    graph.layer = ""
    if choice.use_ema:
        for weight in trained:
            _average(updates, weight)
    counter = updates.scalar("iteration")
    read = updates.read(counter)
    one = graph.constant(1, Spec((), "int64"))
    updates.assign(counter, graph.add("AddV2", (read, one), (read.spec,)))
    return [total for _, total in pairs] if choice.accumulation else []


def _update(u: Updates, pairs: Sequence[tuple[Variable, Value]]) -> None:
    """The weights' decay, then every weight's own rule."""
    if u.choice.weight_decay:
        for weight, _ in pairs:
            _decay(u, weight)
    if u.choice.kind == "nadam" and pairs:
        _momentum_schedule(u, pairs[0][0])
    rule = _RULES[u.choice.kind]
    for weight, grad in pairs:
        u.graph.layer = weight.handle.layer
        u.dtype = weight.spec.dtype
        rule(u, weight, u.cast(grad))


def _accumulated(u: Updates, pairs: Sequence[tuple[Variable, Value]]) -> list[tuple[Variable, Value]]:
    """``gradient_accumulation_steps`` = N: each gradient and what the steps before added up; at the N-th step their
    mean (grappler multiplies by 1/N), between updates the sums, which become the accumulators.

    Keras branches by ``tf.cond``; of the branch that is not taken nothing runs. The condition is (iteration + 1) mod N
    = 0, an int64 and a flag.
    """
    graph = u.graph
    flag = u.step_number()
    made = []
    for weight, grad in pairs:
        graph.layer, u.dtype = weight.handle.layer, weight.spec.dtype
        slot = u.accumulator(weight)
        total = u.add(grad, u.read(slot))
        total.op.controls.append(flag)
        made.append((weight, total if u.choice.between else u.mul(total, 1 / u.choice.accumulation)))
    for weight, total in made if u.choice.between else ():
        graph.layer = weight.handle.layer
        u.assign(u.accumulator(weight), total)
    return made


def _reset(u: Updates, trained: Sequence[Variable], eager: bool) -> None:
    """All accumulators to zeros, which grappler has folded to constants."""
    for weight in trained:
        u.graph.layer = weight.handle.layer
        slot = u.accumulator(weight)
        zeros = u.graph.add("Fill", (), (slot.spec,)) if eager else u.graph.constant(0.0, slot.spec, "zeros")
        u.assign(slot, zeros)


def _decay(u: Updates, weight: Variable) -> None:
    """weight -= weight · decay · rate, before the update."""
    u.graph.layer, u.dtype = weight.handle.layer, weight.spec.dtype
    rate = u.rate()
    u.assign(weight, u.mul(u.mul(u.read(weight), 0.004), rate), "Sub")


def _average(u: Updates, weight: Variable) -> None:
    """The exponential average of a weight, reset at the first step."""
    u.graph.layer, u.dtype = weight.handle.layer, weight.spec.dtype
    average = u.slot(weight, "average")
    read = u.read(u.scalar("iteration"))
    zero = u.graph.constant(0, Spec((), "int64"))
    later = u.graph.add("NotEqual", (read, zero), (Spec((), "bool"),))
    momentum = u.mul(u.cast(later), 0.99)
    kept = u.mul(momentum, u.read(average))
    u.assign(average, u.add(kept, u.mul(u.sub(1.0, momentum), u.read(weight))))


def _sgd(u: Updates, weight: Variable, grad: Value) -> None:
    rate = u.rate()
    if not u.choice.momentum:
        u.assign(weight, u.mul(grad, rate), "Sub")
        return
    slot = u.slot(weight, "momentum")
    u.assign(slot, u.sub(u.mul(u.read(slot), 0.9), u.mul(grad, rate)))
    if u.choice.nesterov:
        u.assign(weight, u.sub(u.mul(u.read(slot), 0.9), u.mul(grad, rate)), "Add")
    else:
        u.assign(weight, u.read(slot), "Add")


def _rmsprop(u: Updates, weight: Variable, grad: Value) -> None:
    rate, velocity = u.rate(), u.slot(weight, "velocity")
    u.assign(velocity, u.add(u.mul(0.9, u.read(velocity)), u.mul(0.1, u.square(grad))))
    if u.choice.centered:
        average = u.slot(weight, "average_gradient")
        u.assign(average, u.add(u.mul(0.9, u.read(average)), u.mul(0.1, grad)))
        squared = u.square(u.read(average))
        denominator = u.add(u.sub(u.read(velocity), squared), 1e-7)
    else:
        denominator = u.add(u.read(velocity), 1e-7)
    increment = u.div(u.mul(rate, grad), u.sqrt(denominator))
    if u.choice.momentum:
        momentum = u.slot(weight, "momentum")
        u.assign(momentum, u.add(u.mul(0.9, u.read(momentum)), increment))
        increment = u.read(momentum)
    u.assign(weight, increment, "Sub")


def _adagrad(u: Updates, weight: Variable, grad: Value) -> None:
    rate, accumulator = u.rate(), u.slot(weight, "accumulator")
    u.assign(accumulator, u.square(grad), "Add")
    scaled = u.mul(rate, grad)
    u.assign(weight, u.div(scaled, u.sqrt(u.add(u.read(accumulator), 1e-7))), "Sub")


def _adadelta(u: Updates, weight: Variable, grad: Value) -> None:
    rate, grads, deltas = u.rate(), u.slot(weight, "accumulated_grad"), u.slot(weight, "accumulated_delta_var")
    u.assign(grads, u.add(u.mul(0.95, u.read(grads)), u.mul(0.05, u.square(grad))))
    scaled = u.mul(u.sqrt(u.add(u.read(deltas), 1e-7)), grad)
    delta = u.op("Neg", u.div(scaled, u.sqrt(u.add(u.read(grads), 1e-7))))
    u.assign(deltas, u.add(u.mul(0.95, u.read(deltas)), u.mul(0.05, u.square(delta))))
    u.assign(weight, u.mul(rate, delta), "Add")


def _moments(u: Updates, weight: Variable, grad: Value) -> tuple[Variable, Variable]:
    """Adam's two running averages, each moved by a fraction of its distance."""
    first, second = u.slot(weight, "momentum"), u.slot(weight, "velocity")
    u.assign(first, u.mul(u.sub(grad, u.read(first)), 0.1), "Add")
    u.assign(second, u.mul(u.sub(u.square(grad), u.read(second)), 0.001), "Add")
    return first, second


def _adam(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step = u.rate(), u.step()
    power_1, power_2 = u.op("Pow", 0.9, step), u.op("Pow", 0.999, step)
    alpha = u.div(u.mul(rate, u.sqrt(u.sub(1.0, power_2))), u.sub(1.0, power_1))
    first, second = _moments(u, weight, grad)
    if u.choice.amsgrad:
        hat = u.slot(weight, "velocity_hat")
        u.assign(hat, u.op("Maximum", u.read(hat), u.read(second)))
        second = hat
    scaled = u.mul(u.read(first), alpha)
    u.assign(weight, u.div(scaled, u.add(u.sqrt(u.read(second)), 1e-7)), "Sub")


def _adamax(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step = u.rate(), u.step()
    power = u.op("Pow", 0.9, step)
    first, norm = u.slot(weight, "momentum"), u.slot(weight, "norm")
    u.assign(first, u.mul(u.sub(grad, u.read(first)), 0.1), "Add")
    u.assign(norm, u.op("Maximum", u.mul(0.999, u.read(norm)), u.op("Abs", grad)))
    scaled = u.mul(rate, u.read(first))
    u.assign(weight, u.div(scaled, u.mul(u.sub(1.0, power), u.add(u.read(norm), 1e-7))), "Sub")


def _momentum_schedule(u: Updates, first: Variable) -> None:
    """Nadam's running product, once a step."""
    u.dtype = first.spec.dtype
    product = u.graph.variable("variable", Spec((), u.dtype), trainable=False)
    scaled = u.mul(u.read(product), 0.9)
    power = u.op("Pow", 0.96, u.step())
    u.assign(product, u.mul(scaled, u.sub(1.0, u.mul(0.5, power))))


def _nadam(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step, next_step = u.rate(), u.step(), u.step(2)
    now = u.mul(0.9, u.sub(1.0, u.mul(0.5, u.op("Pow", 0.96, step))))
    then = u.mul(0.9, u.sub(1.0, u.mul(0.5, u.op("Pow", 0.96, next_step))))
    product = u.cast(u.read(u.graph.variables["variable"]))
    product_then = u.mul(product, then)
    power = u.op("Pow", 0.999, step)
    first, second = _moments(u, weight, grad)
    old = u.div(u.mul(then, u.read(first)), u.sub(1.0, product_then))
    new = u.div(u.mul(u.sub(1.0, now), grad), u.sub(1.0, product))
    mean = u.add(old, new)
    spread = u.div(u.read(second), u.sub(1.0, power))
    u.assign(weight, u.div(u.mul(mean, rate), u.add(u.sqrt(spread), 1e-7)), "Sub")


def _lion(u: Updates, weight: Variable, grad: Value) -> None:
    rate, slot = u.rate(), u.slot(weight, "momentum")
    mixed = u.add(u.mul(u.read(slot), 0.9), u.mul(grad, 0.1))
    u.assign(weight, u.mul(rate, u.op("Sign", mixed)), "Sub")
    u.assign(slot, u.add(u.mul(u.read(slot), 0.99), u.mul(grad, 0.01)))


def _ftrl(u: Updates, weight: Variable, grad: Value) -> None:
    rate, sums, linear = u.rate(), u.slot(weight, "accumulator"), u.slot(weight, "linear")
    penalty = u.add(0.0, u.div(0.0, u.mul(2.0, rate)))
    used = u.add(grad, u.mul(0.0, u.read(weight)))
    total = u.add(u.read(sums), u.square(grad))
    growth = u.sub(u.op("Pow", total, 0.5), u.op("Pow", u.read(sums), 0.5))
    u.assign(linear, u.sub(used, u.mul(u.div(growth, rate), u.read(weight))), "Add")
    quadratic = u.add(u.div(u.op("Pow", total, 0.5), rate), u.mul(2.0, penalty))
    clipped = u.op("Maximum", u.op("Minimum", u.read(linear), 0.0), 0.0)
    u.assign(weight, u.div(u.sub(clipped, u.read(linear)), quadratic))
    u.assign(sums, total)


def _adafactor(u: Updates, weight: Variable, grad: Value) -> None:
    rate, step = u.rate(), u.step()
    inverse = u.div(1.0, u.sqrt(step))
    rate = u.op("Minimum", rate, inverse)
    ratio = u.op("Minimum", rate, u.div(1.0, u.sqrt(step)))
    alpha = u.mul(u.op("Maximum", 1e-3, u.rms(u.read(weight))), ratio)
    squares = u.add(u.square(grad), 1e-30)
    beta = u.sub(1.0, u.op("Pow", step, -0.8))
    velocity = u.slot(weight, "velocity")
    if len(weight.spec.shape) >= 2:
        _factors(u, weight, velocity, squares, beta)
    else:
        u.assign(velocity, u.add(u.mul(beta, u.read(velocity)), u.mul(u.sub(1.0, beta), squares)))
    scaled = u.div(grad, u.sqrt(u.read(velocity)))
    clipped = u.div(scaled, u.op("Maximum", 1.0, u.div(u.rms(scaled), 1.0)))
    u.assign(weight, u.mul(alpha, clipped), "Sub")


def _factors(u: Updates, weight: Variable, velocity: Variable, squares: Value, beta: Value) -> None:
    """Row and column means, and the second moment as their product over the rows' mean."""
    shape, dtype = weight.spec.shape, weight.spec.dtype
    shapes = {"row": shape[:-1], "column": (*shape[:-2], shape[-1])}
    parts = {name: u.graph.variable(f"{weight.name}_{name}", Spec(dims, dtype), False) for name, dims in shapes.items()}
    for name, axis in (("row", -1), ("column", -2)):
        part = parts[name]
        kept = u.mul(beta, u.read(part))
        u.assign(part, u.add(kept, u.mul(u.sub(1.0, beta), u.mean(squares, axis))))
    rows = u.read(parts["row"])
    share = u.div(rows, u.mean(u.read(parts["row"]), -1, keepdims=True))
    wide = u.graph.add("ExpandDims", (share,), shape=(*shape[:-1], 1))
    columns = u.graph.add("ExpandDims", (u.read(parts["column"]),), shape=(*shape[:-2], 1, shape[-1]))
    u.assign(velocity, u.graph.add("Mul", (wide, columns), (Spec(shape, dtype),)))


_SETTLED = frozenset(("sgd", "adam", "adamw"))
Rule = Callable[[Updates, Variable, Value], None]
_RULES: Mapping[str, Rule] = {
    "sgd": _sgd,
    "rmsprop": _rmsprop,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
    "adam": _adam,
    "adamw": _adam,
    "adamax": _adamax,
    "nadam": _nadam,
    "lion": _lion,
    "ftrl": _ftrl,
    "adafactor": _adafactor,
}
_NO_HANDLE = OpGraph().argument("slot", Spec((), "resource")).op
