"""oneDNN's scratch in half precision, and whole steps in other dtypes, against measured steps of TensorFlow 2.21 (AMX
for bfloat16, AVX-512 with float16, two threads, inter-op threads 1)."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost
from cnncost.memory.optypes.amx_convolution import amx_scratch
from cnncost.memory.optypes.brgemm import convolution_scratch
from cnncost.memory.optypes.brgemm_matmul import batched_scratch, fused_scratch, product_scratch
from cnncost.memory.predict import predict
from cnncost.memory.spec import Spec
from cnncost.processors import AVX512

# rows, depth, columns, whether the first operand is turned over; bytes in bfloat16 and in float16
PRODUCTS = (
    ("bfloat16", 100, 4, 4, False, 9_216), ("bfloat16", 8, 512, 1024, True, 79_488),
    ("bfloat16", 31, 84, 96, True, 40_768), ("bfloat16", 400, 256, 84, True, 169_088),
    ("bfloat16", 2, 120, 4, False, 19_456), ("bfloat16", 16, 784, 128, False, 108_544),
    ("bfloat16", 4096, 64, 1024, False, 26_240),  # two threads
    ("bfloat16", 64, 4096, 10, False, 529_408), ("bfloat16", 8, 4, 1000, False, 4_992),  # not AMX
    ("float16", 1, 16, 4, False, 5_184), ("float16", 1, 2048, 32, False, 134_464),
    ("float16", 64, 2048, 24, False, 535_680), ("float16", 31, 120, 96, True, 49_664),
    ("float16", 256, 784, 1024, False, 1_853_184), ("float16", 784, 4096, 64, False, 2_257_152),
    ("float16", 196, 400, 100, True, 417_024), ("float16", 4096, 4, 512, False, 42_624),
)  # fmt: skip


@pytest.mark.parametrize(("dtype", "rows", "depth", "columns", "turned", "measured"), PRODUCTS)
def test_products(dtype: str, rows: int, depth: int, columns: int, turned: bool, measured: int) -> None:
    assert product_scratch(rows, depth, columns, turned, dtype) == measured


def test_a_fused_product_sums_up_in_float32() -> None:
    assert fused_scratch(4, 64, "bfloat16") == 4 * 64 * 4 + 128
    assert fused_scratch(4, 64, "float16") == 0


# rows, depth, columns, products, which operands are turned over
SEVERAL = (
    ("float32", 64, 32, 32, 1, (False, False), 1_408), ("float32", 16, 8, 16, 16, (False, True), 9_728),
    ("bfloat16", 64, 32, 32, 1, (False, False), 18_048), ("bfloat16", 16, 16, 8, 16, (False, True), 11_904),
    ("float16", 16, 8, 16, 16, (False, True), 11_904), ("float32", 1, 64, 1, 1, (False, True), 1_408),
    ("float32", 4, 49, 512, 8, (False, False), 34_304),
)  # fmt: skip


@pytest.mark.parametrize(("dtype", "rows", "depth", "columns", "products", "turned", "measured"), SEVERAL)
def test_several_products_at_once(
    dtype: str, rows: int, depth: int, columns: int, products: int, turned: tuple[bool, bool], measured: int
) -> None:
    assert batched_scratch(rows, depth, columns, products, turned, dtype) == measured


# batch, side, channels, outputs, kernel, stride, padding; bytes in bfloat16
CONVOLUTIONS = (
    (2, 40, 16, 40, 7, 1, "VALID", 131_120), (8, 16, 256, 8, 3, 1, "SAME", 704_560),
    (1, 28, 64, 24, 3, 1, "SAME", 180_272), (1, 8, 16, 6, 7, 1, "SAME", 49_176),  # one thread
    (4, 40, 12, 8, 5, 1, "SAME", 145_456),  # columns side by side
    (8, 16, 4, 128, 5, 1, "SAME", 208_944),  # windows side by side
    (1, 32, 1, 24, 3, 1, "VALID", 71_728), (4, 28, 256, 32, 7, 1, "SAME", 1_687_600),
    (4, 64, 24, 128, 3, 1, "VALID", 32_816),  # not copied
    (1, 14, 6, 48, 5, 2, "SAME", 106_544), (2, 64, 64, 40, 5, 2, "VALID", 704_560),
    (4, 14, 128, 32, 5, 2, "VALID", 344_112), (2, 8, 96, 40, 7, 2, "VALID", 12_336),  # another implementation
    (4, 28, 12, 32, 1, 2, "SAME", 50_608), (4, 16, 16, 16, 1, 1, "SAME", 32_816),
)  # fmt: skip


@pytest.mark.parametrize(("batch", "side", "given", "made", "taps", "step", "padding", "measured"), CONVOLUTIONS)
def test_convolutions(
    batch: int, side: int, given: int, made: int, taps: int, step: int, padding: str, measured: int
) -> None:
    out = -(-side // step) if padding == "SAME" else (side - taps) // step + 1
    shapes = (batch, side, side, given), (taps, taps, given, made), (batch, out, out, made)
    assert amx_scratch(*(Spec(shape, "bfloat16") for shape in shapes), (step, step), (1, 1)) == measured


def test_float16_needs_no_layout_of_its_own() -> None:
    """For one channel float32 is laid out anew, float16 is not."""
    shapes = (2, 32, 32, 1), (5, 5, 1, 6), (2, 28, 28, 6)
    assert convolution_scratch(*(Spec(shape, "float16") for shape in shapes), (1, 1), (1, 1)) == 12_336
    assert convolution_scratch(*(Spec(shape, "float32") for shape in shapes), (1, 1), (1, 1)) == 102_448


def conv(filters: int, kernel: int = 3, **more: Any) -> dict[str, Any]:
    return {"Conv2D": {"filters": filters, "kernel_size": kernel, "padding": "same", **more}}


RELU, STEM = {"activation": "relu"}, conv(16, use_bias=False)
MODELS: dict[str, dict[str, Any]] = {
    "vgg": {
        "input": [32, 32, 3],
        "layers": [
            conv(16, **RELU), conv(16, **RELU), {"MaxPooling2D": 2}, conv(32, **RELU), conv(32, **RELU),
            {"MaxPooling2D": 2}, "Flatten", {"Dense": {"units": 64, **RELU}},
            {"Dense": {"units": 10, "activation": "softmax"}},
        ],
    },
    "residual": {
        "input": [32, 32, 3],
        "layers": [
            {**STEM, "name": "stem"}, "BatchNormalization", {"ReLU": None, "name": "act"}, STEM, "BatchNormalization",
            "ReLU", STEM, "BatchNormalization", {"Add": None, "inputs": ["previous", "act"]}, "ReLU",
            "GlobalAveragePooling2D", {"Dense": {"units": 10, "activation": "softmax"}},
        ],
    },
    "decoder": {
        "input": [16, 16, 3],
        "layers": [
            conv(16, strides=2, **RELU), conv(32, strides=2, **RELU),
            {"Conv2DTranspose": {"filters": 16, "kernel_size": 3, "strides": 2, "padding": "same", **RELU}},
            {"UpSampling2D": 2}, conv(3, activation="sigmoid"),
        ],
    },
    "grouped": {
        "input": [24, 24, 8],
        "layers": [conv(16, **RELU), conv(32, groups=4), "ReLU", "GlobalAveragePooling2D", {"Dense": 10}],
    },
}  # fmt: skip
MODELS["attention"] = {
    "input": [16, 32],
    "layers": [
        {"LayerNormalization": None, "name": "ln"},
        {"MultiHeadAttention": {"num_heads": 4, "key_dim": 8}, "inputs": ["ln", "ln"]},
        {"Add": None, "inputs": ["ln", "previous"]}, {"Dense": {"units": 64, "activation": "gelu"}}, {"Dense": 32},
        "GlobalAveragePooling1D", {"Dense": 10},
    ],
}  # fmt: skip
STEPS = (
    ("attention", "float32", "inference", "graph", 75_264), ("attention", "bfloat16", "inference", "graph", 44_672),
    ("attention", "float16", "inference", "graph", 46_080),
    ("vgg", "bfloat16", "inference", "graph", 393_264), ("vgg", "float16", "inference", "graph", 274_480),
    ("vgg", "mixed_float16", "adam", "eager", 2_760_425), ("vgg", "bfloat16", "adam", "eager", 1_083_330),
    ("residual", "float16", "inference", "eager", 1_704_320), ("residual", "bfloat16", "adam", "eager", 4_852_136),
    ("decoder", "bfloat16", "inference", "graph", 137_264), ("decoder", "bfloat16", "sgd", "graph", 157_760),
    ("decoder", "float64", "inference", "graph", 9_818_112), ("decoder", "float64", "sgd", "graph", 30_924_216),
    ("decoder", "mixed_float16", "sgd", "graph", 115_552), ("grouped", "bfloat16", "inference", "graph", 520_704),
    ("grouped", "float16", "sgd", "graph", 1_115_952), ("grouped", "float32", "sgd", "graph", 1_046_208),
)  # fmt: skip


# The same without AMX and without units for float16 (AMD EPYC of 2025): TensorFlow computes float16 in its own kernels.
PLAIN_STEPS = (
    ("attention", "bfloat16", "inference", "graph", 42_496), ("attention", "float16", "inference", "graph", 45_056),
    ("vgg", "bfloat16", "inference", "graph", 274_480), ("vgg", "float16", "inference", "graph", 574_976),
    ("vgg", "mixed_float16", "adam", "eager", 29_002_768), ("vgg", "bfloat16", "adam", "eager", 1_083_330),
    ("residual", "float16", "inference", "eager", 1_704_320), ("residual", "bfloat16", "adam", "eager", 4_852_140),
    ("decoder", "bfloat16", "inference", "graph", 51_248), ("decoder", "bfloat16", "sgd", "graph", 90_128),
    ("decoder", "mixed_float16", "sgd", "graph", 30_603_813), ("grouped", "bfloat16", "inference", "graph", 520_704),
    ("grouped", "float16", "sgd", "graph", 25_291_026),
)  # fmt: skip
MEASURED = [("amx", *step) for step in STEPS] + [("avx512", *step) for step in PLAIN_STEPS]


@pytest.mark.parametrize(("processor", "name", "dtype", "step", "executor", "measured"), MEASURED)
def test_measured_steps(processor: str, name: str, dtype: str, step: str, executor: str, measured: int) -> None:
    mode, optimizer = ("inference", None) if step == "inference" else ("training", step)
    analysis = cnncost.analyze(
        MODELS[name], batch=4, dtype=dtype, mode=mode, optimizer=optimizer, processor=processor
    )  # fmt: skip
    assert predict(analysis, mode, optimizer, executor).peak_bytes == pytest.approx(measured, rel=0.001)


@pytest.mark.parametrize(("dtype", "told"), [("bfloat16", True), ("mixed_float16", True), ("float32", False)])
def test_what_depends_on_the_processor_is_said(dtype: str, told: bool) -> None:
    """And in nothing but half precision does it depend on it."""
    amx, plain = (cnncost.analyze(MODELS["vgg"], dtype=dtype, processor=name) for name in ("amx", "avx512"))
    assert any("processor" in note for note in predict(amx).notes) is told
    assert ("processor" in amx.to_dict()) is told
    assert (predict(amx).peak_bytes != predict(plain).peak_bytes) is told


def test_a_wrong_processor_is_named() -> None:
    with pytest.raises(cnncost.CnncostError, match="processor"):
        cnncost.analyze(MODELS["vgg"], processor="m1")


# rows, depth, columns, whether the first operand is turned over; bytes in bfloat16 without AMX and with 1 MiB of cache
PLAIN_PRODUCTS = (
    (10, 4096, 4, True, 77_728), (1000, 2048, 32, True, 932_864), (256, 2048, 8, True, 706_304),
    (200, 256, 8192, False, 67_072), (1, 200, 4096, False, 58_880), (24, 2, 64, True, 6_656),
)  # fmt: skip


@pytest.mark.parametrize(("rows", "depth", "columns", "turned", "measured"), PLAIN_PRODUCTS)
def test_products_without_amx(rows: int, depth: int, columns: int, turned: bool, measured: int) -> None:
    assert product_scratch(rows, depth, columns, turned, "bfloat16", AVX512) == measured


def test_nothing_is_trained_in_int8() -> None:
    found = cnncost.analyze(MODELS["vgg"], dtype="int8", mode="training", optimizer="adam")
    assert found.memory.training_peak_bytes is None
    assert found.memory.resident is not None and found.memory.resident.optimizer_slots == 0
    messages = [finding["message"] for finding in found.to_dict()["findings"]]
    assert any("int8" in message and "slots" in message for message in messages)
