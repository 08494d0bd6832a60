"""``gradient_accumulation_steps``: slots, the branch that adds up, the branch that updates; against Keras itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import cnncost
from cnncost import CnncostError
from cnncost.memory.opgraph import UPDATE
from cnncost.memory.optimizers import optimizer
from cnncost.memory.predict import predict
from cnncost.memory.training import training_step

SPEC = {
    "input": [16, 16, 3],
    "layers": [
        {"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "relu"}},
        {"Flatten": None},
        {"Dense": 10},
    ],
}
WEIGHTS = 4 * (3 * 3 * 3 * 8 + 8 + 14 * 14 * 8 * 10 + 10)


def model(steps: int | None = 4, **options: Any) -> cnncost.Analysis:
    return cnncost.analyze(SPEC, batch=2, mode="training", gradient_accumulation_steps=steps, **options)


def written(analysis: cnncost.Analysis, choice: str) -> dict[str, str]:
    """Which variables the update phase writes, and by which op."""
    graph = training_step(analysis, optimizer(choice)).graph
    return {op.attrs["variable"].name: op.type for op in graph.ops if op.phase == UPDATE and "Assign" in op.type}


@pytest.mark.parametrize("choice", ["sgd", "adam"])
def test_an_accumulator_for_each_weight_is_resident(choice: str) -> None:
    plain, adding = (model(n, optimizer=choice).memory.resident for n in (None, 4))
    assert plain is not None and adding is not None
    assert adding.optimizer_slots == plain.optimizer_slots + WEIGHTS


def test_between_updates_only_the_accumulators_and_the_counter_change() -> None:
    found = written(replace(model(), between_updates=True), "adam")
    assert len(found) == 5 and set(found.values()) == {"AssignVariableOp"}
    assert sum("gradient_accumulator" in name for name in found) == 4


def test_an_update_writes_weights_slots_and_clears_the_accumulators() -> None:
    found = written(model(), "adam")
    assert [found[name] for name in ("dense/kernel", "dense/bias")] == ["AssignSubVariableOp"] * 2
    assert sum("gradient_accumulator" in name for name in found) == 4
    assert sum("velocity" in name or "momentum" in name for name in found) == 8


def test_the_highest_of_both_kinds_of_step_is_told() -> None:
    analysis = model(optimizer="adam")
    told = predict(analysis, "training", "adam")
    kinds = [replace(analysis, between_updates=between) for between in (False, True)]
    from cnncost.memory.predict import _predicted

    peaks = [_predicted(kind, "training", "adam", "graph", "requested").peak_bytes for kind in kinds]
    assert told.peak_bytes == max(peaks)
    assert f"{min(peaks):,}" in told.notes[-1] and f"{max(peaks):,}" in told.notes[-1]


def test_the_sum_takes_the_gradients_buffer_over() -> None:
    """One buffer of each weight's size stays: the new accumulator. The last one was a constant's zeros."""
    analysis = replace(model(), between_updates=True)
    from cnncost.memory.predict import _predicted

    events = _predicted(analysis, "training", "sgd", "graph", "requested").events
    assert events[-1].live == WEIGHTS + 8 - 8 + 4  # the sums, a new counter for the old one, the loss


def test_json_says_it_only_where_it_is_asked_for() -> None:
    assert model(4).to_dict()["gradient_accumulation_steps"] == 4
    assert "gradient_accumulation_steps" not in model(None).to_dict()


@pytest.mark.parametrize("steps", [1, 0, -2, 2.5, True, "4", 2**31])
def test_what_keras_refuses_is_refused(steps: Any) -> None:
    with pytest.raises(CnncostError, match="gradient_accumulation_steps"):
        cnncost.analyze(SPEC, gradient_accumulation_steps=steps)


@pytest.mark.parametrize("executor", ["graph", "eager"])
@pytest.mark.parametrize("dtype", [None, "mixed_float16"])
def test_op_by_op_and_with_loss_scaling_too(executor: str, dtype: str | None) -> None:
    for choice in ("sgd", "adam"):
        adding = model(4, optimizer=choice, executor=executor, dtype=dtype)
        assert (adding.memory.training_peak_bytes or 0) > WEIGHTS
        assert "those between updates" in adding.memory.runtime.training.notes[-1]  # type: ignore[union-attr]


def test_op_by_op_all_sums_are_there_before_the_first_is_assigned() -> None:
    """Keras makes a list of them, and keeps the gradients too; zeros are made one by one after an update."""
    from cnncost.memory.predict import _predicted

    between, update = (
        _predicted(replace(model(executor="eager"), between_updates=flag), "training", "sgd", "eager", "requested")
        for flag in (True, False)
    )
    assert between.peak_bytes >= 2 * WEIGHTS
    assert between.events[-1].live == WEIGHTS + 4  # the list of gradients, the loss; sums stand where zeros were
    assert sum(event.op.type == "Fill" and event.bytes > 0 for event in update.events) == 4


@pytest.mark.keras
@pytest.mark.parametrize(("choice", "steps"), [("sgd", 2), ("adam", 3)])
def test_a_real_accumulating_step(choice: str, steps: int) -> None:
    """Slots to the byte; the peak, whose order moves from process to process, within 20 %; every large allocation."""
    from cnncost.compare import compare
    from cnncost.export import keras_names, to_config
    from cnncost.measure import Job, run

    analysis = model(steps, optimizer=choice)
    job = Job(
        model={"config": to_config(analysis.graph)}, names=keras_names(analysis.graph), mode="training",
        optimizer=choice, batch=2, steps=1, gradient_accumulation_steps=steps,
    )  # fmt: skip
    found = compare(analysis, job, run(job, 240), 0.2)
    assert found.resident_ok and found.measured.resident["optimizer"] == analysis.memory.resident.optimizer_slots  # type: ignore[union-attr]
    assert found.ok, found.to_dict()["peak"]
