"""Operations as Keras writes them: keras.ops of Keras 3, TensorFlow functions (TFOpLambda) of Keras 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from cnncost.errors import ArgumentError, UnsupportedLayer, nearest, printable
from cnncost.kinds.base import Kind
from cnncost.kinds.operations import OPERATIONS, Operand, operation

_PLAIN = (type(None), bool, int, float, str, list, tuple, dict)
MAX_DEPTH = 40


class Tensor(NamedTuple):
    """Input ``number`` of the operation."""

    number: int


# Arguments of a call, by operation, that are no operands: in the order in which they may follow the first operand.
_AFTER: dict[str, tuple[str, ...]] = {
    "GetItem": ("key",), "Clip": ("x_min", "x_max"), "Pad": ("constant_values",), "Cast": ("dtype",),
    "Reshape": ("newshape",), "Transpose": ("axes",), "Softmax": ("axis",), "ExpandDims": ("axis",),
    "Squeeze": ("axis",), "Concatenate": ("axis",), "Stack": ("axis",), "Repeat": ("repeats", "axis"),
    "Tile": ("repeats",), "BroadcastTo": ("shape",), "Split": ("indices_or_sections", "axis"),
    "LeakyRelu": ("negative_slope",),
    **dict.fromkeys(
        ("Sum", "Mean", "Max", "Min", "Prod", "Var", "Std", "Any", "All", "Argmax", "Argmin"),
        ("axis", "keepdims"),
    ),
}  # fmt: skip

# TensorFlow's functions: the operation, then what the function's arguments after the first are called there.
# An argument of that operation that starts with + is an operand.
_B = "y>+"
_R = "axis>axis keepdims>keepdims"
TENSORFLOW: dict[str, tuple[str, str]] = {
    "__operators__.add": ("Add", _B), "math.add": ("Add", _B), "add": ("Add", _B), "math.subtract": ("Subtract", _B),
    "subtract": ("Subtract", _B), "math.multiply": ("Multiply", _B), "multiply": ("Multiply", _B),
    "math.divide": ("Divide", _B), "math.truediv": ("TrueDivide", _B), "math.divide_no_nan": ("DivideNoNan", _B),
    "math.floordiv": ("FloorDivide", _B), "math.mod": ("Mod", _B), "math.floormod": ("Mod", _B),
    "math.pow": ("Power", _B), "pow": ("Power", _B), "math.maximum": ("Maximum", _B), "maximum": ("Maximum", _B),
    "math.minimum": ("Minimum", _B), "minimum": ("Minimum", _B), "math.squared_difference": ("SquaredDifference", _B),
    "math.greater": ("Greater", _B), "math.greater_equal": ("GreaterEqual", _B), "math.less": ("Less", _B),
    "math.less_equal": ("LessEqual", _B), "math.equal": ("Equal", _B), "__operators__.eq": ("Equal", "other>+"),
    "math.not_equal": ("NotEqual", _B), "__operators__.ne": ("NotEqual", "other>+"),
    "math.logical_and": ("LogicalAnd", _B), "math.add_n": ("Add", ""), "math.logical_or": ("LogicalOr", _B),
    "math.logical_not": ("LogicalNot", ""), "where": ("Where", "x>+ y>+"),
    "nn.bias_add": ("Add", "bias>+ data_format>"),
   
    "linalg.matmul": ( 
        "Matmul", "b>+ transpose_a>transpose_a transpose_b>transpose_b adjoint_a>transpose_a adjoint_b>transpose_b"),
    "matmul": ("Matmul", "b>+ transpose_a>transpose_a transpose_b>transpose_b"), "einsum": ("Einsum", ""),
    "math.negative": ("Negative", ""), "math.abs": ("Absolute", ""), "math.sign": ("Sign", ""),
    "math.exp": ("Exp", ""), "math.log": ("Log", ""), "math.log1p": ("Log1p", ""), "math.expm1": ("Expm1", ""),
    "math.square": ("Square", ""), "math.sqrt": ("Sqrt", ""), "sqrt": ("Sqrt", ""), "square": ("Square", ""),
    "exp": ("Exp", ""), "abs": ("Absolute", ""), "math.rsqrt": ("Rsqrt", ""), "math.reciprocal": ("Reciprocal", ""),
    "math.sin": ("Sin", ""), "math.cos": ("Cos", ""), "math.floor": ("Floor", ""), "math.ceil": ("Ceil", ""),
    "math.round": ("Round", ""), "math.erf": ("Erf", ""),
    "clip_by_value": ("Clip", "clip_value_min> clip_value_max>"), "math.sigmoid": ("Sigmoid", ""),
    "nn.sigmoid": ("Sigmoid", ""), "sigmoid": ("Sigmoid", ""), "math.tanh": ("Tanh", ""), "nn.tanh": ("Tanh", ""),
    "tanh": ("Tanh", ""), "nn.relu": ("Relu", ""), "nn.relu6": ("Relu6", ""), "nn.elu": ("Elu", ""),
    "nn.selu": ("Selu", ""), "nn.leaky_relu": ("LeakyRelu", "alpha>"), "nn.silu": ("Silu", "beta>"),
    "nn.swish": ("Silu", "beta>"), "nn.gelu": ("Gelu", "approximate>"), "nn.softplus": ("Softplus", ""),
    "math.softplus": ("Softplus", ""), "nn.softsign": ("Softsign", ""), "nn.softmax": ("Softmax", "axis>axis"),
    "nn.log_softmax": ("LogSoftmax", "axis>axis"), "math.l2_normalize": ("Normalize", "axis>axis epsilon>"),
    "nn.l2_normalize": ("Normalize", "axis>axis epsilon>"),
    **{f"math.reduce_{name}": (row, _R) for name, row in (
        ("mean", "Mean"), ("sum", "Sum"), ("max", "Max"), ("min", "Min"), ("prod", "Prod"), ("any", "Any"),
        ("all", "All"), ("std", "Std"), ("variance", "Var"), ("logsumexp", "Logsumexp"))},
    **{f"reduce_{name}": (name.capitalize(), _R) for name in ("mean", "sum", "max", "min")},
    "math.argmax": ("Argmax", "axis>axis output_type>"), "math.argmin": ("Argmin", "axis>axis output_type>"),
    "reshape": ("Reshape", "shape>newshape"), "transpose": ("Transpose", "perm>axes conjugate>"),
    "expand_dims": ("ExpandDims", "axis>axis"), "squeeze": ("Squeeze", "axis>axis"),
    "concat": ("Concatenate", "axis>axis"), "stack": ("Stack", "axis>axis"),
    "unstack": ("Unstack", "num>num axis>axis"), "tile": ("Tile", "multiples>repeats"),
    "split": ("Split", "num_or_size_splits>sizes axis>axis num>"), "repeat": ("Repeat", "repeats>repeats axis>axis"),
    "pad": ("Pad", "paddings>pad_width mode> constant_values>"), "cast": ("Cast", "dtype>dtype"),
    "reverse": ("Flip", "axis>axis"), "identity": ("Identity", ""), "stop_gradient": ("StopGradient", ""),
    "one_hot": ("OneHot", "depth>num_classes axis>axis on_value> off_value> dtype>dtype"),
    "gather": ("Take", "indices>+ axis>axis batch_dims> validate_indices>"),
    "broadcast_to": ("BroadcastTo", "shape>shape"),
    "nn.depth_to_space": ("DepthToSpace", "block_size>block_size data_format>data_format"),
    "nn.space_to_depth": ("SpaceToDepth", "block_size>block_size data_format>data_format"),
    "__operators__.getitem": ("GetItem", "slice_spec>key var>"),
}  # fmt: skip


def operation_from_config(
    class_name: str,
    module: str | None,
    config: Mapping[str, Any],
    call_args: Sequence[Any],
    call_kwargs: Mapping[str, Any],
) -> Kind:
    """The kind of an operation in a functional model.

    ``class_name``, ``module`` and ``config`` are those of the serialized layer: ``("Multiply", "keras.src.ops.numpy",
    {})`` of Keras 3, ``("TFOpLambda", None, {"function": "math.multiply"})`` of Keras 2. ``call_args`` and
    ``call_kwargs`` are one call's arguments. A tensor in them is any value that is no plain data (not None, bool,
    int, float, str, list, tuple, dict by its very type), such as a NamedTuple of the source's own. The kind's inputs
    are these tensors in the order: the positional arguments, lists from left to right, then the keyword arguments by
    sorted name. Raises UnsupportedLayer for an operation that is in no table, and ArgumentError for a wrong
    parameter.

    >>> x = Tensor(0)
    >>> config = {"function": "__operators__.add"}
    >>> kind = operation_from_config("TFOpLambda", None, config, [x], {"y": 3.0, "name": None})
    >>> kind.name(), kind.outputs(((7, 7, 16),)), int(kind.other_flops(((7, 7, 16),), ()))
    ('TFOpLambda', ((7, 7, 16),), 784)
    """
    numbers: Iterator[int] = iter(range(1 << 30))
    args = [_numbered(value, numbers, MAX_DEPTH) for value in call_args]
    kwargs = {key: _numbered(call_kwargs[key], numbers, MAX_DEPTH) for key in sorted(call_kwargs)}
    if class_name in ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"):
        return _tensorflow(class_name, str(config.get("function", config.get("name", ""))), args, kwargs)
    if class_name == "Resize":
        return _resize({**config, **kwargs}, config.get("interpolation"))
    row = class_name
    cls = operation(row)
    own = {key: value for key, value in config.items() if key not in ("name", "dtype") or row == "Cast"}
    operands = _operands(row, args, kwargs, own)
    return cls(operands, own)


def _numbered(value: Any, numbers: Iterator[int], depth: int) -> Any:
    """The same value with its tensors numbered."""
    if depth <= 0:
        raise UnsupportedLayer(
            "an operation's arguments are nested too deeply", rule=f"at most {MAX_DEPTH} lists in lists"
        )
    if type(value) not in _PLAIN:
        return Tensor(next(numbers))
    if isinstance(value, list | tuple):
        return [_numbered(item, numbers, depth - 1) for item in value]
    if isinstance(value, dict) and value.get("class_name") not in ("__tensor__", "__numpy__"):
        return {key: _numbered(value[key], numbers, depth - 1) for key in sorted(value, key=str)}
    return value


def _operand(value: Any) -> Operand:
    """A tensor's number, or a constant's shape."""
    if isinstance(value, Tensor):
        return value.number
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = inner.get("value") if isinstance(inner, Mapping) else value.get("value")
    shape: list[int] = []
    while isinstance(value, list | tuple) and len(shape) < MAX_DEPTH:
        shape.append(len(value))
        value = value[0] if value else 0
    return tuple(shape)


def _listed(value: Any) -> list[Any]:
    """Operands in a list (Concatenate, Stack) or one alone; a list without tensors is a constant."""
    if isinstance(value, list) and any(isinstance(item, Tensor) for item in value):
        return value
    return [value]


def _operands(row: str, args: list[Any], kwargs: dict[str, Any], own: dict[str, Any]) -> tuple[Operand, ...]:
    """Keras 3: operands come first, by position or name; what follows is put with the operation's parameters."""
    if row == "Einsum" and args and isinstance(args[0], str):
        own["subscripts"], *args = args
    if row in _AFTER:
        own.update(zip(_AFTER[row], args[1:], strict=False))
        args = args[:1]
    operands = [item for value in args for item in _listed(value)]
    for key, value in kwargs.items():
        if key in ("x", "x1", "x2", "xs", "arrays", "condition", "indices", "operands") and not _parameter(row, key):
            operands += _listed(value)
        else:
            own[key] = value
    return tuple(_operand(value) for value in operands)


def _parameter(row: str, key: str) -> bool:
    return key in _AFTER.get(row, ())


def _tensorflow(class_name: str, function: str, args: list[Any], kwargs: dict[str, Any]) -> Kind:
    """Keras 2: a TensorFlow function, its first argument, and the others by name."""
    name = function.removeprefix("tf.").removeprefix("compat.v1.")
    if name == "nn.local_response_normalization":
        from cnncost.kinds.registry import lookup

        known = lookup("LocalResponseNormalization")
        given = {key: value for key, value in kwargs.items() if key in known.arguments() and value is not None}
        return known.build(given)
    if name == "image.resize":
        return _resize({"size": args[1] if len(args) > 1 else None, **kwargs}, kwargs.get("method"))
    if name not in TENSORFLOW:
        raise UnsupportedLayer(
            f"the TensorFlow operation '{printable(function)}' is not supported",
            rule="every operation in a model is counted, free by rule, or an error",
            nearest=nearest(name, TENSORFLOW),
        )
    row, words = TENSORFLOW[name]
    meaning = dict(word.split(">") for word in words.split())
    operands: list[Any] = [item for value in args[:1] for item in _listed(value)]
    parameters: dict[str, Any] = {}
    if row == "Einsum":
        operands, parameters = _einsum(args, kwargs)
    for key, place in zip(meaning, args[1:], strict=False):
        kwargs.setdefault(key, place)
    for key in [key for key in meaning if key in kwargs]:
        if meaning[key] == "+":
            operands += _listed(kwargs[key])
        elif meaning[key] and kwargs[key] is not None and kwargs[key] is not False:
            parameters[meaning[key]] = kwargs[key]
    return operation(row, class_name)(tuple(_operand(value) for value in operands), parameters, f"tf.{name}")


def _resize(given: Mapping[str, Any], interpolation: Any) -> Kind:
    """Resizing images is a layer too."""
    from cnncost.kinds.registry import lookup

    size = given.get("size")
    if not isinstance(size, list | tuple) or len(size) != 2:
        raise ArgumentError("a size of other than two numbers", ("size",), received=printable(size))
    passed = {key: given.get(key) for key in ("data_format", "crop_to_aspect_ratio", "pad_to_aspect_ratio")}
    values = {"height": size[0], "width": size[1], "interpolation": interpolation, **passed}
    return lookup("Resizing").build({key: value for key, value in values.items() if value is not None})


def _einsum(args: list[Any], kwargs: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """tf.einsum(equation, *inputs)."""
    flat = [item for value in (*args, kwargs.get("inputs")) if value is not None for item in _listed(value)]
    texts = [item for item in (*flat, kwargs.get("equation")) if isinstance(item, str)]
    return [item for item in flat if isinstance(item, Tensor)], {"subscripts": texts[0] if texts else None}


assert all(row in OPERATIONS for row, _ in TENSORFLOW.values())
