"""Updates that are stamped, and of which not all ops are made: the step is the one that every op's own turn gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import cnncost
from cnncost.memory import optimizers, rewrite_sums, simulation
from cnncost.memory.opgraph import Op, OpGraph
from cnncost.memory.optimizers import Optimizer
from cnncost.memory.rewrite_sums import Expected, accumulate_sums, expected_peak
from cnncost.memory.simulation import Simulation
from cnncost.memory.stamps import Stamp
from cnncost.memory.timeline import Sweep
from cnncost.memory.wires import Wires

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
OFTEN: dict[str, Any] = {  # sums of four gradients, which are accumulated where memory is short
    "input": [100],
    "layers": [{"Dense": 100, "name": "dense"}, *["ReLU", {"reuse": "dense"}] * 3, {"Dense": 4}, {"Dense": 3}],
}
NETS = {"plain": PLAIN, "branches": BRANCHES, "twice": TWICE, "lenet": "zoo:lenet5-table", "mobile": "zoo:mobilenet-v2"}


def simulated(source: Any, optimizer: str) -> Simulation:
    return Simulation(cnncost.analyze(source, batch=2, mode="training", optimizer=optimizer), "training", optimizer)


def told(swept: Sweep, least: int = 0) -> list[tuple[Any, ...]]:
    def row(op: Op) -> tuple[Any, ...]:
        variable = op.attrs.get("variable")
        own = (variable.name, variable.spec) if variable else ("", None)
        return op.type, op.name, op.layer, op.phase, op.outputs, own[0], str(own[1])

    return [(*row(event.op), event.bytes) for event in swept.events if abs(event.bytes) >= least]


def same(whole: Simulation, parted: Simulation) -> bool:
    """Whether a step whose ops were not all made runs as one of which they were."""
    walked, found = whole.run(), parted.run()
    assert whole.apart is None and parted.apart is not None
    assert sorted(told(found)) == sorted(told(walked))
    return told(found, LARGE) == told(walked, LARGE) and found.peak == walked.peak


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
    peaks: list[Expected] = []

    def accumulated(graph: OpGraph, edges: Wires, created: Sequence[int] | None) -> list[Op]:
        peaks.append(expected_peak(graph, edges, created))
        return accumulate_sums(graph, edges=edges, created=created)

    monkeypatch.setattr(simulation, "accumulate_sums", accumulated)
    whole, parted = simulated(NETS[net], optimizer), simulated(NETS[net], optimizer)
    whole.built()
    monkeypatch.setattr(simulation, "MOST", 0)
    assert same(whole, parted)
    assert len({(peak.bytes, peak.at) for peak in peaks}) == 1  # grappler expects the same of both
    again = parted.run(1)  # another process's order is walked as a whole
    assert told(again) == told(whole.run(1)) and parted.apart is None


def test_what_grappler_accumulates_is_numbered_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite_sums, "SHARE", 0.0)
    whole, parted = simulated(OFTEN, "adam"), simulated(OFTEN, "adam")
    assert any(op.type == "AssignAdd" for op in whole.built())
    monkeypatch.setattr(simulation, "MOST", 0)
    assert same(whole, parted)


def test_most_of_an_update_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Adam's 30 ops for a weight all but four: a slot that is read before the gradient comes, and who reads it."""
    every = len(simulated(PLAIN, "adam").built().ops)
    monkeypatch.setattr(simulation, "MOST", 0)
    step = simulated(PLAIN, "adam")
    graph = step.built()
    assert step.apart is not None and graph.stamps is not None
    assert len(graph.stamps.first.made) == 30
    for own in graph.stamps.others:
        assert [op.type for op in own.made] == ["_Arg", "ReadVariableOp", "Sub", "Square"]
    assert len(graph.ops) < 0.7 * every and graph.count == len(step.apart.wires.ops) == every
    assert sorted(step.apart.created) == list(range(every))


@pytest.mark.parametrize("optimizer", [
    Optimizer(),  # few ops wait for those that read the gradient
    Optimizer(momentum=0.9),  # all slots are multiplied when the step begins, in the order of the arguments
    Optimizer("adam", use_ema=True),  # the averages wait for the assignments
    Optimizer("rmsprop"),  # not stamped
])  # fmt: skip
def test_all_ops_of_other_updates_are_made(optimizer: Optimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "optimizer", lambda _: optimizer)
    every = len(Simulation(cnncost.analyze(PLAIN, batch=2, mode="training"), "training", optimizer.kind).built().ops)
    monkeypatch.setattr(simulation, "MOST", 0)
    step = Simulation(cnncost.analyze(PLAIN, batch=2, mode="training"), "training", optimizer.kind)
    step.run()
    assert step.apart is None and step.graph is not None and len(step.graph.ops) == every
