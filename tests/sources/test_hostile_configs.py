"""Configs that are wrong or hostile: each is one CnncostError that names the layer, soon."""

import copy
import json
import random
import time
from pathlib import Path

import pytest

from cnncost.analysis import analyze_graph
from cnncost.errors import CnncostError, UnsupportedLayer
from cnncost.sources import load
from cnncost.sources.keras_config import read_config
from cnncost.sources.places import Origin

DATA = Path(__file__).parent / "data"


def tensor(name, node=0, index=0):
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 4], "dtype": "float32",
                                                         "keras_history": [name, node, index]}}  # fmt: skip


def layer(kind, name, *inputs, **config):
    nodes = [{"args": [tensor(i)], "kwargs": {}} for i in inputs]
    return {"module": "keras.layers", "class_name": kind, "config": {"name": name, **config}, "registered_name": None,
            "name": name, "inbound_nodes": nodes}  # fmt: skip


def model(*layers, inputs=("x",), outputs=("d",), name="net"):
    return {"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
            "config": {"name": name, "trainable": True, "layers": list(layers),
                       "input_layers": [[i, 0, 0] for i in inputs],
                       "output_layers": [[o, 0, 0] for o in outputs]}}  # fmt: skip


X = layer("InputLayer", "x", batch_shape=[None, 4], dtype="float32")
GOOD = model(X, layer("Dense", "d", "x", units=3))


def refused(config, *words, kind=CnncostError):
    with pytest.raises(kind) as caught:
        analyze_graph(read_config(config))
    text = str(caught.value)
    assert "\n" not in text and len(text) < 2000
    for word in words:
        assert word in text, text
    return caught.value


def test_the_good_one_is_good():
    assert analyze_graph(read_config(GOOD)).totals.params == 15


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, ["no Keras model"]),
        ({"class_name": "Functional"}, ["no layers"]),
        ({"class_name": "Functional", "config": {"layers": 3}}, ["no layers"]),
        ({"class_name": "Sequential", "config": {"layers": []}}, ["no layers"]),
        ({"class_name": "Sequential", "config": {"layers": [3]}}, ["no mapping"]),
        ({"class_name": "MyNet", "config": {"units": 3}}, ["MyNet", "holds no graph", "subclassed"]),
        ({"class_name": 7, "config": {}}, ["no Keras model"]),
        (model(X, layer("Dense", "d", "y", units=3)), ["'d'", "'y'", "not in the model"]),
        (model(X, layer("Dense", "d", "d", units=3)), ["'d'", "cycle"]),
        (model(X, layer("Dense", "a", "b", units=1), layer("Dense", "b", "a", units=1), outputs=["a"]), ["cycle"]),
        (model(X, layer("Dense", "d", "x", units=3), layer("Dense", "d", "x", units=3)), ["'d'", "this name"]),
        (model(X, layer("Dense", "d", "x", units=3), outputs=["e"]), ["'net'", "'e'"]),
        (model(X, layer("Dense", "d", "x", units=3), inputs=["d"]), ["'d'", "no InputLayer"]),
        (model(X, layer("Dense", "d", "x", units=True)), ["'d'", "units"]),
        (model(X, layer("Dense", "d", "x", units=10**4000)), ["'d'", "units", "digits"]),
        (model(X, layer("Dense", "d", "x", units=3, trainable="no")), ["'d'", "trainable"]),
        (model(X, layer("Dense", "d", "x", units=3, dtype="float33")), ["'d'", "float33"]),
        (model(X, layer("Dense", "d", "x", units=3, dtype=[1])), ["'d'", "dtype"]),
        (model(X, layer("Lambda", "d", "x", function="AAAA")), ["'d'", "Lambda"]),
        (model(X, layer("Mystery", "d", "x")), ["'d'", "Mystery"]),
        (model(X, layer("Dense", "x/\x1b[31m", "x", units=3)), ["usable name"]),
        (model(X, layer("Dense", "n" * 10_000, "x", units=3)), ["usable name"]),
        (model(X, {**layer("Dense", "d", units=3), "inbound_nodes": 7}), ["'d'", "inbound_nodes"]),
        (model(X, {**layer("Dense", "d", units=3), "inbound_nodes": [{"args": 3}]}), ["'d'", "args"]),
        (model(X, {**layer("Dense", "d", units=3), "inbound_nodes": [["x", "y"]]}), ["'d'", "call"]),
        (model(X, {**layer("Dense", "d", units=3), "inbound_nodes": []}), ["'d'"]),
        (model(X, {**layer("Dense", "d", units=3), "inbound_nodes": [{"args": [tensor("x", 5)], "kwargs": {}}]}),
         ["'d'", "call 5"]),
        (model(X, {**layer("Dense", "d", units=3), "inbound_nodes": [{"args": [tensor("x", 0, 5)], "kwargs": {}}]}),
         ["'x'", "1 outputs"]),
        (model(X, {**layer("Dense", "d", units=3), "inbound_nodes": [{"args": [tensor("x", -1)], "kwargs": {}}]}),
         ["'d'", "history"]),
        (model(X, {**layer("Dense", "d", "x"), "config": None}), ["Dense", "no mapping"]),
        (model(layer("InputLayer", "x", batch_shape=7), layer("Dense", "d", "x", units=3)), ["'x'"]),
        (model(layer("InputLayer", "x", batch_shape=[None, "a"]), layer("Dense", "d", "x", units=3)), ["'x'", "shape"]),
        (model(layer("InputLayer", "x", batch_shape=[None, None]), layer("Dense", "d", "x", units=3)), ["--input"]),
        (model(X, {**layer("Dense", "d", "x", units=3), "module": "evil", "registered_name": "evil>Dense"}),
         ["'d'", "custom layer", "evil"]),
        (model(X, {**model(layer("InputLayer", "i", batch_shape=[None, 4]), inputs=["i"], outputs=["i"], name="m"),
                   "name": "m", "inbound_nodes": [{"args": [[tensor("x"), tensor("x")]], "kwargs": {}}]},
               outputs=["m"]), ["'m'", "another number of tensors"]),
    ],
)  # fmt: skip
def test_each_is_one_error(config, words):
    refused(config, *words)


def test_unknown_layers_are_unsupported():
    refused(model(X, layer("Lambda", "d", "x")), kind=UnsupportedLayer)
    refused(model(X, layer("Mystery", "d", "x")), kind=UnsupportedLayer)
    refused({"class_name": "MyNet", "config": {}}, kind=UnsupportedLayer)


def mutations(value, path=()):
    """Every place of a config, replaced by each of several wrong values."""
    wrong = (None, True, -1, 10**30, 1.5, "", "zz", [], {}, [[[]]], {"class_name": "Dense"}, float("nan"))
    yield from ((path, w) for w in wrong)
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from mutations(item, (*path, key))


def test_a_wrong_value_anywhere_is_an_error_or_nothing():
    base = model(
        X, layer("Reshape", "r", "x", target_shape=[2, 2]), layer("LSTM", "l", "r", units=2, return_state=True),
        {**layer("MultiHeadAttention", "m", num_heads=1, key_dim=2),
         "inbound_nodes": [{"args": [tensor("r"), tensor("r")], "kwargs": {"return_attention_scores": True}}]},
        {**GOOD, "name": "net", "inbound_nodes": [{"args": [tensor("x")], "kwargs": {}}]},
        {"module": "keras.src.ops.numpy", "class_name": "Add", "config": {"name": "a"}, "name": "a",
         "inbound_nodes": [{"args": [tensor("x"), 2.0], "kwargs": {}}]},
        layer("TimeDistributed", "t", "r", layer=layer("Dense", "inner", units=2)),
        outputs=["l", "m", "net", "a", "t"],
    )  # fmt: skip
    analyze_graph(read_config(base))
    for path, wrong in mutations(base):
        survives(mutated(base, path, wrong))


def mutated(base, path, wrong):
    if not path:
        return wrong
    config = copy.deepcopy(base)
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = wrong
    return config


def survives(config):
    try:
        analyze_graph(read_config(config))
    except CnncostError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", ["lenet", "siamese", "video", "operations", "kinds"])
def test_a_wrong_value_anywhere_in_a_keras_2_file(name):
    base = json.loads((DATA / f"{name}.json").read_text())
    places = list(mutations(base))
    for path, wrong in random.Random(name).sample(places, 400):
        survives(mutated(base, path, wrong))


def nested(depth):
    inner = GOOD
    for level in range(depth):
        name = f"m{level}"
        inner = model(X, {**inner, "name": "net" if not level else f"m{level - 1}",
                          "inbound_nodes": [{"args": [tensor("x")], "kwargs": {}}]},
                      outputs=["net" if not level else f"m{level - 1}"], name=name)  # fmt: skip
    return inner


def test_nesting_is_bounded():
    assert analyze_graph(read_config(nested(20))).totals.params == 15
    refused(nested(500), "nested")


def test_models_that_call_models_cannot_explode():
    """Each level calls the one below ten times: 10^20 layers."""
    inner, name = GOOD, "net"
    for level in range(20):
        calls = [{"args": [tensor("x")], "kwargs": {}} for _ in range(10)]
        outputs = [[name, i, 0] for i in range(10)]
        own = model(X, {**inner, "name": name, "inbound_nodes": calls}, outputs=[], name=f"m{level}")
        own["config"]["output_layers"] = outputs
        inner, name = own, f"m{level}"
    start = time.process_time()
    refused(inner, "too many layers")
    assert time.process_time() - start < 20


def test_deep_arguments_are_bounded():
    deep = 0
    for _ in range(900):
        deep = [deep]
    bad = {**layer("Dense", "d", units=3), "inbound_nodes": [{"args": [deep], "kwargs": {}}]}
    refused(model(X, bad), "'d'", "deep")
    refused(model(X, layer("Dense", "d", "x", units=3, kernel_initializer=deep)), "'d'", "deep")


def test_long_models_take_linear_time():
    layers = [X] + [layer("Dense", f"d{i}", f"d{i - 1}" if i else "x", units=4) for i in range(5_000)]
    start = time.process_time()
    graph = read_config(model(*layers, outputs=["d4999"]))
    assert len(graph.layers) == 5_001 and time.process_time() - start < 10


def test_places_point_at_the_layer(tmp_path):
    path = tmp_path / "net.json"
    path.write_text(json.dumps(model(X, layer("Dense", "d", "x", units=-3)), indent=1))
    with pytest.raises(CnncostError) as caught:
        load(str(path))
    text = path.read_text()
    line, row = next((n, row) for n, row in enumerate(text.splitlines(), 1) if '"name": "d"' in row)
    column = row.index('"name"') + 1
    assert str(caught.value).startswith(f"{path}:{line}:{column}: error: ")
    dense = layer("Dense", "d", "x", units=3)
    dense["config"]["surprise"] = 1
    graph = read_config(model(X, dense), origin=Origin("a.json", text))
    (finding,) = graph.findings
    assert finding.layer == "d" and "surprise" in finding.message and str(finding.location) == f"a.json:{line}:{column}"


def test_sequential_without_input():
    dense = layer("Dense", "d", units=3)
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [dense]}}
    refused(config, "--input")
    assert analyze_graph(read_config(config), inputs=[(4,)]).totals.params == 15
    conv = {
        "class_name": "Sequential",
        "config": {"name": "s", "layers": [layer("Conv2D", "c", filters=2, kernel_size=3)]},
    }
    refused(conv, "--input")
    assert analyze_graph(read_config(conv), inputs=[(8, 8, 1)]).totals.params == 20
    built = {"class_name": "Sequential", "config": {"name": "s", "layers": [dense], "build_input_shape": [None, 4]}}
    assert analyze_graph(read_config(built)).totals.params == 15
