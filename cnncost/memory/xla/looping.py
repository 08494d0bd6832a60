"""A while loop over time steps: its body stands once, between the buffers that it carries.

Each state is a buffer that the loop carries; the list that it reads is a copy with the time first; each value that the
gradient needs again is written into a list of all time steps, a weight that the body captures too, once for each step
(while_v2.py pushes what the gradient captures). Lists that are written begin as zeros, before the loop, and all that is
carried stays until the loop has ended. The loop's iterations use the same memory one after the other, so one stands for
all. Whether a state is copied where the loop begins or turns is not followed: the interval has room for it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnncost.memory.loops import Loop
from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec
from cnncost.memory.xla.hlo import Hlo, Module, Operand

Values = dict[tuple[int, int], Operand]


def while_loop(emitter: Any, op: Op, values: Values) -> list[Operand]:
    """The last states, then the list that was written."""
    module: Module = emitter.module
    loop: Loop = op.attrs["loop"]
    inner, carried = _handed_in(module, op, [values[value.op.index, value.index] for value in op.inputs])
    emitter.loop = op
    emitter.run(loop.graph.ops, inner)
    module.op = op
    results = [module.filled(inner[value.op.index, value.index], value.spec) for value in loop.graph.results]
    if loop.written is not None and loop.every:
        spec = loop.written.spec
        results[-1] = _written(module, Spec((loop.trips, *spec.shape), spec.dtype), results[-1], op)
    written = [value for value in inner.values() if value is not None and value.opcode == "scatter"]
    popped = [emitter.pushed[id(one.attrs["push"])] for one in loop.graph.ops if one.type == "TensorListPopBack"]
    weights = sum(one.type == "ReadVariableOp" for one in loop.graph.ops)
    pointers = 1 + len(op.inputs) + len(results) - len(loop.states) + len(written) + weights
    last = _end(module, [*carried, *popped, *written, *results], pointers)
    for one in loop.graph.ops:
        pushed = emitter.pushed.get(id(one))
        if pushed is not None:
            emitter.pushed[id(one)] = _left(module, pushed, last, Spec(pushed.shape, pushed.dtype))
    return [_left(module, value, last, spec) for value, spec in zip(results, op.outputs, strict=True)]


def _handed_in(module: Module, op: Op, given: list[Operand]) -> tuple[Values, list[Hlo]]:
    """What the body finds, by the index of its ops, and the lists among it."""
    loop: Loop = op.attrs["loop"]
    count, lists = len(loop.states), len(loop.reads)
    inner: Values = {}
    carried = []
    for state, value in zip(loop.states, given, strict=False):
        inner[state.index, 0] = started = _carried(module, value, state.outputs[0], op)
        module.slack += started.bytes
    for read, value, source in zip(loop.reads, given[count:], op.inputs[count:], strict=False):
        carried.append(_carried(module, value, source.spec, op))
        inner[read.index, 0] = _element(module, carried[-1], read.outputs[0])
    for capture, value in zip(loop.captures, given[count + lists :], strict=False):
        inner[capture.index, 0] = value
    return inner, carried


def _end(module: Module, alive: list[Hlo], pointers: int) -> Hlo:
    """The last reader of all that the loop carries, the table of its pointers among it."""
    table = module.add("table", (), (pointers,), "int64")
    last = module.add("end", list(dict.fromkeys((table, *alive))), (0,), "int64")
    for made in (table, last):
        made.fusible = False
        module.kept.append(made)
    return last


def _left(module: Module, value: Hlo, last: Hlo, spec: Spec) -> Hlo:
    """What the loop leaves, in its place, when all of the loop has run."""
    made = module.add("left", (value, last), value.shape, value.dtype, elementwise=True)
    made.fusible = False
    return module.reshape(made, spec.shape)


def _carried(module: Module, value: Operand, spec: Spec, user: Op) -> Hlo:
    """A buffer of its own: zeros, the value itself, or a copy of what is the caller's or lies in another order."""
    if value is None:
        return module.zeros(spec, user)
    base = value
    while base.opcode == "reshape":
        base = base.inputs[0]
    if base.opcode in ("parameter", "transpose"):
        source = base.inputs[0] if base.opcode == "transpose" else value
        value = module.add("carry", (source,), value.shape, value.dtype)
    module.kept.append(value)
    return value


def _element(module: Module, value: Hlo, spec: Spec) -> Hlo:
    return module.add("slice", (value,), spec.shape, value.dtype)


def _written(module: Module, spec: Spec, value: Hlo, user: Op) -> Hlo:
    """A list with an element for each step, of which one is written."""
    return module.add("scatter", (module.zeros(spec, user), value), spec.shape, spec.dtype)


# -- lists -------------------------------------------------------------------------------------------------------------


def _push(emitter: Any, op: Op, inputs: list[Operand]) -> Operand:
    value: Hlo = emitter.module.filled(inputs[0], op.inputs[0].spec)
    loop: Op = emitter.loop
    spec = Spec((loop.attrs["loop"].trips, *value.shape), value.dtype)
    made = _written(emitter.module, spec, value, loop)
    emitter.pushed[id(op)] = made
    return made


def _pop(emitter: Any, op: Op, inputs: list[Operand]) -> Operand:
    return _element(emitter.module, emitter.pushed[id(op.attrs["push"])], op.outputs[0])


def _same(emitter: Any, op: Op, inputs: list[Operand]) -> Operand:
    module: Module = emitter.module
    return None if inputs[0] is None else module.reshape(inputs[0], op.outputs[0].shape)


def _nothing(emitter: Any, op: Op, inputs: list[Operand]) -> Operand:
    """A list of zeros is a constant."""
    return None


def _sum(emitter: Any, op: Op, inputs: list[Operand]) -> Operand:
    module: Module = emitter.module
    return module.map("add", inputs, op.outputs[0])


LISTS: dict[str, Callable[[Any, Op, list[Operand]], Operand]] = {
    "TensorListFromTensor": _same, "TensorListStack": _same, "TensorListPushBack": _push, "TensorListPopBack": _pop,
    "_ListZeros": _nothing, "_ListAdd": _sum,
}  # fmt: skip
