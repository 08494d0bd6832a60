"""What a lowering rule works with: the op graph under construction, the layer's weights, casts and shapes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cnncost.memory.opgraph import Op, OpGraph, Spec, Value, Variable
from cnncost.memory.spec import Dims, scalar
from cnncost.results import Analysis, LayerCost
from cnncost.tensor import DTYPES, Shape

CHECKED_AGAINST = "TensorFlow 2.21, Keras 3.15"


class Lowered(NamedTuple):
    """A model's forward pass as ops: its inputs, and each output of each layer."""

    graph: OpGraph
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    values: tuple[tuple[Value, ...], ...]  # by layer, then by output
    masks: tuple[Value | None, ...] = ()  # of the outputs


class Step:
    """One forward pass under construction. ``training`` is Keras's ``training`` argument."""

    def __init__(self, analysis: Analysis, training: bool, eager: bool = False) -> None:
        self.analysis = analysis
        self.batch = analysis.batch
        self.training = training
        self.eager = eager
        self.graph = OpGraph()
        self.graph.processor = analysis.processor
        self.add = self.graph.add
        self.stored: dict[str, str] = {}  # the dtype of each layer's weights
        self.moved: dict[str, Op] = {}  # the last assignment to a seed generator
        self.masks: dict[tuple[int, int], Value] = {}  # by op and output

    # -- shapes ------------------------------------------------------------------------------------------------

    def shape(self, shape: Shape) -> Dims:
        """A layer's shape with the batch in front."""
        return (self.batch, *shape)  # type: ignore[arg-type]  # an analysis has no unknown dimension

    def output(self, row: LayerCost, index: int = 0) -> Spec:
        """What output ``index`` of the layer must be."""
        tensor = row.outputs[index]
        return Spec(self.shape(tensor.shape), tensor.dtype.name)

    def mask(self, value: Value) -> Value | None:
        """The mask that Keras has attached to a tensor."""
        return self.masks.get((value.op.index, value.index))

    def attach(self, value: Value, mask: Value | None) -> None:
        if mask is not None:
            self.masks[value.op.index, value.index] = mask

    # -- weights -----------------------------------------------------------------------------------------------

    def variable(self, row: LayerCost, name: str) -> Variable:
        """A weight of the layer by its name; a shared layer's weight is the first call's. Freezing a layer changes
        Keras's flag and not TensorFlow's: a tape watches its weights all the same. Of a graph what follows from that
        is pruned, op by op it runs."""
        layer = row.layer
        first = row if layer.shares is None else self.analysis.layers[layer.shares]
        weight = next(weight for weight in row.weights if weight.name == name)
        dtype = weight.dtype or self.stored.get(first.name)
        if dtype is None:
            dtype = self.stored[first.name] = _storage(first)
        return self.graph.variable(
            f"{first.name}/{name}", Spec(weight.shape, dtype), weight.trainable and (layer.trainable or self.eager)
        )

    def weight(self, row: LayerCost, name: str, dtype: str | None = None) -> Value:
        """Read a weight, cast to the layer's compute dtype (autocast), or to ``dtype``."""
        value = self.graph.read(self.variable(row, name), name)
        return self.cast(value, dtype or (row.compute.name if row.compute.floating else value.dtype))

    def has(self, row: LayerCost, name: str) -> bool:
        return any(weight.name == name for weight in row.weights)

    def cast(self, value: Value, dtype: str) -> Value:
        """``tf.cast``: nothing where the dtype is that already."""
        return value if value.dtype == dtype else self.add("Cast", (value,), to=dtype)

    def hold(self, *values: Value) -> None:
        """Python's names last until here; op by op that keeps the tensors."""
        if self.eager:
            self.add("NoOp", values, ())

    def number(self, value: Any, like: Value) -> Value:
        """A scalar constant of another value's dtype."""
        return self.graph.constant(value, scalar(like.dtype))

    # -- views -------------------------------------------------------------------------------------------------

    def reshape(self, value: Value, shape: Sequence[int], **attrs: Any) -> Value:
        return self.add("Reshape", (value,), shape=tuple(shape), **attrs)


def policies(analysis: Analysis) -> frozenset[str]:
    """The dtype policies that the layers have."""
    own = (row.layer.dtype for row in analysis.layers if row.kind != "InputLayer")
    return frozenset(name or analysis.dtype for name in own)


def _storage(row: LayerCost) -> str:
    """The dtype that the layer's weights are stored in: its policy's variable dtype."""
    size = sum(weight.size for weight in row.weights if weight.dtype is None)
    fixed = sum(weight.size * DTYPES[weight.dtype].bytes for weight in row.weights if weight.dtype is not None)
    same = not size or (row.weight_bytes - fixed) // size == row.compute.bytes
    return row.compute.name if same else "float32"


Rule = Callable[[Step, LayerCost, Any, list[Value]], "Value | tuple[Value, ...]"]
