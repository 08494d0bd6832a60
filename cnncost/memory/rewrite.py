"""What TensorFlow's graph optimizer makes of the traced ops, where it changes what is allocated.

Grappler's remapper fuses a convolution or matrix product with its bias and activation; oneDNN's layout pass takes the
padding before a convolution into it, and x·sigmoid(x) into one op. A fusion needs that nobody else reads what lies
between. What the step does not return and no assignment needs is pruned. Sources: remapper.cc, mkl_layout_pass.cc of
TensorFlow 2.21, and the optimized graphs of captured steps.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from cnncost.memory.compiled import rankless, shapeless
from cnncost.memory.constants import INVERTED
from cnncost.memory.contraction import (
    ACTIVATIONS,
    ALONE,
    UNKNOWN,
    fuse_bias,
    fuse_bias_alone,
    fuse_pad,
    fuse_single,
    lost,
    merge_bias,
    only_reader,
    refused,
)
from cnncost.memory.late_constants import SEVERAL
from cnncost.memory.monotonic import postpone_monotonic
from cnncost.memory.names import number
from cnncost.memory.opgraph import BACKWARD, UNTOLD, UPDATE, Op, OpGraph, Value
from cnncost.memory.pruning import drop, prune, pruned_readers
from cnncost.memory.regroup import regroup
from cnncost.memory.rewrite_joins import merge_joins
from cnncost.memory.swish import scale_swish

_HARD = ("Conv2D", "DepthwiseConv2dNative")  # fused with a hard swish


def rewrite(graph: OpGraph, last: bool = True) -> list[Op]:
    """The ops that run, in the order of creation, renumbered. Changes the graph's ops. ``last``: no other pass follows
    that prunes what the fusions left over."""
    unranked = rankless(graph)
    if unranked:
        scale_swish(graph, unranked)
        unranked = rankless(graph)
    count = drop(graph, _bypass(graph, unranked))
    merge_equals(graph, count)
    if merge_joins(graph):
        count = prune(graph)  # what is left over is no reader
    postpone_monotonic(graph)
    regroup(graph, count)
    readers = pruned_readers(graph)
    fused = graph.processor.fused
    for op in shapeless(graph):
        if op.type == "AddV2":
            op.attrs[UNKNOWN] = True
    looked_at = [op for op in graph.ops if op.type in _LOOKED_AT]
    graph.mapped = not (fused and refused(looked_at, readers))
    if graph.mapped and lost(looked_at, readers, fused):
        graph.ignored = not graph.loops
    rules = (_RULES if graph.mapped else _UNMAPPED) if fused else _OWN_RULES
    for op in looked_at:
        if op.type in rules:
            rule = rules[op.type]
            if op.outputs[0].dtype in fused or rule in _ANYWHERE:
                rule(op, readers)
    if last:
        prune(graph)
    return graph.ops


def _fold_transpose(product: Op, readers: list[list[Op | None]]) -> None:
    """A product that reads a matrix turned over turns it itself (arithmetic_optimizer.cc: FoldTransposeIntoMatMul)."""
    for place, flag in enumerate(("transpose_a", "transpose_b")):
        turn = product.inputs[place].op
        rank = len(product.inputs[place].shape)
        if turn.type != "Transpose" or turn.attrs["perm"] != (*range(rank - 2), rank - 1, rank - 2):
            continue
        source = turn.inputs[0]
        product.attrs = {**product.attrs, flag: not product.attrs.get(flag, False)}
        product.inputs = [source if i == place else value for i, value in enumerate(product.inputs)]
        readers[turn.index].remove(product)
        readers[source.op.index].append(product)


def _fuse_product(product: Op, readers: list[list[Op | None]]) -> None:
    """x·sigmoid(x), x·tanh(softplus(x)) and, behind a convolution's bias, (x/6)·relu6(x + 3) as one op; the latter two
    inside the convolution where it has a bias."""
    x, gate = product.inputs
    if gate.op.type not in _GATES or only_reader(gate.op, readers) is not product:
        return
    if gate.op.type == "Sigmoid" and gate.op.inputs[0] == x:
        product.type = "_MklSwish"
        product.inputs = [x]
    elif gate.op.type == "Tanh" and gate.op.inputs[0].op.type == "Softplus":
        inner = gate.op.inputs[0].op
        if inner.inputs[0] == x and only_reader(inner, readers) is gate.op:
            if x.op.type == "_FusedConv2D" and _bias_alone(x.op) and len(readers[x.op.index]) == 2:
                _take_over(product, x.op, "Mish", readers)
                return
            product.type = "_MklFusedMish"
            product.inputs = [x]
    elif gate.op.type == "Relu6" and x.op.type == "Mul":
        _fuse_hard_swish(product, readers)


def _fuse_hard_swish(product: Op, readers: list[list[Op | None]]) -> None:
    """A convolution with bias whose values x are read by x/6 and x + 3 alone."""
    sixth, shifted = product.inputs[0].op, product.inputs[1].op.inputs[0].op
    x = next((value for value in sixth.inputs if value.op.type != "Const"), None)
    if x is None or not _bias_alone(x.op) or not x.op.type.endswith(_HARD) or len(sixth.inputs) < 2:
        return
    if shifted.type != "AddV2" or x not in shifted.inputs or len(readers[x.op.index]) != 2:
        return
    if only_reader(sixth, readers) is not product or only_reader(shifted, readers) is not product.inputs[1].op:
        return
    _take_over(product, x.op, "_FusedHardSwish", readers)


def _bias_alone(op: Op) -> bool:
    return bool(op.attrs.get("fused") == ("BiasAdd",))


def _take_over(product: Op, convolution: Op, activation: str, readers: list[list[Op | None]]) -> None:
    """The product becomes the convolution, with the activation that it ends."""
    product.type = convolution.type
    product.attrs = {**convolution.attrs, "fused": ("BiasAdd", activation)}
    product.inputs = list(convolution.inputs)
    for source, _ in product.inputs:
        readers[source.index] = [product if r is convolution else r for r in readers[source.index]]


def _bypass(graph: OpGraph, unranked: Container[Op]) -> list[int]:
    """Ops that only pass values on disappear: identities; x + 0, x·1, x/1, unless nothing is known of x's shape
    (``unranked``). A division by a constant is a product. Returns how often each op is read or waited for."""
    through: dict[int, Value] = {}
    read = [0] * len(graph.ops)
    for op in graph.ops:
        own = op.inputs
        for value in own:
            if value[0].index in through:
                own = op.inputs = [_source(through, value) for value in own]
                break
        for value in own:
            read[value[0].index] += 1
        if op.controls:  # what waits for it waits for what it passed on
            op.controls = [_source(through, Value(before, 0)).op for before in op.controls]
            for source in op.controls:
                read[source.index] += 1
        if op.type in _IDENTITIES:
            through[op.index] = op.inputs[0]
        elif op.type in _NEUTRAL and (op.inputs[0].op.type == "Const" or op.inputs[1].op.type == "Const"):
            kept = None if op in unranked else _neutral(op)
            if kept is not None:
                through[op.index] = kept
                kept.op.attrs[ALONE] = True
            elif op.type == "RealDiv" and op.inputs[1].op.type == "Const":
                op.type = "Mul"
                op.attrs[INVERTED] = True
        elif op.type in _ELEMENTS and op.inputs[0].op.type == "Pack":
            packed = _packed(op)
            if packed is not None:
                through[op.index] = packed
    graph.results = [_source(through, value) for value in graph.results]
    return read


def _packed(op: Op) -> Value | None:
    """An element of a stack is what was stacked (arithmetic_optimizer.cc: RemoveStackSliceSameAxis)."""
    stack, shape = op.inputs[0].op, op.outputs[0].shape
    if stack.attrs["axis"] or shape != stack.outputs[0].shape[1:] or "place" not in op.attrs:
        return None
    place: int = op.attrs["place"]
    return stack.inputs[place]


def merge_equals(graph: OpGraph, count: list[int]) -> None:
    """Common subexpressions: an op that does what an earlier one did, to the same values, becomes that one. ``count``:
    how often each op is needed, as ``prune`` counts, which stays true of what is left over too."""
    first: dict[Any, list[Op]] = {}  # by type and inputs
    through: dict[int, Value] = {}
    for op in graph.ops:
        own = op.inputs
        if through:
            for value in own:
                if value[0].index in through:
                    own = op.inputs = [_merged(through, value) for value in own]
                    break
        if not own or count[own[0][0].index] < 2 or op.controls or not op.outputs or op.type in _OWN:
            continue
        alike = first.setdefault(_key(op), [])
        same = next((other for other in alike if _equal(op, other)), None) if alike else None
        if same is None:
            alike.append(op)
            continue
        through[op.index] = Value(same, 0)
        if op.type == "Square" and op.phase == UPDATE and op.layer != same.layer:
            same.attrs[SEVERAL] = True
        if count[same.index] == 1:  # its one reader was passed by above, and may have an equal now
            for reader in graph.ops[same.index + 1 : op.index]:
                if reader.inputs and reader.inputs[0].op is same and reader.index not in through:
                    first.setdefault(_key(reader), []).append(reader)
        count[same.index] += count[op.index]
    graph.results = [_merged(through, value) for value in graph.results]


def _key(op: Op) -> tuple[Any, ...]:
    """An op's type and inputs; equal constants are one."""
    for value in op.inputs:
        if value.op.type == "Const":
            return (op.type, *map(_constant, op.inputs))
    return (op.type, *op.inputs)


def _constant(value: Value) -> Any:
    known = value.op.type == "Const" and not value.op.controls and UNTOLD not in value.op.attrs
    return number(value.op) if known else value


def _equal(op: Op, other: Op) -> bool:
    """Whether two ops of one type and the same inputs do the same. The sizes of a convolution's filter are a constant
    that waits for what the layer reads, its own filter too: the gradients of two layers' filters are never one."""
    if op.outputs != other.outputs:
        return False
    if op.type in _FILTERS and op.layer != other.layer and op.inputs[0].op.phase != BACKWARD:
        return False
    return op.attrs == other.attrs or _without_gradient(op.attrs) == _without_gradient(other.attrs)


def _without_gradient(attrs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attrs.items() if name not in ("gradient", SEVERAL)}


def _merged(through: dict[int, Value], value: Value) -> Value:
    found = through.get(value.op.index)
    return value if found is None else Value(found.op, value.index)


def _source(through: dict[int, Value], value: Value) -> Value:
    op, index = value
    if op.index not in through:
        return value
    return through[op.index] if index == 0 else _source(through, op.inputs[index])


def _neutral(op: Op) -> Value | None:
    """The operand that a constant 0 or 1 beside it leaves as it is."""
    a, b = op.inputs
    for value, other in ((a, b), (b, a))[: 1 if op.type == "RealDiv" else 2]:
        constant = other.op
        if constant.type == "Const" and constant.attrs["value"] == _NEUTRAL[op.type]:
            return value if value.spec == op.outputs[0] else None
    return None


_FILTERS = frozenset({"Conv2DBackpropFilter", "Conv3DBackpropFilterV2"})
_IDENTITIES = frozenset({"Identity", "IdentityN", "StopGradient", "PreventGradient"})
_GATES = frozenset(("Sigmoid", "Tanh", "Relu6"))
_OWN = frozenset({"ReadVariableOp", "ReadVariableCopy", "StatefulPartitionedCall"})  # never merged: they have state
_ELEMENTS = frozenset({"_SliceView", "StridedSlice"})
_NEUTRAL = {"AddV2": 0.0, "Mul": 1.0, "RealDiv": 1.0}
_RULES = {
    "AddV2": fuse_single,
    "BiasAdd": fuse_bias,
    "Conv2D": fuse_pad,
    "Mul": _fuse_product,
    "BatchMatMulV2": _fold_transpose,
    "MatMul": _fold_transpose,
}
_OWN_RULES = {"BiasAdd": fuse_bias_alone, "BatchMatMulV2": _fold_transpose, "MatMul": _fold_transpose}  # without oneDNN
_ANYWHERE = frozenset((_fold_transpose, fuse_bias_alone))  # rules that know their dtypes, or have none
_LOOKED_AT = ACTIVATIONS | _RULES.keys() | {"AddN"}
_UNMAPPED = {kind: rule for kind, rule in _RULES.items() if kind not in ("AddV2", "Mul")} | {"BiasAdd": merge_bias}
