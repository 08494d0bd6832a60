"""``recompute``: groups of layers that the reverse pass runs again, as ``keras.remat`` makes TensorFlow do."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnncost
from cnncost import CnncostError
from cnncost.graph import groups_of
from cnncost.memory.opgraph import BACKWARD, FORWARD
from cnncost.memory.optimizers import optimizer
from cnncost.memory.predict import predict
from cnncost.memory.replay import HANDED
from cnncost.memory.training import training_step

BATCH, SIZE, MAPS = 4, 32, 16
CONV = {"filters": MAPS, "kernel_size": 3, "padding": "same"}


def spec(recompute: bool, norm: bool = False, **entry: Any) -> dict[str, Any]:
    """A stem, two residual blocks of three conv(–BN)–ReLU, a head."""
    inner = [part for _ in range(3) for part in ({"Conv2D": CONV}, {"BatchNormalization": None}, {"ReLU": None})]
    inner = [part for part in inner if norm or "BatchNormalization" not in part]
    block: dict[str, Any] = {"residual": inner, "name": "block", "repeat": 2, **entry}
    if recompute:
        block["recompute"] = True
    head = [{"GlobalAveragePooling2D": None}, {"Dense": 10}]
    return {"input": [SIZE, SIZE, 3], "layers": [{"Conv2D": {**CONV, "activation": "relu"}}, block, *head]}


def analysis(source: Any, **options: Any) -> cnncost.Analysis:
    return cnncost.analyze(source, batch=BATCH, mode="training", **options)


def test_each_repetition_is_a_group_with_one_input_and_one_output() -> None:
    graph = analysis(spec(True)).graph
    groups = groups_of(graph)
    assert len(groups) == 2
    for key, group in groups.items():
        assert group.members[0] == key and len(group.members) == 7 and len(group.given) == len(group.left) == 1


def test_a_group_inside_a_group_belongs_to_it() -> None:
    inner = {"residual": [{"Conv2D": CONV}], "recompute": True}
    outer = {"residual": [{"Conv2D": CONV}, inner], "recompute": True}
    layers = [{"Conv2D": CONV}, outer, {"Flatten": None}, {"Dense": 10}]
    assert len(groups_of(analysis({"input": [8, 8, 3], "layers": layers}).graph)) == 1


@pytest.mark.parametrize("norm", [False, True])
def test_the_forward_pass_stands_twice_and_nothing_but_the_inputs_is_kept(norm: bool) -> None:
    plain, again = (training_step(analysis(spec(flag, norm)), optimizer("sgd")).graph for flag in (False, True))
    counts = [Counter((op.phase, op.type) for op in graph.ops) for graph in (plain, again)]
    assert counts[1][FORWARD, "Conv2D"] == counts[0][FORWARD, "Conv2D"] == 7
    assert counts[1][BACKWARD, "Conv2D"] == 6 and counts[0][BACKWARD, "Conv2D"] == 0
    for type_ in ("Conv2DBackpropInput", "Conv2DBackpropFilter", "ReluGrad"):
        assert counts[1][BACKWARD, type_] == counts[0][BACKWARD, type_]
    assert [variable.name for variable in plain.variables.values()] == [v.name for v in again.variables.values()]


def test_memory_falls_and_the_multiplications_are_told_apart() -> None:
    plain, again = analysis(spec(False)), analysis(spec(True))
    assert (again.memory.training_peak_bytes or 0) < 0.8 * (plain.memory.training_peak_bytes or 0)
    assert again.memory.inference_peak_bytes == plain.memory.inference_peak_bytes
    assert again.totals.training_macs == plain.totals.training_macs
    assert again.totals.recomputed_macs == 2 * 3 * SIZE * SIZE * MAPS * MAPS * 9
    assert "recomputed_macs" not in plain.totals.to_dict()
    rows = again.to_dict()["layers"]
    assert sum(row.get("recomputed_macs", 0) for row in rows) == again.totals.recomputed_macs


def test_what_needs_no_gradient_is_not_run_again() -> None:
    frozen = spec(True, trainable=False)
    frozen["layers"][0]["trainable"] = False
    found = analysis(frozen)
    assert found.totals.recomputed_macs == 0
    graph = training_step(found, optimizer("sgd")).graph
    assert not [op for op in graph.ops if op.phase == BACKWARD and op.type == "Conv2D"]


@pytest.mark.parametrize("executor", ["eager"])
def test_other_executors_name_it(executor: str) -> None:
    found = analysis(spec(True), executor=executor)
    assert found.memory.training_peak_bytes is None
    assert any("recomputed" in finding.message for finding in found.memory.runtime.findings)


def test_an_exported_model_is_without_it_and_says_so() -> None:
    from cnncost.export import left_out, to_config

    plain, again = (analysis(spec(flag)).graph for flag in (False, True))
    assert to_config(again) == to_config(plain)
    (finding,) = left_out(again)
    assert finding.severity == "warning" and "keras.remat" in finding.message and finding.layer == "block_1/conv2d"
    assert left_out(plain) == ()


def test_names_at_the_top_are_the_same_as_flags_beside_the_entries() -> None:
    flagged = analysis(spec(True)).graph.layers
    for words in ("block", ["block"], ["block_*"], ["block_1", "block_2"], ["b*"], ["block_1/*", "block", "block_1"]):
        assert analysis({**spec(False), "recompute": words}).graph.layers == flagged, words


WORDS = ["s", "s_1/*", "s_?", "s_2", "c", "c_1", "t/conv2d", "t", "*", "u", "*/re_lu*"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=4))
def test_laws_of_groups(words: list[str]) -> None:
    """Whatever is named, groups are disjoint runs of layers; nothing changes at inference, and training runs the
    groups' convolutions once more."""
    part = [{"Conv2D": [4, 3, 1, "same"]}, {"ReLU": None}]
    source: dict[str, Any] = {
        "input": [8, 8, 4], "blocks": {"part": part},
        "layers": [{"Conv2D": [4, 3, 1, "same"], "name": "c", "repeat": 2}, {"part": None, "name": "s", "repeat": 3},
                   {"residual": [{"part": None, "name": "t"}]}, {"reuse": "s", "name": "u"}, "Flatten", {"Dense": 3}],
    }  # fmt: skip
    plain, again = analysis(source), analysis({**source, "recompute": words})
    rows = again.graph.layers
    for key, group in groups_of(again.graph).items():
        assert group.members == tuple(range(key, key + len(group.members))) and group.left  # type: ignore[operator]
    assert rows[0].recompute is None and bool(words) == any(row.recompute is not None for row in rows)
    assert replace(again.totals, recomputed_macs=0) == plain.totals
    assert again.totals.recomputed_macs == sum(row.macs for row in again.layers if row.layer.recompute is not None)
    assert again.memory.inference_peak_bytes == plain.memory.inference_peak_bytes
    ops = training_step(again, optimizer("sgd")).graph.ops
    twice = sum(row.kind.name() == "Conv2D" and row.recompute is not None for row in rows)
    assert sum(op.type == "Conv2D" and op.phase == BACKWARD for op in ops) == twice


def test_updates_wait_for_what_custom_gradient_reads() -> None:
    """Its IdentityN takes the weights too, forward and in the reverse pass: two more readings of each."""
    graphs = [training_step(analysis(spec(flag, True)), optimizer("sgd")).graph for flag in (False, True)]
    plain, again = ([op for op in graph.ops if op.type == "ReadVariableOp"] for graph in graphs)
    trained = 2 * 3 * (2 + 2)  # of three convolutions and normalizations in each of two groups
    moving = 2 * 3 * 2
    assert len(again) - len(plain) >= 3 * trained and len(again) - len(plain) <= 3 * trained + 3 * moving
    assert sum(op.name == HANDED for op in again) == 2 * trained and not any(op.name == HANDED for op in plain)


def test_a_mask_does_not_pass_a_groups_border() -> None:
    tokens = {"input": {"shape": [6], "dtype": "int32"}}
    embedding = {"Embedding": {"input_dim": 9, "output_dim": 4, "mask_zero": True}}
    broken = analysis({**tokens, "layers": [embedding, {"LSTM": 3, "recompute": True}, {"Dense": 2}]})
    assert broken.memory.training_peak_bytes is None
    assert any("mask" in finding.message for finding in broken.memory.runtime.findings)


def test_it_is_true_or_false() -> None:
    with pytest.raises(CnncostError, match="recompute"):
        cnncost.analyze({"input": [8], "layers": [{"Dense": 2, "recompute": "yes"}]})


REAL = """
import glob, json, os, sys, tempfile
os.environ["TF_CPU_ALLOCATOR_USE_BFC"] = "1"
import keras, numpy as np, tensorflow as tf
tf.config.threading.set_inter_op_parallelism_threads(1)
L, size, maps, batch, norm = keras.layers, 32, 16, 4, json.loads(sys.argv[1])

class Recomputed(L.Layer):
    def __init__(self, block, **options):
        super().__init__(**options)
        self.block = block
    def call(self, x, training=None):
        return keras.remat(lambda value: self.block(value, training=training))(x)

def block():
    x = y = keras.Input((size, size, maps))
    for _ in range(3):
        y = L.Conv2D(maps, 3, padding="same")(y)
        y = L.ReLU()(L.BatchNormalization()(y) if norm else y)
    return keras.Model(x, L.Add()([y, x]))

x = keras.Input((size, size, 3))
y = L.Conv2D(maps, 3, padding="same", activation="relu")(x)
for _ in range(2):
    y = Recomputed(block())(y)
model = keras.Model(x, L.Dense(10)(L.GlobalAveragePooling2D()(y)))
optimizer = keras.optimizers.SGD(0.01)
optimizer.build(model.trainable_variables)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

@tf.function(jit_compile=False)
def step(x, y):
    with tf.GradientTape() as tape:
        value = loss(y, model(x, training=True))
    optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_variables), model.trainable_variables))
    return value

args = tf.constant(np.random.rand(batch, size, size, 3).astype("float32")), tf.zeros((batch,), tf.int32)
for _ in range(2):
    np.asarray(step(*args))
folder = tempfile.mkdtemp()
options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=3, python_tracer_level=0)
tf.profiler.experimental.start(folder, options)
np.asarray(step(*args))
tf.profiler.experimental.stop()
from tensorflow.tsl.profiler.protobuf import xplane_pb2
space = xplane_pb2.XSpace()
space.ParseFromString(open(glob.glob(folder + "/**/*.xplane.pb", recursive=True)[0], "rb").read())
events = []
for plane in space.planes:
    names = {key: value.name for key, value in plane.event_metadata.items()}
    stats = {key: value.name for key, value in plane.stat_metadata.items()}
    for line in plane.lines:
        for event in line.events:
            name = names[event.metadata_id]
            if name in ("MemoryAllocation", "MemoryDeallocation"):
                found = {stats[s.metadata_id]: s.int64_value or s.uint64_value for s in event.stats}
                size_ = found["requested_bytes"]
                events.append((line.timestamp_ns * 1000 + event.offset_ps, size_ if "Alloc" in name[:11] else -size_))
print(json.dumps([change for _, change in sorted(events, key=lambda event: event[0])]))
"""


@pytest.mark.keras
@pytest.mark.parametrize("norm", [False, True])
def test_a_real_recomputing_step(norm: bool, tmp_path: Path) -> None:
    """The blocks' calls in ``keras.remat``: exactly as many buffers of a map's size. The peak differs by process: where
    the executor leaves the filters' gradients for later, what was computed again stays alive, and the peak comes up to
    that of the step without recomputation (in 5 of 15 processes with batch normalization), which varies alike."""
    script = tmp_path / "real.py"
    script.write_text(REAL)
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(norm)], capture_output=True, text=True, timeout=240, check=True
    )
    changes = json.loads(done.stdout.splitlines()[-1])
    live = peak = 0
    for change in changes:
        live += change
        peak = max(peak, live)
    ours = predict(analysis(spec(True, norm)), "training", "sgd", interval=True)
    large = BATCH * SIZE * SIZE * MAPS * 4
    assert sum(e.bytes == large for e in ours.events) == sum(change == large for change in changes)
    plain = predict(analysis(spec(False, norm)), "training", "sgd")
    assert 0.95 * ours.low_bytes <= peak <= 1.5 * plain.peak_bytes, (ours.low_bytes, peak, plain.peak_bytes)


@pytest.mark.keras
@pytest.mark.parametrize(("norm", "choice"), [(False, "sgd"), (True, "adam")])
def test_verify_runs_recomputed_groups(norm: bool, choice: str) -> None:
    """The worker's model: every layer as claimed, and nearly all large buffers in their order."""
    from cnncost.compare import compare
    from cnncost.export import keras_names, to_config
    from cnncost.measure import Job, run

    found = analysis(spec(True, norm), optimizer=choice)
    job = Job(
        model={"config": to_config(found.graph)}, names=keras_names(found.graph), mode="training", optimizer=choice,
        batch=BATCH, steps=1, recompute=tuple(group.members for group in groups_of(found.graph).values()),
    )  # fmt: skip
    real = compare(found, job, run(job, 240))
    plain = predict(analysis(spec(False, norm)), "training", choice)
    assert real.resident_ok and all(layer.ok for layer in real.layers)
    assert (real.allocations.large_matched or 0) >= 0.85 * real.allocations.large_total, real.allocations
    assert 0.5 < (real.predicted_peak or 0) / (real.measured_peak or 1) < 2
    assert (real.measured_peak or 0) <= 1.5 * plain.peak_bytes
