"""A step compiled by XLA: laws of fusion, order and placement; peaks recorded from real steps; real small runs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cnncost
from cnncost.errors import UnsupportedLayer
from cnncost.memory.opgraph import FORWARD, Op
from cnncost.memory.predict import predict
from cnncost.memory.spec import Spec
from cnncost.memory.xla.assign import Buffer, assign, chunks, heap_bytes, live_peak, merged
from cnncost.memory.xla.compile import Plan
from cnncost.memory.xla.emit import emit
from cnncost.memory.xla.fusion import connect, fuse
from cnncost.memory.xla.hlo import Hlo, Module
from cnncost.memory.xla.reduce import OFFLOADED, reduce


def conv(filters: int, size: int = 3, **more: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": filters, "kernel_size": size, "padding": "same", "use_bias": False, **more}}


HEAD: list[Any] = ["GlobalAveragePooling2D", {"Dense": {"units": 10, "activation": "softmax"}}]
BLOCK: list[Any] = [
    conv(16), "BatchNormalization", "ReLU", conv(32, strides=2), "BatchNormalization", "ReLU", *HEAD
]  # fmt: skip
RESIDUAL: list[Any] = [conv(32), "BatchNormalization", {"ReLU": {"name": "r0"}}]
for _i in range(3):
    RESIDUAL += [conv(32), "BatchNormalization", "ReLU", conv(32), "BatchNormalization"]
    RESIDUAL += [{"Add": None, "inputs": ["previous", f"r{_i}"]}, {"ReLU": {"name": f"r{_i + 1}"}}]
RESIDUAL += HEAD
DEPTHWISE: list[Any] = [conv(16), "BatchNormalization", "ReLU"]
for _s in (1, 2):
    DEPTHWISE += [
        {"DepthwiseConv2D": {"kernel_size": 3, "strides": _s, "padding": "same", "use_bias": False}},
        "BatchNormalization", {"ReLU": {"max_value": 6.0}}, conv(32, 1), "BatchNormalization", "ReLU",
    ]  # fmt: skip
DEPTHWISE += HEAD
LENET: list[Any] = [
    {"Conv2D": {"filters": 6, "kernel_size": 5, "activation": "tanh"}}, {"AveragePooling2D": 2},
    {"Conv2D": {"filters": 16, "kernel_size": 5, "activation": "tanh"}}, {"MaxPooling2D": 2}, "Flatten",
    {"Dense": {"units": 120, "activation": "relu"}}, {"Dropout": 0.5},
    {"Dense": {"units": 10, "activation": "softmax"}},
]  # fmt: skip


def model(layers: list[Any], shape: tuple[int, ...] = (32, 32, 3), batch: int = 4) -> Any:
    return cnncost.analyze({"input": list(shape), "layers": layers}, batch=batch)


# -- recorded: requested bytes of real steps (TensorFlow 2.21, two cores) ----------------------------------------------


@pytest.mark.parametrize(
    ("layers", "shape", "optimizer", "measured"),
    [
        (BLOCK, (32, 32, 3), None, 393_376), (BLOCK, (32, 32, 3), "sgd", 1_116_532),
        (RESIDUAL, (32, 32, 3), None, 2_622_112), (RESIDUAL, (32, 32, 3), "sgd", 8_662_588),
        (RESIDUAL, (32, 32, 3), "adam", 8_662_960), (DEPTHWISE, (32, 32, 3), None, 1_048_992),
        (DEPTHWISE, (32, 32, 3), "sgd", 2_938_092), (LENET, (28, 28, 1), None, 69_280),
    ],
)  # fmt: skip
def test_recorded_peaks_to_the_byte(
    layers: list[Any], shape: tuple[int, ...], optimizer: str | None, measured: int
) -> None:
    mode = "training" if optimizer else "inference"
    assert predict(model(layers, shape), mode, optimizer, "xla").peak_bytes == measured


# -- what a prediction says --------------------------------------------------------------------------------------------

LAYERS = st.sampled_from(
    [conv(8), conv(12, 1), conv(8, strides=2), "BatchNormalization", "ReLU", {"Activation": "sigmoid"},
     {"Activation": "silu"}, {"MaxPooling2D": {"pool_size": 2, "padding": "same"}}, {"AveragePooling2D": 1},
     {"Dropout": 0.3}, "LayerNormalization", {"ZeroPadding2D": 1}]
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(LAYERS, min_size=1, max_size=7), st.sampled_from([None, "sgd", "adam"]))
def test_any_model(layers: list[Any], optimizer: str | None) -> None:
    found = predict(
        model([conv(4), *layers, *HEAD], (12, 12, 3), 2), "training" if optimizer else "inference", optimizer, "xla"
    )
    assert found.executor == "xla" and found.notes
    assert 0 < found.low_bytes <= found.peak_bytes <= found.high_bytes
    assert max(event.live for event in found.events) == found.peak_bytes
    assert found.events[found.peak_event].live == found.peak_bytes
    assert sum(held.bytes for held in found.alive_at_peak) == found.peak_bytes
    assert all(rise >= 0 and fall >= 0 for _, rise, fall, _ in found.timeline())


def test_a_batch_adds_what_an_instance_needs() -> None:
    """Activations grow with the batch, weights do not: the step of two is no more than twice the step of one."""
    one, two = (predict(model(RESIDUAL, batch=n), "inference", None, "xla").peak_bytes for n in (8, 16))
    assert one < two <= 2 * one


def test_what_the_compiler_has_no_kernel_for_names_its_layer() -> None:
    """A real step ends in TensorFlow's own error."""
    up = {"UpSampling2D": {"size": 2, "interpolation": "bicubic", "name": "wide"}}
    with pytest.raises(UnsupportedLayer, match="wide.*ResizeBicubic"):
        predict(model([conv(4), up]), "inference", None, "xla")


# -- fusion ------------------------------------------------------------------------------------------------------------


def module() -> Module:
    made = Module()
    made.op = Op(0, "Test", "test", "layer", FORWARD, [], (), {})
    return made


FULL = Spec((64, 64), "float32")


def kernels(program: Module, *wanted: Any) -> dict[int, set[int]]:
    connect(program.all)
    return {kernel.root.index: set(kernel.content) for kernel in fuse(program.all, wanted)}


def chain(program: Module, value: Hlo, *opcodes: str) -> Any:
    for opcode in opcodes:
        value = program.map(opcode, (value,), FULL)  # type: ignore[assignment]
    return value


def test_a_chain_is_one_kernel() -> None:
    program = module()
    x = program.add("parameter", (), FULL.shape, "float32")
    y = chain(program, x, "abs", "negate", "exponential")
    assert kernels(program, y) == {x.index: {x.index}, y.index: {1, 2, 3}}


def test_what_costs_much_is_not_computed_twice_and_what_costs_little_is() -> None:
    for opcode, own in (("exponential", True), ("negate", False)):
        program = module()
        x = program.add("parameter", (), FULL.shape, "float32")
        shared = chain(program, x, opcode)
        ends = [chain(program, shared, name) for name in ("abs", "sign")]
        assert (shared.index in kernels(program, *ends)) is own


def test_two_full_operands_are_kept_where_a_library_reads_them_too() -> None:
    program = module()
    x, y = (program.add("parameter", (), FULL.shape, "float32") for _ in range(2))
    total = program.map("add", (x, y), FULL)
    assert total is not None
    library = program.add("convolution", (total, y), FULL.shape, "float32")
    other = chain(program, total, "abs")
    assert total.index in kernels(program, library, other)


def test_equal_instructions_are_one() -> None:
    program = module()
    x, y = (program.add("parameter", (), FULL.shape, "float32") for _ in range(2))
    assert program.map("multiply", (x, y), FULL) is program.map("multiply", (x, y), FULL)
    assert program.map("multiply", (x, None), FULL) is not program.map("multiply", (x, None), FULL)  # two constants


def test_reductions_go_to_the_library_from_32768_elements() -> None:
    for elements, opcode in ((OFFLOADED, "library-reduce"), (OFFLOADED - 64, "reduce")):
        program = module()
        x = program.add("convolution", (), (elements // 32, 32), "float32")
        made = reduce(program, x, (1,), Spec((elements // 32,), "float32"))
        assert made is not None and made.opcode == opcode


# -- order and copies --------------------------------------------------------------------------------------------------


def plan(layers: list[Any], optimizer: str | None = "sgd") -> Any:
    from cnncost.memory.xla import _graph

    return Plan(emit(_graph(model(layers), "training" if optimizer else "inference", optimizer))).ordered()


def test_only_weights_that_are_read_after_their_gradient_are_copied() -> None:
    """The gradient of the data passes the second kernel after its own gradient may be there, and never the first."""
    compiled = plan([conv(8), conv(8), *HEAD])
    copied = [node.hlo.op.name for node in compiled.sequence if node.kernel is None]
    assert [name for name in copied if "kernel" in name] == ["conv2d_1/kernel", "dense/kernel"]


def test_operands_run_before_their_readers() -> None:
    for layers in (RESIDUAL, DEPTHWISE):
        for node in plan(layers).sequence:
            assert all(value.number < node.number for value in node.inputs)


def test_inference_copies_nothing() -> None:
    assert all(node.kernel is not None for node in plan(RESIDUAL, None).sequence)


# -- placement ---------------------------------------------------------------------------------------------------------


@st.composite
def lifetimes(draw: Any) -> list[Buffer]:
    found = []
    for number in range(draw(st.integers(1, 25))):
        start = draw(st.integers(0, 30))
        end = start + draw(st.integers(0, 10))
        found.append(Buffer(number, draw(st.integers(1, 5000)), start, end, (), -1, False, number))
    return found


@given(lifetimes())
def test_no_two_chunks_meet_in_time_and_place(buffers: list[Buffer]) -> None:
    size, offsets = heap_bytes(buffers)
    found = chunks(buffers)
    for one in found:
        assert offsets[one.number] % 64 == 0 and offsets[one.number] + one.bytes <= size
        for other in found:
            if other.number != one.number and one.start <= other.end and other.start <= one.end:
                low, high = sorted((one, other), key=lambda chunk: offsets[chunk.number])
                assert offsets[low.number] + low.bytes <= offsets[high.number]
    assert live_peak(merged(buffers)) <= size <= sum(buffer.bytes + 63 for buffer in buffers)


def test_a_buffer_takes_its_operands_place() -> None:
    first = Buffer(0, 640, 0, 1, (), -1, False, 0)
    second = Buffer(1, 640, 1, 2, (0,), -1, False, 1)
    assert heap_bytes([first, second])[0] == 640
    assert heap_bytes([first, second._replace(takes=())])[0] == 1280


def test_a_donated_parameter_lends_its_memory_while_it_is_free() -> None:
    weight = Buffer(0, 640, 0, 1, (), 0, False, 0)
    update = Buffer(1, 640, 5, 9, (), 0, False, 1)
    between = Buffer(2, 640, 2, 4, (), -1, False, 2)
    heap, outputs = assign([weight, update, between], [640])
    assert not heap and not outputs
    heap, _ = assign([weight, update, between._replace(end=5)], [640])
    assert [buffer.number for buffer in heap] == [2]


# -- real steps --------------------------------------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.parametrize(
    ("layers", "optimizer"),
    [(RESIDUAL, None), (DEPTHWISE, "adam"), (LENET, "sgd")],
    ids=["residual", "depthwise", "lenet"],
)
def test_a_real_step_lies_in_the_interval(layers: list[Any], optimizer: str | None) -> None:
    pytest.importorskip("tensorflow")
    from cnncost.export import keras_names, to_config
    from cnncost.measure.child import run
    from cnncost.measure.records import Job

    analysis, mode = model(layers, (40, 40, 3), 3), "training" if optimizer else "inference"
    found = predict(analysis, mode, optimizer, "xla")
    job = Job(
        model={"config": to_config(analysis.graph)}, names=keras_names(analysis.graph), mode=mode,
        optimizer=optimizer, batch=3, executor="xla", steps=1, seconds=1.0,
    )  # fmt: skip
    measured = run(job).peak_bytes
    assert measured is not None
    assert found.low_bytes <= measured <= found.high_bytes
