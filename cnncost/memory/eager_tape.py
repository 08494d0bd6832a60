"""Who holds which tensor, and until when, in a step that runs op by op: readers, and the tape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnncost.memory.gradient import _Reverse, _tape
from cnncost.memory.gradients.base import Grads, gradient_of
from cnncost.memory.gradients.broadcasting import chosen
from cnncost.memory.lowering.activation import ACTIVATED
from cnncost.memory.opgraph import BACKWARD, FORWARD, LOSS, Op, OpGraph, Value, Variable
from cnncost.memory.optypes.base import OpType
from cnncost.memory.optypes.convolution import maxima_again
from cnncost.memory.sparse import is_sparse

# Of which op types a gradient never reads any input, and never any output (pywrap_gradient_exclusions.cc); of the
# others the tape keeps them all. Only what the simulation knows stands here.
_INPUTS_UNUSED = frozenset((
    "BiasAdd", "Elu", "Exp", "Identity", "IdentityN", "LogSoftmax", "Neg", "Pack", "ReadVariableOp", "Relu", "Relu6",
    "Rsqrt", "Selu", "Sigmoid", "Softmax", "Sqrt", "StopGradient", "Tanh", "Unpack", "ZerosLike", "OnesLike", "Split",
    "Transpose", "ReverseV2", "MirrorPad", "SpaceToBatchND", "BatchToSpaceND", "Floor", "Ceil", "Round", "Equal",
    "NotEqual", "Greater", "GreaterEqual", "Less", "LessEqual", "LogicalAnd", "LogicalOr", "LogicalNot", "ArgMax",
    "Shape", "Fill", "Range", "Reciprocal", "FloorDiv", "ExpandDims",
))  # fmt: skip
_OUTPUTS_UNUSED = frozenset((
    "Abs", "Add", "AddN", "AddV2", "ArgMax", "AvgPool", "AvgPool3D", "BatchMatMulV2", "BatchToSpaceND", "BiasAdd",
    "BroadcastTo", "Cast", "Ceil", "ConcatV2", "Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2",
    "Cos", "DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropInput", "DivNoNan", "Einsum", "Equal", "Erf", "Erfc",
    "ExpandDims", "Expm1", "Fill", "Floor", "FloorDiv", "FloorMod", "GatherV2", "Greater", "GreaterEqual", "Identity",
    "IdentityN", "LeakyRelu", "Less", "LessEqual", "Log", "Log1p", "LogicalAnd", "LogicalNot", "LogicalOr", "MatMul",
    "Maximum", "Minimum", "MirrorPad", "Mul", "MulNoNan", "Neg", "NotEqual", "OnesLike", "Pack", "Pad", "PadV2", "Prod",
    "Range", "ReadVariableOp", "RealDiv", "Reshape", "ResizeBicubic", "ResizeBilinear", "ResizeNearestNeighbor",
    "ReverseV2", "Round", "Shape", "Sign", "Sin", "Softplus", "Softsign", "SpaceToBatchND", "Split", "SplitV", "Square",
    "StatefulPartitionedCall",
    "SquaredDifference", "Squeeze", "StopGradient", "StridedSlice", "Sub", "Sum", "Tile", "Transpose", "Unpack",
    "UnsortedSegmentSum", "Xdivy", "ZerosLike",
))  # fmt: skip
_DRAWN = "StatelessRandomUniformV2"

Ends = dict[int, tuple[int, tuple[Value, ...]]]  # op → the last op of its gradient function, and what that took


class Kept:
    """For each value the place of the op after which it goes: its last reader, unless it is held for longer."""

    def __init__(self, graph: OpGraph) -> None:
        self.graph = graph
        self._last = [[op.index] * len(op.outputs) for op in graph.ops]
        self._silu: set[int] = set()
        for op in graph.ops:
            for source, index in op.inputs:
                places = self._last[source.index]
                places[index] = max(places[index], op.index)
                if source.type == "Mul" and source.inputs[0].op.type == _DRAWN:  # a local name until it returns
                    self._last[source.inputs[0].op.index][0] = op.index
            if op.type == "IdentityN" and op.attrs.get("gradient") == "swish":
                gates = [value.op for value in op.inputs[0].op.inputs if value.op.type == "Sigmoid"]
                self._silu.update(gate.index for gate in gates if gate.inputs[0] == op.inputs[1])  # x may be one too

    def last(self, value: Value) -> int:
        return self._last[value.op.index][value.index]

    def hold(self, value: Value, until: int) -> None:
        if is_sparse(value):  # no op of the graph: its rows and their places are
            for part in value.op.inputs:
                self.hold(part, until)
            return
        places = self._last[value.op.index]
        places[value.index] = max(places[value.index], until)

    def readers(self, until: int) -> dict[Value, list[str]]:
        """The layers that read each value in the forward pass."""
        found: dict[Value, list[str]] = {}
        for op in self.graph.ops[: until + 1]:
            for value in op.inputs:
                found.setdefault(value, []).append(op.layer)
        return found

    def hold_captures(self, ends: Ends) -> None:
        """What the tape keeps for each recorded op, until its gradient is done or the reverse pass begins."""
        ops = self.graph.ops
        begin = next((op.index for op in ops if op.phase == BACKWARD), len(ops)) - 1
        taped = _tape(self.graph)
        for op in ops[: begin + 1]:
            if not taped[op.index] or op.phase not in (FORWARD, LOSS):
                continue
            end, taken = ends.get(op.index, (begin, ()))
            for value in taken:
                self.hold(value, end)
            if op.type == "StatefulPartitionedCall":  # a function: its call and its gradient refer to each other
                for value in op.inputs:
                    self.hold(value, len(ops))
            if "gradient" in op.attrs or op.type not in _INPUTS_UNUSED:
                for place, value in enumerate(op.inputs):
                    if op.attrs.get("gradient") != "swish" or place:
                        self.hold(value, end)
            if op.type not in _OUTPUTS_UNUSED or "gradient" in op.attrs:
                for index in range(len(op.outputs)):
                    self.hold(Value(op, index), end)

    def hold_locals(self, layers: frozenset[str]) -> None:
        """Normalizations end in ``x * inv + res``: ``inv`` and ``res`` are names that last until they return, and so
        are the moments, and the cast of ``x`` where they compute in float32 instead of their own dtype."""
        last: dict[str, list[Op]] = {}
        for op in self.graph.ops:
            if op.layer in layers and op.phase == FORWARD:
                last.setdefault(op.layer, []).append(op)
        for ops in last.values():
            back = ops.pop() if len(ops) > 2 and ops[-1].type == "Cast" else None
            product, total = ops[-2:] if len(ops) > 1 else (ops[0], ops[0])
            for value in product.inputs:
                if self.last(value) == product.index:
                    self.hold(value, total.index)
            for op in ops:
                if op.type == "Mean":  # mean and variance
                    self.hold(op.out(), (back or total).index)
            if back is not None:
                named = [*product.inputs, *(value for value in total.inputs if value.op.type != "Mul")]
                if ops[0].type == "Cast" and ops[0].outputs[0].shape == back.outputs[0].shape:
                    named.append(ops[0].out())
                for value in named:
                    self.hold(value, back.index)

    def hold_activated(self) -> None:
        """What an activation is taken of is a name until it returns."""
        for op in self.graph.ops:
            if ACTIVATED in op.attrs and op.phase == FORWARD:
                self.hold(op.attrs[ACTIVATED], op.index)

    def hold_logits(self) -> None:
        """What a sigmoid or a softmax of Keras's was taken of hangs on its output, for the loss (``_keras_logits``);
        one of TensorFlow's is ``plain``."""
        for op in reversed(self.graph.ops):
            if op.type not in ("Sigmoid", "Softmax") or "plain" in op.attrs:
                continue
            if op.phase == FORWARD and op.index not in self._silu:
                self.hold(op.inputs[0], self._last[op.index][0])

    def scratch(self, op: Op, kind: OpType) -> tuple[int, ...]:
        """Buffers that live while the op runs."""
        if op.index in self._silu and op.phase == FORWARD:
            return (op.outputs[0].bytes,)  # beta · x, which grappler would drop
        if kind.scratch is None:
            return ()
        return kind.scratch([source.outputs[index] for source, index in op.inputs], op.outputs, op.attrs)

    def early(self, op: Op, kind: OpType) -> tuple[tuple[int, bool], ...]:
        """Those that it allocates before its outputs, and whether they stay while it runs. No gradient of maxima is
        oneDNN's here."""
        if op.type == "MaxPoolGrad":
            return maxima_again(op.inputs[1].spec)
        if kind.early is None:
            return ()
        return kind.early([source.outputs[index] for source, index in op.inputs], op.outputs, op.attrs)


def run_backwards(
    graph: OpGraph, starts: Sequence[tuple[Value, Value]], sources: Sequence[Variable]
) -> tuple[list[Value | None], Ends]:
    """The reverse pass, and for each op of the forward pass where its gradient ended."""
    taped = _tape(graph)
    graph.phase = BACKWARD
    reverse = _EagerReverse(graph, taped, starts)
    return [reverse.result(variable) for variable in sources], reverse.ends


class _EagerReverse(_Reverse):
    """Notes the end of each gradient function and what it took."""

    def __init__(self, graph: OpGraph, taped: bytearray, starts: Sequence[tuple[Value, Value]]) -> None:
        self.ends: Ends = {}
        super().__init__(graph, taped, starts)

    def _gradients(self, op: Op) -> Grads:
        taken = []
        self.graph.layer = op.layer
        for index in range(len(op.outputs)):
            grads = self.found.get((op.index, index))
            if grads:
                grads[:] = [self._sum(grads)]
                taken += grads
        own = _OWN.get(op.attrs.get("gradient", op.type)) if len(taken) == 1 else None
        found: Grads | None = own(self.graph, op, taken[0]) if own is not None else None
        if found is not None:
            self.found.pop((op.index, 0))
        else:
            found = super()._gradients(op)
        if taken:
            for value, grad in zip(op.inputs, found, strict=True):
                if grad is not None and not self.taped[value.op.index]:
                    self.graph.add("NoOp", (grad,), ())  # it lasts until the function returns
            self.ends[op.index] = (len(self.graph.ops) - 1, tuple(taken))
        return found


def _convolved(graph: OpGraph, op: Op, grad: Value) -> Grads:
    """Of the data too where it leads to no weight, as in a model's first layer (nn_grad.py, ``_Conv2DGrad``)."""
    graph.layer = op.layer
    return gradient_of(op)(graph, op, grad, frozenset())


def _silu(graph: OpGraph, op: Op, grad: Value) -> Grads | None:
    """tf.nn.silu's gradient with beta's, which grappler would drop (nn_impl.py, ``swish_impl``)."""
    x = op.inputs[1]

    def like(type_: str, *inputs: Value) -> Value:
        return graph.add(type_, inputs, (x.spec,))

    if op.type != "IdentityN":
        return None
    graph.layer = op.layer
    sigmoid = like("Sigmoid", like("Mul", x))
    scaled, rest = like("Mul", x), like("Sub", sigmoid)
    slope = like("Mul", sigmoid, like("AddV2", like("Mul", scaled, rest)))
    weighed = like("Mul", like("Mul", grad, like("Square", x)), sigmoid)
    beta = like("Mul", weighed, like("Sub", sigmoid))
    graph.add("Sum", (beta,), axes=tuple(range(len(x.shape))), keepdims=False)
    found = like("Mul", grad, slope)
    graph.add("NoOp", (sigmoid, slope), ())  # names that last until the function returns
    return (None, found, *(None for _ in op.inputs[2:]))


def _divided(graph: OpGraph, op: Op, grad: Value) -> Grads | None:
    """By a number: the number's gradient is computed all the same (math_grad.py, ``_RealDivGrad``)."""
    x, y = op.inputs
    if y.op.type != "Const" or grad.shape != x.shape:
        return None
    graph.layer = op.layer
    found = graph.add("RealDiv", (grad, y), (x.spec,))
    twice = graph.add("RealDiv", (graph.add("RealDiv", (graph.add("Neg", (x,)), y), (x.spec,)), y), (x.spec,))
    slope = graph.add("Mul", (grad, twice), (x.spec,))
    graph.add("Sum", (slope,), axes=tuple(range(len(x.shape))), keepdims=False)
    return found, None


def _selected(graph: OpGraph, op: Op, grad: Value) -> Grads | None:
    """Both branches get theirs, also a constant one."""
    condition, first, second = op.inputs
    if any(value.shape not in (grad.shape, ()) for value in (first, second)):
        return None
    graph.layer = op.layer
    made = [graph.add("SelectV2", (condition, grad), (grad.spec,)) for _ in (first, second)]
    graph.add("NoOp", made, ())  # both are there when the function returns
    return (None, *(grad if value.shape else None for value, grad in zip((first, second), made, strict=True)))


def _extremum(graph: OpGraph, op: Op, grad: Value) -> Grads:
    """Where the extrema are, and how many, are names (math_grad.py, ``_MinOrMaxGrad``)."""
    graph.layer = op.layer
    found = gradient_of(op)(graph, op, grad, frozenset())
    if found[0] is not None:
        graph.add("NoOp", found[0].op.inputs[0].op.inputs, ())
    return found


def _chosen(graph: OpGraph, op: Op, grad: Value) -> Grads | None:
    """Zeros are a tensor, and a name (math_grad.py, ``_MaximumMinimumGrad``)."""
    if any(value.op.type == "Const" for value in op.inputs):
        return None
    graph.layer = op.layer
    zeros = graph.add("Fill", (), (grad.spec,))
    found = chosen(graph, op, grad, zeros)
    graph.add("NoOp", (zeros,), ())
    return found


_CONVOLUTIONS = (
    "Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "Conv3DBackpropInputV2",
    "DepthwiseConv2dNativeBackpropInput",
)  # fmt: skip
_OWN: dict[str, Callable[[OpGraph, Op, Value], Grads | None]] = {
    "swish": _silu, "RealDiv": _divided, "SelectV2": _selected, "Max": _extremum, "Min": _extremum,
    "Maximum": _chosen, "Minimum": _chosen,
    **dict.fromkeys(_CONVOLUTIONS, _convolved),
}  # fmt: skip
