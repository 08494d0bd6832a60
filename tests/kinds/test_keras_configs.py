"""Keras layer configs, layers as arguments, and operations: what is read, what is refused, where an error points."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

import cnncost
from cnncost.errors import ArgumentError, CnncostError, UnsupportedLayer
from cnncost.kinds.base import Kind
from cnncost.kinds.config import config_of, kind_from_arguments, kind_from_config
from cnncost.kinds.nested import LayerArg
from cnncost.kinds.operation_config import TENSORFLOW, Tensor, operation_from_config
from cnncost.kinds.operations import OPERATIONS
from cnncost.kinds.registry import lookup
from cnncost.tensor import FLOAT32

ROWS = [row for path in sorted(Path(__file__).parent.glob("cases_*.yaml")) for row in yaml.safe_load(path.read_text())]


@pytest.mark.parametrize("row", ROWS, ids=[f"{row[0]}-{i}" for i, row in enumerate(ROWS)])
def test_a_kind_reads_back_from_its_own_config(row: list[Any]) -> None:
    kind = lookup(row[0]).build(row[1])
    written = json.loads(json.dumps(config_of(kind)))
    back, ignored = kind_from_config(written["class_name"], written["config"], "keras3")
    called = getattr(kind, "called_with", ())
    assert ignored == [] and (back == kind or any(row[1].get(name) for name in called))


@pytest.mark.keras
def test_configs_that_keras_writes(keras: Any, layer_class: Any) -> None:
    """Every case, serialized by Keras: the same kind, and no key that is unknown."""
    load = keras.saving.deserialize_keras_object
    for name, args, shapes, *options in ROWS:
        if options and not options[0].get("keras", True):
            continue
        copied = deepcopy(args)  # Keras takes a config apart
        given = {k: load(v) if isinstance(v, dict) and "class_name" in v else v for k, v in copied.items()}
        written = json.loads(json.dumps(keras.saving.serialize_keras_object(layer_class(name)(**given)), default=str))
        kind, ignored = kind_from_config(written["class_name"], written["config"], "keras3")
        assert ignored == [], (name, ignored)
        assert _answers(kind, shapes) == _answers(lookup(name).build(args), shapes), name


def _answers(kind: Kind, shapes: Any) -> tuple[Any, ...]:
    """Everything that a kind says of its inputs."""
    shapes = tuple(tuple(shape) for shape in shapes)
    outputs = kind.outputs(shapes)
    terms = [(term.weight, int(term.count)) for term in kind.macs(shapes, outputs)]
    return outputs, kind.weights(shapes), terms, int(kind.other_flops(shapes, outputs)), kind.windows(shapes)


OLD: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("InputLayer", {"batch_input_shape": [None, 8, None, 3], "dtype": "float32", "sparse": False, "ragged": False},
     {"shape": (8, None, 3)}),
    ("InputLayer", {"batch_shape": [None, 4], "dtype": {"class_name": "DTypePolicy", "config": {"name": "int32"}}},
     {"shape": (4,), "dtype": "int32"}),
    ("BatchNormalization", {"axis": [3], "momentum": 0.99, "renorm": False, "fused": True}, {"axis": 3}),
    ("DepthwiseConv2D", {"kernel_size": [3, 3], "groups": 1, "filters": None, "kernel_initializer": {}, "rank": 2},
     {"kernel_size": (3, 3)}),
    ("SeparableConv2D", {"filters": 8, "kernel_size": [3, 3], "groups": 1, "kernel_constraint": None}, {"filters": 8}),
    ("Conv2DTranspose", {"filters": 8, "kernel_size": {"class_name": "__tuple__", "items": [2, 2]}, "groups": 1},
     {"kernel_size": (2, 2)}),
    ("LSTM", {"units": 4, "implementation": 2, "time_major": False, "unit_forget_bias": True, "stateful": False},
     {"units": 4}),
    ("GRU", {"units": 4, "reset_after": True, "implementation": 2}, {"reset_after": True}),
    ("GRU", {"units": 4, "implementation": 1}, {"reset_after": False}),
    ("LeakyReLU", {"alpha": 0.25}, {"negative_slope": 0.25}),
    ("Embedding", {"input_dim": 9, "output_dim": 2, "input_length": 4, "batch_input_shape": [None, 4]},
     {"output_dim": 2}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "query_shape": [None, 4, 5], "attention_axes": [1]},
     {"attention_axes": (1,)}),
    ("Bidirectional",
     {"merge_mode": None, "layer": {"class_name": "LSTM", "config": {"units": 4, "time_major": False}}},
     {"merge_mode": None}),
    ("TimeDistributed", {"layer": {"class_name": "Dense", "config": {"units": 4, "batch_input_shape": [None, 3]}}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "config", "want"), OLD)
def test_what_keras_2_wrote(name: str, config: dict[str, Any], want: dict[str, Any]) -> None:
    kind, ignored = kind_from_config(name, {"name": "x", "trainable": True, "dtype": "float32", **config}, "keras2")
    assert ignored == [] and {key: getattr(kind, key) for key in want} == want


def test_unknown_keys_are_named_and_nothing_else() -> None:
    kind, ignored = kind_from_config("Dense", {"units": 3, "name": "d", "unit": 4, "seed": 1}, "keras3")
    assert kind.units == 3 and ignored == ["unit", "seed"]


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"Dense": {"units": "ten"}}, ("layer", "Dense", "units")),
        ({"Dense": [3, "nonsense"]}, ("layer", "Dense", 1)),
        ({"Dens": 3}, ("layer", "Dens")),
        ({"TimeDistributed": {"layer": {"Dense": {"units": -1}}}},
         ("layer", "TimeDistributed", "layer", "Dense", "units")),
        ({"class_name": "Dense", "config": {"units": 0}}, ("layer", "config", "units")),
        ({"RNN": {"cell": [{"LSTMCell": 2}, {"GRUCell": 0}]}}, ("layer", "RNN", "cell", 1, "GRUCell")),
        ({"RNN": {"cell": {"Dense": 2}}}, ("layer", "RNN", "cell")),
        (3, ("layer",)), ({}, ("layer",)), (None, ("layer",)), ([], ("layer",)), ({"Dense": 1, "ReLU": 2}, ("layer",)),
    ],
)  # fmt: skip
def test_an_error_in_a_nested_layer_points_at_the_value(value: Any, key: tuple[str | int, ...]) -> None:
    with pytest.raises(ArgumentError) as caught:
        kind_from_arguments("TimeDistributed", {"layer": value})
    assert caught.value.key == key


def test_layers_inside_layers_end_somewhere() -> None:
    value: Any = {"Dense": 3}
    for _ in range(5000):
        value = {"TimeDistributed": {"layer": value}}
    with pytest.raises(CnncostError, match="nested too deeply"):
        LayerArg().check(value, None)
    config: Any = {"class_name": "Dense", "config": {"units": 3}}
    for _ in range(5000):
        config = {"class_name": "TimeDistributed", "config": {"layer": config}}
    with pytest.raises(CnncostError, match="nested too deeply"):
        kind_from_config("TimeDistributed", {"layer": config}, "keras2")


# -- operations ------------------------------------------------------------------------------------------------------


@pytest.mark.keras
def test_operations_of_keras_3(keras: Any) -> None:
    """Operators and keras.ops on symbolic tensors, read from the model's JSON: Keras's own shapes and dtypes."""
    ops = keras.ops
    x, y, z = keras.Input((8, 4)), keras.Input((8, 4)), keras.Input((8, 6, 4))
    made = [
        x + y, x * 2, 2 - x, x / 3.0, -x, x**2, abs(x), x @ ops.transpose(y, (0, 2, 1)), x * ops.ones((1, 1, 4)),
        ops.maximum(x, 0.5), ops.where(x > 0, x, 0.0), ops.clip(x, 0, 1), ops.rsqrt(x), ops.cast(x, "float16"), x > y,
        ops.logical_and(x > 0, y < 1), ops.relu6(x), ops.softmax(x), ops.gelu(x), ops.leaky_relu(x, 0.1),
        ops.normalize(x),
        ops.reshape(x, (-1, 4, 8)), ops.reshape(x, (-1, 2, 16)), ops.transpose(z, (0, 3, 1, 2)), ops.swapaxes(z, 1, 3),
        ops.moveaxis(z, -1, 1), x[:, 2:6, ...], x[:, :, None], x[..., 1], x[:, ::-2], x[:, -3], ops.expand_dims(x, 1),
        ops.squeeze(ops.expand_dims(x, 1), 1), ops.mean(x, axis=1, keepdims=True), ops.sum(z, axis=(1, 2)),
        ops.argmax(x, axis=-1), ops.var(x, axis=-1), ops.concatenate([x, y], axis=-1), ops.stack([x, y], axis=1),
        ops.split(x, 2, axis=1)[1], ops.split(x, [1, 3], axis=2)[1], ops.unstack(x, axis=1)[3],
        ops.pad(x, [[0, 0], [1, 2], [0, 0]]), ops.tile(x, [1, 2, 1]), ops.repeat(x, 2, axis=1), ops.flip(x, 1),
        ops.take(x, [0, 1], axis=1), ops.one_hot(ops.argmax(x, axis=-1), 5), ops.einsum("bij,bkj->bik", x, y),
        ops.image.resize(z, (9, 5)),
    ]  # fmt: skip
    model = keras.Model([x, y, z], made)
    analysis = cnncost.analyze(json.loads(model.to_json()))
    rows = {row.name: row for row in analysis.layers}
    for tensor in made:
        history = tensor._keras_history
        found = rows[history.operation.name].outputs[history.tensor_index]
        assert (found.shape, found.dtype.name) == (tuple(tensor.shape[1:]), tensor.dtype), history.operation
        name = type(history.operation).__name__
        assert rows[history.operation.name].kind == {"Resize": "Resizing"}.get(name, name)


x, y, images = Tensor(0), Tensor(1), Tensor(0)
FULL = {"start": None, "stop": None, "step": None}
FUNCTIONS: list[tuple[str, list[Any], dict[str, Any], list[tuple[int, ...]]]] = [
    ("__operators__.add", [x], {"y": 3.0, "name": None}, [(8, 4)]),
    ("math.subtract", [2.0], {"y": x, "name": None}, [(8, 4)]),
    ("math.multiply", [x], {"y": y}, [(8, 4), (8, 1)]),
    ("math.truediv", [x], {"y": 255.0, "name": None}, [(8, 4)]),
    ("math.pow", [x], {"y": 2}, [(8, 4)]),
    ("nn.relu6", [x], {"name": None}, [(8, 4)]),
    ("nn.relu", [x], {}, [(8, 4)]),
    ("math.sigmoid", [x], {}, [(8, 4)]),
    ("nn.softmax", [x], {"axis": -1}, [(8, 4)]),
    ("math.reduce_mean", [x], {"axis": [1, 2], "keepdims": True, "name": None}, [(8, 6, 4)]),
    ("math.reduce_sum", [x], {"axis": -1}, [(8, 6, 4)]),
    ("math.argmax", [x], {"axis": 1}, [(8, 4)]),
    ("reshape", [x], {"shape": [-1, 32], "name": None}, [(8, 4)]),
    ("transpose", [x], {"perm": [0, 2, 1]}, [(8, 4)]),
    ("expand_dims", [x], {"axis": 1}, [(8, 4)]),
    ("squeeze", [x], {"axis": [1]}, [(1, 4)]),
    ("concat", [[x, y]], {"axis": -1, "name": None}, [(8, 4), (8, 3)]),
    ("stack", [[x, y]], {"axis": 1}, [(8, 4), (8, 4)]),
    ("unstack", [x], {"axis": 1}, [(3, 4)]),
    ("split", [x], {"num_or_size_splits": 2, "axis": 1}, [(8, 4)]),
    ("split", [x], {"num_or_size_splits": [1, 3], "axis": -1}, [(8, 4)]),
    ("tile", [x], {"multiples": [1, 2, 1]}, [(8, 4)]),
    ("pad", [x], {"paddings": [[0, 0], [1, 1], [0, 0]], "mode": "CONSTANT"}, [(8, 4)]),
    ("linalg.matmul", [x], {"b": y, "transpose_b": True}, [(8, 4), (6, 4)]),
    ("linalg.matmul", [x], {"b": y, "transpose_a": True}, [(8, 4), (8, 3)]),
    ("clip_by_value", [x], {"clip_value_min": 0, "clip_value_max": 1}, [(8, 4)]),
    ("cast", [x], {"dtype": "float16"}, [(8, 4)]),
    ("nn.depth_to_space", [x], {"block_size": 2}, [(3, 4, 8)]),
    ("nn.space_to_depth", [x], {"block_size": 2}, [(4, 6, 3)]),
    ("nn.local_response_normalization", [x], {"depth_radius": 2}, [(4, 6, 3)]),
    ("image.resize", [x], {"size": [9, 5], "method": "bilinear"}, [(4, 6, 3)]),
    ("math.l2_normalize", [x], {"axis": -1}, [(8, 4)]),
    ("gather", [x], {"indices": [0, 2], "axis": 1}, [(8, 4)]),
]


@pytest.mark.keras
@pytest.mark.parametrize(
    ("function", "args", "kwargs", "shapes"), FUNCTIONS, ids=[f"{f[0]}-{i}" for i, f in enumerate(FUNCTIONS)]
)
def test_tensorflow_functions(
    function: str, args: list[Any], kwargs: dict[str, Any], shapes: list[tuple[int, ...]], keras: Any
) -> None:
    """Keras 2's TFOpLambda, against the function itself."""
    import tensorflow as tf

    kind = operation_from_config("TFOpLambda", None, {"name": f"tf.{function}", "function": function}, args, kwargs)
    tensors = [tf.ones((2, *shape)) for shape in shapes]

    def filled(value: Any) -> Any:
        if isinstance(value, Tensor):
            return tensors[value.number]
        return [filled(item) for item in value] if isinstance(value, list) else value

    call: Any = tf
    for part in function.split("."):
        call = (lambda a, y, name=None: a + y) if part == "__operators__" else getattr(call, part, call)
    made = call(*filled(args), **{key: filled(value) for key, value in kwargs.items()})
    made = made if isinstance(made, list | tuple) else [made]
    assert list(kind.outputs(tuple(shapes))) == [tuple(tensor.shape[1:]) for tensor in made]


def test_slices_of_keras_2() -> None:
    spec = [FULL, {"start": 1, "stop": None, "step": 2}, {"class_name": "__ellipsis__"}, 0]
    kind = operation_from_config(
        "SlicingOpLambda", None, {"function": "__operators__.getitem"}, [x], {"slice_spec": spec}
    )
    assert kind.outputs(((8, 5, 4),)) == ((4, 5),)


@pytest.mark.parametrize(
    ("name", "args", "config", "shapes"),
    [
        ("Reshape", [x], {"newshape": [-1, 7]}, [(8, 4)]),
        ("Transpose", [x], {"axes": [1, 0, 2]}, [(8, 4)]),
        ("Mean", [x], {"axis": None}, [(8, 4)]),
        ("Mean", [x], {"axis": 7}, [(8, 4)]),
        ("Mean", [x], {"axis": "rows"}, [(8, 4)]),
        ("Concatenate", [[x, y]], {"axis": 0}, [(8, 4), (8, 4)]),
        ("GetItem", [x, 0], {}, [(8, 4)]),
        ("GetItem", [x, [FULL, 9]], {}, [(8, 4)]),
        ("Add", [x, y], {}, [(8, 4), (8, 3)]),
        ("Matmul", [x, y], {}, [(8, 4), (8, 4)]),
        ("Pad", [x], {"pad_width": [[1, 1], [0, 0], [0, 0]]}, [(8, 4)]),
        ("Einsum", [x, y], {"subscripts": 3}, [(8, 4), (8, 4)]),
        ("Split", [x], {"indices_or_sections": 10**12, "axis": 1}, [(8, 4)]),
        ("Tile", [x], {"repeats": [3, 1, 1]}, [(8, 4)]),
    ],
)
def test_operations_that_cannot_be(name: str, args: list[Any], config: dict[str, Any], shapes: list[Any]) -> None:
    with pytest.raises(CnncostError) as caught:
        operation_from_config(name, "keras.src.ops.numpy", config, args, {}).outputs(tuple(shapes))
    assert name in caught.value.message


@pytest.mark.parametrize("name", ["Fft2", "Lstm", "TFOpLambda"])
def test_unknown_operations_are_named(name: str) -> None:
    with pytest.raises(UnsupportedLayer, match=name if name != "TFOpLambda" else "signal.fft"):
        operation_from_config(name, "keras.src.ops", {"function": "signal.fft"}, [x], {})
    assert "signal.fft" not in TENSORFLOW


HOSTILE: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, float("nan"), "x", "", [], [1], [[]], [None], {}, {"class_name": "Dense"},
    {"class_name": 3}, {"a": {"b": 1}}, [1, 2, 3, 4, 5, 6, 7], "\ud800", {"LSTM": 2}, {3: 4}, y, [x, y], [-1, 4],
    [0, 2, 1],
]  # fmt: skip
PARAMETERS = (
    "axis", "newshape", "axes", "pad_width", "repeats", "subscripts", "indices_or_sections", "dtype", "shape", "key",
    "num", "num_classes", "block_size", "source", "axis1", "sizes", "size",
)  # fmt: skip


@pytest.mark.parametrize("row", [*OPERATIONS, "Resize"])
def test_hostile_operations_are_answers_or_errors(row: str) -> None:
    for args in ([], [x], [x, y], [[x, y]], [x, 3], [x, [1, 2]], [3], [x, {"class_name": "__slice__"}], ["a,b", x]):
        for parameter in PARAMETERS:
            for value in HOSTILE:
                try:
                    kind = operation_from_config(row, "keras.src.ops", {parameter: value}, args, {})
                    outputs = kind.outputs(((8, 4), (8, 4)))
                    kind.macs(((8, 4), (8, 4)), outputs), kind.other_flops(((8, 4), (8, 4)), outputs)
                    kind.field(((8, 4), (8, 4)), outputs), kind.notes(((8, 4), (8, 4)))
                    kind.output_dtype((FLOAT32,), FLOAT32)
                except CnncostError as error:
                    assert error.message
