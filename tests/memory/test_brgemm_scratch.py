"""oneDNN's scratch of a convolution against real steps of TensorFlow 2.21 (AVX-512, two threads)."""

from __future__ import annotations

import pytest

import cnncost
from cnncost.memory.graph_mode import predict_graph
from cnncost.memory.optypes.brgemm import convolution_scratch
from cnncost.memory.spec import Spec


def _scratch(image: tuple[int, ...], kernel: tuple[int, ...], output: tuple[int, ...], stride: int = 1) -> int:
    specs = (Spec(shape, "float32") for shape in (image, kernel, output))
    return convolution_scratch(*specs, (stride, stride), (1, 1))


@pytest.mark.parametrize(("image", "kernel", "output", "stride", "measured"), [
    ((1, 224, 224, 3), (7, 7, 3, 64), (1, 112, 112, 64), 2, 12_336),
    ((1, 227, 227, 3), (11, 11, 3, 96), (1, 55, 55, 96), 4, 20_496),  # 121 positions: two pages for each thread
    ((1, 14, 14, 6), (5, 5, 6, 16), (1, 10, 10, 16), 1, 8_216),  # small: one thread
    ((1, 6, 6, 24), (3, 3, 24, 24), (1, 6, 6, 24), 1, 8_216),
    ((1, 6, 6, 24), (1, 1, 24, 32), (1, 6, 6, 32), 1, 8_216),
    ((1, 6, 6, 24), (3, 3, 24, 40), (1, 6, 6, 40), 1, 12_336),  # no block of 48 for so few positions
    ((1, 6, 6, 24), (3, 3, 24, 56), (1, 6, 6, 56), 1, 8_216),
    ((1, 4, 4, 24), (3, 3, 24, 96), (1, 4, 4, 96), 1, 12_336),
    ((1, 5, 5, 64), (1, 1, 64, 64), (1, 5, 5, 64), 1, 12_336),
    ((1, 2, 2, 96), (3, 3, 96, 64), (1, 2, 2, 64), 1, 12_336),  # many filters
    ((4, 14, 14, 6), (5, 5, 6, 16), (4, 10, 10, 16), 1, 12_336),
    ((1, 32, 32, 1), (5, 5, 1, 6), (1, 28, 28, 6), 1, 12_336),  # one image: the filters stay as they are
    ((2, 32, 32, 1), (5, 5, 1, 6), (2, 28, 28, 6), 1, 102_448),
    ((4, 28, 28, 1), (3, 3, 1, 32), (4, 28, 28, 32), 1, 69_680),
    ((4, 5, 7, 1), (3, 3, 1, 1), (4, 3, 4, 1), 1, 45_080),
    ((2, 1, 13, 1), (1, 6, 1, 1), (2, 1, 3, 1), 5, 45_080),
])  # fmt: skip
def test_measured_scratch(
    image: tuple[int, ...], kernel: tuple[int, ...], output: tuple[int, ...], stride: int, measured: int
) -> None:
    assert _scratch(image, kernel, output, stride) == measured


def test_more_rows_never_need_less() -> None:
    sizes = [_scratch((2, side, side, 1), (3, 3, 1, 8), (2, side - 2, side - 2, 8)) for side in range(8, 300, 7)]
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


@pytest.mark.parametrize(("name", "batch", "measured"), [
    ("zoo:padding-same", 1, 8_228), ("zoo:padding-same", 4, 45_128), ("zoo:padding-valid", 4, 45_112),
    ("zoo:stride-example", 1, 8_264), ("zoo:stride-example", 4, 45_272), ("zoo:lenet5-table", 4, 177_712),
    ("zoo:lenet5-1998", 4, 187_312),
])  # fmt: skip
def test_measured_inference(name: str, batch: int, measured: int) -> None:
    assert predict_graph(cnncost.analyze(name, batch=batch, processor="avx512"), "inference").peak_bytes == measured


@pytest.mark.parametrize(("name", "measured"), [
    ("zoo:padding-same", 45_104), ("zoo:padding-valid", 45_096), ("zoo:stride-example", 45_176),
])  # fmt: skip
def test_measured_training(name: str, measured: int) -> None:
    analysis = cnncost.analyze(name, batch=2, mode="training", optimizer="sgd", processor="avx512")
    assert predict_graph(analysis, "training", "sgd").peak_bytes == measured
