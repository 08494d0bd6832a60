"""What export writes: data without Keras, real models with it, files whole or not at all."""

import json
import os
import subprocess
import sys
from importlib.resources import files

import pytest

from cnncost import analyze, load
from cnncost.errors import CnncostError
from cnncost.export import build, to_config, write
from cnncost.export.model import build_config
from cnncost.sources.keras_config import read_config

ZOO = sorted(path.name[:-5] for path in files("cnncost.zoo").iterdir() if path.name.endswith(".yaml"))
BLOCKS = {"part": {"layers": [{"Conv2D": [4, 3], "name": "conv"}]}}
SPEC = {"name": "net", "input": [8, 8, 3], "blocks": BLOCKS, "layers": [
    {"part": None, "name": "block"}, {"LocalResponseNormalization": [2]}, {"TrainableAveragePooling2D": 2},
    {"TableConv2D": [[[0, 1], [1, 2], [3]], 2]}, {"Flatten": None}, {"RBF": 5}]}  # fmt: skip


def figures(graph):
    return sorted(
        (row.name.replace("/", "."), row.kind, row.output_shape, row.params, row.trainable_params, row.macs, row.flops)
        for row in analyze(graph).layers
    )


@pytest.mark.parametrize("name", ZOO)
def test_round_trip_of_the_zoo(name):
    graph = load(f"zoo:{name}")
    again = read_config(json.loads(json.dumps(to_config(graph))))
    assert figures(again) == figures(graph)
    assert not again.findings and again.name == graph.name
    kinds = {layer.name.replace("/", "."): layer.kind for layer in graph.layers}
    assert {layer.name: layer.kind for layer in again.layers} == kinds
    assert to_config(again) == to_config(graph)


def test_json_needs_no_keras(tmp_path):
    path = tmp_path / "net.json"
    code = (
        "import sys, cnncost; from cnncost.export import write; write(cnncost.load('zoo:lenet5-1998'), sys.argv[1])\n"
        "print([m for m in ('tensorflow', 'keras', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert analyze(str(path)).totals == analyze("zoo:lenet5-1998").totals


def test_files_are_whole_or_not_there(tmp_path):
    graph = load(SPEC)
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(CnncostError, match="no directory"):
        write(graph, str(tmp_path / "nowhere" / "a.json"))
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(CnncostError, match="directory"):
        write(graph, str(tmp_path / "folder.json"))
    with pytest.raises(CnncostError, match="names no format"):
        write(graph, str(tmp_path / "a.onnx"))
    broken = load({"input": [4, 4, 1], "layers": [{"Conv2D": [1, 9]}]})
    with pytest.raises(CnncostError):
        write(broken, str(path))
    assert path.read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.json", "folder.json"]
    write(graph, str(path))
    assert json.loads(path.read_text())["class_name"] == "Functional"
    assert sorted(os.listdir(tmp_path)) == ["a.json", "folder.json"]


def test_operations_are_an_error_that_says_so():
    x = {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "x", "batch_shape": [None, 4]},
         "name": "x", "inbound_nodes": []}  # fmt: skip
    tensor = {"class_name": "__keras_tensor__",
              "config": {"shape": [None, 4], "dtype": "float32", "keras_history": ["x", 0, 0]}}  # fmt: skip
    add = {"module": "keras.src.ops.numpy", "class_name": "Add", "config": {"name": "add"}, "registered_name": "Add",
           "name": "add", "inbound_nodes": [{"args": [tensor, 2.0], "kwargs": {}}]}  # fmt: skip
    graph = read_config({"module": "keras", "class_name": "Functional", "config": {
        "name": "n", "layers": [x, add], "input_layers": [["x", 0, 0]], "output_layers": [["add", 0, 0]]}})  # fmt: skip
    with pytest.raises(CnncostError) as caught:
        to_config(graph)
    assert "'add'" in str(caught.value) and "cannot be exported" in str(caught.value)


def test_names_stay_apart():
    blocks = {"part": {"layers": [{"Dense": 2, "name": "b"}]}}
    graph = load({"input": [4], "blocks": blocks, "layers": [{"part": None, "name": "a"}, {"Dense": 3, "name": "a.b"}]})
    assert [layer["name"] for layer in to_config(graph)["config"]["layers"]][1:] == ["a.b", "a.b_2"]


@pytest.mark.keras
def test_a_keras_file_loads_and_trains(tmp_path):
    graph = load(SPEC)
    path = tmp_path / "net.keras"
    write(graph, str(path))
    assert os.listdir(tmp_path) == ["net.keras"]
    assert analyze(str(path)).totals == analyze(graph).totals
    import keras
    import numpy as np

    model = keras.models.load_model(path)  # build has registered the layers
    assert model.count_params() == analyze(graph).totals.params
    assert [layer.name for layer in model.layers][1] == "block.conv"
    model.compile("sgd", "mse")
    before = [w.copy() for w in model.get_weights()]
    model.fit(np.random.default_rng(1).normal(size=(4, 8, 8, 3)), np.zeros((4, 5)), verbose=0)
    after = model.get_weights()
    changed = sum(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert changed == len(model.trainable_weights) == 6  # two convolutions and a pooling; the RBF's vectors are fixed


@pytest.mark.keras
@pytest.mark.parametrize("name", ["lenet5-1998", "alexnet-2012", "googlenet", "resnet152", "unet"])
def test_keras_agrees_with_the_zoo(name):
    from cnncost.sources.keras_live import import_keras, without_weights

    graph = load(f"zoo:{name}")
    with without_weights(import_keras()):
        model = build(graph)
        totals = analyze(graph).totals
        assert model.count_params() == totals.params
        assert analyze(model).totals == totals


@pytest.mark.keras
class TestLayersThatKerasLacks:
    """Their values, against definitions written out."""

    @pytest.fixture
    def np(self):
        return pytest.importorskip("numpy")

    def test_local_response_normalization(self, np):
        import tensorflow as tf

        from cnncost.export.layers import LocalResponseNormalization

        x = np.random.default_rng(0).normal(size=(2, 3, 4, 9)).astype("float32")
        for arguments in ({}, {"depth_radius": 2, "bias": 2.0, "alpha": 1e-4, "beta": 0.75}):
            ours = np.asarray(LocalResponseNormalization(**arguments)(x))
            np.testing.assert_allclose(ours, tf.nn.local_response_normalization(x, **arguments), rtol=1e-5)

    def test_trainable_pooling(self, np):
        from cnncost.export.layers import TrainableAveragePooling2D

        x = np.random.default_rng(0).normal(size=(2, 6, 4, 3)).astype("float32")
        layer = TrainableAveragePooling2D(2, activation="tanh")
        layer.build(x.shape)
        layer.set_weights([np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, -1.0])])
        means = x.reshape(2, 3, 2, 2, 2, 3).mean(axis=(2, 4))
        expected = np.tanh(means * [1.0, 2.0, 3.0] + [0.5, 0.0, -1.0])
        np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-4, atol=1e-6)

    def test_table_convolution(self, np):
        from cnncost.export.layers import TableConv2D

        rng = np.random.default_rng(0)
        x = rng.normal(size=(1, 5, 4, 3)).astype("float32")
        table = [[0], [2, 0], [0, 1, 2]]
        layer = TableConv2D(table, (2, 3), strides=(1, 1))
        layer.build(x.shape)
        kernel, bias = rng.normal(size=(2, 3, 6)).astype("float32"), rng.normal(size=3).astype("float32")
        layer.set_weights([kernel, bias])
        expected = np.zeros((1, 4, 2, 3))
        pairs = [(seen, own) for own, row in enumerate(table) for seen in row]
        for i, j in np.ndindex(4, 2):
            for number, (seen, own) in enumerate(pairs):
                expected[0, i, j, own] += (x[0, i : i + 2, j : j + 3, seen] * kernel[:, :, number]).sum()
        np.testing.assert_allclose(np.asarray(layer(x)), expected + bias, rtol=1e-4, atol=1e-5)

    def test_rbf(self, np):
        from cnncost.export.layers import RBF

        x = np.random.default_rng(0).normal(size=(2, 7)).astype("float32")
        layer = RBF(3)
        layer.build(x.shape)
        (centers,) = layer.get_weights()
        expected = [[((row - center) ** 2).sum() for center in centers] for row in x]
        np.testing.assert_allclose(np.asarray(layer(x)), expected, rtol=1e-4)
        assert not layer.trainable_weights and RBF(3, trainable_centers=True)(x) is not None

    def test_configs_survive(self, np):
        from cnncost.export import layers

        for layer in (
            layers.LocalResponseNormalization(3, alpha=0.5),
            layers.TrainableAveragePooling2D((2, 3), 1, "same", activation="relu"),
            layers.TableConv2D("lenet5", 5, kernel_regularizer="l2"), layers.RBF(4, centers_initializer="ones"),
        ):  # fmt: skip
            again = type(layer).from_config(layer.get_config())
            assert again.get_config() == layer.get_config()
            shape = (None, 14, 14, 6) if not isinstance(layer, layers.RBF) else (None, 6)
            layer.build(shape)
            assert layer.compute_output_shape(shape)[1:] == layer.kind().output((shape[1:],))


@pytest.mark.keras
def test_layers_without_a_switch_for_training_are_built():
    """Keras 3's spatial dropout takes no `trainable`, as every other layer does."""
    rows = [{"Conv2D": [4, 3]}, {"SpatialDropout2D": 0.2}, {"Reshape": [[36, 4]]}, {"SpatialDropout1D": 0.3}]
    model = build(load({"input": [8, 8, 3], "layers": rows}))
    assert [layer.rate for layer in model.layers if "Dropout" in type(layer).__name__] == [0.2, 0.3]
    volume = build(load({"input": [4, 4, 4, 2], "layers": [{"SpatialDropout3D": 0.1}]}))
    assert volume.output_shape == (None, 4, 4, 4, 2)


@pytest.mark.keras
def test_a_refusal_of_keras_names_its_cause():
    config = to_config(load({"input": [8, 8, 3], "layers": [{"Conv2D": [4, 3]}]}))
    config["config"]["layers"][1]["config"]["surprise"] = 1
    with pytest.raises(CnncostError, match="cannot build this model: .*surprise"):
        build_config(config)


def test_the_batch_is_written_where_states_are_kept() -> None:
    """Keras builds such a layer for one size of batch; of all other models that axis stays open."""

    def batches(layer: dict[str, object]) -> set[object]:
        config = to_config(load({"input": [5, 3], "layers": [layer]}), 7)["config"]
        (node,) = config["layers"][1]["inbound_nodes"]
        return {config["layers"][0]["config"]["batch_shape"][0], node["args"][0]["config"]["shape"][0]}

    assert batches({"LSTM": {"units": 4, "stateful": True}}) == {7}
    assert batches({"Bidirectional": {"layer": {"GRU": {"units": 4, "stateful": True}}}}) == {7}
    assert batches({"LSTM": 4}) == {None}
