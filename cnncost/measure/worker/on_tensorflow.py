"""A real run on TensorFlow: two warm-ups, one profiled step for memory, timed repeats, profiled repeats for ops."""

from __future__ import annotations

import gc
import glob
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from cnncost.errors import CnncostError
from cnncost.measure.profile import Scopes, changes, layer_times
from cnncost.measure.records import Change, Job, peak
from cnncost.measure.worker import common
from cnncost.measure.xplane import ProfileError, read_profile

Step = Callable[[], Any]
WARM_UPS, PROFILED = 2, 5
MOST_OVERFLOWS = 100  # steps whose scaled gradients may be infinite; each halves the scale
# The profiler's levels: 3 shows every op and every allocation, 2 the ops that cost anything.
ALL, COSTLY = 3, 2


def run(job: Job, folder: str, stage: common.Stage) -> dict[str, Any]:
    """The measurement as plain data."""
    stage("looking for the device")
    device = _device(job.device)
    tf.config.threading.set_inter_op_parallelism_threads(1)  # peaks are reproducible
    with tf.device(device):
        stage("building the model")
        built = common.build(job)
        model, layers = built.model, built.layers()
        stage("making the input")
        inputs = [tf.constant(value) for value in common.inputs_of(model, job.batch)]
        stage("building the step and its optimizer")
        running, groups = built.recomputing(job.recompute)
        step, optimizer = _step(running, inputs, job)
        resident = {
            "weights": common.bytes_of(model.weights),
            "optimizer": common.bytes_of(optimizer.variables) if optimizer else 0,
            "inputs": common.bytes_of(inputs),
        }
        for number in range(WARM_UPS):
            stage(f"running step {number + 1}, a warm-up")
            step()
        return {
            "layers": layers, "resident": resident, "device": job.device,
            "versions": common.versions("tensorflow", "tensorflow-cpu", "keras", "numpy"),
            **_profiled(step, optimizer, Scopes(model.name, built.renamed(job), groups), job, folder, stage),
            "process_bytes": common.process_bytes(),
        }  # fmt: skip


def _before(step: Step, optimizer: Any, job: Job, rest: int, stage: common.Stage) -> None:
    """Run steps until ``rest`` of ``gradient_accumulation_steps`` have been counted since the last update; a step whose
    scaled gradients are not finite is not counted."""
    inner, steps = getattr(optimizer, "inner_optimizer", optimizer), job.gradient_accumulation_steps
    for _ in range(steps + MOST_OVERFLOWS):
        if int(inner.iterations) % steps == rest:
            return
        stage("running steps whose gradients are added up")
        step()
    raise CnncostError(
        "the scaled gradients of the loss stay infinite, so that no step updates the weights",
        rule=f"with gradient accumulation an update must come within {steps + MOST_OVERFLOWS:,} steps",
        nearest="another dtype, as mixed_bfloat16",
    )


def _device(name: str) -> str:
    kind, _, number = name.partition(":")
    there = tf.config.list_physical_devices(kind)
    if int(number) >= len(there):
        raise common.DeviceError(f"there is no {name} on this machine: TensorFlow sees {len(there)} of its kind")
    if kind == "CPU":
        tf.config.set_visible_devices([], "GPU")
    return f"/{name}"


def _step(model: Any, inputs: list[Any], job: Job) -> tuple[Step, Any]:
    """A function without arguments that runs one step to its end, and the optimizer."""
    args = inputs[0] if len(inputs) == 1 else inputs
    extra: list[Any]
    if job.mode == "inference":
        body, extra, optimizer = _inference(model), [], None
    else:
        body, extra, optimizer = _training(model, job)
    if job.executor != "eager":
        body = tf.function(body, jit_compile=job.executor == "xla")
    return (lambda: [np.asarray(value) for value in tf.nest.flatten(body(args, *extra))]), optimizer


def _inference(model: Any) -> Callable[..., Any]:
    def step(x: Any) -> Any:
        return model(x, training=False)

    return step


def _training(model: Any, job: Job) -> tuple[Callable[..., Any], list[Any], Any]:
    """Forward in training mode, loss, gradients, update; with loss scaling under mixed_float16, as ``fit`` does."""
    import keras

    if not model.trainable_variables:
        raise CnncostError("the model has nothing to train", rule="a training step needs a trainable weight")
    optimizer = common.optimizer_of(job.optimizer, job.gradient_accumulation_steps)
    if common.is_mixed_float16(model):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    pairs = common.losses_and_targets(model, job.batch)

    def step(x: Any, targets: list[Any]) -> Any:
        with tf.GradientTape() as tape:
            loss = common.total_loss(pairs, model(x, training=True), targets)
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return step, [[tf.constant(target) for _, target in pairs]], optimizer


def _profiled(step: Step, optimizer: Any, scopes: Scopes, job: Job, folder: str, stage: common.Stage) -> dict[str, Any]:
    """With gradient accumulation of both kinds of steps: the first after an update, which only adds its gradients up
    (later ones free the sum before theirs, which the first has not), and one that updates the weights. The one with
    the higher peak is told, and a note has both."""
    steps, notes = job.gradient_accumulation_steps, []
    if steps:
        _before(step, optimizer, job, 0, stage)
    found, used = _recorded(step, scopes, job, folder, stage)
    if steps:
        _before(step, optimizer, job, steps - 1, stage)
        update = _recorded(step, scopes, job, os.path.join(folder, "update"), stage)
        notes.append(
            f"measured: the step that updates the weights peaks at {peak(update[0]):,} bytes, the first after an "
            f"update at {peak(found):,}"
        )
        if peak(update[0]) >= peak(found):
            found, used = update
    seconds = common.timed(step, job, stage)
    layers = _layer_times(step, seconds[0], scopes, job, folder, stage) if seconds else {}
    return {
        "notes": notes, "peak_bytes": peak(found), "chunk_bytes": used, "changes": found, "step_seconds": seconds,
        "layer_seconds": {name: middle for name, (middle, _, _) in layers.items()},
        "layer_spread": {name: spread for name, (_, *spread) in layers.items()},
    }  # fmt: skip


def _recorded(
    step: Step, scopes: Scopes, job: Job, folder: str, stage: common.Stage
) -> tuple[tuple[Change, ...], int | None]:
    """The allocations and releases of one step, and the chunks at its peak."""
    stage("running the step whose memory is recorded")
    gc.collect()
    chunks = _counter(job.device)
    data = _profile(step, 1, os.path.join(folder, "memory"), ALL)
    used = _counter(job.device, chunks)
    found = changes(data, job.device, scopes, job.mode == "training")
    if used and not found:
        raise ProfileError(f"it has no allocation of {job.device}, whose allocator counted {used:,} bytes")
    return found, used


def _layer_times(
    step: Step, seconds: float, scopes: Scopes, job: Job, folder: str, stage: common.Stage
) -> dict[str, tuple[float, float, float]]:
    stage("recording the time of each op")
    repeats = min(job.steps, PROFILED, max(1, int(job.seconds / max(seconds, 1e-9))))
    return layer_times(_profile(step, repeats, os.path.join(folder, "ops"), COSTLY), repeats, scopes)


def _counter(device: str, before: int | None = None) -> int | None:
    """The allocator's own count: what is in use now, or the peak above ``before``."""
    try:
        if before is None:
            tf.config.experimental.reset_memory_stats(device)
            return int(tf.config.experimental.get_memory_info(device)["current"])
        return int(tf.config.experimental.get_memory_info(device)["peak"]) - before
    except (ValueError, tf.errors.OpError):  # the CPU's allocator was not replaced: another version, another system
        return None


def _profile(step: Step, times: int, folder: str, level: int) -> bytes:
    """The profiler's file of ``times`` steps."""
    options = tf.profiler.experimental.ProfilerOptions(host_tracer_level=level, python_tracer_level=0)
    tf.profiler.experimental.start(folder, options)
    try:
        for _ in range(times):
            step()
    finally:
        tf.profiler.experimental.stop()
    files = glob.glob(os.path.join(glob.escape(folder), "**", "*.xplane.pb"), recursive=True)
    if len(files) != 1:
        raise ProfileError("the profiler wrote no file")
    return read_profile(files[0])
