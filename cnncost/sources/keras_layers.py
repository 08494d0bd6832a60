"""One serialized layer and one call of it: which kind it is, and which tensors it reads in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import UnsupportedLayer, printable
from cnncost.kinds.base import Kind
from cnncost.kinds.config import kind_from_config
from cnncost.kinds.registry import lookup
from cnncost.sources.keras_calls import Call, TensorRef, tensors

Data = dict[str, Any]
PACKAGE = "cnncost"  # the package under which the layers that Keras lacks are registered
# Modules whose classes are Keras's own; a class of any other module only has the same name.
_OWN_MODULES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "cnncost", "builtins")
# What Keras 2 calls an operation that is no layer.
_OPERATIONS_2 = frozenset({
    "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod", "InstanceMethod", "InstanceProperty",
})  # fmt: skip
# Tensors that layers take by name, in the order in which they count; masks decide nothing about cost.
_ORDER = ("inputs", "query", "value", "key", "sequences", "initial_state", "constants")
# How many positional arguments are tensors that count, where it is not the first alone.
_POSITIONAL = {
    **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"), 3),
    **dict.fromkeys(("SimpleRNN", "LSTM", "GRU", "RNN", "Bidirectional"), 2),
    **dict.fromkeys(("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"), 2),
}


def class_of(data: Mapping[str, Any]) -> str:
    """The class name without the package it is registered under (``cnncost>RBF`` → ``RBF``)."""
    name = str(data.get("class_name"))
    registered = data.get("registered_name")
    for text in (registered, name):
        if isinstance(text, str) and text.startswith(f"{PACKAGE}>"):
            return text.partition(">")[2]
    return name


def is_operation(data: Mapping[str, Any]) -> bool:
    """Whether this is an operation of keras.ops or TensorFlow in the graph, and no layer."""
    module = data.get("module")
    if data.get("class_name") in _OPERATIONS_2:
        return True
    return isinstance(module, str) and (module.startswith(("keras.src.ops", "keras.ops", "keras.src.backend")))


def inputs_of(data: Mapping[str, Any], call: Call) -> list[TensorRef]:
    """The tensors that the layer reads, in the order of its call's arguments; masks are left out."""
    if is_operation(data):
        return [*tensors(call.args), *(ref for key in sorted(call.kwargs) for ref in tensors(call.kwargs[key]))]
    found = list(tensors(call.args[: _POSITIONAL.get(class_of(data), 1)]))
    named = [key for key in _ORDER if key in call.kwargs]
    for key in named:
        found.extend(tensors(call.kwargs[key]))
    return found


def kind_of(data: Data, config: Data, call: Call, dialect: str) -> tuple[Kind, list[str]]:
    """The kind of a serialized layer, and the unknown keys of its config. Raises UnsupportedLayer, ArgumentError."""
    name, module = class_of(data), data.get("module")
    if is_operation(data):
        from cnncost.kinds.operation_config import operation_from_config

        return operation_from_config(name, str(module), config, call.args, call.kwargs), []
    if data.get("registered_name") and isinstance(module, str) and not _own(module):
        raise UnsupportedLayer(
            f"'{printable(name)}' is a custom layer of {printable(module)}",
            rule="its code is not in the file: every layer is counted, free by rule, or an error",
        )
    passed = {key: call.kwargs[key] for key in called_with(name) if isinstance(call.kwargs.get(key), bool)}
    return kind_from_config(name, {**config, **passed}, dialect)


def called_with(class_name: str) -> tuple[str, ...]:
    """The kind's arguments that the call decides, and not the config."""
    return getattr(lookup(class_name), "called_with", ())


def _own(module: str) -> bool:
    return any(module == own or module.startswith(f"{own}.") for own in _OWN_MODULES)
