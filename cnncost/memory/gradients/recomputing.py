"""The gradient of a group of layers whose forward pass is run again (``tf.recompute_grad``, Keras's ``keras.remat``).

Source: custom_gradient.py of TensorFlow 2.21. The group's forward ops are not on the tape. When the gradient of its
output is there, each input is copied by adding a zero that is computed from that gradient, so that nothing runs
earlier; the layers run again on the copies, and a tape of their own gives the gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cnncost.memory.opgraph import BACKWARD, OpGraph, Scoped, Value
from cnncost.memory.spec import Spec


def recompute_gradient(reverse: Any, op: Any, values: Sequence[Value | None]) -> Sequence[Value | None]:
    """``op`` passes the group's outputs and inputs on; ``values`` are the gradients of both."""
    graph, replay = reverse.graph, op.attrs["recompute"]
    nothing: list[Value | None] = [None] * len(op.inputs)
    grads = list(values[: replay.outputs])
    first = next((grad for grad in grads if grad is not None), None)
    if first is None:
        return nothing
    phase, scope = graph.phase, f"{replay.name}_block_1/"
    zero = _zero(graph, first)
    given = op.inputs[replay.outputs :]
    copies = [
        graph.add("AddV2", (value, _cast(graph, zero, value.dtype)), (value.spec,), outside=True) for value in given
    ]
    ends = {copy.op for copy in copies}
    begin = min(copy.op.index for copy in copies)
    graph.phase = Scoped(BACKWARD, scope)
    outputs = replay.run(copies)
    graph.phase = Scoped(BACKWARD, f"gradient_tape/{scope}")
    taped = reverse.tape(graph, ends)
    taped[:begin] = bytes(begin)
    starts = [(value, grad) for value, grad in zip(outputs, grads, strict=True) if grad is not None]
    inner = reverse.inside(graph, taped, starts, ends)
    graph.phase = Scoped(BACKWARD, "IdentityN/")
    replay.read(graph)
    graph.phase = phase
    for name, parts in inner.variables.items():
        reverse.variables.setdefault(name, []).append(inner._sum(parts))
    nothing[replay.outputs :] = [inner.leaves.get(copy.op) for copy in copies]
    return nothing


def _zero(graph: OpGraph, grad: Value) -> Value:
    """0, or NaN where the gradient's first value is: it cannot be known before the gradient."""
    flag, scalar = Spec((), "bool"), Spec((), "float32")
    flat = graph.add("Reshape", (grad,), shape=(grad.spec.elements,), outside=True)
    head = graph.add("StridedSlice", (flat,), (Spec((1,), grad.dtype),), outside=True)
    highest = graph.add("Max", (head,), axes=(0,), outside=True)
    known = graph.add("Cast", (highest,), to="bool", outside=True)
    same = graph.add("Equal", (known, known), (flag,), outside=True)
    choices = graph.constant(0.0), graph.constant(float("nan"))
    return graph.add("SelectV2", (same, *choices), (scalar,), outside=True)


def _cast(graph: OpGraph, zero: Value, dtype: str) -> Value:
    return zero if zero.dtype == dtype else graph.add("Cast", (zero,), to=dtype)
