"""Frozen layers (``trainable: false``): no reverse pass below the lowest trainable weight, frozen batch normalization
in inference mode, no gradient and no slot of a frozen weight."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import cnncost
from cnncost.memory.opgraph import BACKWARD, UPDATE, Op
from cnncost.memory.optimizers import optimizer
from cnncost.memory.training import training_step

BATCH = 4
CASES = {
    "lower": ("c0", "b0", "c1", "b1"),
    "middle": ("c1", "b1", "c2"),
    "upper": ("c2", "b2", "d"),
    "normalizations": ("b0", "b1", "b2"),
    "all but the last": ("c0", "b0", "c1", "b1", "c2", "b2"),
}


def spec(frozen: tuple[str, ...]) -> dict[str, Any]:
    """conv–BN–ReLU three times, the last two around a skip connection, then pooling and a dense layer."""

    def layer(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {kind: arguments}
        return entry | ({"trainable": False} if arguments["name"] in frozen else {})

    layers: list[dict[str, Any]] = []
    for k in range(3):
        layers.append(layer("Conv2D", {"filters": 8, "kernel_size": 3, "padding": "same", "name": f"c{k}"}))
        layers.append(layer("BatchNormalization", {"name": f"b{k}"}))
        layers.append({"ReLU": {"name": f"r{k}"}})
    layers += [{"Add": {"name": "sum"}, "inputs": ["r0", "r2"]}, {"GlobalAveragePooling2D": {"name": "gap"}}]
    return {"input": [32, 32, 3], "layers": [*layers, layer("Dense", {"units": 10, "name": "d"})]}


def analysis(frozen: tuple[str, ...], choice: str = "sgd") -> cnncost.Analysis:
    return cnncost.analyze(spec(frozen), batch=BATCH, mode="training", optimizer=choice)


def needed(frozen: tuple[str, ...]) -> list[Op]:
    """The ops of the step that a result or an assignment needs."""
    from cnncost.memory.pruning import prune

    graph = training_step(analysis(frozen), optimizer("sgd")).graph
    prune(graph)
    return graph.ops


@pytest.mark.parametrize("case", CASES)
def test_only_trained_weights_are_updated(case: str) -> None:
    frozen = CASES[case]
    touched = {op.layer for op in needed(frozen) if op.phase == UPDATE and op.layer}
    everything = {"c0", "b0", "c1", "b1", "c2", "b2", "d"}
    assert touched == everything - set(frozen)


def test_the_reverse_pass_ends_at_the_lowest_trained_weight() -> None:
    """r2 is above b2, which trains; r1 reads only what is frozen. The lowest trained layer's data has no gradient."""
    ops = needed(CASES["lower"])
    assert {op.layer for op in ops if op.phase == BACKWARD and op.layer} == {"c2", "b2", "r2", "gap", "d"}
    assert not [op for op in ops if op.type == "Conv2DBackpropInput"]


def test_above_a_trained_weight_frozen_layers_pass_gradients_on() -> None:
    counts = Counter(op.type for op in needed(CASES["middle"]) if op.phase == BACKWARD)
    assert counts["Conv2DBackpropInput"] == 2  # c1 and c2; c0 reads the model's input
    assert counts["Conv2DBackpropFilter"] == 1  # of c0


def test_a_frozen_normalization_takes_no_moments() -> None:
    ops = needed(CASES["normalizations"])
    assert not [op for op in ops if op.layer in CASES["normalizations"] and op.type in ("Mean", "SquaredDifference")]
    assert not [op for op in ops if op.type == "AssignVariableOp" and op.layer]


@pytest.mark.parametrize("choice", ["sgd", "adam"])
def test_freezing_never_adds_memory_or_work(choice: str) -> None:
    full = analysis((), choice)
    for frozen in CASES.values():
        less = analysis(frozen, choice)
        assert less.totals.training_macs <= full.totals.training_macs
        assert (less.memory.training_peak_bytes or 0) <= (full.memory.training_peak_bytes or 0)
        assert (less.memory.resident_bytes or 0) <= (full.memory.resident_bytes or 0)


@pytest.mark.keras
@pytest.mark.parametrize(
    ("case", "choice"), [("lower", "adam"), ("middle", "sgd"), ("upper", "adam"), ("all but the last", "sgd")]
)
def test_a_real_step_with_frozen_layers(case: str, choice: str) -> None:
    """As many allocations of each size, whatever their order, which moves from process to process; slots exactly."""
    from cnncost.compare import compare
    from cnncost.export import keras_names, to_config
    from cnncost.measure import Job, run
    from cnncost.memory.predict import predict

    ours = analysis(CASES[case], choice)
    job = Job(
        model={"config": to_config(ours.graph)}, names=keras_names(ours.graph), mode="training", optimizer=choice,
        batch=BATCH, steps=1,
    )  # fmt: skip
    measured = run(job, 240)
    found = compare(ours, job, measured, 0.25)
    large = BATCH * 32 * 32 * 8 * 4
    real = Counter(change.bytes for change in measured.changes if change.bytes >= large)
    predicted = Counter(event.bytes for event in predict(ours, "training", choice).events if event.bytes >= large)
    assert predicted == real
    assert found.ok, found.to_dict()["peak"]
