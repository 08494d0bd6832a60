"""Updates that are stamped, and left out of the walks: the step is the one that every op's own turn gives."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory import graph_mode
from cnncost.memory.graph_mode import _Simulation
from cnncost.memory.stamps import Stamp
from cnncost.memory.sweep import Sweep

LARGE = 1024  # bytes: the numbers that all weights share are made in another order
CONV = {"filters": 8, "kernel_size": 3, "padding": "same"}
PLAIN: dict[str, Any] = {
    "input": [16, 16, 3],
    "layers": [{"Conv2D": CONV}, "BatchNormalization", "ReLU", {"Conv2D": CONV}, "Flatten", {"Dense": 7}, {"Dense": 4}],
}
BRANCHES: dict[str, Any] = {  # both shifts have the same gradient, whose square is computed once
    "input": [16, 16, 3],
    "layers": [
        {"residual": [{"Conv2D": CONV}, "BatchNormalization"], "shortcut": [{"Conv2D": CONV}, "BatchNormalization"]},
        "ReLU",
        {"GlobalAveragePooling2D": {}},
        {"Dense": {"units": 4}},
    ],
}
TWICE: dict[str, Any] = {  # a weight that is read twice
    "input": [16, 16, 8],
    "layers": [{"Conv2D": CONV, "name": "conv"}, "ReLU", {"reuse": "conv"}, "Flatten", {"Dense": 4}, {"Dense": 3}],
}
NETS = {"plain": PLAIN, "branches": BRANCHES, "twice": TWICE, "lenet": "zoo:lenet5-table", "mobile": "zoo:mobilenet-v2"}


def simulated(source: Any, optimizer: str) -> _Simulation:
    return _Simulation(cnncost.analyze(source, batch=2, mode="training", optimizer=optimizer), "training", optimizer)


def told(swept: Sweep, least: int = 0) -> list[tuple[str, str, str, int]]:
    return [(e.op.type, e.op.layer, e.op.phase, e.bytes) for e in swept.events if abs(e.bytes) >= least]


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
@pytest.mark.parametrize("net", NETS)
def test_a_stamped_update_is_the_one_that_the_rule_gives(
    net: str, optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def graph() -> list[Any]:
        built = simulated(NETS[net], optimizer).training_graph()
        variables = [(name, found.spec, found.handle.index) for name, found in built.variables.items()]
        return [
            variables,
            [op.index for op in built.kept],
            *(
                (op.type, op.name, op.layer, op.phase, op.outputs, [(read.op.index, read.index) for read in op.inputs],
                 sorted(before.index for before in op.controls), getattr(op.attrs.get("variable"), "name", None))
                for op in built.ops
            ),
        ]  # fmt: skip

    stamped = graph()
    monkeypatch.setattr(Stamp, "suits", lambda *_: False)
    assert stamped == graph()


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
@pytest.mark.parametrize("net", NETS)
def test_the_order_is_that_of_walking_everything(net: str, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulated(NETS[net], optimizer)
    walked = whole.run()
    assert whole.apart is None
    monkeypatch.setattr(graph_mode, "MOST", 0)
    parted = simulated(NETS[net], optimizer)
    found = parted.run()
    assert parted.apart is not None
    assert told(found, LARGE) == told(walked, LARGE) and found.peak == walked.peak
    assert sorted(told(found)) == sorted(told(walked))
    again = parted.run(1)  # another process's order is walked as a whole
    assert told(again) == told(whole.run(1)) and parted.apart is None


def test_most_of_an_update_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Adam's 30 ops for a weight all but four: a slot that is read before the gradient comes, and who reads it."""
    monkeypatch.setattr(graph_mode, "MOST", 0)
    step = simulated(PLAIN, "adam")
    step.built()
    assert step.apart is not None and step.graph is not None and step.graph.stamps is not None
    kept = {place: op for place, op in enumerate(step.graph.stamps.first) if place not in step.apart.left}
    assert [op.type for op in kept.values()] == ["_Arg", "ReadVariableOp", "Sub", "Square"]
    assert len(step.apart.walked().ops) < 0.7 * len(step.graph.ops)


@pytest.mark.parametrize(("optimizer", "source"), [("sgd", PLAIN), ("rmsprop", PLAIN)])
def test_what_has_nothing_to_gain_is_walked(optimizer: str, source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_mode, "MOST", 0)
    step = simulated(source, optimizer)
    step.run()
    assert step.apart is None
