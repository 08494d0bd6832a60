"""Updates that are added when the rest has been rewritten: the step is the one that rewriting everything gives."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory import training
from cnncost.memory.graph_mode import predict_graph
from cnncost.memory.updates import _SETTLED

CONV = {"filters": 8, "kernel_size": 3, "padding": "same"}
BRANCHES: dict[str, Any] = {  # both shifts have the same gradient, whose square is computed once
    "input": [16, 16, 3],
    "layers": [
        {
            "residual": [{"Conv2D": CONV}, "BatchNormalization"],
            "shortcut": [{"Conv2D": CONV}, "BatchNormalization"],
        },
        {"ReLU": {}},
        {"GlobalAveragePooling2D": {}},
        {"Dense": {"units": 4}},
    ],
}
NAMES = ("sgd", "momentum", "nesterov", "adam", "adamw")


@pytest.mark.parametrize("name", NAMES)
def test_as_if_everything_were_rewritten(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    analysis = cnncost.analyze(BRANCHES, batch=3)

    def events() -> list[tuple[str, str, int, int, int]]:
        found = predict_graph(analysis, "training", name).events
        return [(event.op.type, event.op.layer, event.bytes, event.live, event.buffer) for event in found]

    early = events()
    monkeypatch.setattr(training, "is_settled", lambda choice, grads: False)
    assert early == events()


def test_every_settled_optimizer_is_looked_at() -> None:
    assert {"sgd", "adam", "adamw"} == _SETTLED


def test_the_square_of_a_shared_gradient_is_computed_once() -> None:
    events = predict_graph(cnncost.analyze(BRANCHES, batch=3), "training", "adam").events
    squares = {event.op for event in events if event.op.type == "Square" and event.op.phase == "update"}
    assert len(squares) == 10 - 1  # of ten weights
