"""A step compiled by XLA: in which order layers, instructions and readers stand; what stands alone or moves."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.lowering.turns import Turns
from cnncost.memory.opgraph import BACKWARD, FORWARD, Op, OpGraph, Value
from cnncost.memory.predict import predict
from cnncost.memory.spec import Spec
from cnncost.memory.xla import program_of
from cnncost.memory.xla.compile import Plan
from cnncost.memory.xla.creation import creation_order
from cnncost.memory.xla.fusion import connect, fuse
from cnncost.memory.xla.hlo import Hlo, Module


def conv(filters: int, size: int = 3, name: str = "", reads: str = "", **more: Any) -> dict[str, Any]:
    made = {"Conv2D": {"filters": filters, "kernel_size": size, "padding": "same", "activation": "relu", **more}}
    if name:
        made["Conv2D"]["name"] = name
    return {**made, "inputs": reads} if reads else made


HEAD: list[Any] = ["GlobalAveragePooling2D", {"Dense": {"units": 10, "activation": "softmax"}}]
FORK: list[Any] = [
    conv(20, name="stem"), conv(8, 1, "a", "stem"), conv(12, 1, "b", "stem"), conv(16, 3, "b2"),
    {"MaxPooling2D": {"pool_size": 3, "strides": 1, "padding": "same", "name": "p"}, "inputs": "stem"},
    conv(10, 1, "p2"), {"Concatenate": {"name": "joined"}, "inputs": ["a", "b2", "p2"]},
]  # fmt: skip


def analysis(layers: list[Any], shape: tuple[int, ...] = (16, 16, 3), batch: int = 2) -> Any:
    return cnncost.analyze({"name": "small", "input": list(shape), "layers": layers}, batch=batch)


def module() -> Module:
    made = Module()
    made.op = Op(0, "Test", "test", "layer", FORWARD, [], (), {})
    return made


def instructions(layers: list[Any], type_: str, mode: str = "training") -> list[Hlo]:
    program = program_of(analysis(layers), mode, "sgd" if mode == "training" else None)
    return [hlo for hlo in program.module.all if hlo.op.type == type_]


# -- recorded: requested bytes of real steps (TensorFlow 2.21, two cores) ----------------------------------------------


@pytest.mark.parametrize(
    ("source", "batch", "optimizer", "measured", "within"),
    [
        ("zoo:unet", 1, None, 216_925_312, 0), ("zoo:lenet5-table", 2, "sgd", 483_924, 0),
        ("zoo:alexnet-one-tower", 2, "sgd", 198_384_332, 256), ("zoo:googlenet", 2, "sgd", 167_633_892, 1_500_000),
        ("keras:ConvNeXtTiny", 2, "sgd", 599_671_116, 8192),
    ],
)  # fmt: skip
def test_recorded_peaks(source: str, batch: int, optimizer: str | None, measured: int, within: int) -> None:
    """AlexNet lacks four scalars of 64 bytes each; ConvNeXt has compiled functions inside."""
    mode = "training" if optimizer else "inference"
    found = predict(cnncost.analyze(source, batch=batch), mode, optimizer, "xla")
    assert abs(found.peak_bytes - measured) <= within
    assert found.low_bytes <= measured <= found.high_bytes


# -- the order of layers and of ops ------------------------------------------------------------------------------------


def test_branches_run_side_by_side() -> None:
    """By depth; among equals those first that are met first from the output on: a, b2, p2; then what those read."""
    graph = analysis([*FORK, *HEAD]).graph
    turns = Turns(graph)
    names = [graph.layers[index].name for index in turns.run()]
    assert names[1:8] == ["stem", "p", "b", "a", "b2", "p2", "joined"]
    assert [graph.layers[index].name for index in turns.listed()][1:8] == ["stem", "b", "p", "a", "b2", "p2", "joined"]


def test_what_no_output_needs_comes_last() -> None:
    spec = {"input": [8, 8, 3], "layers": [conv(4, name="lost"), conv(4, name="kept", reads="input")]}
    graph = cnncost.analyze({**spec, "outputs": ["kept"]}).graph
    assert [graph.layers[index].name for index in Turns(graph).run()] == ["input", "kept", "lost"]


def test_the_filter_comes_before_the_data_and_sums_before_gradients() -> None:
    graph = OpGraph()
    graph.layer = "a"
    x = graph.argument("x", Spec((2, 2), "float32"))
    graph.phase = BACKWARD

    def add(type_: str, *read: Value) -> Op:
        return graph.add(type_, read, (Spec((2, 2), "float32"),)).op

    start = add("Relu", x).out()
    data, kernel = add("Conv2DBackpropInput", start, start), add("Conv2DBackpropFilter", start, start)
    total = add("AddN", start, start)
    turns = creation_order(graph.ops, "small", "sgd")
    assert turns[id(total)] < turns[id(kernel)] < turns[id(data)]


def test_iotas_stand_before_what_constants_fill() -> None:
    """Iotas of the first pool first; zeros once the parameters' readers are queued."""
    layers = [conv(4), {"MaxPooling2D": 2}, conv(4), {"MaxPooling2D": 2}, *HEAD]
    nodes = Plan(program_of(analysis(layers), "training", "sgd")).ordered().sequence
    iotas = [node for node in nodes if node.hlo.opcode == "iota"]
    zeros = [node for node in nodes if node.hlo.opcode == "zeros"]
    assert [node.hlo.shape[1] for node in iotas] == [16] * 4 + [8] * 4
    first = next(node for node in nodes if node.hlo.opcode == "convolution")
    assert max(node.number for node in iotas) < first.number < min(node.number for node in zeros)


# -- what is fused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wide", "alone"), [(128, True), (127, False)])
def test_a_wide_concatenation_stands_alone(wide: int, alone: bool) -> None:
    program = module()
    x, y = (program.add("convolution", (), (4, n), "float32") for n in (wide - 64, 64))
    parts = [program.map("abs", (value,), Spec(value.shape, "float32")) for value in (x, y)]
    made = program.add("concatenate", [part for part in parts if part], (4, wide), "float32")
    connect(program.all)
    roots = {kernel.root.index for kernel in fuse(program.all, (made,))}
    assert ({part.index for part in parts if part} <= roots) is alone


def test_two_orders_of_reading_are_no_reuse() -> None:
    """A power that two paddings read goes into their sum: reuse is handed on producer by producer."""
    program = module()
    x = program.add("convolution", (), (4, 8), "float32")
    power = program.map("power", (x, None), Spec((4, 8), "float32"))
    assert power is not None
    scaled = program.map("multiply", (power, x), Spec((4, 8), "float32"))
    assert scaled is not None
    pads = [program.add("pad", (scaled,), (4, 9), "float32") for _ in range(2)]
    total = program.map("add", pads, Spec((4, 9), "float32"))
    assert total is not None
    connect(program.all)
    kernels = {kernel.root.index: set(kernel.content) for kernel in fuse(program.all, (total,))}
    assert power.index not in kernels


# -- what is simplified ------------------------------------------------------------------------------------------------


def test_dividing_by_a_power_multiplies() -> None:
    program, spec = module(), Spec((4, 8), "float32")
    x = program.add("convolution", (), *spec)
    power = program.map("power", (x, None), spec)
    one, two = (program.map("divide", (x, power), spec) for _ in range(2))
    assert one is not None and one is two and one.opcode == "multiply"
    assert one.inputs[1].opcode == "power" and one.inputs[1] is not power


def test_sums_go_into_a_scatter_that_is_read_once() -> None:
    program, spec = module(), Spec((4, 8), "float32")
    x, y, places = (program.add("convolution", (), *spec) for _ in range(3))
    scattered = program.add("scatter", (x, places, y), *spec)
    assert (made := program.map("add", (y, scattered), spec)) and made.opcode == "add"
    program.once.add(scattered.index)
    made = program.map("add", (scattered, y), spec)
    assert made is not None and made.opcode == "scatter" and made.inputs[0].opcode == "add"


def test_a_window_in_one_place_is_a_product() -> None:
    """LeNet's third convolution: 5 × 5 on 5 × 5."""
    layers = [conv(4, 16, padding="valid"), "Flatten", {"Dense": 10}]
    assert [hlo.opcode for hlo in instructions(layers, "Conv2DBackpropFilter")][-2] == "pointwise"
    assert all(hlo.opcode != "convolution" for hlo in instructions(layers, "Conv2DBackpropFilter"))


def test_a_part_of_what_is_repeated_is_repeated() -> None:
    """The gradient of global averages of a concatenation."""
    made = instructions([*FORK, *HEAD], "Slice")
    assert made and all(hlo.elements <= 2 * 46 for hlo in made if hlo.opcode == "slice")


@pytest.mark.parametrize(("padding", "side"), [("same", 16 + 2), ("valid", 16)])
def test_averages_gradient_covers_the_padding(padding: str, side: int) -> None:
    layers = [conv(4), {"AveragePooling2D": {"pool_size": 3, "strides": 1, "padding": padding}}, *HEAD]
    windows = [hlo for hlo in instructions(layers, "AvgPoolGrad") if hlo.opcode == "reduce-window"]
    assert [hlo.shape for hlo in windows] == [(2, side, side, 4)]


@pytest.mark.parametrize(("outputs", "shape"), [(1, (8, 3, 3, 8)), (2, (1, 3, 3, 8, 2))])
def test_groups_of_several_outputs_are_an_axis_of_their_own(outputs: int, shape: tuple[int, ...]) -> None:
    """Those of one output each are computed with all others: 8 · 3 · 3 · 8 values for 3 · 3 · 8."""
    depthwise = {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same", "depth_multiplier": outputs}}
    made = instructions([conv(8), depthwise, *HEAD], "DepthwiseConv2dNativeBackpropFilter")
    assert [hlo.shape for hlo in made if hlo.opcode == "convolution"] == [shape]


@pytest.mark.parametrize(("size", "opcode"), [(1, "multiply"), (3, "convolution")])
def test_a_depthwise_window_of_one_multiplies(size: int, opcode: str) -> None:
    layers = [conv(8), {"DepthwiseConv2D": {"kernel_size": size, "padding": "same"}}, *HEAD]
    for type_ in ("DepthwiseConv2dNative", "DepthwiseConv2dNativeBackpropInput"):
        assert opcode in {hlo.opcode for hlo in instructions(layers, type_)}


def test_a_dilated_convolution_pads_first() -> None:
    """2 × 2 blocks of (16 + 2 · 2) / 2 = 10 values a side."""
    made = instructions([conv(4), conv(4, dilation_rate=2), *HEAD], "SpaceToBatchND")
    shapes = [(hlo.opcode, hlo.shape) for hlo in made if hlo.op.phase == FORWARD]
    assert shapes == [("pad", (2, 20, 20, 4)), ("transpose", (8, 10, 10, 4))]


# -- real steps --------------------------------------------------------------------------------------------------------

MIXED: list[Any] = [
    *FORK, {"DepthwiseConv2D": {"kernel_size": 3, "padding": "same", "depth_multiplier": 2}}, conv(12, dilation_rate=2),
    {"AveragePooling2D": {"pool_size": 3, "strides": 1, "padding": "same"}}, conv(8), *HEAD,
]  # fmt: skip


@pytest.mark.keras
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_real_step_of_many_kinds(optimizer: str) -> None:
    pytest.importorskip("tensorflow")
    from cnncost.export import keras_names, to_config
    from cnncost.measure.child import run
    from cnncost.measure.records import Job

    found = analysis(MIXED, (24, 24, 3))
    told = predict(found, "training", optimizer, "xla")
    job = Job(
        model={"config": to_config(found.graph)}, names=keras_names(found.graph), mode="training", optimizer=optimizer,
        batch=2, executor="xla", steps=1, seconds=1.0,
    )  # fmt: skip
    measured = run(job).peak_bytes
    assert measured is not None
    assert told.low_bytes <= measured <= told.high_bytes
    assert abs(told.peak_bytes / measured - 1) < 0.01


# -- what is repeated --------------------------------------------------------------------------------------------------


def gated(x: str, name: str) -> list[Any]:
    """Channels weighed by what a small convolution makes of their means."""
    return [
        {"GlobalAveragePooling2D": None, "inputs": x}, {"Reshape": {"target_shape": [1, 1, 16]}}, conv(4, 1),
        {"Conv2D": {"filters": 16, "kernel_size": 1, "activation": "sigmoid", "name": f"{name}_gate"}},
        {"Multiply": {"name": name}, "inputs": [x, f"{name}_gate"]},
    ]  # fmt: skip


def test_what_is_repeated_alike_is_computed_before() -> None:
    """The gradients that two readers of a gated value send back are both repeats of a few numbers: so is their sum,
    though the image is as wide as it has channels."""
    layers = [conv(16, name="a"), *gated("a", "b"), *gated("b", "c"), *HEAD]
    sums = [hlo for hlo in instructions(layers, "AddN") if hlo.opcode == "add"]
    assert {hlo.elements for hlo in sums} == {2 * 16}


def test_a_sum_of_repeats_is_a_product() -> None:
    """An average's gradient is one number for a channel; that of a doubled image is four times as much."""
    layers = [conv(8), {"UpSampling2D": 2}, *HEAD]
    made = [hlo for hlo in instructions(layers, "Sum") if hlo.op.phase == BACKWARD and hlo.op.layer.startswith("up")]
    assert made and {hlo.opcode for hlo in made} == {"multiply", "broadcast"}


def test_only_what_is_repeated_along_the_same_axes_is_computed_before() -> None:
    made = module()
    first, second = (made.add("parameter", (), (4,), "float32") for _ in range(2))
    full = Spec((4, 4), "float32")
    rows = made.broadcast(made.reshape(first, (4, 1)), full.shape)
    columns, others = (made.broadcast(made.reshape(value, (1, 4)), full.shape) for value in (first, second))
    crossed, alike = made.map("add", (rows, others), full), made.map("add", (columns, others), full)
    assert crossed is not None and crossed.opcode == "add"
    assert alike is not None and alike.opcode == "broadcast" and alike.inputs[0].shape == (4,)


def test_random_bits_come_in_fours() -> None:
    for size, expected in ((5, (2, 4)), (8, (2, 8, 8, 8))):
        layers = [conv(size), {"Dropout": {"rate": 0.5}}, *HEAD]
        found = {h.shape for h in program_of(analysis(layers, (size, size, 3)), "training", "sgd").module.all
                 if h.opcode == "random-bits"}  # fmt: skip
        assert len(found) == 1
        (shape,) = found
        assert shape == expected if size == 8 else shape == (-(-2 * 5**3 // 4), 4)
