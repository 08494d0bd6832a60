"""Layers around a layer (keras/src/layers/rnn/time_distributed.py, normalization/spectral_normalization.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnncost.errors import UnsupportedLayer
from cnncost.memory.loops import take, time_first
from cnncost.memory.lowering.base import Step
from cnncost.memory.lowering.registry import rule
from cnncost.memory.opgraph import Spec, Value
from cnncost.results import LayerCost
from cnncost.tensor import Tensor

MOST_STEPS = 256  # time steps that are laid out op by op at most: Keras calls the layer once for each


def _inner(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> list[Value]:
    made = rule(kind.name())(step, row, kind, inputs)
    return [made] if isinstance(made, Value) else list(made)


def _time_distributed(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value:
    """Time first, the layer called on every step, the outputs stacked, and back."""
    if len(inputs) != 1 or len(row.outputs) != 1:
        raise UnsupportedLayer("the memory simulation knows TimeDistributed over one input and one output alone")
    x = inputs[0]
    sequence = time_first(step.graph, x)
    steps = sequence.shape[0]
    if steps > MOST_STEPS:
        raise UnsupportedLayer(f"the memory simulation lays out {MOST_STEPS} time steps of TimeDistributed at most")
    one = replace(
        row,
        kind=kind.layer.name(),
        input_shapes=tuple(shape[1:] for shape in row.input_shapes),
        outputs=tuple(Tensor(tensor.shape[1:], tensor.dtype) for tensor in row.outputs),
    )
    outputs = [_inner(step, one, kind.layer, [take(step.graph, sequence, i)])[0] for i in range(steps)]
    spec = Spec((steps, *outputs[0].shape), outputs[0].dtype)
    stacked = step.add("Pack", outputs, (spec,), axis=0)
    return time_first(step.graph, stacked)


def _spectral_normalization(step: Step, row: LayerCost, kind: Any, inputs: list[Value]) -> Value | tuple[Value, ...]:
    """In training the kernel is divided by its largest singular value, which a power iteration follows, and assigned
    before the layer reads it. The branch that Keras takes for a kernel of zeros is not the one that runs."""
    one = replace(row, kind=kind.layer.name())
    if not step.training:
        return tuple(_inner(step, one, kind.layer, inputs))
    name = next(weight.name for weight in row.weights if weight.name in ("kernel", "embeddings"))
    normalized = _normalize(step, row, name, kind.power_iterations)
    first = len(step.graph.ops)
    made = _inner(step, one, kind.layer, inputs)
    for op in step.graph.ops[first:]:
        if op.type == "ReadVariableOp" and op.attrs["variable"].name == normalized.attrs["variable"].name:
            op.controls.append(normalized)
    return tuple(step.cast(value, inputs[0].dtype) for value in made)


def _normalize(step: Step, row: LayerCost, name: str, iterations: int) -> Any:
    """The assignment of the normalized kernel."""
    add, graph = step.add, step.graph
    kernel, vector = step.variable(row, name), step.variable(row, "vector_u")
    read = graph.read(kernel, name)
    equal = add("Equal", (read, step.number(0.0, read)), (Spec(kernel.spec.shape, "bool"),))
    alike = add("All", (equal,), (Spec((), "bool"),), axes=tuple(range(len(kernel.spec.shape))))
    columns = kernel.spec.shape[-1]
    again = graph.read(kernel, name)
    again.op.controls.append(alike.op)
    weights = step.reshape(again, (kernel.spec.elements // columns, columns))
    u = graph.read(vector, "vector_u")
    u.op.controls.append(alike.op)
    product = u
    for _ in range(iterations):
        v = _unit(step, add("MatMul", (u, weights), transpose_b=True))
        product = add("MatMul", (v, weights))
        u = _unit(step, product)
    sigma = add("MatMul", (product, u), transpose_b=True)
    graph.assign("AssignVariableOp", vector, u)
    divided = add("RealDiv", (again, step.reshape(sigma, ())), (kernel.spec,))
    assigned = graph.assign("AssignVariableOp", kernel, divided)
    assigned.controls.append(read.op)
    return assigned


def _unit(step: Step, x: Value) -> Value:
    """x·min(rsqrt(Σx²), …)."""
    scalar = Spec((), x.dtype)
    total = step.add("Sum", (step.add("Square", (x,)),), (scalar,), axes=(0, 1))
    inverse = step.add("Minimum", (step.add("Rsqrt", (total,)), step.number(1e6, x)))
    return step.add("Mul", (x, inverse))


RULES: dict[str, Any] = {
    "TimeDistributed": _time_distributed,
    "SpectralNormalization": _spectral_normalization,
}
