"""A real run on PyTorch: memory from its profiler on a CPU and from the CUDA allocator's counters, timed repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import torch

from cnncost.errors import CnncostError
from cnncost.measure.records import Change, Job, peak
from cnncost.measure.worker import common


def run(job: Job, folder: str, stage: common.Stage) -> dict[str, Any]:
    """The measurement as plain data."""
    stage("looking for the device")
    kind, _, number = job.device.lower().partition(":")
    cuda = kind == "gpu"
    if cuda and int(number) >= torch.cuda.device_count():
        raise common.DeviceError(f"there is no {job.device} on this machine: PyTorch sees {torch.cuda.device_count()}")
    with keras.device(f"gpu:{number}" if cuda else "cpu"):  # a tensor on "cpu:0" would be copied, and have no gradient
        stage("building the model")
        built = common.build(common.without_dots(job))
        model, layers = built.model, built.layers()
        stage("making the input")
        inputs = [keras.ops.convert_to_tensor(value) for value in common.inputs_of(model, job.batch)]
        step, optimizer = _step(model, inputs, job)
        resident = {
            "weights": common.bytes_of(model.weights),
            "optimizer": common.bytes_of(optimizer.variables) if optimizer else 0,
            "inputs": common.bytes_of(inputs),
        }
        for turn in range(2):
            stage(f"running step {turn + 1}, a warm-up")
            step()
        stage("running the step whose memory is recorded")
        used, found = (_counted(step), []) if cuda else _profiled(step)
        notes = [] if cuda else ["the peak is the sum of the allocations and releases that PyTorch's profiler saw"]
        if job.executor != "eager":
            notes.append("PyTorch ran op by op; other executors are TensorFlow's")
        return {
            "layers": layers, "resident": resident, "notes": notes, "device": job.device,
            "versions": common.versions("torch", "keras", "numpy"), "peak_bytes": used, "chunk_bytes": None,
            "changes": found, "step_seconds": common.timed(step, job, stage), "layer_seconds": {},
            "process_bytes": common.process_bytes(),
        }  # fmt: skip


def _step(model: Any, inputs: list[Any], job: Job) -> tuple[Callable[[], Any], Any]:
    args = inputs[0] if len(inputs) == 1 else inputs
    if job.mode == "inference":

        def predict() -> None:
            with torch.no_grad():
                _settle(model(args, training=False))

        return predict, None
    if not model.trainable_variables:
        raise CnncostError("the model has nothing to train", rule="a training step needs a trainable weight")
    optimizer = common.optimizer_of(job.optimizer, job.gradient_accumulation_steps)
    if common.is_mixed_float16(model):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    pairs = common.losses_and_targets(model, job.batch)
    targets = [keras.ops.convert_to_tensor(target) for _, target in pairs]

    def train() -> None:
        model.zero_grad()
        loss = common.total_loss(pairs, model(args, training=True), targets)
        optimizer.scale_loss(loss).backward()
        trained = list(model.trainable_variables)
        with torch.no_grad():
            optimizer.apply([variable.value.grad for variable in trained], trained)
        _settle(loss)

    return train, optimizer


def _settle(values: Any) -> None:
    """Until the device has finished."""
    for value in keras.tree.flatten(values):
        value.detach().cpu()


def _profiled(step: Callable[[], Any]) -> tuple[int | None, list[Change]]:
    """The peak and every change of the CPU's memory in one step, in order; PyTorch asks the system for each."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    try:
        events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
        changes = [Change("", None, None, "", event.nbytes()) for event in sorted(events, key=lambda e: e.start_ns())]
    except AttributeError:  # another version of PyTorch
        return None, []
    return peak(tuple(changes)), changes


def _counted(step: Callable[[], Any]) -> int:
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)
