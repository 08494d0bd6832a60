"""Multiplications of recurrent, attention and einsum layers, against the products in TensorFlow's own graph."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest

from cnncost.kinds import registry
from cnncost.kinds.base import total

pytestmark = pytest.mark.keras


def _einsum(equation: str, shapes: list[list[int]]) -> int:
    letters: dict[str, int] = {}
    for part, shape in zip(equation.split("->")[0].split(","), shapes, strict=True):
        dots = "".join(chr(913 + i) for i in range(len(shape) - len(part.replace(".", ""))))
        letters.update(zip(part.replace("...", dots), shape, strict=True))
    return prod(letters.values())


def _product(op: Any) -> int:
    """Multiplications of one op of the graph; 0 for one that forms no weighted sums."""
    shapes = [list(tensor.shape) for tensor in op.inputs]
    made = prod(op.outputs[0].shape) if op.outputs and op.outputs[0].shape.rank is not None else 0
    if op.type == "MatMul":
        return made * shapes[0][0 if op.get_attr("transpose_a") else 1]
    if op.type in ("BatchMatMul", "BatchMatMulV2"):
        return made * shapes[0][-2 if op.get_attr("adj_x") else -1]
    if op.type == "Einsum":
        return _einsum(op.get_attr("equation").decode(), shapes)
    if op.type == "Conv2D":
        return made * prod(shapes[1][:3])
    if op.type == "Conv3D":
        return made * prod(shapes[1][:4])
    return 0


def multiplications(layer: Any, tensors: tuple[tuple[int, ...], ...], call: str) -> int:
    import keras
    import tensorflow as tf

    def run(*x: Any) -> Any:
        return layer(list(x)) if call == "list" and len(x) > 1 else layer(*x)

    run(*(keras.KerasTensor((1, *shape)) for shape in tensors))  # building makes products of its own
    specs = [tf.TensorSpec((1, *shape), "float32") for shape in tensors]
    graph = tf.function(run).get_concrete_function(*specs).graph
    needed = _needed(graph)
    assert not [op.type for op in needed if "While" in op.type], "a loop hides its products"
    return sum(_product(op) for op in needed)


def _needed(graph: Any) -> list[Any]:
    """The ops that the outputs depend on; Keras leaves some that nothing reads, and TensorFlow drops them."""
    found: dict[str, Any] = {}
    todo = [tensor.op for tensor in graph.outputs]
    while todo:
        op = todo.pop()
        if op.name not in found:
            found[op.name] = op
            todo += [tensor.op for tensor in op.inputs]
    return list(found.values())


def _config(name: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": name, "config": config}


CASES: list[tuple[str, dict[str, Any], tuple[tuple[int, ...], ...], str]] = [
    ("SimpleRNN", {"units": 4, "unroll": True}, ((6, 3),), "list"),
    ("LSTM", {"units": 4, "unroll": True, "return_sequences": True}, ((6, 3),), "list"),
    ("GRU", {"units": 4, "unroll": True}, ((6, 3),), "list"),
    ("GRU", {"units": 4, "unroll": True, "reset_after": False}, ((6, 3),), "list"),
    ("RNN", {"cell": _config("LSTMCell", units=5), "unroll": True}, ((6, 3),), "list"),
    ("RNN", {"cell": _config("StackedRNNCells", cells=[_config("LSTMCell", units=5), _config("GRUCell", units=2)]),
             "unroll": True}, ((6, 3),), "list"),
    ("Bidirectional", {"layer": _config("LSTM", units=4, unroll=True)}, ((6, 3),), "list"),
    ("ConvLSTM2D", {"filters": 4, "kernel_size": 3, "strides": 2, "unroll": True}, ((4, 9, 8, 3),), "list"),
    ("ConvLSTM3D", {"filters": 2, "kernel_size": 2, "padding": "same", "unroll": True}, ((3, 4, 5, 6, 2),), "list"),
    ("TimeDistributed", {"layer": _config("Dense", units=5)}, ((6, 3),), "list"),
    ("Attention", {}, ((4, 8), (6, 8)), "list"),
    ("Attention", {"score_mode": "concat"}, ((4, 8), (6, 5), (6, 8)), "list"),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 4}, ((3, 8), (5, 8)), "args"),
    ("MultiHeadAttention", {"num_heads": 3, "key_dim": 4, "value_dim": 5, "output_shape": 6}, ((3, 8), (5, 7)), "args"),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 4, "attention_axes": 2}, ((6, 3, 8), (6, 5, 8)), "args"),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 4, "use_gate": True}, ((6, 3, 8), (4, 5, 8)), "args"),
    ("GroupQueryAttention", {"head_dim": 4, "num_query_heads": 6, "num_key_value_heads": 2}, ((3, 8), (5, 8)), "args"),
    ("EinsumDense", {"equation": "abc,cd->abd", "output_shape": [None, 6]}, ((5, 4),), "list"),
    ("EinsumDense", {"equation": "abcd,cde->abe", "output_shape": [None, 6]}, ((5, 4, 3),), "list"),
    ("EinsumDense", {"equation": "...x,xy->...y", "output_shape": 6}, ((2, 5, 4),), "list"),
    ("EinsumDense", {"equation": "ab...,bc->ac...", "output_shape": 6}, ((5, 4),), "list"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "shapes", "call"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_products_in_the_graph(
    keras: Any, name: str, args: dict[str, Any], shapes: tuple[tuple[int, ...], ...], call: str
) -> None:
    kind = registry.lookup(name).build(args)
    given = {k: keras.saving.deserialize_keras_object(v) if isinstance(v, dict) else v for k, v in args.items()}
    want = multiplications(getattr(keras.layers, name)(**given), shapes, call)
    assert int(total(kind.macs(shapes, kind.outputs(shapes)))) == want


def test_additive_attention_weights_each_feature_of_each_pair() -> None:
    """By brute force: one product for each query, key and feature; then one for each query, key and value feature."""
    queries, keys, features, width = 4, 6, 8, 5
    scores = sum(1 for _ in range(queries) for _ in range(keys) for _ in range(features))
    values = sum(1 for _ in range(queries) for _ in range(width) for _ in range(keys))
    kind = registry.lookup("AdditiveAttention").build({})
    shapes = ((queries, features), (keys, width), (keys, features))
    assert [int(term.count) for term in kind.macs(shapes, kind.outputs(shapes))] == [scores, values]


@pytest.mark.parametrize("name", ["SimpleRNN", "LSTM", "GRU"])
def test_every_step_costs_the_same(name: str) -> None:
    kind = registry.lookup(name).build({"units": 4})
    one, ten = (kind.macs(((steps, 3),), kind.outputs(((steps, 3),))) for steps in (1, 10))
    assert int(total(ten)) == 10 * int(total(one))
    assert total(kind.macs(((None, 3),), kind.outputs(((None, 3),)))).value is None
