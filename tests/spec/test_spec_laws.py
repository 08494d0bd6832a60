"""Laws of the language: what may not change the graph, and what YAML 1.2 means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError
from cnncost.graph import Graph, Layer
from cnncost.sources import zoo
from cnncost.sources.spec import read_dict, read_file, read_text
from cnncost.sources.spec.names import snake

LAYER = st.sampled_from([
    {"Conv2D": [4, 3, 1, "same"]}, {"Conv2D": {"filters": 2, "kernel_size": 1}}, {"ReLU": None},
    {"BatchNormalization": None},
    {"residual": [{"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same"}}, {"ReLU": None}],
     "shortcut": [{"Conv2D": [4, 1]}]},
    {"branches": [[{"Conv2D": [3, 1]}], [], [{"ReLU": None}, {"Conv2D": [1, 1]}]]},
])  # fmt: skip
LAYERS = st.lists(LAYER, min_size=1, max_size=5)


def bare(graph: Graph, names: bool = True) -> list[Layer]:
    """The layers without their places."""
    return [replace(y, location=None, expects=(), **({} if names else {"name": ""})) for y in graph.layers]


def spec(layers: list[Any], **more: Any) -> dict[str, Any]:
    return {"input": [9, 9, 3], "layers": layers, **more}


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.integers(1, 4))
def test_repeat_is_writing_it_so_often(layers: list[Any], n: int) -> None:
    once = spec([{"b": None, "repeat": n}, "ReLU"], blocks={"b": layers})
    often = spec([{"b": None}] * n + ["ReLU"], blocks={"b": layers})
    assert bare(read_dict(once)) == bare(read_dict(often))
    single = spec([{**entry, "repeat": n} for entry in layers])
    written = spec([entry for entry in layers for _ in range(n)])
    assert bare(read_dict(single)) == bare(read_dict(written))


@settings(max_examples=40, deadline=None)
@given(LAYERS)
def test_a_block_is_its_layers(layers: list[Any]) -> None:
    inline, block = read_dict(spec(layers)), read_dict(spec(["b"], blocks={"b": {"layers": layers}}))
    assert bare(inline, names=False) == bare(block, names=False)
    assert [f"b/{layer.name}" for layer in inline.layers[1:]] == [layer.name for layer in block.layers[1:]]


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.integers(1, 9), st.integers(1, 3))
def test_a_variable_is_its_value(layers: list[Any], width: int, kernel: int) -> None:
    def called(filters: Any, size: Any) -> list[Any]:
        return [*layers, {"Conv2D": [filters, size]}, {"Conv2D": {"filters": filters, "kernel_size": size}}]

    literal = read_dict(spec(called(width, kernel)))
    declared = read_dict(spec(called("$w", "$(k)"), variables={"w": width, "k": kernel}))
    given_ = read_dict(spec(called("$w", "$k"), variables={"w": 77, "k": 5}), {"w": width, "k": str(kernel)})
    sums = read_dict(spec(called("$(w + 3 - 3)", "$(k * 2 // 2)"), variables={"w": width, "k": kernel}))
    assert bare(literal) == bare(declared) == bare(given_) == bare(sums)


@settings(max_examples=40, deadline=None)
@given(LAYERS, st.booleans())
def test_when_is_leaving_out(layers: list[Any], flag: bool) -> None:
    entry = {"b": None, "when": "$flag"}
    conditional = spec([{"ReLU": None}, entry], blocks={"b": layers}, variables={"flag": flag})
    plain = spec(["ReLU", *(["b"] if flag else [])], blocks={"b": layers})
    assert bare(read_dict(conditional)) == bare(read_dict(plain))


@settings(max_examples=40, deadline=None)
@given(LAYERS)
def test_names_change_no_figure(layers: list[Any]) -> None:
    plain = analyze_graph(read_dict(spec(layers)))
    named = analyze_graph(read_dict(spec([{**entry, "name": f"n{i}"} for i, entry in enumerate(layers)])))
    assert plain.totals == named.totals
    assert [row.outputs for row in plain.layers] == [row.outputs for row in named.layers]


@pytest.mark.parametrize("name", zoo.names())
def test_unnamed_layers_have_keras_names_and_places(name: str) -> None:
    graph = read_file(zoo.path(name), source=f"zoo:{name}")
    assert graph.source == f"zoo:{name}"
    text = Path(zoo.path(name)).read_text(encoding="utf-8").split("\n")
    for layer in graph.layers[1:]:
        place = layer.location
        assert place is not None and place.line is not None and place.column is not None
        assert place.path.startswith("layers[") and 0 < place.column <= len(text[place.line - 1])
    assert zoo.title(name)


def test_zoo_unknown() -> None:
    with pytest.raises(CnncostError, match="did you mean 'resnet152'"):
        zoo.path("resnet512")
    with pytest.raises(CnncostError):
        zoo.path("../schema")


def test_snake_case_is_keras() -> None:
    expected = {"Conv2DTranspose": "conv2d_transpose", "ELU": "elu", "PReLU": "p_re_lu", "GRU": "gru",
                "LeakyReLU": "leaky_re_lu", "ConvLSTM2D": "conv_lstm2d"}  # fmt: skip
    assert {name: snake(name) for name in expected} == expected


@pytest.mark.keras
def test_snake_case_for_every_kind() -> None:
    from keras.src.utils.naming import to_snake_case

    from cnncost.kinds import registry

    assert all(snake(name) == to_snake_case(name) for name in registry.names())


@pytest.mark.parametrize(
    "variables, words",
    [
        ({"widht": 3}, "no variable 'widht'.*did you mean 'width'"),
        ({"width": "wide"}, "it is a number in the spec; received wide"),
        ({"width": True}, "it is a number in the spec"),
        ({"width": [1] * 2000}, "wrong value|more than 1,000"),
        ({"width": "9" * 5000}, "5,000 digits"),
        ({"width": 0}, "filters"),
    ],
)
def test_wrong_variables(variables: dict[str, Any], words: str) -> None:
    with pytest.raises(CnncostError, match=words) as caught:
        read_text("input: [8, 8, 3]\nvariables: {width: 4}\nlayers: [{Conv2D: [$width, 3]}]", "s.yaml", variables)
    assert str(caught.value).startswith("s.yaml:")


def test_block_sees_parameters_and_variables_but_not_its_caller() -> None:
    text = """
input: [8, 8, 3]
variables: {w: 4}
blocks:
  inner: {params: {a: $w}, layers: [{Conv2D: [$a, 1]}]}
  outer: {params: {b: 5}, layers: [inner, {inner: $b}, {Conv2D: [$(w + b), 1]}]}
layers: [outer]
"""
    assert [y.kind.filters for y in read_text(text).layers[1:]] == [4, 5, 9]  # type: ignore[attr-defined]
    with pytest.raises(CnncostError, match="no variable 'b'"):
        read_text(text.replace("[$a, 1]", "[$b, 1]"))


def test_linear_in_layers() -> None:
    import time

    def seconds(n: int) -> float:
        text = "input: [9, 9, 3]\nlayers:\n" + "  - Conv2D: {filters: 3, kernel_size: 3, padding: same}\n" * n
        best = 9.0
        for _ in range(3):
            start = time.process_time()
            read_text(text)
            best = min(best, time.process_time() - start)
        return best

    assert seconds(8_000) < 3 * 8 * seconds(1_000)  # eight times the layers, and room for noise


@pytest.mark.parametrize("name", ["resnet50", "googlenet", "lenet5-1998"])
def test_without_libyaml(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import yaml

    fast = read_file(zoo.path(name))
    monkeypatch.delattr(yaml, "CSafeLoader")
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    slow = read_file(zoo.path(name))
    assert slow == fast and [y.location for y in slow.layers] == [y.location for y in fast.layers]
    for text, words in [("input: [3]\nlayers: [\x07]", "2:10: error: the character"), ("a: [", ":1:5: error: not YAML"),
                        ("[" * 3000, "1:65: error: the nesting")]:  # fmt: skip
        with pytest.raises(CnncostError, match=words):
            read_text(text, "s.yaml")


@pytest.mark.keras
def test_positional_order_is_keras_own() -> None:
    """A list is the Keras constructor's positional arguments, for every kind that Keras has."""
    import inspect

    import keras

    from cnncost.kinds import registry
    from cnncost.sources.spec.positional import positional

    wrong = {}
    for name in registry.names():
        kind, layer = registry.lookup(name), getattr(keras.layers, name, None)
        if layer is None or not kind.keras or name == "InputLayer":
            continue
        signature = inspect.signature(layer.__init__).parameters.values()
        theirs = [p.name for p in signature if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
        ours = list(kind.arguments())
        common = [a for a, b in zip(ours, theirs, strict=False) if a == b]
        while common and common != theirs[: len(common)]:
            common.pop()
        if positional(kind) != common:
            wrong[name] = (positional(kind), common)
    assert not wrong
