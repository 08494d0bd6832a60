"""What a prediction tells of its peak: categories, layers and timeline agree with the events."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import pytest

import cnncost
from cnncost.choices import ALLOCATORS, EXECUTORS
from cnncost.memory.predict import MemoryPrediction, predict
from cnncost.memory.prediction import CATEGORIES, GRADIENTS, KEPT, TEMPORARIES

NET = {
    "input": [16, 16, 3],
    "layers": [
        {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "name": "conv"}},
        {"BatchNormalization": {"name": "norm"}},
        {"ReLU": {"name": "relu"}},
        {"GlobalAveragePooling2D": {}},
        {"Dense": {"units": 10, "activation": "softmax", "name": "out"}},
    ],
}


def found(mode: str, optimizer: str | None = None, **options: Any) -> MemoryPrediction:
    return predict(cnncost.analyze(NET, **options), mode, optimizer)


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_timeline_reaches_the_peak_and_balances(mode: str) -> None:
    step = found(mode, "sgd")
    rows = list(step.timeline())
    assert max(live for *_, live in rows) == step.peak_bytes
    assert sum(made - freed for _, made, freed, _ in rows) == step.events[-1].live
    assert step.to_dict()["timeline"]["columns"][-1] == "live_bytes"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_categories_and_layers_sum_to_what_is_alive(optimizer: str) -> None:
    step = found("training", optimizer, batch=8)
    alive = sum(held.bytes for held in step.alive_at_peak)
    assert sum(step.by_category().values()) == sum(step.by_layer().values()) == alive == step.peak_bytes
    assert set(step.by_category()) == set(CATEGORIES)
    assert step.by_category()[KEPT] > 8 * 16 * 16 * 8 * 4  # the convolution's output stays for the reverse pass


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "lion"])
def test_lives_sum_to_the_live_bytes_at_every_event(optimizer: str) -> None:
    step = found("training", optimizer, batch=8)
    changes = [0] * (len(step.events) + 1)
    for life in step.lives:
        changes[life.begin] += life.bytes
        changes[len(step.events) if life.end is None else life.end] -= life.bytes
    assert list(accumulate(changes[:-1])) == [event.live for event in step.events]


RECURRENT: dict[str, Any] = {
    "input": [10, 4],
    "layers": [
        {"Bidirectional": {"layer": {"GRU": 3}}},
        {"Dense": {"units": 2, "activation": "softmax"}},
    ],
}


@pytest.mark.parametrize("source", [NET, RECURRENT, "zoo:lenet5-1998"], ids=["cnn", "recurrent", "lenet5"])
@pytest.mark.parametrize("allocator", ALLOCATORS)
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("optimizer", [None, "sgd", "adam"])
def test_all_sums_are_the_peak(optimizer: str | None, executor: str, allocator: str, source: Any) -> None:
    """Chunks too: a variable's new chunk may have another size than the one that it gives up, and what is rounded up
    beside XLA's allocations lives as long as they do."""
    mode = "training" if optimizer else "inference"
    model = cnncost.analyze(source, mode=mode, optimizer=optimizer, executor=executor, allocator=allocator).with_peaks()
    step = model.memory.runtime.of(mode)
    assert step is not None
    assert sum(step.by_category().values()) == sum(step.by_layer().values()) == step.peak_bytes
    assert max(live for *_, live in step.timeline()) == step.peak_bytes
    rows = sum(row.peak_bytes or 0 for row in model.layers)
    assert rows + step.by_layer().get("", 0) == step.peak_bytes


def test_lives_of_chunks_sum_to_the_live_bytes_at_every_event() -> None:
    model = cnncost.analyze("zoo:lenet5-1998", mode="training", optimizer="adam", batch=2)
    step = predict(model, "training", "adam", allocator="bfc")
    changes = [0] * (len(step.events) + 1)
    for life in step.lives:
        changes[life.begin] += life.bytes
        changes[len(step.events) if life.end is None else life.end] -= life.bytes
    assert list(accumulate(changes[:-1])) == [event.live for event in step.events]


def test_inference_keeps_nothing() -> None:
    step = found("inference")
    assert step.by_category() == {KEPT: 0, GRADIENTS: 0, "updates": 0, TEMPORARIES: step.peak_bytes}


def test_a_twice_as_large_batch_keeps_twice_as_much() -> None:
    one, two = (found("training", "sgd", batch=n).by_category()[KEPT] for n in (64, 128))
    assert two == pytest.approx(2 * one, rel=0.01)


def test_rows_bear_their_part_of_the_peak() -> None:
    analysis = cnncost.analyze(NET, mode="training", optimizer="adam", batch=4)
    step = analysis.memory.runtime.training
    assert step is not None
    layers = {row.name: row.peak_bytes for row in analysis.with_peaks().layers}
    assert {name: size for name, size in layers.items() if size} == {
        name: size for name, size in step.by_layer().items() if name in layers
    }
    assert [row["peak_bytes"] for row in analysis.to_dict()["layers"]] == list(layers.values())


def test_an_inference_tells_the_training_peak_too() -> None:
    """The same figure as in mode "training", without the step's details."""
    idle = cnncost.analyze(NET, batch=4).to_dict()["memory"]
    trained = cnncost.analyze(NET, batch=4, mode="training").to_dict()["memory"]
    same = ("inference_peak_bytes", "training_peak_bytes", "training_peak_layer")
    assert [idle[key] for key in same] == [trained[key] for key in same]
    assert idle["training"] is None and trained["training"] is not None


def test_an_inference_says_why_there_is_no_training_peak() -> None:
    found = cnncost.analyze({"input": [8, 8, 3], "layers": [{"Conv2D": [4, 3]}]}, dtype="int8").to_dict()
    assert found["memory"]["inference_peak_bytes"] and found["memory"]["training_peak_bytes"] is None
    assert any("training_peak_bytes is not known" in finding["message"] for finding in found["findings"])


@pytest.mark.parametrize("word", ["mode", "executor", "allocator"])
def test_unknown_words_are_named_with_their_choices(word: str) -> None:
    with pytest.raises(cnncost.CnncostError, match=f"unknown {word}; it is one of .*bogus"):
        predict(cnncost.analyze(NET), **{word: "bogus"})
