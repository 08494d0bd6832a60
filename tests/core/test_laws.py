"""Laws that hold for every graph, on random chains and diamonds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cnncost
from cnncost.analysis import Analysis
from cnncost.errors import CnncostError
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds.registry import lookup


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """A chain of layers over a small image, each with SAME padding so that every draw is a valid model."""
    size = draw(st.integers(4, 24))
    layers = [Layer("input", lookup("InputLayer")(shape=(size, size + 1, draw(st.integers(1, 4)))))]  # type: ignore[call-arg]
    for i in range(draw(st.integers(1, 6))):
        arguments: dict[str, Any] = {
            "filters": draw(st.integers(1, 8)),
            "kernel_size": draw(st.integers(1, 4)),
            "strides": draw(st.integers(1, 3)),
            "padding": "same",
            "use_bias": draw(st.booleans()),
            "activation": draw(st.sampled_from([None, "relu", "sigmoid"])),
        }
        kind = lookup("Conv2D").build(arguments)
        layers.append(Layer(f"layer{i}", kind, (Ref(i),), trainable=draw(st.booleans())))
    return Graph("random", tuple(layers), (Ref(len(layers) - 1),))


COLUMNS = ("params", "trainable_params", "macs", "training_macs", "flops", "activation_bytes", "weight_bytes")


@given(graphs(), st.integers(1, 7))
def test_batch_multiplies_activations_and_nothing_else(graph: Graph, batch: int) -> None:
    one, many = cnncost.analyze(graph), cnncost.analyze(graph, batch=batch)
    assert many.totals.activation_bytes == batch * one.totals.activation_bytes
    assert replace(many.totals, activation_bytes=0) == replace(one.totals, activation_bytes=0)
    assert many.memory.textbook.training_bytes == batch * one.memory.textbook.training_bytes
    assert many.memory.textbook.inference_bytes == batch * one.memory.textbook.inference_bytes


@given(graphs())
def test_columns_sum_to_totals(graph: Graph) -> None:
    analysis = cnncost.analyze(graph)
    for column in COLUMNS:
        assert sum(getattr(row, column) for row in analysis.layers) == getattr(analysis.totals, column)


@given(graphs())
def test_names_change_nothing(graph: Graph) -> None:
    renamed = replace(graph, layers=tuple(replace(y, name=f"x/{i}") for i, y in enumerate(graph.layers)))
    assert cnncost.analyze(renamed).totals == cnncost.analyze(graph).totals


@given(graphs())
def test_half_precision_halves_bytes(graph: Graph) -> None:
    full, half = cnncost.analyze(graph, dtype="float32"), cnncost.analyze(graph, dtype="float16")
    assert 2 * half.totals.activation_bytes == full.totals.activation_bytes
    assert 2 * half.totals.weight_bytes == full.totals.weight_bytes
    mixed = cnncost.analyze(graph, dtype="mixed_float16")
    assert mixed.totals.weight_bytes == full.totals.weight_bytes
    assert mixed.totals.activation_bytes == half.totals.activation_bytes


@given(graphs())
def test_training_macs_by_definition(graph: Graph) -> None:
    """Forward, plus the weight gradient of each trainable layer, plus the data gradient of each layer above one."""
    analysis = cnncost.analyze(graph)
    expected, below = 0, False
    for row in analysis.layers:
        expected += row.macs * (1 + (row.layer.trainable and bool(row.weights)) + below)
        below = below or (row.layer.trainable and bool(row.weights))
    assert analysis.totals.training_macs == expected


@given(graphs())
@settings(max_examples=20)
def test_a_layer_used_twice_costs_twice_and_weighs_once(graph: Graph) -> None:
    """A branch that calls every layer again: arithmetic doubles, weights do not."""
    n = len(graph.layers)
    again = tuple(
        replace(y, name=f"{y.name}:2", shares=i, inputs=tuple(Ref(r.layer and r.layer + n - 1) for r in y.inputs))
        for i, y in enumerate(graph.layers)
        if i
    )
    twice = cnncost.analyze(replace(graph, layers=graph.layers + again)).totals
    once = cnncost.analyze(graph).totals
    assert (twice.params, twice.weight_bytes, twice.layers) == (once.params, once.weight_bytes, once.layers)
    assert (twice.macs, twice.flops) == (2 * once.macs, 2 * once.flops)


def test_equal_arguments_may_hide_a_difference() -> None:
    """Two wrappers that differ in a frozen inner layer alone are ruled apart."""
    dense = {"class_name": "Dense", "config": {"units": 2}}
    frozen = {"class_name": "Dense", "config": {"units": 2, "trainable": False}}
    kinds = [lookup("TimeDistributed").build({"layer": layer}) for layer in (dense, frozen)]
    layers = [Layer("input", lookup("InputLayer").build({"shape": [8, 2]}))]
    layers += [Layer(f"l{i}", kind, (Ref(i),)) for i, kind in enumerate(kinds)]
    rows = cnncost.analyze(Graph("chain", tuple(layers), (Ref(2),))).layers
    assert [row.trainable_params for row in rows] == [0, 6, 0]


def chain(*kinds: Any) -> Graph:
    layers = [Layer("input", lookup("InputLayer").build({"shape": [8, 8, 3]}))]
    layers += [Layer(f"l{i}", kind, (Ref(i),)) for i, kind in enumerate(kinds)]
    return Graph("chain", tuple(layers), (Ref(len(kinds)),))


def analysis_of(**arguments: Any) -> Analysis:
    return cnncost.analyze(chain(lookup("Conv2D").build({"filters": 2, "kernel_size": 3, **arguments})))


@pytest.mark.parametrize("batch", [0, -1, True, 1.0, "2", 2**31])
def test_a_wrong_batch_is_an_error(batch: Any) -> None:
    with pytest.raises(CnncostError, match="batch"):
        cnncost.analyze(chain(lookup("Conv2D").build({"filters": 2, "kernel_size": 3})), batch=batch)


def test_an_unknown_optimizer_names_the_nearest() -> None:
    graph = chain(lookup("Conv2D").build({"filters": 2, "kernel_size": 3}))
    assert cnncost.analyze(graph, mode="training", optimizer="Adam").optimizer == "Adam"
    with pytest.raises(CnncostError, match="'adm'.*did you mean 'adam'"):
        cnncost.analyze(graph, mode="training", optimizer="adm")


def test_the_input_can_be_overridden_by_order_and_by_name() -> None:
    graph = chain(lookup("Conv2D").build({"filters": 2, "kernel_size": 3}))
    assert cnncost.analyze(graph, input=(10, 10, 3)).layers[1].output_shape == (8, 8, 2)
    assert cnncost.analyze(graph, input={"input": (5, 6, 1)}).layers[1].output_shape == (3, 4, 2)
    with pytest.raises(CnncostError, match="no input 'inputs'.*did you mean 'input'"):
        cnncost.analyze(graph, input={"inputs": (5, 6, 1)})


def test_unknown_dimensions_are_asked_for() -> None:
    graph = chain(lookup("Conv2D").build({"filters": 2, "kernel_size": 3}))
    with pytest.raises(CnncostError, match="stays unknown.*--input"):
        cnncost.analyze(graph, input=(None, None, 3))
    conv = graph.layers[1].kind
    assert conv.output(((None, 9, 3),)) == (None, 7, 2)
    with pytest.raises(CnncostError, match="channels of its input is unknown"):
        conv.output(((8, 8, None),))


def test_a_window_that_does_not_fit_names_layer_and_rule() -> None:
    with pytest.raises(CnncostError, match="l0.*spans 9 does not fit into 8.*VALID"):
        analysis_of(kernel_size=9)
