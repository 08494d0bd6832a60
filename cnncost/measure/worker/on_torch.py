"""A real run on PyTorch: the CUDA allocator's counters, timed repeats. On a CPU PyTorch keeps no count of bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import torch

from cnncost.errors import CnncostError
from cnncost.measure.records import Job
from cnncost.measure.worker import common


def run(job: Job, folder: str, stage: common.Stage) -> dict[str, Any]:
    """The measurement as plain data."""
    stage("looking for the device")
    kind, _, number = job.device.lower().partition(":")
    cuda = kind == "gpu"
    if cuda and int(number) >= torch.cuda.device_count():
        raise common.DeviceError(f"there is no {job.device} on this machine: PyTorch sees {torch.cuda.device_count()}")
    with keras.device(f"{'gpu' if cuda else 'cpu'}:{number}"):
        stage("building the model")
        built = common.build(job)
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
        used = _peak(step, stage) if cuda else None
        notes = [] if cuda else ["PyTorch does not count the memory of a CPU's step"]
        if job.executor != "eager":
            notes.append("PyTorch ran op by op; other executors are TensorFlow's")
        return {
            "layers": layers, "resident": resident, "notes": notes, "device": job.device,
            "versions": common.versions("torch", "keras", "numpy"), "peak_bytes": used, "chunk_bytes": None,
            "changes": [], "step_seconds": common.timed(step, job, stage), "layer_seconds": {},
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
    optimizer = common.optimizer_of(job.optimizer)
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


def _peak(step: Callable[[], Any], stage: common.Stage) -> int:
    stage("running the step whose memory is recorded")
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)
