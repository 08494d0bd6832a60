"""What every backend does alike: build the model, describe its layers, make inputs, time steps."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from cnncost.errors import CnncostError
from cnncost.measure.records import Job

Stage = Callable[[str], None]


class DeviceError(Exception):
    """The device is not there."""


class Built(NamedTuple):
    """The model, and for each row of the analysis the layer's name in it and which call of the layer the row is."""

    model: Any
    names: tuple[tuple[str, int], ...]

    def renamed(self, job: Job) -> dict[str, str]:
        """A layer's name in the model → its name in the job."""
        return {own: asked for (own, _), (asked, _) in zip(self.names, job.names, strict=True)}

    def layers(self) -> list[Any]:
        """(outputs, weights, trainable flags) of each row, from the real layer."""
        return [_layer(_find(self.model, name), call) for name, call in self.names]

    def recomputing(self, groups: Sequence[Sequence[int]]) -> tuple[Any, list[str]]:
        """The model, or another of the same layers in which ``groups`` of rows are recomputed; their scopes."""
        if not groups:
            return self.model, []
        from cnncost.measure.worker.recompute import recomputing

        found = [(_find(self.model, name), call) for name, call in self.names]
        return recomputing(self.model, [(layer, layer._inbound_nodes[call]) for layer, call in found], groups)


def build(job: Job) -> Built:
    """The real Keras model: from its config as data, or a named architecture from its own constructor.

    Keras numbers unnamed layers through a whole process, so an architecture's names are read from the model itself.
    """
    if "application" not in job.model:
        from cnncost.export.model import build_config

        return Built(build_config(job.model["config"]), tuple((name, call) for name, call in job.names))
    import keras

    from cnncost.sources.keras_live import applications, build_application, read_model

    constructor = applications(keras)[job.model["application"]]
    shape = job.model.get("input_shape")
    try:
        model = constructor(weights=None, input_shape=tuple(shape)) if shape else build_application(constructor)[0]
    except (TypeError, ValueError) as error:
        raise CnncostError(
            f"keras.applications cannot build '{job.model['application']}': {error}", nearest="give another --input"
        ) from error
    rows = read_model(model).layers
    if len(rows) != len(job.names):
        raise CnncostError(f"the real model has {len(rows):,} layers, not {len(job.names):,}")
    return Built(model, tuple((row.name, 0) for row in rows))


def without_dots(job: Job) -> Job:
    """The same job under names that PyTorch takes: a parameter's name has no dot.

    >>> layers = [{"name": "a.b", "config": {"name": "a.b"}}, {"name": "a_b", "config": {}}]
    >>> found = without_dots(Job({"config": {"config": {"layers": layers}}}, (("a.b", 0), ("a_b", 0))))
    >>> found.names, found.model["config"]["config"]["layers"][0]
    ((('a_b_', 0), ('a_b', 0)), {'name': 'a_b_', 'config': {'name': 'a_b_'}})
    """
    new: dict[str, str] = {}
    taken = {name for name, _ in job.names}
    for name in dict.fromkeys(name for name, _ in job.names if "." in name):
        own = name.replace(".", "_")
        while own in taken:
            own += "_"
        taken.add(own)
        new[name] = own
    if "config" not in job.model or not new:
        return job
    names = tuple((new.get(name, name), call) for name, call in job.names)
    return replace(job, names=names, model={"config": _renamed(job.model["config"], new)})


def _renamed(value: Any, new: Mapping[str, str]) -> Any:
    """A part of a Keras configuration: layers are named under ``name`` and first in [name, call, output]."""
    if isinstance(value, Mapping):
        return {
            key: new.get(item, item) if key == "name" and isinstance(item, str) else _renamed(item, new)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        if len(value) == 3 and isinstance(value[0], str):
            return [new.get(value[0], value[0]), *value[1:]]
        return [_renamed(item, new) for item in value]
    return value


def _find(model: Any, name: str) -> Any:
    """A layer or an operation by name, or by its path through nested models."""
    for layer in getattr(model, "operations", model.layers):  # a Sequential has layers alone
        if layer.name == name:
            return layer
    outer, slash, inner = name.partition("/")
    if not slash:
        raise CnncostError(f"the real model has no layer '{name}'")
    return _find(model.get_layer(outer), inner)


def _layer(layer: Any, call: int) -> Any:
    import keras

    tensors = keras.tree.flatten(layer._inbound_nodes[call].output_tensors)
    outputs = [[list(tensor.shape[1:]), _dtype(tensor)] for tensor in tensors]
    own = getattr(layer, "weights", [])  # operations have none
    weights = [[list(weight.shape), _dtype(weight)] for weight in own]
    trained = {id(weight) for weight in getattr(layer, "trainable_weights", [])}
    return outputs, weights, [id(weight) in trained for weight in own]


def _dtype(value: Any) -> str:
    import keras

    return str(keras.backend.standardize_dtype(value.dtype))


def bytes_of(variables: Any) -> int:
    """The storage of variables; a dtype's size is its name's (``bool`` is a byte)."""
    from cnncost.tensor import DTYPES

    total = 0
    for variable in variables:
        elements = 1
        for dim in variable.shape:
            elements *= dim
        total += elements * DTYPES[_dtype(variable)].bytes
    return total


def inputs_of(model: Any, batch: int) -> list[Any]:
    """Random floats, and zeros for integers, which every vocabulary has."""
    import numpy as np

    found = []
    for tensor in model.inputs:
        shape, name = (batch, *tensor.shape[1:]), _dtype(tensor)
        if None in shape:
            raise CnncostError(f"input '{tensor.name}' has an unknown dimension", nearest="give it with --input")
        if "float" in name:
            found.append(np.random.default_rng(0).random(shape, dtype="float32").astype(_numpy(name), copy=False))
        elif name == "string":
            raise CnncostError(f"input '{tensor.name}' is text", rule="verify runs models of numbers")
        else:
            found.append(np.zeros(shape, name))
    return found


def _numpy(name: str) -> Any:
    if name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return name


def optimizer_of(name: str | None, accumulation: int = 0) -> Any:
    """An optimizer of Keras by this tool's name; ``accumulation``: its ``gradient_accumulation_steps``."""
    from keras import optimizers as o

    makers: dict[str, Callable[..., Any]] = {
        "sgd": partial(o.SGD, 0.01), "momentum": partial(o.SGD, 0.01, momentum=0.9),
        "nesterov": partial(o.SGD, 0.01, momentum=0.9, nesterov=True), "rmsprop": o.RMSprop, "adagrad": o.Adagrad,
        "adadelta": o.Adadelta, "adam": o.Adam, "adamw": o.AdamW, "adamax": o.Adamax, "nadam": o.Nadam, "lion": o.Lion,
        "ftrl": o.Ftrl, "adafactor": o.Adafactor,
    }  # fmt: skip
    return makers[name or "sgd"](gradient_accumulation_steps=accumulation or None)


def is_mixed_float16(model: Any) -> bool:
    return any(layer.dtype_policy.name == "mixed_float16" for layer in model.layers)


def losses_and_targets(model: Any, batch: int) -> list[tuple[Callable[[Any, Any], Any], Any]]:
    """For each output the loss where the user names none, and targets for it: sparse categorical cross-entropy for
    outputs of one axis (from probabilities after a softmax), mean squared error for others."""
    import keras
    import numpy as np

    found: list[tuple[Callable[[Any, Any], Any], Any]] = []
    for tensor in model.outputs:
        if len(tensor.shape) == 2:
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=not _is_softmax(tensor))
            found.append((loss, np.zeros((batch,), "int32")))
        else:
            found.append((keras.losses.MeanSquaredError(), np.zeros((batch, *tensor.shape[1:]), "float32")))
    return found


def _is_softmax(tensor: Any) -> bool:
    operation = tensor._keras_history.operation
    return type(operation).__name__ == "Softmax" or (
        getattr(getattr(operation, "activation", None), "__name__", "") == "softmax"
    )


def total_loss(pairs: list[Any], outputs: Any, targets: list[Any]) -> Any:
    """The sum over the outputs."""
    import keras

    flat = keras.tree.flatten(outputs)
    total = None
    for (loss, _), target, output in zip(pairs, targets, flat, strict=True):
        value = loss(target, output)
        total = value if total is None else total + value
    return total


def timed(step: Callable[[], Any], job: Job, stage: Stage) -> list[float]:
    """Seconds of each of ``job.steps`` runs; fewer when they take long, but one."""
    found: list[float] = []
    while len(found) < job.steps and (not found or sum(found) < job.seconds):
        stage(f"timing step {len(found) + 1} of {job.steps}")
        begun = time.perf_counter()
        step()
        found.append(time.perf_counter() - begun)
    return found


def process_bytes() -> int:
    """The most memory that this process has had resident."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the packages that are there."""
    found = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
