"""Genuine Keras 2 files, against what tf_keras said about every layer when it wrote them (see data/make_keras2.py)."""

import json
from pathlib import Path

import pytest

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError
from cnncost.sources import load

DATA = Path(__file__).parent / "data"
FACTS = json.loads((DATA / "facts.json").read_text())
INPUTS = {"video": [(7, 8, 8, 1)]}  # what the file leaves unknown


def rows_of(path, inputs=None):
    graph = load(str(path))
    return graph, analyze_graph(graph, inputs=inputs)


def same(ours, theirs):
    """Equal where tf_keras knows a dimension."""
    return len(ours) == len(theirs) and all(t is None or t == o for o, t in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", FACTS)
def test_every_layer_equals_tf_keras(name):
    graph, analysis = rows_of(DATA / f"{name}.json", INPUTS.get(name))
    facts = FACTS[name]
    assert graph.dialect == "keras2"
    assert (analysis.totals.params, analysis.totals.trainable_params) == (facts["params"], facts["trainable"])
    rows = {row.name: row for row in analysis.layers}
    for layer in facts["layers"]:
        if layer["name"] == "frames":  # a model inside TimeDistributed is one TimeDistributed for each inner layer
            continue
        row = rows[layer["name"]]
        assert (row.name, row.params, row.trainable_params) == (row.name, layer["params"], layer["trainable"])
        if layer["class"] != "MultiHeadAttention":  # tf_keras nests its shapes
            assert len(row.outputs) == len(layer["shapes"])
            for tensor, shape in zip(row.outputs, layer["shapes"], strict=True):
                assert same(tensor.shape, shape), (row.name, tensor.shape, shape)


@pytest.mark.parametrize("name", FACTS)
def test_nothing_is_unknown(name):
    assert not load(str(DATA / f"{name}.json")).findings


@pytest.mark.parametrize("suffix", ["h5", "keras"])
def test_other_files_hold_the_same_model(suffix):
    if suffix == "h5":
        pytest.importorskip("h5py")
    _, plain = rows_of(DATA / "siamese.json")
    graph, analysis = rows_of(DATA / f"siamese.{suffix}")
    assert graph.dialect == "keras2"
    assert analysis.totals == plain.totals
    assert [row.name for row in analysis.layers] == [row.name for row in plain.layers]


def test_weights_only():
    pytest.importorskip("h5py")
    with pytest.raises(CnncostError) as caught:
        load(str(DATA / "weights_only.h5"))
    assert "weights only" in str(caught.value)


def test_shared_layers_have_a_row_for_each_call():
    graph, analysis = rows_of(DATA / "siamese.json")
    rows = {row.name: row for row in analysis.layers}
    assert rows["both:2"].params == 0 and rows["both:2"].macs == rows["both"].macs == 25
    assert rows["encoder:2/dense"].inputs == ("encoder:2/flatten",)
    assert graph.layers[graph.layers[graph.index("encoder:2/conv2d")].shares].name == "encoder/conv2d"


def test_a_model_inside_time_distributed():
    _, analysis = rows_of(DATA / "video.json", INPUTS["video"])
    rows = {row.name: row for row in analysis.layers}
    assert rows["frames/conv2d"].kind == "TimeDistributed"
    assert rows["frames/conv2d"].output_shape == (7, 6, 6, 2)
    assert rows["frames/conv2d"].macs == 7 * 6 * 6 * 2 * 9
    assert rows["dec"].inputs == ("frames/flatten", "enc", "enc")


def test_frozen_models():
    _, analysis = rows_of(DATA / "transfer.json")
    assert analysis.totals.trainable_params == 1280 * 8 + 8 + 8 * 3 + 3


def test_policies():
    graph = load(str(DATA / "mixed.json"))
    assert graph.layers[graph.index("conv2d")].dtype in (None, "mixed_float16")
    assert {graph.dtype, *(layer.dtype for layer in graph.layers)} >= {"mixed_float16", "float32"}


def test_before_keras_2_3_a_sequential_config_was_a_list():
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 3, "batch_input_shape": [None, 4]}}
    analysis = analyze_graph(load({"class_name": "Sequential", "config": [dense], "keras_version": "2.1.6"}))
    assert analysis.totals.params == 15
