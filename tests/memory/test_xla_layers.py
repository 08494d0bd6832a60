"""XLA's step with decoders, attention, look-ups and loops: peaks recorded from real steps, and laws."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.errors import UnsupportedLayer
from cnncost.memory.opgraph import FORWARD, Op
from cnncost.memory.predict import predict
from cnncost.memory.spec import Spec
from cnncost.memory.xla.einsum import einsum
from cnncost.memory.xla.fusion import connect, fuse
from cnncost.memory.xla.hlo import Module
from cnncost.memory.xla.readers import reader_order


def conv(filters: int, size: int = 3, **more: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": filters, "kernel_size": size, "padding": "same", **more}}


def block(filters: int) -> list[Any]:
    return [conv(filters, use_bias=False), "BatchNormalization", "ReLU"]


def between(layer: dict[str, Any]) -> list[Any]:
    return [conv(8, activation="relu"), layer, conv(4)]


def unet(up: Any) -> list[Any]:
    layers: list[Any] = []
    for number, filters in enumerate((8, 16)):
        layers += [*block(filters), *block(filters)[:2], {"ReLU": {"name": f"skip{number}"}}, {"MaxPooling2D": 2}]
    layers += block(32)
    for number, filters in ((1, 16), (0, 8)):
        layers += [{**up(filters), "name": f"up{number}"}]
        layers += [{"Concatenate": None, "inputs": [f"up{number}", f"skip{number}"]}, *block(filters)]
    return [*layers, conv(4, 1)]


def transposed(filters: int) -> dict[str, Any]:
    return {"Conv2DTranspose": {"filters": filters, "kernel_size": 2, "strides": 2}}


def bilinear(filters: int = 0) -> dict[str, Any]:
    return {"UpSampling2D": {"size": 2, "interpolation": "bilinear"}}


def vit(patches: int, width: int, heads: int, blocks: int, size: int) -> list[Any]:
    layers: list[Any] = [{"Conv2D": {"filters": width, "kernel_size": size, "strides": size}}]
    layers += [{"Reshape": [[patches, width]], "name": "t0"}]
    norm = {"LayerNormalization": {"epsilon": 1e-6}}
    for i in range(blocks):
        attention = {"MultiHeadAttention": {"num_heads": heads, "key_dim": width // heads}}
        layers += [{**norm, "name": f"n{i}"}, {**attention, "inputs": [f"n{i}", f"n{i}"], "name": f"a{i}"}]
        layers += [{"Add": None, "inputs": [f"a{i}", f"t{i}"], "name": f"x{i}"}, norm]
        layers += [{"Dense": {"units": 2 * width, "activation": "gelu"}}, {"Dense": width, "name": f"d{i}"}]
        layers += [{"Add": None, "inputs": [f"d{i}", f"x{i}"], "name": f"t{i + 1}"}]
    return [*layers, "LayerNormalization", "GlobalAveragePooling1D", {"Dense": {"units": 10, "activation": "softmax"}}]


def found(layers: list[Any], shape: Any, optimizer: str | None, **options: Any) -> Any:
    given = shape if isinstance(shape, dict) else list(shape)
    analysis = cnncost.analyze({"input": given, "layers": layers}, batch=4, **options)
    return predict(analysis, "training" if optimizer else "inference", optimizer, "xla")


SMALL, IMAGE = (16, 16, 3), (32, 32, 3)
NEAREST = {"Resizing": {"height": 24, "width": 20, "interpolation": "nearest"}}
STRETCHED = {"Resizing": {"height": 24, "width": 20}}
SHRUNK = {"Resizing": {"height": 16, "width": 16}}


# -- recorded: requested bytes of real steps (TensorFlow 2.21, two cores) ----------------------------------------------


@pytest.mark.parametrize(
    ("layers", "shape", "optimizer", "measured"),
    [
        (between(bilinear()), SMALL, None, 1_376_256), (between(bilinear()), SMALL, "sgd", 1_435_220),
        (between(STRETCHED), SMALL, None, 645_120), (between(STRETCHED), SMALL, "sgd", 715_156),
        (between(SHRUNK), IMAGE, "sgd", 651_652), (between(NEAREST), SMALL, None, 124_928),
        (between({"UpSampling2D": 2}), SMALL, None, 196_608), (between({"UpSampling2D": 2}), SMALL, "sgd", 373_972),
    ],
)  # fmt: skip
def test_resizing_to_the_byte(layers: list[Any], shape: tuple[int, ...], optimizer: str | None, measured: int) -> None:
    assert found(layers, shape, optimizer).peak_bytes == measured


@pytest.mark.parametrize(
    ("up", "measured"),
    [(transposed, 2_068_996), (bilinear, 4_252_644), (lambda _: {"UpSampling2D": 2}, 2_299_556)],
    ids=["transposed", "bilinear", "nearest"],
)
def test_decoders(up: Any, measured: int) -> None:
    told = found(unet(up), IMAGE, "sgd")
    assert told.low_bytes <= measured <= told.high_bytes
    assert abs(told.peak_bytes / measured - 1) < 0.0002


@pytest.mark.parametrize(("optimizer", "measured"), [(None, 663_712), ("sgd", 3_076_164)])
def test_attention(optimizer: str | None, measured: int) -> None:
    told = found(vit(64, 64, 4, 2, 4), IMAGE, optimizer)
    assert told.low_bytes <= measured <= told.high_bytes
    assert abs(told.peak_bytes / measured - 1) < 0.001


ACTIVATED: list[Any] = [conv(32, activation="silu"), "LayerNormalization"]
ADDED: list[Any] = [
    conv(32), {"LeakyReLU": {"negative_slope": 0.1, "name": "x"}}, {"Activation": {"activation": "elu", "name": "y"}},
    {"Add": None, "inputs": ["x", "y"]}, {"Activation": "silu"}, "LayerNormalization",
]  # fmt: skip


@pytest.mark.parametrize(
    ("layers", "batch", "measured"),
    [(ACTIVATED, 1, 67_584), (ACTIVATED, 2, 69_632), (ACTIVATED, 4, 139_264), (ADDED, 1, 100_352), (ADDED, 2, 69_632)],
)
def test_what_a_layer_normalization_reads(layers: list[Any], batch: int, measured: int) -> None:
    """Of one instance the statistics are repeated by way of a view without the batch's axis, so that the product of
    ``silu`` is computed where it is read and x and sigmoid(x) are kept; of several the product is."""
    analysis = cnncost.analyze({"input": [16, 16, 32], "layers": layers}, batch=batch)
    assert predict(analysis, executor="xla").peak_bytes == measured


@pytest.mark.parametrize(("batch", "measured"), [(1, 74_048), (2, 114_868)])
def test_maxima_of_one_instance_are_read_by_way_of_a_view(batch: int, measured: int) -> None:
    """So the softplus is computed where it is read, and what it costs much to compute are buffers."""
    layers = [conv(16, activation="softplus"), "GlobalMaxPooling2D", {"Dense": 3}]
    analysis = cnncost.analyze({"input": [16, 16, 8], "layers": layers}, batch=batch, mode="training")
    assert predict(analysis, "training", "sgd", "xla").peak_bytes == pytest.approx(measured, abs=64)


LOOK_UP: list[Any] = [
    {"Embedding": {"input_dim": 200, "output_dim": 64}},
    {"Conv1D": {"filters": 32, "kernel_size": 3, "padding": "same", "activation": "relu"}},
    "GlobalAveragePooling1D", {"Dense": 10},
]  # fmt: skip


def test_look_ups() -> None:
    told = found(LOOK_UP, {"shape": [32], "dtype": "int32"}, "sgd")
    assert told.low_bytes <= 139_964 <= told.high_bytes


RECURRENT = [
    ([{"LSTM": 32}, {"Dense": 10}], (16, 24), None, 11_488),
    ([{"LSTM": 32}, {"Dense": 10}], (16, 24), "sgd", 388_484),
    ([{"GRU": 32}, {"Dense": 10}], (16, 24), "sgd", 313_460),
    ([{"SimpleRNN": 64}, {"Dense": 10}], (100, 8), "sgd", 1_896_788),
    (
        [{"Bidirectional": {"layer": {"GRU": {"units": 20, "return_sequences": True}}}}, "GlobalAveragePooling1D",
         {"Dense": 5}], (32, 12), "sgd", 642_260,
    ),
    (
        [{"ConvLSTM2D": {"filters": 8, "kernel_size": 3, "padding": "same"}}, "GlobalAveragePooling2D", {"Dense": 4}],
        (6, 12, 12, 3), "sgd", 1_137_372,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("layers", "shape", "optimizer", "measured"), RECURRENT)
def test_loops(layers: list[Any], shape: tuple[int, ...], optimizer: str | None, measured: int) -> None:
    told = found(layers, shape, optimizer)
    assert told.low_bytes <= measured <= told.high_bytes
    assert abs(told.peak_bytes / measured - 1) < 0.05
    assert any("loops" in note for note in told.notes)


# -- laws --------------------------------------------------------------------------------------------------------------


def test_a_loop_keeps_its_captured_weight_once_for_each_step() -> None:
    """The recurrent kernel is pushed at every step: training grows by its bytes, time step by time step."""
    one, two = (found([{"LSTM": 32}, {"Dense": 10}], (n, 8), "sgd").peak_bytes for n in (20, 40))
    assert two - one >= 20 * 32 * 128 * 4


def test_what_has_no_kernel_is_named() -> None:
    nearest = {**NEAREST, "name": "wide"}
    assert found(between(nearest), SMALL, None).peak_bytes > 0
    with pytest.raises(UnsupportedLayer, match="wide.*ResizeNearestNeighborGrad"):
        found(between(nearest), SMALL, "sgd")


@pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16"])
def test_the_gradient_of_bilinear_resizing_in_half_precision_is_no_step(dtype: str) -> None:
    """A real step ends in TensorFlow's InternalError, "mixed precision is disallowed"; inference runs."""
    layers = between({"UpSampling2D": {"size": 2, "interpolation": "bilinear", "name": "wide"}})
    assert found(layers, SMALL, None, dtype=dtype).peak_bytes > 0
    with pytest.raises(UnsupportedLayer, match="wide.*bilinear"):
        found(layers, SMALL, "sgd", dtype=dtype)


def module() -> Module:
    made = Module()
    made.op = Op(0, "Test", "test", "layer", FORWARD, [], (), {})
    return made


@pytest.mark.parametrize(
    ("equation", "left", "right", "copies"),
    [
        ("BTNH,BSNH->BNTS", (2, 5, 3, 4), (2, 6, 3, 4), 2),  # both turned so that batch and heads lead
        ("BNTS,BSNH->BTNH", (2, 3, 5, 6), (2, 6, 3, 4), 2),  # the right one, and the result
        ("ab,bc->ac", (5, 6), (6, 7), 0),
        ("abc,abd->acd", (2, 5, 6), (2, 5, 7), 0),  # the product's library reads it turned
        ("abcd,cd->ab", (2, 3, 4, 5), (4, 5), 0),  # two summed axes are one, seen flat
    ],
)
def test_einsum_copies_what_does_not_stand_as_the_product_wants(
    equation: str, left: tuple[int, ...], right: tuple[int, ...], copies: int
) -> None:
    program = module()
    x, y = (program.add("parameter", (), shape, "float32") for shape in (left, right))
    sizes = dict(zip("".join(equation.split("->")[0].split(",")), (*left, *right), strict=True))
    names = equation.split("->")[1]
    inputs = [Op(i, "_Arg", "x", "", FORWARD, [], (Spec(s, "float32"),), {}).out() for i, s in enumerate((left, right))]
    out = (Spec(tuple(sizes[c] for c in names), "float32"),)
    made = einsum(program, Op(2, "Einsum", "e", "layer", FORWARD, inputs, out, {"equation": equation}), [x, y])
    assert made[0] is not None and made[0].shape == out[0].shape
    assert sum(hlo.opcode == "transpose" for hlo in program.all) == copies


def test_a_reader_that_leaves_gives_its_place_to_the_last() -> None:
    """The two ends both take the chain in: the end that is visited last stands first, where the chain has stood."""
    program = module()
    spec = Spec((8, 8), "float32")
    x = program.add("convolution", (), spec.shape, "float32")
    chain = program.map("negate", (x,), spec)
    first, second, third = (program.map(name, (chain,), spec) for name in ("abs", "sign", "floor"))
    ends = [end for end in (first, second, third) if end is not None]
    connect(program.all)
    places, _ = reader_order(program, program.all, fuse(program.all, ends), ends)
    order = sorted((place, reader) for (value, reader), place in places.items() if value == x.index)
    assert [reader for _, reader in order] == [ends[0].index, ends[2].index, ends[1].index]


def test_equal_zeros_are_one_and_copied_where_several_ops_write_into_them() -> None:
    program = module()
    spec = Spec((4, 4), "float32")
    users = [Op(i, "Test", "test", "layer", FORWARD, [], (), {}) for i in range(2)]
    alone = [program.zeros(Spec((2, 2), "float32"), users[0]) for _ in range(2)]
    both = [program.zeros(spec, user) for user in users]
    program.settle()
    assert all(not hlo.inputs for hlo in alone)
    assert both[0] is not both[1] and both[0].inputs == both[1].inputs != []


# -- real steps --------------------------------------------------------------------------------------------------------


@pytest.mark.keras
@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_a_real_step_lies_in_the_interval(dtype: str) -> None:
    pytest.importorskip("tensorflow")
    from cnncost.analysis import with_dtype
    from cnncost.export import keras_names, to_config
    from cnncost.measure.child import run
    from cnncost.measure.records import Job

    up = [transposed(8), {"UpSampling2D": 2}]
    layers = [*block(8), {"MaxPooling2D": 2}, conv(16, activation="swish"), *up, conv(3)]
    analysis = cnncost.analyze({"input": [24, 24, 3], "layers": layers}, batch=3, dtype=dtype)
    told = predict(analysis, "training", "sgd", "xla")
    graph = with_dtype(analysis.graph, dtype)
    job = Job(
        model={"config": to_config(graph)}, names=keras_names(graph), mode="training", optimizer="sgd", batch=3,
        executor="xla", steps=1, seconds=1.0,
    )  # fmt: skip
    measured = run(job).peak_bytes
    assert measured is not None
    assert told.low_bytes <= measured <= told.high_bytes
    assert abs(told.peak_bytes / measured - 1) < 0.08
