"""Marks that Keras computes and hands on by itself stand in a config as operations; they are no layers of the model."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost


def tensor(name: str) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": [name, 0, 0], "shape": [None, 10]}}


def node(kind: str, name: str, args: list[Any], config: dict[str, Any] | None = None, **kwargs: Any) -> dict[str, Any]:
    module = "keras.src.ops.numpy" if kind in ("NotEqual", "Any") else "keras.layers"
    inbound = [{"args": args, "kwargs": kwargs}] if args else []
    return {"module": module, "class_name": kind, "name": name, "config": {"name": name, **(config or {})},
            "inbound_nodes": inbound}  # fmt: skip


def model(*layers: dict[str, Any], ends: str = "lstm") -> list[tuple[str, list[str]]]:
    """(name, inputs) of each row."""
    config = {"name": "m", "layers": list(layers), "input_layers": [["x", 0, 0]], "output_layers": [[ends, 0, 0]]}
    rows = cnncost.analyze({"class_name": "Functional", "config": config}).to_dict()["layers"]
    return [(row["name"], row["inputs"]) for row in rows]


X = node("InputLayer", "x", [], {"batch_shape": [None, 10], "dtype": "int32"})
MARKED = node("Embedding", "rows", [tensor("x")], {"input_dim": 30, "output_dim": 4, "mask_zero": True})
MARKS = node("NotEqual", "marks", [tensor("x"), 0])
LSTM = node("LSTM", "lstm", [tensor("rows")], {"units": 3}, mask=tensor("marks"))


def test_an_embeddings_own_marks_are_no_layer() -> None:
    assert model(X, MARKED, MARKS, LSTM) == [("x", []), ("rows", ["x"]), ("lstm", ["rows"])]


def test_those_of_masking_are_two_operations() -> None:
    values = node("InputLayer", "x", [], {"batch_shape": [None, 10, 4], "dtype": "float32"})
    rows = node("Masking", "rows", [tensor("x")], {"mask_value": 0.5})
    marks = node("NotEqual", "unequal", [tensor("x"), 0.5])
    either = node("Any", "marks", [tensor("unequal")], {"axis": [-1], "keepdims": False})
    assert [name for name, _ in model(values, rows, marks, either, LSTM)] == ["x", "rows", "lstm"]


@pytest.mark.parametrize(
    ("layers", "ends"),
    [
        ((X, MARKED, node("NotEqual", "marks", [tensor("x"), 1]), LSTM), "lstm"),  # another number
        ((X, node("Embedding", "rows", [tensor("x")], {"input_dim": 30, "output_dim": 4}), MARKS, LSTM), "lstm"),
        ((X, MARKED, MARKS, LSTM), "marks"),  # an output of the model
        ((X, MARKED, MARKS, LSTM, node("Any", "any", [tensor("marks")], {"axis": [-1], "keepdims": False})), "any"),
    ],
)
def test_what_a_user_compares_stays(layers: tuple[dict[str, Any], ...], ends: str) -> None:
    assert "marks" in [name for name, _ in model(*layers, ends=ends)]
