"""Claims: true ones are silent, broken ones name the rule and changes that really satisfy them."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnncost
from cnncost.analysis import Analysis, analyze_graph
from cnncost.errors import CnncostError, Location
from cnncost.expectations import with_findings
from cnncost.expectations.metrics import LAYER, holds, model_figures, sensible
from cnncost.expectations.remedies import remedies
from cnncost.expectations.sizes import bisect
from cnncost.expectations.trial import BUDGET, FIGURES, Trial
from cnncost.graph import Expected, Graph, Layer, Ref
from cnncost.kinds.convolution import Conv2D
from cnncost.kinds.core import Dense, InputLayer
from cnncost.kinds.pooling import MaxPooling2D
from cnncost.kinds.reshaping import Flatten
from cnncost.memory.figures import with_memory

ZOO = sorted(path.stem for path in (Path(cnncost.__file__).parent / "zoo").glob("*.yaml"))


def chain(*kinds: Any, shape: tuple[int, ...] = (64, 48, 3), claims: dict[int, Expected] | None = None) -> Graph:
    layers = [Layer("input", InputLayer(shape=shape))]
    for i, kind in enumerate(kinds):
        found = ((claims or {})[i],) if i in (claims or {}) else ()
        layers.append(Layer(f"layer{i}", kind, (Ref(i),), expects=found, location=Location("net.yaml", i + 1, 3)))
    return Graph("chain", tuple(layers), (Ref(len(kinds)),))


def broken(graph: Graph, **options: Any) -> list[Any]:
    return [f for f in with_findings(with_memory(analyze_graph(graph, **options))).findings if f.severity == "error"]


def test_the_printed_alexnet_contradicts_itself_and_the_finding_says_what_would_not() -> None:
    errors = [finding for finding in cnncost.analyze("zoo:alexnet-table").findings if finding.severity == "error"]
    assert [finding.layer for finding in errors] == ["C1"]
    message = errors[0].message
    assert "expected output_shape 55 × 55 × 96, computed 56 × 56 × 96" in message
    assert "SAME gives ceil(224/4) = 56" in message
    assert "227 × 227 with VALID gives floor((227 - 11)/4) + 1 = 55" in message
    assert re.search(r"alexnet-table(\.yaml)?:\d+:\d+", str(errors[0].location))


@pytest.mark.parametrize("name", [name for name in ZOO if name != "alexnet-table"])
def test_the_zoo_keeps_its_claims(name: str) -> None:
    analysis = cnncost.analyze(f"zoo:{name}")
    assert analysis.graph.expects or any(layer.expects for layer in analysis.graph.layers)
    assert analysis.findings == ()


@pytest.mark.parametrize("name", ["typical-cnn", "unet", "mobilenet-v2"])
def test_claims_of_what_is_so_are_silent_and_of_anything_else_are_not(name: str) -> None:
    analysis = cnncost.analyze(f"zoo:{name}", processor="avx512")
    layers = tuple(
        dataclasses.replace(
            row.layer, expects=tuple(Expected(m, LAYER[m](row), "") for m in LAYER if sensible(m, LAYER[m](row)))
        )
        for row in analysis.layers
    )
    figures = model_figures(analysis, {""}).items()
    whole = tuple(Expected(m, figure, "") for m, figure in figures if sensible(m, figure))
    again = dataclasses.replace(analysis.graph, layers=layers, expects=whole)
    assert with_findings(with_memory(analyze_graph(again))).findings == ()
    off = tuple(dataclasses.replace(y, expects=(Expected("params", LAYER["params"](row) + 1, ""),))
                for y, row in zip(layers, analysis.layers, strict=True))  # fmt: skip
    assert len(broken(dataclasses.replace(again, layers=off))) == len(layers)


def applied(analysis: Analysis, index: int, remedy: Any) -> Analysis:
    """The model up to the layer after a remedy, walked anew; what follows may need changes of its own."""
    graph = analysis.graph
    layers = list(graph.layers)
    layers[index] = dataclasses.replace(layers[index], kind=dataclasses.replace(layers[index].kind, **remedy.changes))
    sizes = None
    if remedy.resized:
        assert remedy.of == "input"
        sizes = {"input": (*map(int, remedy.resized.split(" × ")), layers[0].kind.shape[-1])}
    upto = dataclasses.replace(graph, layers=tuple(layers[: index + 1]), outputs=(Ref(index),))
    return analyze_graph(upto, inputs=sizes, batch=analysis.batch)


small = st.integers(1, 6)
convs = st.builds(
    Conv2D, filters=st.integers(1, 12).map(lambda n: 2 * n), kernel_size=st.tuples(small, small), strides=small,
    padding=st.sampled_from(["same", "valid"]), groups=st.sampled_from([1, 1, 1, 2]), use_bias=st.booleans(),
)  # fmt: skip
pools = st.builds(
    MaxPooling2D, pool_size=small, strides=st.one_of(st.none(), small), padding=st.sampled_from(["same", "valid"])
)


@settings(max_examples=150, deadline=None)
@given(kinds=st.lists(st.one_of(convs, pools), min_size=1, max_size=4), metric=st.sampled_from(sorted(FIGURES)),
       factor=st.sampled_from([-3, -1, 1, 2, 5]), shape=st.tuples(st.integers(6, 90), st.integers(6, 90), st.just(4)),
       data=st.data())  # fmt: skip
def test_every_remedy_satisfies_the_claim(kinds: Any, metric: str, factor: int, shape: Any, data: Any) -> None:
    graph = chain(*kinds, shape=shape)
    try:
        analysis = analyze_graph(graph, batch=2)
    except CnncostError:
        return
    index = data.draw(st.integers(1, len(kinds)))
    now = LAYER[metric](analysis.layers[index])
    if isinstance(now, int):
        ends = (now + factor, now + factor + abs(factor) * now // 3)
        claimed: Any = data.draw(st.sampled_from([now + factor, ends]))
    elif metric == "output_shapes":
        claimed = (tuple(max(n + factor, 1) for n in now[0]),)
    else:
        claimed = tuple(max(n + data.draw(st.sampled_from([0, factor])), 1) for n in now)
    expected = Expected(metric, claimed, "about so many")
    budget = [BUDGET]
    found = remedies(Trial(analysis, index, expected, budget))
    assert len(found) <= 3 and [r.cost for r in found] == sorted(r.cost for r in found)
    assert budget[0] > 0
    for remedy in found:
        assert remedy.changes or remedy.resized
        if remedy.of in ("", "input"):
            after = applied(analysis, index, remedy)
            assert holds(expected, LAYER[metric](after.layers[index])), (expected, remedy)


def test_the_search_finds_what_a_person_would() -> None:
    conv = Conv2D(filters=8, kernel_size=3)
    first = {
        "padding SAME": (Expected("output_shape", (64, 48, 8), ""), "VALID gives floor((64 - 3)/1) + 1 = 62"),
        "use_bias false": (Expected("params", 216, ""), "(3×3×3 + 1) × 8 = 224"),
        "filters 16": (Expected("params", 448, ""), "(3×3×3 + 1) × 8 = 224"),
        "kernel_size 5": (Expected("receptive_field", (5, 5), ""), "1 + 2 × 1 = 3"),
    }
    for change, (expected, rule) in first.items():
        (finding,) = broken(chain(conv, claims={0: expected}))
        nearest = finding.message.split("nearest that holds: ")[1].split(", or ")[0]
        assert change.removeprefix("padding ") in nearest and rule in finding.message, finding.message
        assert str(finding.location) == "net.yaml:1:3"


def test_a_pooling_without_strides_of_its_own_is_searched_too() -> None:
    (finding,) = broken(chain(MaxPooling2D(), claims={0: Expected("output_shape", (63, 47, 3), "")}))
    assert "strides 1 and VALID gives floor((64 - 2)/1) + 1 = 63" in finding.message


def test_sizes_are_searched_from_the_model_input_up() -> None:
    kinds = (Conv2D(filters=4, kernel_size=3, strides=2), MaxPooling2D(), Flatten(), Dense(units=10))
    claim = {3: Expected("params", (7 * 7 * 4 + 1) * 10, "")}
    (finding,) = broken(chain(*kinds, shape=(64, 64, 3), claims=claim))
    size = int(re.search(r"an input of (\d+) × \1 gives \(196 \+ 1\) × 10 = 1,970", finding.message)[1])  # type: ignore[index]
    assert broken(chain(*kinds, shape=(size, size, 3), claims=claim)) == []
    assert broken(chain(*kinds, shape=(size + 1, size + 1, 3), claims=claim))


@given(st.integers(1, 400), st.integers(1, 9), st.integers(1, 60))
def test_bisection_finds_the_nearest_size(now: int, stride: int, wanted: int) -> None:
    def compare(size: int) -> int:
        return (-(-size // stride) > wanted) - (-(-size // stride) < wanted)

    fits = [size for size in range(1, 16 * now + 65) if compare(size) == 0]
    assert bisect(compare, now) == (min(fits, key=lambda size: abs(size - now)) if fits else None)


def test_totals_tell_the_difference_and_the_heaviest_layers() -> None:
    graph = chain(Conv2D(filters=8, kernel_size=3), Flatten(), Dense(units=10))
    total = analyze_graph(graph).totals
    claims = (Expected("params", total.params - 18, ""), Expected("macs", (1, 2), "1.5"))
    biased, macs = broken(dataclasses.replace(graph, expects=claims))
    assert (
        f"expected params {total.params - 18:,}, computed {total.params:,} (difference +18, +0.01 %)" in biased.message
    )
    assert "18 too many: exactly the biases of all layers" in biased.message
    assert f"'layer2' {total.params - 224:,} (99.9 %)" in biased.message
    assert "expected macs 1.5" in macs.message
    with pytest.raises(CnncostError, match="did you mean 'params'"):  # unknown keys are bad input, not broken claims
        broken(dataclasses.replace(graph, expects=(Expected("parms", 1, ""),)))


def test_a_layer_that_nothing_reads_is_a_warning() -> None:
    graph = chain(Conv2D(filters=8, kernel_size=3), MaxPooling2D())
    graph = dataclasses.replace(graph, outputs=(Ref(1),))
    (finding,) = with_findings(analyze_graph(graph)).findings
    assert (finding.severity, finding.layer) == ("warning", "layer1") and "nothing reads 'layer1'" in finding.message
    many = tuple(Layer(f"x{i}", MaxPooling2D(), (Ref(0),)) for i in range(500))
    found = with_findings(analyze_graph(dataclasses.replace(graph, layers=(*graph.layers, *many)))).findings
    assert len(found) < 30 and "480 more" in found[-1].message.replace("481", "480")


HOSTILE: list[Any] = [
    None, (), (1,), (1, 2, 3, 4, 5), (None, None, None), (-1, 0, 2**60), 2**4000, -1, "text", (("a",), 3), 0, (0, 0, 0),
    (10**18, 10**19), ((1, 2), (3, 4)), 1.5, float("nan"), True, {}, (5, None),
]  # fmt: skip


@pytest.mark.parametrize("claimed", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_claims_are_findings_or_errors_and_quick(claimed: Any) -> None:
    started = time.process_time()
    for metric in [*LAYER, "no such", "x" * 10_000, ""]:
        expected = Expected(metric, claimed, "")
        graph = chain(Conv2D(filters=8, kernel_size=3), MaxPooling2D(), Flatten(), Dense(units=10),
                      claims=dict.fromkeys(range(4), expected))  # fmt: skip
        try:
            texts = [finding.message for finding in broken(dataclasses.replace(graph, expects=(expected,)))]
        except CnncostError as error:
            texts = [str(error)]
        assert all(len(text) < 3000 and "\n" not in text for text in texts)
    assert time.process_time() - started < 5


def test_thousands_of_broken_claims_take_seconds_at_most() -> None:
    claims = dict.fromkeys(range(2000), Expected("output_shape", (63, 47, 9), ""))
    graph = chain(*[Conv2D(filters=3, kernel_size=3, padding="same")] * 2000, claims=claims)
    analysis = analyze_graph(graph)
    started = time.process_time()
    assert len(with_findings(analysis).findings) == 2000
    assert time.process_time() - started < 4
