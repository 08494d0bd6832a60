"""The peak over the orders that TensorFlow's processes take."""

from __future__ import annotations

from statistics import median_low
from typing import Any

import pytest

import cnncost
from cnncost.memory import simulation
from cnncost.memory.graph_mode import ORDERS, interval
from cnncost.memory.predict import predict
from cnncost.memory.simulation import PROCESSES, Simulation

CONV = {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}}
FORK: list[Any] = [
    {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}, "name": "stem"},
    {"Conv2D": {"filters": 64, "kernel_size": 3, "padding": "same"}, "name": "wide"},
    {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}, "name": "one"},
    {"Conv2D": {"filters": 16, "kernel_size": 3, "padding": "same"}, "name": "two", "inputs": ["stem"]},
    {"Multiply": None, "inputs": ["one", "two"]},
]  # fmt: skip


def analyzed(layers: list[Any], mode: str = "inference") -> Any:
    return cnncost.analyze({"input": [64, 64, 3], "layers": layers}, batch=2, mode=mode, processor="avx512")


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_predicted_peak_lies_inside(mode: str) -> None:
    analysis = analyzed([*FORK, "Flatten", {"Dense": 4}], mode)
    low, high = interval(analysis, mode)
    assert 0 < low <= predict(analysis, mode).peak_bytes <= high


def test_a_chain_has_one_order() -> None:
    low, high = interval(analyzed([CONV, CONV, "Flatten", {"Dense": 4}]), "inference")
    assert low == high


def test_a_forks_branches_may_change_places() -> None:
    """Where the narrow branch comes first, its 16 maps wait for the wide one, else the stem's 8."""
    low, high = interval(analyzed(FORK), "inference")
    assert high - low == 2 * 64 * 64 * (16 - 8) * 4


def test_how_many_normalizations_are_folded_early_is_open() -> None:
    low, high = interval(analyzed([CONV, "BatchNormalization", "ReLU"] * 12), "inference")
    assert low < high <= low + 12 * 2 * 16 * 4 * 2  # scale and shift of 16 maps each, and what they are made of


def test_it_is_the_same_each_time() -> None:
    analysis = analyzed(FORK)
    assert interval(analysis, "inference") == interval(analysis, "inference")
    low, high = interval(analysis, "inference", orders=1)
    assert low <= predict(analysis).peak_bytes <= high


def test_only_asked_for() -> None:
    analysis = analyzed(FORK)
    plain, bounded = predict(analysis), predict(analysis, interval=True)
    assert plain.low_bytes == plain.high_bytes == plain.peak_bytes == bounded.peak_bytes
    assert (bounded.low_bytes, bounded.high_bytes) == interval(analysis, "inference")


def test_chunks_keep_the_interval() -> None:
    bounded = predict(analyzed([CONV, "BatchNormalization", "ReLU"] * 12), allocator="bfc", interval=True)
    assert bounded.low_bytes <= bounded.peak_bytes <= bounded.high_bytes and bounded.low_bytes < bounded.high_bytes


def test_a_one_channel_input_is_told_of() -> None:
    """Its convolution takes a scratch that is not predicted."""
    grey = cnncost.analyze({"input": [32, 32, 1], "layers": [CONV]}, batch=2, processor="avx512")
    assert "one channel" in predict(grey).notes[0] and not predict(analyzed([CONV])).notes


@pytest.mark.parametrize("mode", ["inference", "training"])
def test_the_point_of_a_small_step_is_the_median_of_processes(mode: str) -> None:
    analysis = analyzed([*FORK, "Flatten", {"Dense": 4}], mode)
    simulation = Simulation(analysis, mode, None)
    peaks = [simulation.run(process).peak for process in range(1, PROCESSES + 1)]
    assert predict(analysis, mode).peak_bytes == median_low(peaks)


def test_the_point_of_a_large_step_reads_all_variables_first(monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = analyzed([*FORK, "Flatten", {"Dense": 4}], "training")
    first = Simulation(analysis, "training", None).run().peak
    monkeypatch.setattr(simulation, "EFFORT", 10)
    assert predict(analysis, "training").peak_bytes == first


def test_each_order_is_shown() -> None:
    """The predicted one first; the lowest and highest are among them."""
    analysis = analyzed([*FORK, "Flatten", {"Dense": 4}], "training")
    peaks: list[int] = []
    found = predict(analysis, "training", interval=True, look=lambda events: peaks.append(max(e.live for e in events)))
    assert len(peaks) == 1 + ORDERS and peaks[0] == found.peak_bytes
    assert (min(peaks), max(peaks)) == (found.low_bytes, found.high_bytes) == interval(analysis, "training")
    shown: list[Any] = []
    for executor in ("eager", "xla"):
        predict(analysis, "training", executor=executor, interval=True, look=shown.append)
    predict(analysis, "training", look=shown.append)
    assert not shown
