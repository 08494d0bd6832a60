"""Every shipped spec holds what it claims, and what the reference cases claim of it."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

import cnncost
from cnncost.analysis import Analysis, LayerCost
from cnncost.kinds.historic import LENET5_TABLE, connections

FILES = sorted((Path(cnncost.__file__).parent / "zoo").glob("*.yaml"))
NAMES = [file.stem for file in FILES]
CONTRADICTORY = {"alexnet-table"}


@cache
def analysis(name: str) -> Analysis:
    return cnncost.analyze(f"zoo:{name}")


def layer(name: str, end: str) -> LayerCost:
    """The only row of a zoo model whose name, or last part of it, is ``end``."""
    found = [row for row in analysis(name).layers if row.name.split("/")[-1] == end]
    assert len(found) == 1, [row.name for row in analysis(name).layers]
    return found[0]


def test_every_asked_for_spec_is_there() -> None:
    asked = """memory-example stride-example padding-valid padding-same photo-filters pooling-example typical-cnn
    lenet5-table lenet5-1998 alexnet-table alexnet-2012 alexnet-one-tower googlenet resnet152 vgg16 resnet50
    mobilenet-v2 efficientnet-b0 densenet121 inception-v3 unet"""
    assert set(asked.split()) <= set(NAMES)


@pytest.mark.parametrize("name", sorted(set(NAMES) - CONTRADICTORY))
def test_claims_hold(name: str) -> None:
    assert [finding.message for finding in analysis(name).findings] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_spec_claims_something(name: str) -> None:
    graph = analysis(name).graph
    assert graph.expects or any(layer.expects for layer in graph.layers)


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_file_form(file: Path) -> None:
    """The file's name is the model's; one sentence says what it is and when it was published; lines fit on a screen."""
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0] == f"name: {file.stem}"
    assert lines[1].startswith("description: ") and lines[1].endswith(".")
    assert re.search(r"(19|20)\d\d", lines[1]), "the architecture's author and year"
    assert max(map(len, lines)) <= 120
    assert analysis(file.stem).model == file.stem


# (params, trainable, macs) by the reference cases or the models' papers; None where neither says it
FACTS: dict[str, tuple[int | None, int | None, int | None]] = {
    "memory-example": (15_200, 15_200, 225_000_000),
    "stride-example": (10, 10, 3 * 4 * 9),
    "padding-valid": (7, 7, 2 * 6),
    "padding-same": (7, 7, 3 * 6),
    "photo-filters": (2 * 7 * 7 * 3, 0, 214 * 320 * 2 * 147),
    "pooling-example": (0, 0, 0),
    "lenet5-table": (156 + 2_416 + 48_120 + 10_164 + 840, None, None),
    "lenet5-1998": (60_840, 60_000, None),
    "alexnet-table": (201_838_952, None, None),
    "alexnet-2012": (60_965_224, 60_965_224, None),
    "alexnet-one-tower": (62_378_344, 62_378_344, None),
    "googlenet": (6_998_552, 6_998_552, None),
    "resnet152": (60_419_944, 60_268_520, 11_282_415_616),
    "vgg16": (138_357_544, 138_357_544, 15_470_264_320),
    "resnet50": (25_636_712, 25_583_592, 3_857_973_248),
    "mobilenet-v2": (3_538_984, 3_504_872, 300_774_272),
    "efficientnet-b0": (5_330_571, 5_288_548, 385_814_752),
    "densenet121": (8_062_504, 7_978_856, 2_834_161_664),
    "inception-v3": (23_851_784, 23_817_352, 5_713_216_096),
}


@pytest.mark.parametrize("name", FACTS)
def test_totals(name: str) -> None:
    totals = analysis(name).totals
    actual = (totals.params, totals.trainable_params, totals.macs)
    assert tuple(a if f is not None else None for a, f in zip(actual, FACTS[name], strict=True)) == FACTS[name]


def test_memory_example_bytes() -> None:
    assert layer("memory-example", "conv").activation_bytes == 200 * 150 * 100 * 32 // 8
    hundred = cnncost.analyze("zoo:memory-example", batch=100)
    assert hundred.layers[-1].activation_bytes == 1_200_000_000
    assert hundred.findings == ()  # its claims are per instance


def test_alexnet_table_contradicts_itself_at_c1_only() -> None:
    result = analysis("alexnet-table")
    assert not result.ok
    assert [finding.layer for finding in result.findings] == ["C1"]
    finding = result.findings[0]
    assert "56" in finding.message and "55" in finding.message
    assert layer("alexnet-table", "C1").output_shape == (56, 56, 96)
    assert layer("alexnet-table", "F8").params == 13 * 13 * 256 * 4096 + 4096
    assert finding.location is not None
    line = finding.location.line
    assert line is not None
    text = FILES[NAMES.index("alexnet-table")].read_text(encoding="utf-8").splitlines()
    assert "C1" in text[line - 1]


def test_alexnet_claims_can_fail() -> None:
    """The same table with 227 and VALID, as the contradiction's remedy says, gives 55."""
    spec = {"input": [227, 227, 3], "layers": [{"Conv2D": [96, 11, 4, "valid"], "expect": [55, 55, 96]}]}
    assert cnncost.analyze(spec).ok
    spec["input"] = [224, 224, 3]
    assert not cnncost.analyze(spec).ok


def test_googlenet_macs() -> None:
    assert 1_575_000_000 <= analysis("googlenet").totals.macs < 1_585_000_000


# Table 1 of the paper, column "ops", in millions. Left out: its first row and 5a, which do not follow from its widths.
INCEPTION = {"3a": 128, "3b": 304, "4a": 73, "4b": 88, "4c": 100, "4d": 119, "4e": 170, "5b": 71}


@pytest.mark.parametrize("module", INCEPTION)
def test_googlenet_modules(module: str) -> None:
    macs = sum(row.macs for row in analysis("googlenet").layers if row.name.startswith(module + "/"))
    assert abs(macs - INCEPTION[module] * 1_000_000) < 1_000_000


LENET = {"C1": (156, 122_304), "S2": (12, 5_880), "C3": (1_516, 151_600), "S4": (32, 2_000), "C5": (48_120, 48_120),
         "F6": (10_164, 10_164)}  # fmt: skip


@pytest.mark.parametrize("name", LENET)
def test_lenet_1998_params_by_layer(name: str) -> None:
    assert layer("lenet5-1998", name).trainable_params == LENET[name][0]


def test_lenet_1998_connections() -> None:
    """The paper's figures by layer; its RBF layer has 84·10; their sum is the reference's 340,908."""
    counted = {name: int(connections(row.layer.kind, row.input_shapes)) for name in (*LENET, "Out")
               for row in [layer("lenet5-1998", name)]}  # fmt: skip
    assert counted == {name: figures[1] for name, figures in LENET.items()} | {"Out": 840}
    assert sum(counted.values()) == 340_908


def test_lenet_1998_table() -> None:
    """The paper's Table I: six maps see 3 contiguous maps, six see 4 contiguous, three see 4 others, one sees all."""
    table = layer("lenet5-1998", "C3").layer.kind.table  # type: ignore[attr-defined]
    assert table == LENET5_TABLE
    around = [{(first + i) % 6 for i in range(size)} for size in (3, 4) for first in range(6)]
    assert all(set(row) in around for row in table[:12])
    assert sorted(map(len, table)) == [3] * 6 + [4] * 9 + [6]
    assert [sum(i in row for row in table) for i in range(6)] == [10] * 6  # each map of S2 is seen equally often


def test_lenet_1998_rbf_is_not_trained() -> None:
    rows = [row for row in analysis("lenet5-1998").layers if row.kind == "RBF"]
    assert [(row.params, row.trainable_params) for row in rows] == [(840, 0)]


def test_resnet152_is_short() -> None:
    file = FILES[NAMES.index("resnet152")]
    assert len(file.read_text(encoding="utf-8").splitlines()) < 60


SMALLER = {"vgg16": 128, "resnet50": 160, "mobilenet-v2": 96, "googlenet": 128, "densenet121": 64}


@pytest.mark.parametrize(("name", "smaller"), SMALLER.items())
def test_size_is_a_variable(name: str, smaller: int) -> None:
    """Another input size changes the multiplications; without dense layers over positions the weights stay."""
    result = cnncost.analyze(f"zoo:{name}", variables={"size": smaller})
    assert result.input_shapes == [[smaller, smaller, 3]]
    assert result.totals.macs < analysis(name).totals.macs
    assert (result.totals.params == analysis(name).totals.params) == (name != "vgg16")


def test_unet_parameters() -> None:
    """Two 3 × 3 convolutions at each level, 2 × 2 up-convolutions between levels, a 1 × 1 last; with biases."""
    widths = (1, 64, 128, 256, 512, 1024)
    down = sum((9 * a + 1) * b + (9 * b + 1) * b for a, b in pairwise(widths))
    up = sum((4 * 2 * b + 1) * b + (9 * 2 * b + 1) * b + (9 * b + 1) * b for b in widths[1:-1])
    assert analysis("unet").totals.params == down + up + (64 + 1) * 2
    assert analysis("unet").layers[-1].output_shape == (388, 388, 2)


def test_classes_is_a_variable() -> None:
    result = cnncost.analyze("zoo:resnet50", variables={"classes": 10})
    assert result.layers[-1].output_shape == (10,)
    assert result.totals.params == 25_636_712 - 990 * 2049
