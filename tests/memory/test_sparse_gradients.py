"""An embedding's gradient is rows of its table: every optimizer, loss scaling and executor takes it as it is."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.choices import EXECUTORS, OPTIMIZERS
from cnncost.memory.predict import predict

ROWS, WIDTH, STEPS = 50, 8, 12
SPEC: dict[str, Any] = {
    "input": {"shape": [STEPS], "dtype": "int32"},
    "layers": [
        {"Embedding": {"input_dim": ROWS, "output_dim": WIDTH, "mask_zero": True}},
        {"LSTM": 6},
        {"Dense": {"units": 3, "activation": "softmax"}},
    ],
}


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "mixed_float16", "mixed_bfloat16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_takes_rows(optimizer: str, dtype: str, executor: str) -> None:
    model = cnncost.analyze(SPEC, batch=2, mode="training", optimizer=optimizer, dtype=dtype)
    assert predict(model, "training", optimizer, executor).peak_bytes > 0


def test_loss_scaling_tests_rows_in_a_table_of_flags_and_divides_the_rows() -> None:
    """Keras makes a flag for each number of the table, and never the table's gradient itself."""
    model = cnncost.analyze(SPEC, batch=2, mode="training", dtype="mixed_float16")
    step = predict(model, "training", "sgd")
    sizes = [
        event.bytes for event in step.events if event.op.layer == "embedding" or event.op.name.startswith("Tensor")
    ]
    assert ROWS * WIDTH in sizes
    dense = [event for event in step.events if event.op.type == "UnsortedSegmentSum"]
    assert not dense


def test_a_step_op_by_op_holds_the_rows_until_its_end() -> None:
    """``grads`` is a list in Python."""
    model = cnncost.analyze(SPEC, batch=2, mode="training", optimizer="adam")
    step = predict(model, "training", "adam", "eager")
    rows = [life for life in step.lives if life.op.type == "Transpose" and life.bytes == 2 * STEPS * WIDTH * 4]
    assert any(life.category == "gradients" and life.end is None for life in rows)
