"""Recurrent layers and wrappers in the simulation: laws over the number of time steps, and real steps."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import cnncost
from cnncost.errors import UnsupportedLayer
from cnncost.memory import loops
from cnncost.memory.loops import MOST, PARALLEL
from cnncost.memory.lowering import lower
from cnncost.memory.opgraph import Op
from cnncost.memory.predict import MemoryPrediction, predict
from cnncost.memory.simulation import Simulation

BATCH, FEATURES, UNITS = 64, 16, 32
STATE = BATCH * UNITS * 4  # bytes of one state
LSTM = {"LSTM": {"units": UNITS}}
SEQUENCE = {"LSTM": {"units": UNITS, "return_sequences": True}}


def predicted(layers: Any, steps: int, mode: str = "inference", **options: Any) -> MemoryPrediction:
    layers = layers if isinstance(layers, list) else [layers]
    spec = {"input": [steps, FEATURES], "layers": [*layers, {"Dense": {"units": 8, "activation": "softmax"}}]}
    return predict(cnncost.analyze(spec, batch=BATCH, **options), mode)


def counted(prediction: MemoryPrediction, type_: str, phase: str) -> int:
    ops: dict[Op, None] = dict.fromkeys(e.op for e in prediction.events if e.op.type == type_ and e.op.phase == phase)
    return sum(op.layer == "lstm" for op in ops)


@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_every_step_multiplies_input_and_state(steps: int) -> None:
    """Forward x·W and h·U; in reverse, of each step, both weights' gradients and the state before's, which nobody
    drops at the first step."""
    assert counted(predicted(LSTM, steps), "MatMul", "forward") == 2 * steps
    assert counted(predicted(LSTM, steps, "training"), "MatMul", "backward") == 3 * steps


def test_what_needs_no_state_runs_ahead_by_a_window() -> None:
    """Of 100 steps at most 32 have their input's product (four gates' sums) before the state reaches them."""
    alive: Counter[str] = Counter()
    most = 0
    live: dict[int, str] = {}
    for event in predicted(LSTM, 100).events:
        if event.bytes > 0:
            live[event.buffer] = event.op.type
        else:
            live.pop(event.buffer, None)
        alive = Counter(live.values())
        most = max(most, alive["MatMul"])
    assert PARALLEL <= most <= PARALLEL + 1  # and the state's own product


@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("every", [False, True], ids=["last", "every"])
@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_steps_left_out_keep_what_they_would(
    kind: str, every: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With all steps laid out the peak is the same."""
    layers = [{"GRU": {"units": 8, "return_sequences": True}}, {kind: {"units": UNITS, "return_sequences": every}}]
    layers += ["Flatten"] if every else []  # type: ignore[list-item]
    steps = MOST + 60
    short = predicted(layers, steps, mode)
    monkeypatch.setattr(loops, "MOST", steps)
    whole = predicted(layers, steps, mode)
    assert short.peak_bytes == whole.peak_bytes
    assert len(short.events) < len(whole.events)


def test_an_lstm_keeps_seven_states_of_each_step() -> None:
    """Three gates, the candidate, the state and its tanh, the output; and the input."""
    peaks = [predicted(LSTM, steps, "training").peak_bytes for steps in (200, 201)]
    assert peaks[1] - peaks[0] == 7 * STATE + BATCH * FEATURES * 4


def test_twice_as_many_steps_cost_no_more() -> None:
    short, long = (predicted(SEQUENCE, steps, "training") for steps in (64_000, 128_000))
    assert len(long.events) == len(short.events) < 10_000


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([{"Masking": 0.0}, {"SimpleRNN": {"units": 4, "unroll": True}}], "unrolls"),
        ([{"SimpleRNN": {"units": 4, "unroll": True}}], "unrolls"),
        ([{"TimeDistributed": {"layer": {"Dense": 4}}}, "Flatten"], "time steps"),
    ],
)
def test_what_is_not_simulated_is_named(layers: list[Any], words: str) -> None:
    with pytest.raises(UnsupportedLayer, match=words):
        predicted(layers, 1000)


def test_both_directions_have_weights_of_their_own() -> None:
    spec = {"input": [5, FEATURES], "layers": [{"Bidirectional": {"layer": SEQUENCE, "merge_mode": "sum"}}]}
    lowered = lower(cnncost.analyze(spec, batch=BATCH), training=True)
    names = [name for name in lowered.graph.variables if name.startswith("bidirectional/")]
    assert [name.split("/")[1] for name in names] == ["forward"] * 3 + ["backward"] * 3
    assert lowered.outputs[0].shape == (BATCH, 5, UNITS)


# -- figures of real steps: TensorFlow 2.21, batch 32, two warm-ups before ---------------------------------------------

SMALL = {"LSTM": {"units": UNITS}}
MEASURED: list[tuple[str, list[int], list[Any], int]] = [
    ("lstm", [12, 16], [SMALL], 221_260),
    ("gru", [12, 16], [{"GRU": 32}], 184_396),
    ("bidirectional", [12, 16], [{"Bidirectional": {"layer": SMALL}}], 262_277),
    (
        "images",
        [4, 16, 16, 3],
        [{"ConvLSTM2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}, "Flatten"],
        4_632_404,
    ),
    (
        "distributed",
        [6, 16, 16, 3],
        [
            {"TimeDistributed": {"layer": {"Conv2D": {"filters": 8, "kernel_size": 3, "activation": "relu"}}}},
            {"TimeDistributed": {"layer": "MaxPooling2D"}},
            {"TimeDistributed": {"layer": "Flatten"}},
            SMALL,
        ],
        1_070_363,
    ),
]


@pytest.mark.parametrize(
    ("shape", "layers", "measured"), [row[1:] for row in MEASURED], ids=[row[0] for row in MEASURED]
)
def test_measured_inference(shape: list[int], layers: list[Any], measured: int) -> None:
    spec = {"input": shape, "layers": [*layers, {"Dense": {"units": 8, "activation": "softmax"}}]}
    assert predict(cnncost.analyze(spec, batch=32), "inference").peak_bytes == pytest.approx(measured, rel=0.001)


@pytest.mark.parametrize(
    ("layers", "measured"),
    [([SMALL], (399_053, 407_244, 411_340)), ([{"Masking": 0.0}, SMALL], (407_629, 419_916, 433_201, 453_785))],
    ids=["plain", "masked"],
)
def test_several_processes_lie_in_the_interval(layers: list[Any], measured: tuple[int, ...]) -> None:
    """SGD. When the sums of weights' gradients can begin follows from the order of arguments."""
    spec = {"input": [12, 16], "layers": [*layers, {"Dense": {"units": 8, "activation": "softmax"}}]}
    found = predict(cnncost.analyze(spec, batch=32, mode="training"), "training", interval=True)
    assert found.low_bytes * 0.999 <= min(measured) and max(measured) <= found.high_bytes * 1.001


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize("mode", ["inference", "training"])
@pytest.mark.parametrize("kind", ["SimpleRNN", "LSTM", "GRU"])
def test_a_mask_and_kept_states_cost_little(kind: str, mode: str, unroll: bool) -> None:
    """A mask adds choices, of which forward none lasts; states that are kept replace those that were. In one order:
    peaks of several processes differ by more than a state."""

    def peak(layers: list[Any]) -> int:
        spec = {"input": [9, FEATURES], "layers": [*layers, {"Dense": {"units": 8, "activation": "softmax"}}]}
        return Simulation(cnncost.analyze(spec, batch=BATCH), mode, None).run().peak

    layer = {kind: {"units": UNITS, "return_sequences": True, "unroll": unroll}}
    kept = {kind: {"units": UNITS, "return_sequences": True, "unroll": unroll, "stateful": True}}
    plain, masked, stateful = (
        peak([*before, made, "Flatten"]) for before, made in (([], layer), ([{"Masking": 0.0}], layer), ([], kept))
    )
    states = 2 if kind == "LSTM" else 1
    assert plain <= masked
    assert abs(stateful - plain) <= 4 * states * STATE
    assert mode == "training" or masked - plain <= BATCH * 9 * (FEATURES * 4 + FEATURES + 3) + 4 * STATE


def test_an_element_of_a_stack_is_what_was_stacked() -> None:
    """No stack between TimeDistributed layers; one after the last."""
    layers = [{"TimeDistributed": {"layer": {"Dense": 8}}} for _ in range(3)]
    stacks = [e.op for e in predicted([*layers, "Flatten"], 5).events if e.op.type == "Pack" and e.bytes > 0]
    assert len(stacks) == 1


# -- real steps ------------------------------------------------------------------------------------------------

STACKED = {"RNN": {"cell": [{"LSTMCell": {"units": 24}}, {"SimpleRNNCell": {"units": 16}}]}}
MODELS: dict[str, tuple[list[int], list[Any]]] = {
    "lstm": ([40, 16], [SEQUENCE, {"LSTM": 16}]),
    "gru": ([12, 16], [{"GRU": {"units": 32, "go_backwards": True}}]),
    "bidirectional": ([12, 16], [{"Bidirectional": {"layer": SEQUENCE}}, {"SimpleRNN": 24}]),
    "stacked": ([12, 16], [STACKED]),
    "images": ([4, 16, 16, 3], [{"ConvLSTM2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}, "Flatten"]),
    "distributed": ([4, 24, 24, 3], [{"TimeDistributed": {"layer": {"Conv2D": [8, 3]}}}, "Flatten"]),
    "spectral": ([24, 24, 3], [{"SpectralNormalization": {"layer": {"Conv2D": [16, 3]}}}, "GlobalAveragePooling2D"]),
}  # fmt: skip


RUNS = [
    ("lstm", "training"), ("gru", "inference"), ("bidirectional", "training"), ("stacked", "inference"),
    ("images", "inference"), ("distributed", "training"), ("spectral", "training"),
]  # fmt: skip


@pytest.mark.keras
@pytest.mark.parametrize(("name", "mode"), RUNS)
def test_a_real_step(name: str, mode: str) -> None:
    """Peaks, within what the order of roots moves; and of the allocations from 4 KiB, by bytes, nine tenths."""
    pytest.importorskip("tensorflow")
    from cnncost.export import keras_names, to_config
    from cnncost.measure import Job, run

    shape, layers = MODELS[name]
    spec = {"input": shape, "layers": [*layers, {"Dense": {"units": 8, "activation": "softmax"}}]}
    analysis = cnncost.analyze(spec, batch=32, mode=mode)
    config = {"config": to_config(analysis.graph)}
    real = run(Job(config, keras_names(analysis.graph), mode, "sgd" if mode == "training" else None, 32, steps=1), 300)
    prediction = predict(analysis, mode, interval=True)
    assert real.peak_bytes is not None
    assert 0.94 * prediction.low_bytes <= real.peak_bytes <= 1.06 * prediction.high_bytes
    measured = Counter(change.bytes for change in real.changes if change.bytes >= 4096)
    simulated = Counter(event.bytes for event in prediction.events if event.bytes >= 4096)
    assert (measured & simulated).total() >= 0.9 * max(measured.total(), simulated.total())


@pytest.mark.parametrize(("batch", "measured"), [(1, 3_961), (2, 9_489)])
def test_one_sequence_has_a_state_that_looks_like_a_bias(batch: int, measured: int) -> None:
    """Keras's ``ops.add`` then makes a BiasAdd of the sum of both products; scalars of a few bytes are left out."""
    layers: list[Any] = [{"LSTM": {"units": 16, "return_sequences": True}}, {"GRU": {"units": 8}}, {"Dense": 4}]
    analysis = cnncost.analyze({"name": "lstm", "input": [12, 8], "layers": layers}, batch=batch)
    loop = next(op for op in lower(analysis).graph.ops if op.type == "While").attrs["loop"]
    assert Counter(op.type for op in loop.graph.ops)["BiasAdd"] == (2 if batch == 1 else 1)
    assert predict(analysis).peak_bytes == pytest.approx(measured, rel=0.04)
