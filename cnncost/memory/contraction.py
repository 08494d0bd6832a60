"""What grappler's remapper and oneDNN's pass take into a convolution or a matrix product: its bias, an addition, an
activation, the padding before it (remapper.cc, mkl_layout_pass.cc of TensorFlow 2.21)."""

from __future__ import annotations

from collections.abc import Container, Sequence

from cnncost.memory.opgraph import Op, Value

Readers = list[list[Op | None]]
ALONE = "alone"  # of what was read by way of x·1 or x + 0, which grappler removes too late for a fusion
UNKNOWN = "unknown"  # of an addition, one of whose shapes grappler does not know
_FUSED = {
    "Conv2D": "_FusedConv2D",
    "Conv3D": "_FusedConv3D",
    "DepthwiseConv2dNative": "_FusedDepthwiseConv2dNative",
    "MatMul": "_FusedMatMul",
}
# Activations that the CPU kernels of the fused ops have (remapper.cc: IsSupportedActivation).
_ACTIVATIONS = {
    "_FusedConv2D": frozenset({"Relu", "Relu6", "Elu", "LeakyRelu"}),
    "_FusedConv3D": frozenset({"Relu", "Relu6", "Elu", "LeakyRelu"}),
    "_FusedDepthwiseConv2dNative": frozenset({"Relu", "Relu6", "Elu", "LeakyRelu"}),
    "_FusedMatMul": frozenset({"Relu", "Relu6", "Elu", "LeakyRelu", "Tanh", "Sigmoid"}),
}
_OWN_DTYPES = {
    "Conv2D": ("float32", "float64", "int8"),
    "MatMul": ("float32", "int8"),
}  # int8 stands for a float model's
# Those that are looked for behind an addition.
_PLAIN = frozenset({"Relu", "Relu6", "Elu"})
ACTIVATIONS = _ACTIVATIONS["_FusedConv2D"]
_WITH_OP = frozenset({"Conv2D", "Conv3D"})  # into whose nodes an addition and an activation go
TRIED = {
    **dict.fromkeys(_WITH_OP, _ACTIVATIONS["_FusedConv2D"]), "DepthwiseConv2dNative": _PLAIN, "MatMul": _PLAIN
}  # fmt: skip
_ADDED, _ADDED_IN = frozenset({"AddV2", "AddN"}), frozenset({"float32", "bfloat16", "float16"})
_ADDING = frozenset(
    {"Conv2D", "Conv3D", "MatMul"}
)  # their fused ops also add a second operand, in its buffer if they may


def only_reader(op: Op, readers: Readers) -> Op | None:
    found = readers[op.index]
    return found[0] if len(found) == 1 else None


def fuse_bias(bias: Op, readers: Readers) -> None:
    """Contraction + BiasAdd (+ activation): the last op becomes the fused one."""
    sums = bias.inputs[0].op
    if sums.type == "Squeeze":
        _fuse_squeezed(bias, sums, readers)
        return
    fused = _FUSED.get(sums.type)
    if (
        fused is None
        or only_reader(sums, readers) is not bias
        or (bias.attrs.get("data_format", "NHWC") != sums.attrs.get("data_format", "NHWC"))
    ):
        return
    last, parts, addend = bias, ["BiasAdd"], []
    after = None if ALONE in bias.attrs else only_reader(bias, readers)
    if after is not None and after.type == "AddV2" and taker(after, readers, _ADDING) is sums:
        last = after
        parts.append("Add")
        addend = [after.inputs[1] if after.inputs[0].op is bias else after.inputs[0]]
        after = only_reader(after, readers)
    if after is not None and after.type in _ACTIVATIONS[fused]:
        last = after
        parts.append(after.type)
    _take_in(last, sums, [bias.inputs[1], *addend], parts, readers)
    if fused == "_FusedConv2D":
        fuse_pad(last, readers)


def _take_in(last: Op, sums: Op, operands: Sequence[Value], parts: Sequence[str], readers: Readers) -> None:
    """The ``last`` op becomes the contraction, with all ``parts`` that are taken into it, and reads their operands."""
    last.attrs = {**sums.attrs, "fused": tuple(parts)}
    last.inputs = [*sums.inputs, *operands]
    last.type = _FUSED[sums.type]
    source = sums.inputs[0].op.index
    readers[source] = [last if reader is sums else reader for reader in readers[source]]


def fuse_bias_alone(bias: Op, readers: Readers) -> None:
    """The same without oneDNN: TensorFlow's own kernels take a bias and an activation into a convolution of images or a
    matrix product, no addition and no padding (IsCpuCompatibleDataType)."""
    sums, dtype = bias.inputs[0].op, bias.outputs[0].dtype
    if sums.type == "Squeeze" and dtype in _OWN_DTYPES["Conv2D"]:
        _fuse_squeezed(bias, sums, readers)
    if dtype not in _OWN_DTYPES.get(sums.type, ()) or only_reader(sums, readers) is not bias:
        return
    after = None if ALONE in bias.attrs else only_reader(bias, readers)
    last = after if after is not None and after.type in ACTIVATIONS else bias
    _take_in(last, sums, [bias.inputs[1]], ["BiasAdd"] if last is bias else ["BiasAdd", last.type], readers)


def _fuse_squeezed(bias: Op, squeeze: Op, readers: Readers) -> None:
    """Conv2D + Squeeze + BiasAdd, a convolution along one axis: the convolution takes the bias, and what was the bias's
    addition is the view (FindConv2DWithSqueezeAndBias)."""
    convolution = squeeze.inputs[0].op
    if convolution.type != "Conv2D" or only_reader(squeeze, readers) is not bias:
        return
    if only_reader(convolution, readers) is not squeeze or convolution.attrs.get("data_format", "NHWC") != "NHWC":
        return
    convolution.type = "_FusedConv2D"
    convolution.attrs = {**convolution.attrs, "fused": ("BiasAdd",)}
    added = bias.inputs[1]
    convolution.inputs = [*convolution.inputs, added]
    readers[added.op.index] = [convolution if reader is bias else reader for reader in readers[added.op.index]]
    bias.type, bias.attrs, bias.inputs = "Squeeze", squeeze.attrs, list(squeeze.inputs)
    readers[convolution.index] = [bias]


def fuse_single(add: Op, readers: Readers) -> None:
    """A contraction with one output channel and its bias, which Keras adds: the remapper knows it for a bias
    (IsBiasSemanticAdd)."""
    sums, bias = add.inputs
    if sums.op.type in _FUSED and sums.spec == add.outputs[0] and bias.spec.elements == 1 and sums.shape[-1] == 1:
        fuse_bias(add, readers)


def refused(ops: Sequence[Op], readers: Readers) -> bool:
    """Whether the remapper fails somewhere. It takes an addition and its activation into a contraction without a look
    at who else reads the sum; where somebody does, as LeakyReLU's gradient, the change of the graph is refused ("fanout
    exists for missing node"), and with it all that the remapper did (FindContractionWithBiasAndAddActivation)."""
    activations = [op for op in ops if op.type in ACTIVATIONS and op.inputs[0].op.type == "AddV2"]
    return any(_refused(op, readers) for op in activations)


def _refused(activation: Op, readers: Readers) -> bool:
    add = activation.inputs[0].op
    if all(reader is activation or reader is None for reader in readers[add.index]):
        return False
    taking = taker(add, readers)
    return taking is not None and activation.type in TRIED[taking.type]


def lost(ops: Sequence[Op], readers: Readers, fused: Container[str]) -> bool:
    """Whether some sum goes into a node without an op. The remapper takes an addition, and an activation behind it,
    into any contraction with a bias, but gives the node that it makes an op for some of them alone: not for a depthwise
    convolution, nor for a matrix product with an activation (AddFusedContractionNode). Then "Node ... does not specify
    an operation", and all of grappler's work is ignored ("Ignoring multi-device function optimization failure"). Seen
    for each of these contractions and activations, alone and in pairs, at inference and in training."""
    sums = [op for op in ops if op.type in _ADDED and "BiasAdd" in [source.type for source, _ in op.inputs]]
    return any(len(op.inputs) == 2 and op.outputs[0].dtype in fused and _lost(op, readers) for op in sums)


def _lost(sums: Op, readers: Readers) -> bool:
    taking, last = taker(sums, readers), only_reader(sums, readers)
    if taking is None or taking.type in _WITH_OP:
        return False
    return taking.type != "MatMul" or (last is not None and last.type in TRIED["MatMul"])


def taker(add: Op, readers: Readers, types: Container[str] = TRIED) -> Op | None:
    """The contraction that takes an addition of two equal shapes, and an activation behind it: of two of these
    ``types`` the first by name, as commutative operands are sorted."""
    a, b = add.inputs
    if UNKNOWN in add.attrs or a.spec != b.spec or a.dtype not in _ADDED_IN:
        return None
    found = [value.op.inputs[0].op for value in (a, b) if _with_bias(value.op, add, readers)]
    return min((sums for sums in found if sums.type in types), key=lambda sums: f"{sums.layer}_1/", default=None)


def _with_bias(bias: Op, add: Op, readers: Readers) -> bool:
    if bias.type != "BiasAdd" or only_reader(bias, readers) is not add:
        return False
    return bias.inputs[0].op.type in TRIED and only_reader(bias.inputs[0].op, readers) is bias


def merge_bias(bias: Op, readers: Readers) -> None:
    """A convolution with its bias alone, as oneDNN's pass merges what the remapper has left."""
    sums = bias.inputs[0].op
    if sums.type != "Conv2D" or only_reader(sums, readers) is not bias:
        return
    _take_in(bias, sums, [bias.inputs[1]], ["BiasAdd"], readers)
    fuse_pad(bias, readers)


def fuse_pad(convolution: Op, readers: Readers) -> None:
    """Zero padding before a VALID convolution that alone reads it."""
    pad = convolution.inputs[0].op
    if pad.type != "Pad" or convolution.attrs.get("padding") != "valid" or len(readers[pad.index]) != 1:
        return
    convolution.inputs = [pad.inputs[0], *convolution.inputs[1:]]
    source = pad.inputs[0].op.index
    readers[source] = [convolution if r is pad else r for r in readers[source]]
