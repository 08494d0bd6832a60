"""Whatever the addresses of a process, it runs all of the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import cnncost
from cnncost.memory import simulation
from cnncost.memory.opgraph import Op
from cnncost.memory.wires import Wires

MODELS: dict[str, dict[str, Any]] = {
    "branches": {
        "input": [16, 16, 3],
        "layers": [
            {"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "gelu"}},
            {"branches": [[{"Conv2D": {"filters": 4, "kernel_size": 1}}] for _ in range(3)]},
            "BatchNormalization", "ReLU", {"Dropout": 0.3}, "GlobalAveragePooling2D", {"Dense": 10},
        ],
    },
    "grouped": {
        "input": [12, 12, 8],
        "layers": [
            {"Conv2D": {"filters": 8, "kernel_size": 3, "groups": 4}}, "LayerNormalization", "Flatten", {"Dense": 10},
        ],
    },
    "recurrent": {"input": [6, 8], "layers": [{"Bidirectional": {"layer": {"SimpleRNN": 4}}}, {"Dense": 4}]},
    "decoder": {"input": [8, 8, 3], "layers": [{"Conv2DTranspose": {"filters": 3, "kernel_size": 3, "strides": 2}}]},
}  # fmt: skip


@pytest.mark.parametrize("step", ["inference", "sgd", "adam"])
@pytest.mark.parametrize("name", MODELS)
def test_every_process_runs_every_op_once(name: str, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mode, optimizer = ("inference", None) if step == "inference" else ("training", step)
    runs: list[tuple[Sequence[int], list[Op], list[int]]] = []
    plain = simulation.schedule

    def noted(places: Sequence[int], edges: Wires, *rest: Any) -> list[int]:
        order = plain(places, edges, *rest)
        runs.append((places, edges.ops, order))
        return order

    monkeypatch.setattr(simulation, "schedule", noted)
    analysis = cnncost.analyze(MODELS[name], batch=2, mode=mode, optimizer=optimizer)
    one = simulation.Simulation(analysis, mode, optimizer)
    for process in range(4):
        one.run(process)
        places, ops, order = runs[-1]
        ran = {*order}
        assert len(ran) == len(order)
        assert all(ops[place].type == "Const" for place in places if place not in ran)
