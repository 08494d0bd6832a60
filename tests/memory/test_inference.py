"""Laws of the simulation on graphs small enough to reckon by hand, and laws that hold for every model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import cnncost
from cnncost.memory.executed import Tables
from cnncost.memory.opgraph import Op, OpGraph, Spec, Value
from cnncost.memory.optypes.base import table
from cnncost.memory.optypes.convolution import ONEDNN_CONVOLUTION
from cnncost.memory.optypes.elementwise import broadcast
from cnncost.memory.predict import predict_inference
from cnncost.memory.rewrite import rewrite
from cnncost.memory.schedule import ROOM, schedule
from cnncost.memory.simulation import Simulation
from cnncost.memory.sweep import sweep
from cnncost.memory.timeline import Sweep
from cnncost.memory.wires import wires

BIG = Spec((1, 100, 100, 1), "float32")  # 40,000 bytes


def peak(layers: list[Any], batch: int = 1, shape: tuple[int, ...] = (64, 64, 3)) -> int:
    found = cnncost.analyze(
        {"input": list(shape), "layers": layers}, batch=batch, processor="avx512"
    ).memory.inference_peak_bytes
    assert found is not None
    return found


def _alive(found: Sweep) -> list[int]:
    """Bytes of the buffers that live at the peak."""
    alive: dict[int, int] = {}
    for event in found.events[: found.at + 1]:
        alive[event.buffer] = alive.get(event.buffer, 0) + event.bytes
    return [size for size in alive.values() if size]


def swept(graph: OpGraph) -> Sweep:
    edges = wires(rewrite(graph))
    return sweep(schedule(range(len(edges.ops)), edges), graph.results, edges)


def scheduled(ops: list[Op], tables: Tables | None = None) -> list[Op]:
    """The ops, which stand in the executor's node order, as they run."""
    return [ops[number] for number in schedule(range(len(ops)), wires(ops), tables)]


# -- chains by hand ----------------------------------------------------------------------------------------------


def test_a_chain_of_convolutions() -> None:
    """Bias and ReLU are part of the convolution; while the second runs, its input and output live, and its scratch."""
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"}}
    assert peak([conv, conv]) == 2 * 64 * 64 * 8 * 4 + ONEDNN_CONVOLUTION


def test_a_separate_activation_writes_into_its_input() -> None:
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}
    assert peak([conv, "ReLU", "Flatten", {"Dropout": 0.5}]) == 64 * 64 * 8 * 4 + ONEDNN_CONVOLUTION


def test_batch_normalization_costs_its_scale_and_shift() -> None:
    """Multiplication and addition are in place; one scale and one shift of 8 values wait for the convolution, where its
    weights are read before its input, and a scratch of the convolution is gone by then. In other processes one or both
    are made later: ten real ones took 143,408, 143,440 or 143,472 bytes."""
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "use_bias": False}}
    most = 64 * 64 * 8 * 4 + ONEDNN_CONVOLUTION + 2 * 8 * 4
    analysis = cnncost.analyze({"input": [64, 64, 3], "layers": [conv, "BatchNormalization"]}, processor="avx512")
    assert Simulation(analysis, "inference", None).run().peak == most
    assert peak([conv, "BatchNormalization"]) in (most - 2 * 8 * 4, most - 8 * 4, most)


def test_max_pooling_has_a_workspace() -> None:
    """Input, output, and one byte for each output value: where the maximum was."""
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}
    big = 64 * 64 * 8 * 4
    assert peak([conv, {"MaxPooling2D": 2}]) == big + big // 4 + big // 16


def test_silu_is_one_op_that_writes_anew() -> None:
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "activation": "silu"}}
    assert peak([conv]) == 2 * 64 * 64 * 8 * 4


def test_padding_goes_into_the_convolution_behind_it() -> None:
    """…and costs a padded copy before a depthwise one."""
    valid = {"filters": 4, "kernel_size": 3, "strides": 2}
    assert peak(["ZeroPadding2D", {"Conv2D": valid}]) == 32 * 32 * 4 * 4 + ONEDNN_CONVOLUTION
    depthwise = {"DepthwiseConv2D": {"kernel_size": 3, "strides": 2}}
    assert peak(["ZeroPadding2D", depthwise]) == (66 * 66 + 32 * 32) * 3 * 4


def test_what_is_read_again_is_not_written_over() -> None:
    """Both branches read the convolution's output: the sigmoid needs a buffer of its own, the addition reuses one."""
    spec = {
        "input": [64, 64, 3],
        "layers": [
            {"Conv2D": {"name": "conv", "filters": 8, "kernel_size": 1}},
            {"Activation": {"name": "act", "activation": "sigmoid"}},
            {"Add": None, "inputs": ["conv", "act"]},
        ],
    }
    assert cnncost.analyze(spec, processor="avx512").memory.inference_peak_bytes == 2 * 64 * 64 * 8 * 4


# -- laws --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vgg16", "unet", "typical-cnn", "lenet5-table"])
def test_without_constants_bytes_grow_with_the_batch(name: str) -> None:
    """All but oneDNN's scratch is the batch's: four images from two and three (one is laid out differently)."""
    one, two, three = (
        predict_inference(cnncost.analyze(f"zoo:{name}", batch=b, processor="avx512")).peak_bytes for b in (2, 3, 4)
    )
    assert abs((three - two) - (two - one)) <= ONEDNN_CONVOLUTION
    assert two > one


@pytest.mark.parametrize("name", ["resnet50", "mobilenet-v2", "densenet121", "googlenet", "lenet5-1998"])
def test_books_balance(name: str) -> None:
    """Live bytes are the sum of the events, never negative, and end at what the step returns."""
    analysis = cnncost.analyze(f"zoo:{name}")
    found = predict_inference(analysis)
    live = 0
    for event in found.events:
        live += event.bytes
        assert live == event.live >= 0
    returned = sum(analysis.layers[ref.layer].outputs[ref.output].bytes or 0 for ref in analysis.graph.outputs)
    assert live == returned
    assert found.peak_bytes == max(event.live for event in found.events)
    assert sum(held.bytes for held in found.alive_at_peak) == found.peak_bytes
    assert sum(found.by_layer().values()) == found.peak_bytes


def test_half_precision_needs_half() -> None:
    conv = {"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "activation": "relu"}}
    spec = {"input": [64, 64, 3], "layers": [conv, conv]}
    half = cnncost.analyze(spec, dtype="float16", processor="amx").memory.inference_peak_bytes
    assert half == 2 * 64 * 64 * 8 * 2 + ONEDNN_CONVOLUTION
    own = cnncost.analyze(spec, dtype="float16", processor="avx512").memory.inference_peak_bytes
    assert own == 2 * 64 * 64 * 8 * 2  # TensorFlow's own kernel books no scratch


# -- op types ----------------------------------------------------------------------------------------------------


def test_broadcasting_is_numpys() -> None:
    numpy = pytest.importorskip("numpy")
    for a, b in [((4, 7, 7, 8), (8,)), ((), (3,)), ((4, 1, 1, 8), (7, 7, 1)), ((2, 1), (1, 5)), ((3,), (3,))]:
        assert broadcast(a, b) == numpy.broadcast_shapes(a, b)


def test_what_is_forwarded_fits() -> None:
    """No op type both shares and forwards; what shares allocates nothing, so that it has no scratch."""
    for kind in table().values():
        assert not (kind.shares and (kind.forwards or kind.scratch)), kind.name


# -- schedule and sweep on graphs made by hand -------------------------------------------------------------------


def chain(graph: OpGraph, x: Value, *types: str) -> Value:
    for type_ in types:
        x = graph.add(type_, (x,))
    return x


def test_the_last_expensive_reader_runs_first() -> None:
    """Last in, first out: of three branches the last is done before the one before it begins."""
    graph = OpGraph()
    x = graph.add("Exp", (graph.argument("x", BIG),))
    graph.results = [
        chain(graph, x, first, second) for first, second in (("Sin", "Neg"), ("Cos", "Abs"), ("Log", "Inv"))
    ]
    ops = rewrite(graph)
    assert [op.type for op in scheduled(ops)] == ["_Arg", "Exp", "Log", "Inv", "Cos", "Abs", "Sin", "Neg"]


def test_cheap_readers_go_first() -> None:
    """A view runs inline as soon as it is ready; the expensive op that became ready beside it waits."""
    graph = OpGraph()
    x = graph.add("Exp", (graph.argument("x", BIG),))
    exp = graph.add("Sin", (x,))
    view = graph.add("Reshape", (x,), shape=(100, 100))
    graph.results = [exp, view]
    assert [op.type for op in scheduled(rewrite(graph))] == ["_Arg", "Exp", "Reshape", "Sin"]


def test_an_op_waits_for_all_its_edges() -> None:
    graph = OpGraph()
    x = graph.argument("x", BIG)
    a, b = graph.add("Sin", (x,)), graph.add("Cos", (x,))
    graph.results = [graph.add("Mul", (a, b))]
    order = scheduled(rewrite(graph))
    assert order[-1].type == "Mul" and len(order) == 4


def test_nothing_is_written_over_that_the_caller_owns() -> None:
    graph = OpGraph()
    graph.results = [graph.add("Neg", (graph.argument("x", BIG),))]
    assert swept(graph).peak == BIG.bytes


def test_a_view_keeps_the_buffer() -> None:
    """The reshaped value and its source are one buffer: it is freed with its last reader, and counted once."""
    graph = OpGraph()
    x = graph.add("Exp", (graph.argument("x", BIG),))
    view = graph.add("Reshape", (x,), shape=(10_000,))
    graph.results = [graph.add("Max", (view,), axes=(0,), keepdims=False)]
    found = swept(graph)
    assert found.peak == BIG.bytes + 4
    assert [event.bytes for event in found.events] == [BIG.bytes, 4, -BIG.bytes]


def test_a_view_with_two_readers_is_not_written_over() -> None:
    graph = OpGraph()
    x = graph.add("Exp", (graph.argument("x", BIG),))
    view = graph.add("Reshape", (x,), shape=(10_000,))
    graph.results = [graph.add("Neg", (view,)), graph.add("Abs", (x,))]
    found = swept(graph)
    assert found.peak == 2 * BIG.bytes  # the first copies, the second takes the buffer over


def test_other_dtypes_are_not_taken_over() -> None:
    graph = OpGraph()
    x = graph.add("Exp", (graph.argument("x", BIG),))
    graph.results = [graph.add("Cast", (x,), to="int32")]
    assert swept(graph).peak == 2 * BIG.bytes


# -- rewriting ---------------------------------------------------------------------------------------------------


def types(graph: OpGraph) -> list[str]:
    return [op.type for op in rewrite(graph) if op.type not in ("_Arg", "Const", "ReadVariableOp")]


def convolved(graph: OpGraph, x: Value) -> Value:
    kernel = graph.read(graph.variable(f"kernel{len(graph.ops)}", Spec((1, 1, 1, 1), "float32")))
    bias = graph.read(graph.variable(f"bias{len(graph.ops)}", Spec((1,), "float32")))
    return graph.add("BiasAdd", (graph.add("Conv2D", (x, kernel), (BIG,), padding="valid"), bias))


def test_a_convolution_takes_bias_and_activation() -> None:
    graph = OpGraph()
    graph.results = [graph.add("Relu", (convolved(graph, graph.argument("x", BIG)),))]
    assert types(graph) == ["_FusedConv2D"]


def test_what_somebody_else_reads_is_not_fused() -> None:
    graph = OpGraph()
    sums = convolved(graph, graph.argument("x", BIG))
    graph.results = [graph.add("Relu", (sums,)), sums]
    assert types(graph) == ["_FusedConv2D", "Relu"]


def test_a_residual_addition_goes_into_the_convolution_and_its_buffer() -> None:
    graph = OpGraph()
    x = graph.add("Exp", (graph.argument("x", BIG),))
    graph.results = [graph.add("AddV2", (convolved(graph, graph.add("Sin", (x,))), x))]
    found = swept(graph)
    assert sorted(_alive(found), reverse=True) == [BIG.bytes, BIG.bytes, ONEDNN_CONVOLUTION]


def test_neutral_constants_and_identities_disappear() -> None:
    graph = OpGraph()
    x = graph.argument("x", BIG)
    y = graph.add("AddV2", (graph.add("Mul", (x, graph.constant(1.0))), graph.constant(0.0)))
    graph.results = [graph.add("Neg", (graph.add("IdentityN", (y, x), gradient="swish"),))]
    assert types(graph) == ["Neg"]


def test_equal_ops_are_one() -> None:
    graph = OpGraph()
    x = graph.argument("x", BIG)
    graph.results = [graph.add("Sin", (graph.add("Exp", (x,)),)), graph.add("Cos", (graph.add("Exp", (x,)),))]
    assert types(graph) == ["Exp", "Sin", "Cos"]


def test_a_sum_of_sums_is_one() -> None:
    """All three addends then live until the last is there."""
    graph = OpGraph()
    x = graph.argument("x", BIG)
    a, b, c = (graph.add(name, (x,)) for name in ("Sin", "Cos", "Exp"))
    graph.results = [graph.add("AddV2", (graph.add("AddV2", (a, b)), c))]
    found = swept(graph)
    assert [op.type for op in graph.ops if op.type.startswith("Add")] == ["AddN"]
    assert found.peak == 3 * BIG.bytes


def test_unread_ops_are_pruned() -> None:
    graph = OpGraph()
    x = graph.argument("x", BIG)
    graph.add("Sin", (x,))
    graph.results = [graph.add("Cos", (x,))]
    kept: list[Op] = rewrite(graph)
    assert [op.type for op in kept] == ["_Arg", "Cos"] and [op.index for op in kept] == [0, 1]


def test_local_response_normalization_sums_views() -> None:
    """2r + 1 views of the padded squares live at once, beside them and the input."""
    size, padded = 32 * 32 * 16 * 4, 32 * 32 * 20 * 4
    conv = {"Conv2D": {"filters": 16, "kernel_size": 1, "padding": "same"}}
    assert peak([conv, {"LocalResponseNormalization": 2}], shape=(32, 32, 3)) == 6 * size + padded


def test_a_full_queue_runs_at_once() -> None:
    """Of 1,500 arguments that one op each waits for, all run first: 1,024 ops find a place and are taken last first."""
    graph, count = OpGraph(), 1500
    for place in range(count):
        graph.add("Exp", [graph.argument(f"x{place}", Spec((4,), "float32"))])
    place = {op: number // 2 for number, op in enumerate(graph.ops)}
    order = scheduled(graph.ops, Tables(list(range(count)), {}))
    ran = [place[op] for op in order if op.type == "Exp"]
    assert ran == [*range(ROOM, count), *reversed(range(ROOM))]
    plain = scheduled(graph.ops)
    assert [place[op] for op in plain if op.type == "Exp"] == list(range(count))
    assert [op.type for op in plain] == ["_Arg", "Exp"] * count


def test_ops_that_are_ready_together_are_queued_in_crowds() -> None:
    """1,200 readers of one value: the last runs at once, then crowds of 500, last first, and last first in each."""
    graph = OpGraph()
    x = graph.argument("x", Spec((4,), "float32"))
    made = [graph.add("Exp", [x]).op for _ in range(1200)]
    assert scheduled(graph.ops, Tables([0], {}))[1:] == made[::-1]


@pytest.mark.parametrize(("batch", "measured"), [(1, 1_792), (2, 9_176)])
def test_a_transpose_that_moves_axes_of_one_element_is_a_view(batch: int, measured: int) -> None:
    """Measured: the first permutation writes anew, the second does not."""
    layers: list[Any] = [
        {"Permute": [[2, 1]]}, {"Conv1D": {"filters": 4, "kernel_size": 3}}, {"Reshape": [[6, 1, 4]]},
        {"Permute": [[2, 1, 3]]}, {"Conv2D": {"filters": 4, "kernel_size": [1, 3]}}, "Flatten", {"Dense": 2},
    ]  # fmt: skip
    analysis = cnncost.analyze({"name": "tr", "input": [12, 8], "layers": layers}, batch=batch, processor="avx-vnni")
    found = predict_inference(replace(analysis, processor=analysis.processor._replace(cache=512 << 10)))
    assert found.peak_bytes == measured
    assert [e.bytes for e in found.events if e.op.type == "Transpose" and e.bytes > 0] == [batch * 12 * 8 * 4]
