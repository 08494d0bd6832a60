"""A Keras layer's config as a kind: which keys are arguments, which every layer has, what Keras 2 wrote otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnncost.errors import ArgumentError, printable
from cnncost.kinds.base import Kind
from cnncost.kinds.registry import lookup

Config = dict[str, Any]

# Keys that any layer's config may have, in Keras 2 or 3, and that are no arguments of the layer kind.
COMMON = frozenset({
    "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "shape", "sparse", "ragged",
    "optional", "batch_size", "input_dtype", "input_tensor", "type_spec", "build_config", "compile_config", "module",
    "registered_name", "autocast", "activity_regularizer", "quantization_config", "lora_rank", "lora_alpha", "dynamic",
    "name_scope", "synchronized", "experimental_autocast", "weights", "shared_object_id",
})  # fmt: skip

# Keys that Keras 2 wrote for some layers although they say nothing about them.
_KERNEL_OF_BASE = frozenset({
    "filters", "kernel_initializer", "kernel_regularizer", "kernel_constraint", "groups", "rank",
})  # fmt: skip
_RECURRENT = frozenset({
    "implementation", "time_major", "unroll", "stateful", "zero_output_for_mask", "input_length", "input_dim",
    "use_cudnn", "return_runtime", "activity_regularizer",
})  # fmt: skip
IDLE: dict[str, frozenset[str]] = {
    "DepthwiseConv1D": _KERNEL_OF_BASE,
    "DepthwiseConv2D": _KERNEL_OF_BASE,
    "SeparableConv1D": _KERNEL_OF_BASE - {"filters"},
    "SeparableConv2D": _KERNEL_OF_BASE - {"filters"},
    "Conv1DTranspose": frozenset({"groups", "rank"}),
    "Conv2DTranspose": frozenset({"groups", "rank"}),
    "Conv3DTranspose": frozenset({"groups", "rank"}),
    "BatchNormalization": frozenset({
        "renorm_clipping", "renorm_momentum", "fused", "virtual_batch_size", "adjustment", "mode",
    }),
    "Embedding": frozenset({"input_length", "dropout"}),
    "Dense": frozenset({"input_dim", "kernel_quantizer", "bias_quantizer"}),
    "Attention": frozenset({"causal"}),
    "AdditiveAttention": frozenset({"causal"}),
    "MultiHeadAttention": frozenset({
        "query_shape", "key_shape", "value_shape", "flash_attention", "softmax_robust_masking",
    }),
    "GroupQueryAttention": frozenset({"flash_attention"}),
    **dict.fromkeys(("AutoContrast", "RandomBrightness", "RandomContrast", "Solarization"), frozenset({"data_format"})),
    "Bidirectional": _RECURRENT | {"num_constants"},
    **dict.fromkeys(
        ("SimpleRNN", "LSTM", "GRU", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "RNN", "SimpleRNNCell", "LSTMCell",
         "GRUCell", "StackedRNNCells"), _RECURRENT | {"num_constants", "groups", "rank"}
    ),
}  # fmt: skip


def plain(value: Any, depth: int = 64) -> Any:
    """A serialized value as plain data: Keras's marked tuples, arrays and numbers become lists and numbers.

    >>> plain({"class_name": "__tuple__", "items": [3, {"class_name": "__tuple__", "items": [1]}]})
    [3, [1]]
    """
    if depth <= 0:
        raise ArgumentError("a value nested too deeply", rule="at most 64 levels")
    if isinstance(value, list | tuple):
        return [plain(item, depth - 1) for item in value]
    if not isinstance(value, Mapping):
        return value
    mark = value.get("class_name")
    if mark == "__tuple__" and isinstance(value.get("items"), list | tuple):
        return [plain(item, depth - 1) for item in value["items"]]
    if mark in ("TensorShape", "__numpy__", "__tensor__"):
        inner = value.get("items", value.get("config"))
        return plain(inner.get("value") if isinstance(inner, Mapping) else inner, depth - 1)
    if value.get("type") == "ndarray" and "value" in value:
        return plain(value["value"], depth - 1)
    return {key: plain(item, depth - 1) for key, item in value.items()}


def dtype_name(value: Any) -> Any:
    """The name in a dtype or policy, however it is written.

    >>> dtype_name({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}})
    'mixed_float16'
    """
    if isinstance(value, Mapping):
        config = value.get("config")
        return config.get("name") if isinstance(config, Mapping) else config
    return value


def kind_from_config(class_name: str, config: Mapping[str, Any], dialect: str = "keras3") -> tuple[Kind, list[str]]:
    """The kind of a Keras layer, and the config's keys that nothing is known about (ignored; worth a remark).

    ``dialect`` is ``keras2`` or ``keras3``: which of them wrote the config. Raises UnsupportedLayer when there is no
    such kind, ArgumentError (with ``key``, the path inside ``config``) when a value is wrong.

    >>> kind, ignored = kind_from_config("BatchNormalization", {"axis": [3], "name": "bn", "huh": 1}, "keras2")
    >>> kind.axis, ignored
    (3, ['huh'])
    """
    if not isinstance(class_name, str) or not isinstance(config, Mapping):
        raise ArgumentError(
            "a layer's config is no mapping", rule="a layer is {class_name: NAME, config: {ARGUMENT: VALUE, …}}",
            received=printable(config),
        )  # fmt: skip
    cls = lookup(class_name)
    values = {str(key): plain(value) for key, value in config.items()}
    repair = REPAIRS.get(cls.name())
    if repair is not None:
        values = repair(values, dialect)
    known = cls.arguments()
    idle = COMMON | IDLE.get(cls.name(), frozenset())
    given = {
        key: value
        for key, value in values.items()
        if key in cls.passive or (key in known and not _unset(cls, key, value))
    }
    ignored = [key for key in values if key not in known and key not in cls.passive and key not in idle]
    return cls.build(given), ignored


def _unset(cls: type[Kind], key: str, value: Any) -> bool:
    """A null where the kind has a default and no null: Keras wrote an argument that was left out."""
    return value is None and not cls.arguments()[key].optional and key not in cls.required()


# -- what was written otherwise ---------------------------------------------------------------------------------------


def _input(values: Config, dialect: str) -> Config:
    batch_shape = next((values[k] for k in ("batch_shape", "batch_input_shape") if values.get(k) is not None), None)
    if isinstance(batch_shape, list) and batch_shape:
        values["shape"] = batch_shape[1:]
    dtype = dtype_name(values.get("dtype"))
    values["dtype"] = "float32" if dtype is None else dtype
    return values


def _single_axis(values: Config, dialect: str) -> Config:
    axis = values.get("axis")
    if isinstance(axis, list) and len(axis) == 1:
        values["axis"] = axis[0]
    return values


def _renamed(old: str, new: str) -> Callable[[Config, str], Config]:
    def repair(values: Config, dialect: str) -> Config:
        if old in values and new not in values:
            values[new] = values.pop(old)
        return values

    return repair


def _recurrent(values: Config, dialect: str) -> Config:
    if values.get("time_major"):
        raise ArgumentError(
            "time_major is not supported", ("time_major",), rule="Keras 3 reads [batch, steps, features] only"
        )
    return values


def _gru(values: Config, dialect: str) -> Config:
    if dialect == "keras2":
        values.setdefault("reset_after", False)  # configs from before the argument existed
    return _recurrent(values, dialect)


REPAIRS: dict[str, Callable[[Config, str], Config]] = {
    "InputLayer": _input,
    "BatchNormalization": _single_axis,
    "LeakyReLU": _renamed("alpha", "negative_slope"),
    "ReLU": _renamed("theta", "threshold"),  # ThresholdedReLU of Keras 2
    "SimpleRNN": _recurrent,
    "LSTM": _recurrent,
    "GRU": _gru,
    "GRUCell": _gru,
    "RNN": _recurrent,
    "ConvLSTM1D": _recurrent,
    "ConvLSTM2D": _recurrent,
    "ConvLSTM3D": _recurrent,
}


# -- the way back ----------------------------------------------------------------------------------------------------


def config_of(kind: Kind) -> Config:
    """The kind as a serialized Keras layer: plain data that ``kind_from_config`` reads back.

    >>> config_of(lookup("Dense")(units=3))["config"]["units"]
    3
    """
    called_with = getattr(kind, "called_with", ())  # arguments of the call, which no config has
    values = {
        name: type_.dump(getattr(kind, name)) for name, type_ in kind.arguments().items() if name not in called_with
    }
    return {
        "module": "keras.layers",
        "class_name": kind.name(),
        "config": {**values, **kind.options},
        "registered_name": None,
    }


# -- one layer as an argument or in a list ---------------------------------------------------------------------------


def kind_from_arguments(name: str, arguments: Any) -> Kind:
    """The kind ``name`` from a spec's arguments: a mapping, a positional list, one value for the first, or nothing.

    >>> kind_from_arguments("Conv2D", [8, 3, 2]).strides
    (2, 2)
    """
    cls = lookup(name)
    order = list(cls.arguments())
    if arguments is None:
        arguments = {}
    if isinstance(arguments, Mapping):
        return cls.build({str(key): value for key, value in arguments.items()})
    positional = list(arguments) if isinstance(arguments, list | tuple) else [arguments]
    if len(positional) > len(order):
        raise ArgumentError(
            f"{cls.name()} takes {len(order)} arguments", rule=f"in this order: {', '.join(order) or 'none'}",
            received=f"{len(positional)} values",
        )  # fmt: skip
    try:
        return cls.build(dict(zip(order, positional, strict=False)))
    except ArgumentError as error:
        if error.key and error.key[0] in order:
            place = (order.index(str(error.key[0])),) if isinstance(arguments, list | tuple) else ()
            error.key = (*place, *error.key[1:])
        raise
