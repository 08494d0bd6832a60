"""A real run on JAX: XLA's own account of the compiled step's memory, timed repeats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import keras

from cnncost.errors import CnncostError
from cnncost.measure.records import Job
from cnncost.measure.worker import common
from cnncost.measure.worker.hlo_text import handed_over

Step = Callable[..., Any]


def run(job: Job, folder: str, stage: common.Stage) -> dict[str, Any]:
    """The measurement as plain data."""
    stage("looking for the device")
    with jax.default_device(_device(job.device)):
        stage("building the model")
        built = common.build(job)
        model, layers = built.model, built.layers()
        stage("making the input")
        inputs = [jax.numpy.asarray(value) for value in common.inputs_of(model, job.batch)]
        body, state, optimizer = _training(model, job) if job.mode == "training" else _inference(model)
        args = inputs[0] if len(inputs) == 1 else inputs
        step, used, notes = _compiled(body, state, args, job, stage)
        seconds = _timed(step, state, args, job, stage)
        return {
            "layers": layers, "notes": notes, "device": job.device,
            "resident": {
                "weights": common.bytes_of(model.weights),
                "optimizer": common.bytes_of(optimizer.variables) if optimizer else 0,
                "inputs": common.bytes_of(inputs),
            },
            "versions": common.versions("jax", "jaxlib", "keras", "numpy"), "peak_bytes": used, "chunk_bytes": None,
            "changes": [], "step_seconds": seconds, "layer_seconds": {}, "process_bytes": common.process_bytes(),
        }  # fmt: skip


def _device(name: str) -> Any:
    kind, _, number = name.partition(":")
    try:
        return jax.devices(kind.lower())[int(number)]
    except (RuntimeError, IndexError):
        raise common.DeviceError(f"there is no {name} on this machine that JAX sees") from None


def _inference(model: Any) -> tuple[Step, tuple[Any, ...], Any]:
    def step(state: Any, x: Any) -> Any:
        outputs, _ = model.stateless_call(*state, x, training=False)
        return state, outputs

    return step, (_values(model.trainable_variables), _values(model.non_trainable_variables)), None


def _training(model: Any, job: Job) -> tuple[Step, tuple[Any, ...], Any]:
    if not model.trainable_variables:
        raise CnncostError("the model has nothing to train", rule="a training step needs a trainable weight")
    optimizer = common.optimizer_of(job.optimizer, job.gradient_accumulation_steps)
    if common.is_mixed_float16(model):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(model.trainable_variables)
    pairs = common.losses_and_targets(model, job.batch)
    targets = [target for _, target in pairs]

    def loss_of(trained: Any, others: Any, x: Any) -> Any:
        outputs, others = model.stateless_call(trained, others, x, training=True)
        return optimizer.scale_loss(common.total_loss(pairs, outputs, targets)), others

    def step(state: Any, x: Any) -> Any:
        trained, others, slots = state
        (loss, others), gradients = jax.value_and_grad(loss_of, has_aux=True)(trained, others, x)
        trained, slots = optimizer.stateless_apply(slots, gradients, trained)
        return (trained, others, slots), loss

    state = tuple(
        _values(variables)
        for variables in (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    )
    return step, state, optimizer


def _values(variables: Any) -> list[Any]:
    return [variable.value for variable in variables]


def _compiled(body: Step, state: Any, args: Any, job: Job, stage: common.Stage) -> tuple[Step, int | None, list[str]]:
    """The step, its peak above state and input, and what to know of it. The old state's buffers are given back."""
    if job.executor == "eager":
        return body, None, ["JAX does not count the memory of a step that runs op by op"]
    notes = ["JAX compiles every step by XLA; the peak is XLA's own account"] if job.executor == "graph" else []
    stage("compiling the step")
    compiled = jax.jit(body, donate_argnums=0).lower(state, args).compile()
    account = compiled.memory_analysis()
    if account is None:
        return compiled, None, [*notes, "XLA gives no account of memory here"]
    library = handed_over(compiled.as_text() or "")
    notes += [library] if library else []
    used = account.temp_size_in_bytes + account.output_size_in_bytes - account.alias_size_in_bytes
    return compiled, int(used), notes


def _timed(step: Step, state: Any, args: Any, job: Job, stage: common.Stage) -> list[float]:
    held = [state]

    def once() -> None:
        held[0], result = step(held[0], args)
        jax.block_until_ready((held[0], result))

    for number in range(2 if job.steps else 0):
        stage(f"running step {number + 1}, a warm-up")
        once()
    return common.timed(once, job, stage)
