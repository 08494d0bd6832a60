"""What each TensorFlow op type becomes: tf2xla's kernel, as far as XLA's simplifications leave it.

A rule takes the operands and returns the outputs; op types that compute value by value are a table of opcodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec
from cnncost.memory.xla import blocks, contraction, lookup, moving, resizing
from cnncost.memory.xla.hlo import F32, HALVES, Module, Operand
from cnncost.memory.xla.reduce import reduce

PHILOX = 4  # words that its generator draws at once

Rule = Callable[[Module, Op, list[Operand]], Sequence[Operand]]


def _constant(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (None,) * len(op.outputs)


def _same(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return inputs


def _reshape(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (None if inputs[0] is None else module.reshape(inputs[0], op.outputs[0].shape),)


def _reduction(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (reduce(module, inputs[0], op.attrs["axes"], op.outputs[0]),)


def _extreme(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (reduce(module, inputs[0], op.attrs["axes"], op.outputs[0], extreme=True),)


def _mean(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """The sum over the count, in the dtype in which the sum is taken."""
    spec, value = op.outputs[0], inputs[0]
    if spec.dtype in HALVES:
        spec, value = Spec(spec.shape, F32), module.convert(value, F32, asked=True)
    total = reduce(module, value, op.attrs["axes"], spec)
    return (module.convert(module.map("multiply", (total,), spec), op.outputs[0].dtype),)


def _cast(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (module.convert(inputs[0], op.outputs[0].dtype, asked=True),)


def _add_n(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    total = inputs[0]
    for value in inputs[1:]:
        total = module.map("add", (total, value), op.outputs[0])
    return (total,)


def _relu_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """select(features > 0, gradient, 0); inputs (gradient, features)."""
    spec = op.outputs[0]
    mask = module.map("compare", (inputs[1],), Spec(spec.shape, "bool"))
    return (module.map("select", (mask, inputs[0]), spec),)


def _relu6_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    spec, flag = op.outputs[0], Spec(op.outputs[0].shape, "bool")
    above = module.map("compare", (inputs[1],), flag)
    below = module.map("compare", (inputs[1],), flag)
    mask = module.map("and", (above, below), flag)
    return (module.map("select", (mask, inputs[0]), spec),)


def _sigmoid_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """(gradient·y)·(1 - y); inputs (y, gradient)."""
    spec = op.outputs[0]
    rest = module.map("subtract", (inputs[0],), spec)
    return (module.map("multiply", (module.map("multiply", (inputs[1], inputs[0]), spec), rest), spec),)


def _tanh_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """gradient·(1 - y²)."""
    spec = op.outputs[0]
    square = module.map("multiply", (inputs[0], inputs[0]), spec)
    return (module.map("multiply", (inputs[1], module.map("subtract", (square,), spec)), spec),)


def _rsqrt_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """-½·gradient·y³."""
    spec = op.outputs[0]
    cube = module.map("multiply", (module.map("multiply", (inputs[0], inputs[0]), spec), inputs[0]), spec)
    return (module.map("multiply", (cube, module.map("multiply", (inputs[1],), spec)), spec),)


def _ratio_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    spec = op.outputs[0]
    return (module.map("multiply", (module.map("divide", (inputs[0],), spec), inputs[1]), spec),)


def _square(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (module.map("multiply", (inputs[0], inputs[0]), op.outputs[0]),)


def _squared_difference(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    difference = module.map("subtract", inputs, op.outputs[0])
    return (module.map("multiply", (difference, difference), op.outputs[0]),)


def _selu(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """select(x > 0, x, a·(exp(x) - 1))."""
    spec = op.outputs[0]
    mask = module.map("compare", (inputs[0],), Spec(spec.shape, "bool"))
    return (module.map("select", (mask, inputs[0], module.map("expm1", (inputs[0],), spec)), spec),)


def _leaky(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """maximum(x, x·slope)."""
    return (module.map("maximum", (inputs[0], module.map("multiply", (inputs[0],), op.outputs[0])), op.outputs[0]),)


def _elu_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    spec = op.outputs[0]
    mask = module.map("compare", (inputs[1],), Spec(spec.shape, "bool"))
    slope = module.map("add", (inputs[1],), spec)
    return (module.map("select", (mask, inputs[0], module.map("multiply", (inputs[0], slope), spec)), spec),)


def _softplus(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    spec = op.outputs[0]
    exponent = module.map("exponential", (inputs[0],), spec)
    return (module.map("select", (inputs[0], exponent, module.map("log1p", (exponent,), spec)), spec),)


def _erfc(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """Above 1 exp(-x²) times a ratio of polynomials, below 1 - erf(x) as a polynomial."""
    x, spec = inputs[0], op.outputs[0]
    power = module.map("exponential", (module.map("negate", (module.map("multiply", (x, x), spec),), spec),), spec)
    outer = module.map("multiply", (power, module.map("divide", (x,), spec)), spec)
    inner = module.map("subtract", (module.map("multiply", (x, x), spec),), spec)
    return (module.map("select", (module.map("compare", (x,), Spec(spec.shape, "bool")), outer, inner), spec),)


def _exp(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """The slope of erf is exp(-x²); grappler moves the sign elsewhere, the compiler meets it here."""
    x, spec = inputs[0], op.outputs[0]
    if op.inputs[0].op.type == "Square":
        x = module.map("negate", (x,), spec)
    return (module.map("exponential", (x,), spec),)


def _softmax(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    x, spec = inputs[0], op.outputs[0]
    rows, last = Spec(spec.shape[:-1], spec.dtype), (len(spec.shape) - 1,)
    top = reduce(module, x, last, rows, extreme=True)
    shifted = module.map("exponential", (module.map("subtract", (x, top), spec),), spec)
    total = reduce(module, shifted, last, rows)
    if op.type == "LogSoftmax":
        logs = module.map("log", (total,), rows)
        return (module.map("subtract", (module.map("subtract", (x, top), spec), logs), spec),)
    return (module.map("divide", (shifted, total), spec),)


def _cross_entropy(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """Losses and the gradient of the logits, sparse labels as one-hot rows."""
    x, spec, losses = inputs[0], op.outputs[1], op.outputs[0]
    rows, last = Spec(spec.shape[:-1], spec.dtype), (len(spec.shape) - 1,)
    top = reduce(module, x, last, rows, extreme=True)
    shifted = module.map("subtract", (x, top), spec)
    powers = module.map("exponential", (shifted,), spec)
    total = reduce(module, powers, last, rows)
    target = inputs[1] if inputs[1] is None else module.reshape(inputs[1], rows.shape)
    if inputs[1] is not None and op.inputs[1].shape == spec.shape:
        target = inputs[1]
    hot = module.map("select", (target,), spec)
    logs = module.map("log", (total,), rows)
    each = module.map("multiply", (module.map("subtract", (logs, shifted), spec), hot), spec)
    loss = reduce(module, each, last, losses)
    gradient = module.map("subtract", (module.map("divide", (powers, total), spec), hot), spec)
    return (loss, gradient)


def _window(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    return (module.opaque("reduce-window", inputs[:1], op.outputs[0]),)


def _average(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    total = module.opaque("reduce-window", inputs[:1], op.outputs[0])
    return (module.map("multiply", (total,), op.outputs[0]),)


def _average_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """The gradient over the window's size, summed in windows, whose padding spreads it: over the data and their
    padding, which is then cut off (xla/hlo/builder/lib/pooling.cc)."""
    source, spec, a = op.inputs[0].spec, op.outputs[0], op.attrs
    scaled = module.map("multiply", (module.filled(inputs[0], source),), source)
    sides = zip(spec.shape[1:-1], source.shape[1:-1], a["ksize"], a["strides"], strict=True)
    padded = tuple(max((out - 1) * step + size, n) if a["padding"] == "same" else n for n, out, size, step in sides)
    shape = (spec.shape[0], *padded, spec.shape[-1])
    made = module.opaque("reduce-window", (scaled,), Spec(shape, spec.dtype))
    return (made if shape == spec.shape else module.add("slice", (made,), spec.shape, spec.dtype),)


def _max_gradient(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """SelectAndScatterExpander: an iota for each axis, a window operation that carries them along, the places found as
    rows of indices, and a scatter into zeros. All but the scatter depend on the input alone."""
    x, grad, spec = inputs[0], inputs[2], op.outputs[0]
    small = op.inputs[2].spec
    rank = len(spec.shape)
    iotas = [module.add("iota", (), spec.shape, "int32") for _ in range(rank)]
    zeros = module.zeros(spec, op)
    for made in iotas:
        made.fusible = False
    source = module.filled(x, spec)
    found = module.add("reduce-window-tuple", (source, *iotas), small.shape, "int32")
    rows = module.add("indices", (found,), (small.elements, rank), "int32")
    rows.fusible = False
    flat = module.add("scatter-values", (module.filled(grad, small),), small.shape, spec.dtype, elementwise=True)
    return (module.add("scatter", (zeros, rows, flat), spec.shape, spec.dtype),)


def _key_counter(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """A few scalars of the seed, once they are there."""
    if inputs[0] is None:
        return (None,) * len(op.outputs)
    return (module.add("random-key", (inputs[0],), op.outputs[0].shape, op.outputs[0].dtype),) * len(op.outputs)


def _random(module: Module, op: Op, inputs: list[Operand]) -> Sequence[Operand]:
    """Bits of Philox from the key, four words at a time, then the numbers of as many as are wanted."""
    spec = op.outputs[0]
    keys = [key for key in inputs if key is not None]
    fours = -(-spec.elements // PHILOX)
    if spec.dtype in HALVES or fours * PHILOX == spec.elements:
        bits = module.add("random-bits", keys, spec.shape, "int16" if spec.dtype in HALVES else "int32")
    else:
        words = module.reshape(module.add("random-bits", keys, (fours, PHILOX), "int32"), (fours * PHILOX,))
        bits = module.reshape(module.add("slice", (words,), (spec.elements,), "int32"), spec.shape)
    return (module.map("convert", (bits,), spec),)


# Op types that compute value by value, as the opcodes of a chain.
VALUEWISE: dict[str, tuple[str, ...]] = {
    "Add": ("add",), "AddV2": ("add",), "BiasAdd": ("add",), "Sub": ("subtract",), "Mul": ("multiply",),
    "MulNoNan": ("multiply",), "Div": ("divide",), "RealDiv": ("divide",), "DivNoNan": ("divide", "select"),
    "Maximum": ("maximum",), "Minimum": ("minimum",), "Pow": ("power",), "FloorDiv": ("divide",),
    "FloorMod": ("divide",), "Neg": ("negate",), "Abs": ("abs",), "Sign": ("sign",), "Floor": ("floor",),
    "Ceil": ("ceil",), "Round": ("round",),  "Expm1": ("expm1",), "Log": ("log",),
    "Log1p": ("log1p",), "Sqrt": ("sqrt",), "Rsqrt": ("rsqrt",), "Sin": ("sine",), "Cos": ("cosine",),
    "Tanh": ("tanh",), "Erf": ("erf",), "Reciprocal": ("divide",), "Inv": ("divide",),
    "Sigmoid": ("negate", "exponential", "add", "divide"), "Relu": ("maximum",), "Relu6": ("clamp",),
    "Softsign": ("abs", "add", "divide"), "Equal": ("compare",), "NotEqual": ("compare",),
    "Greater": ("compare",), "GreaterEqual": ("compare",), "Less": ("compare",), "LessEqual": ("compare",),
    "LogicalAnd": ("and",), "LogicalOr": ("or",), "LogicalNot": ("not",), "SelectV2": ("select",),
    "IsFinite": ("compare",), "IsNan": ("compare",),
}  # fmt: skip
RULES: dict[str, Rule] = {
    **blocks.RULES, **contraction.RULES, **lookup.RULES, **moving.RULES, **resizing.RULES,
    "Const": _constant, "Fill": _constant, "ZerosLike": _constant, "OnesLike": _constant, "Shape": _constant,
    "Range": _constant, "StatelessRandomGetKeyCounter": _key_counter, "Switch": _same,
    "Cast": _cast, "Identity": _same, "IdentityN": _same, "StopGradient": _same, "PreventGradient": _same,
    "NoOp": _same,
    "Exp": _exp, "Reshape": _reshape, "Squeeze": _reshape, "ExpandDims": _reshape,
    "Sum": _reduction, "Max": _extreme, "Min": _extreme, "Prod": _reduction, "Mean": _mean,
    "All": _reduction, "Any": _reduction,
    "AddN": _add_n, "Square": _square, "SquaredDifference": _squared_difference,
    "ReluGrad": _relu_gradient, "Relu6Grad": _relu6_gradient, "SigmoidGrad": _sigmoid_gradient,
    "TanhGrad": _tanh_gradient, "RsqrtGrad": _rsqrt_gradient, "SqrtGrad": _ratio_gradient,
    "ReciprocalGrad": _ratio_gradient, "InvGrad": _ratio_gradient, "LeakyReluGrad": _relu_gradient,
    "EluGrad": _elu_gradient, "SeluGrad": _elu_gradient, "SoftplusGrad": _ratio_gradient,
    "SoftsignGrad": _ratio_gradient,
    "Elu": _selu, "Selu": _selu, "LeakyRelu": _leaky, "Softplus": _softplus,
    "Erfc": _erfc, "Softmax": _softmax, "LogSoftmax": _softmax, "SparseSoftmaxCrossEntropyWithLogits": _cross_entropy,
    "SoftmaxCrossEntropyWithLogits": _cross_entropy,
    "MaxPool": _window, "MaxPool3D": _window, "AvgPool": _average, "AvgPool3D": _average,
    "AvgPoolGrad": _average_gradient, "AvgPool3DGrad": _average_gradient,
    "MaxPoolGrad": _max_gradient, "MaxPool3DGrad": _max_gradient,
    "RandomUniform": _random, "RandomStandardNormal": _random, "StatelessRandomUniformV2": _random,
    "StatelessRandomNormalV2": _random,
}  # fmt: skip
