"""oneDNN's convolutions on processors without AVX-512, against real steps of TensorFlow 2.21 (AVX2 with
TF_ENABLE_ONEDNN_OPTS=1, 512 KiB of second cache a core, two threads)."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import pytest

import cnncost
from cnncost.memory.optypes.gemm_convolution import columns_scratch
from cnncost.memory.predict import predict
from cnncost.memory.spec import Spec
from cnncost.processors import AVX_VNNI

CACHE = 512 << 10
MEASURED_HERE = AVX_VNNI._replace(cache=CACHE)
# Image, kernel, output positions, strides of one image; bytes.
MEASURED = [
    ((1, 75, 4), (1, 1, 4, 6), (1, 38), (1, 2), 2_688),
    ((1, 75, 4), (1, 2, 4, 64), (1, 25), (1, 3), 2_720),
    ((1, 75, 4), (1, 3, 4, 2), (1, 73), (1, 1), 6_496),
    ((1, 88, 16), (1, 5, 16, 32), (1, 84), (1, 1), 42_240),
    ((1, 152, 256), (1, 2, 256, 1), (1, 152), (1, 1), 377_088),
    ((1, 152, 256), (1, 3, 256, 12), (1, 75), (1, 2), 360_704),
    ((7, 9, 2), (1, 1, 2, 1), (7, 9), (1, 1), 632),  # no columns
    ((7, 9, 2), (3, 7, 2, 256), (7, 9), (1, 1), 4_288),
    ((12, 40, 256), (3, 3, 256, 200), (12, 40), (1, 1), 4_915_456),  # many filters: all columns at once
    ((12, 40, 256), (3, 7, 256, 32), (4, 14), (3, 3), 1_696_000),
    ((18, 27, 16), (1, 7, 16, 32), (18, 27), (1, 1), 86_656),
    ((18, 27, 16), (5, 2, 16, 200), (18, 27), (1, 1), 97_024),
    ((19, 23, 2), (2, 1, 2, 2), (10, 12), (2, 2), 7_632),
    ((19, 23, 2), (3, 3, 2, 200), (7, 8), (3, 3), 8_400),
    ((19, 23, 2), (3, 3, 2, 256), (10, 12), (2, 2), 8_976),
    ((20, 26, 128), (3, 3, 128, 24), (9, 12), (2, 2), 643_328),
    ((40, 9, 24), (5, 5, 24, 8), (36, 5), (1, 1), 93_376),
    ((40, 9, 24), (5, 5, 24, 24), (18, 3), (2, 2), 83_776),
    ((99, 143, 256), (7, 7, 256, 24), (99, 143), (1, 1), 0),  # too much: the plain implementation
    ((108, 156, 64), (3, 3, 64, 12), (36, 52), (3, 3), 8_773_888),
    ((108, 156, 64), (3, 3, 64, 40), (53, 77), (2, 2), 8_810_752),
    ((117, 169, 64), (3, 3, 64, 128), (59, 85), (2, 2), 16_616_704),
    ((135, 195, 32), (1, 1, 32, 96), (135, 195), (1, 1), 3_369_728),
    ((135, 195, 32), (7, 2, 32, 2), (135, 195), (1, 1), 6_940_160),
]


def scratch(image: tuple[int, ...], kernel: tuple[int, ...], output: tuple[int, ...], strides: tuple[int, ...]) -> int:
    shapes = (1, *image), kernel, (1, *output, kernel[-1])
    return columns_scratch(*(Spec(shape, "float32") for shape in shapes), strides, (1, 1), CACHE)


@pytest.mark.parametrize(("image", "kernel", "output", "strides", "measured"), MEASURED)
def test_measured_scratch(image: Any, kernel: Any, output: Any, strides: Any, measured: int) -> None:
    assert scratch(image, kernel, output, strides) == measured


@pytest.mark.parametrize("channels", [1, 3, 64])
@pytest.mark.parametrize("size", [5, 33, 80])
def test_blocks_hold_no_more_than_all_columns_and_a_copy_for_each_thread(size: int, channels: int) -> None:
    for taps in (1, 2, 3, 5):
        for filters in (1, 8, 64, 300):
            image, kernel = (size, size, channels), (taps, taps, channels, filters)
            columns, copy = 4 * taps * taps * prod(image), 4 * prod(image)
            assert copy < scratch(image, kernel, (size, size), (1, 1)) <= 2 * (columns + copy) + 256


# Peaks at batch 1 and at batch 2, at inference.
NETS: list[tuple[Any, int, int]] = [
    ("zoo:unet", 897_166_592, 331_544_624),
    ("zoo:typical-cnn", 466_176, 413_744),
    ("zoo:lenet5-table", 47_744, 49_968),  # the input of one channel stays as it is
    ("zoo:resnet50", 11_819_264, 14_520_368),
    ({"name": "vol", "input": [12, 12, 12, 2],
      "layers": [{"Conv3D": {"filters": 8, "kernel_size": 5, "activation": "relu"}}, {"MaxPooling3D": 2},
                 {"Conv3D": {"filters": 6, "kernel_size": 3, "padding": "same"}}, "Flatten",
                 {"Dense": {"units": 4}}]}, 36_880, 53_264),
    ({"name": "att", "input": [16, 24],
      "layers": [{"MultiHeadAttention": {"num_heads": 2, "key_dim": 8}, "inputs": ["input", "input"]}, "Flatten",
                 {"Dense": {"units": 4}}]}, 7_168, 14_336),
    ({"name": "first", "input": [3, 24, 24],
      "layers": [{"Conv2D": {"filters": 8, "kernel_size": 3, "padding": "same", "data_format": "channels_first",
                             "activation": "relu"}},
                 {"Conv2D": {"filters": 16, "kernel_size": 1, "data_format": "channels_first"}},
                 {"Conv2D": {"filters": 16, "kernel_size": 3, "strides": 2, "data_format": "channels_first"}},
                 "Flatten", {"Dense": {"units": 4}}]}, 55_296, 228_736),
]  # fmt: skip


@pytest.mark.parametrize(("net", "one", "two"), NETS)
def test_measured_peaks(net: Any, one: int, two: int) -> None:
    """To a hundredth: of ResNet-50 kilobytes more or less are read before the input comes, by process."""
    for batch, measured in ((1, one), (2, two)):
        analysis = replace(cnncost.analyze(net, batch=batch), processor=MEASURED_HERE)
        peak = predict(analysis, "inference").peak_bytes
        assert peak == pytest.approx(measured, rel=0.01)


def test_the_processor_is_named_and_its_cache_told() -> None:
    analysis = cnncost.analyze("zoo:typical-cnn", batch=1, processor="avx-vnni")
    assert analysis.to_dict()["processor"] == "avx-vnni"
    assert any("1.25 MiB of cache" in note for note in predict(analysis, "inference").notes)
