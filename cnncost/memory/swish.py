"""The factor of ``tf.nn.silu``, which is x·sigmoid(β·x) with β = 1: grappler drops it where it knows x's shape."""

from __future__ import annotations

from collections.abc import Container

from cnncost.memory.opgraph import FORWARD, Op, OpGraph, Spec, Value


def scale_swish(graph: OpGraph, among: Container[Op] | None = None) -> None:
    """Put the factor in, where the sigmoid is ``among`` these ops. The gradient multiplies by β·x once more: equal ops
    are one, and so that product lives from the forward pass until then."""
    handed = [op.inputs[0].op for op in graph.ops if op.type == "IdentityN" and op.attrs.get("gradient") == "swish"]
    sigmoids = {value.op for product in handed for value in product.inputs if value.op.type == "Sigmoid"}
    scaled: dict[Value, Op] = {}
    ops: list[Op] = []
    for op in graph.ops:
        if op in sigmoids and (among is None or op in among):
            x = op.inputs[0]
            beta = Op(0, "Const", "beta", op.layer, FORWARD, [], (Spec((), x.dtype),), {"value": 1.0})
            scaled[x] = Op(0, "Mul", "mul", op.layer, FORWARD, [Value(beta, 0), x], (x.spec,), {})
            op.inputs = [Value(scaled[x], 0)]
            ops += [beta, scaled[x]]
        elif op.type == "Mul" and "outside" in op.attrs and op.inputs[0] in scaled and op.inputs[1].op.type == "Sub":
            op.inputs = [Value(scaled[op.inputs[0]], 0), op.inputs[1]]
        ops.append(op)
    graph.ops = ops
    for place, op in enumerate(ops):
        op.index = place
