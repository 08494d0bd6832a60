"""The loss of a step where the user names none (CONTRACT): sparse categorical cross-entropy for outputs of one axis,
from probabilities after a softmax, else from logits; mean squared error for others. Several outputs: their losses' sum.

Checked against keras.losses.SparseCategoricalCrossentropy and MeanSquaredError of Keras 3.15: reduction over the batch
by ``sum_over_batch_size``. What TensorFlow folds to constants (the reduction's own gradient) is a constant here.
"""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.errors import UnsupportedLayer
from cnncost.memory.opgraph import LOSS, OpGraph, Value
from cnncost.memory.spec import Spec

# Bytes: a repeated number is a constant up to here, beyond it is made anew in each step (constant_folding.cc of the
# common runtime; seen: 11.5 and 24 MB in the step's memory, 0.5 to 6.6 MB not). From 100 KiB on, which grappler does
# not fold, the repeating op runs all the same, read by nobody, mostly first of all: it is left out here.
LARGEST_CONSTANT = 10 * 2**20


def add_loss(
    graph: OpGraph, outputs: Sequence[Value], masks: Sequence[Value | None] = ()
) -> tuple[Value, list[tuple[Value, Value]]]:
    """The loss, and for the tape the values to start from, each with its gradient. ``masks``: of the outputs."""
    graph.phase, graph.layer = LOSS, ""
    parts = []
    for value, mask in zip(outputs, masks or [None] * len(outputs), strict=True):
        parts.append((_cross_entropy if len(value.shape) == 2 else _squares)(graph, value, mask))
    total = parts[0][0]
    for part, _, _ in parts[1:]:
        total = graph.add("AddV2", (total, part), (part.spec,))
    return total, [(start, seed) for _, start, seed in parts]


Part = tuple[Value, Value, Value]  # the scalar, what it was reduced from, and the gradient of that


def _single(graph: OpGraph, value: Value) -> Value:
    """Keras computes losses in float32, its ``floatx``; other outputs are cast."""
    if value.dtype not in ("float16", "bfloat16", "float64"):
        return value
    return graph.add("Cast", (value,), (Spec(value.shape, "float32"),), to="float32")


def _cross_entropy(graph: OpGraph, value: Value, mask: Value | None) -> Part:
    """Keras takes the softmax's own input when the op that made the probabilities is a Softmax; from others, such as a
    cast behind it, their logarithm."""
    logits = _single(graph, value)
    if value.op.type == "Softmax":
        logits = value.op.inputs[0] if logits is value else _logarithm(graph, logits)
    batch = logits.shape[0]
    target = graph.argument("y", Spec((batch,), "int32"))
    labels = graph.add("Cast", (target,), (Spec((batch,), logits.dtype),), to=logits.dtype)
    labels = graph.add("Cast", (labels,), (Spec((batch,), "int64"),), to="int64")
    losses = graph.add("SparseSoftmaxCrossEntropyWithLogits", (logits, labels))
    return _mean(graph, losses if mask is None else _masked(graph, losses, mask))


def _logarithm(graph: OpGraph, value: Value) -> Value:
    number = Spec((), value.dtype)
    below = graph.add("Minimum", (value, graph.constant(1 - 1e-7, number)), (value.spec,))
    clipped = graph.add("Maximum", (below, graph.constant(1e-7, number)), (value.spec,))
    return graph.add("Log", (clipped,), (value.spec,))


def _squares(graph: OpGraph, value: Value, mask: Value | None) -> Part:
    """(target - value)², its mean over the last axis, then over all: the gradient of the means is a constant, and so is
    that of the squares where grappler materializes it."""
    value = _single(graph, value)
    target = graph.argument("y", value.spec)
    squares = graph.add("Square", (graph.add("Sub", (target, value), (value.spec,)),), (value.spec,))
    means = graph.add("Mean", (squares,), axes=(len(value.shape) - 1,), keepdims=False)
    if mask is not None:
        return _mean(graph, _masked(graph, means, mask))
    scalar, _, seed = _mean(graph, means)
    if value.spec.bytes > LARGEST_CONSTANT:
        return scalar, means, seed
    return scalar, squares, graph.constant(1 / value.spec.elements, value.spec)


def _masked(graph: OpGraph, losses: Value, mask: Value) -> Value:
    """Losses of what does not count are 0, the others grow by the share that counts (``apply_mask``)."""
    if mask.shape != losses.shape:
        raise UnsupportedLayer("the memory simulation does not know a loss whose mask has another shape")
    scalar = Spec((), losses.dtype)
    weights = graph.add("Cast", (mask,), (losses.spec,), to=losses.dtype)
    valid = graph.add("Sum", (weights,), (scalar,), axes=tuple(range(len(mask.shape))))
    share = graph.add("DivNoNan", (graph.constant(losses.spec.elements, scalar), valid), (scalar,))
    counts = graph.add("Cast", (weights,), (mask.spec,), to="bool")
    zero = graph.constant(0.0, scalar)
    scale = graph.add("SelectV2", (counts, share, zero), (losses.spec,))
    return graph.add("Mul", (losses, scale), (losses.spec,))


def _mean(graph: OpGraph, losses: Value) -> Part:
    """Sum over all, over their number; the gradient of each loss is a constant."""
    scalar = Spec((), losses.dtype)
    total = graph.add("Sum", (losses,), (scalar,), axes=tuple(range(len(losses.shape))))
    count = graph.constant(losses.spec.elements, scalar)
    one = 1 / losses.spec.elements
    if losses.spec.bytes > LARGEST_CONSTANT:
        seed = graph.add("Tile", (graph.constant(one, Spec((1,) * len(losses.shape), losses.dtype)),), (losses.spec,),
                         multiples=losses.shape)  # fmt: skip
    else:
        seed = graph.constant(one, losses.spec)
    return graph.add("DivNoNan", (total, count), (scalar,)), losses, seed
