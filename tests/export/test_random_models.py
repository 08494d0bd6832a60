"""Random Keras models: reading equals Keras layer by layer, and what is exported reads back as the same graph."""

import json
import math
import random

import pytest

from cnncost.analysis import analyze_graph
from cnncost.export import build, to_config
from cnncost.sources.keras_config import read_config
from cnncost.sources.keras_live import import_keras, read_model, without_weights

pytestmark = pytest.mark.keras
SEEDS = range(60)


@pytest.fixture(scope="module")
def keras():
    return import_keras()


class Maker:
    """Grows a random model: branches, merges, shared layers, nested models, several inputs and outputs."""

    def __init__(self, keras, seed):
        self.keras, self.layers = keras, keras.layers
        self.random = random.Random(seed)
        self.count = 0

    def name(self, word):
        self.count += 1
        return f"{word}_{self.count}"

    def pick(self, *choices):
        return self.random.choice(choices)

    def trainable(self):
        return self.random.random() > 0.2

    def dtype(self):
        return self.pick("float32", "float32", "float32", "mixed_float16", "float64", "bfloat16")

    def layer(self, rank):
        """(word, layer) for an input of ``rank`` axes."""
        y, pick, small = self.layers, self.pick, lambda: self.random.randint(1, 4)
        common = {"name": self.name("layer"), "dtype": self.dtype(), "trainable": self.trainable()}
        conv = {2: "1D", 3: "2D", 4: "3D"}.get(rank)
        any_rank = [
            lambda: y.Dense(small(), activation=pick(None, "relu", "softmax"), use_bias=pick(True, False), **common),
            lambda: y.BatchNormalization(scale=pick(True, False), **common),
            lambda: y.LayerNormalization(**common),
            lambda: y.Activation(pick("relu", "gelu", "sigmoid"), **common),
            lambda: y.Dropout(0.2, **common),
            lambda: y.LeakyReLU(**common),
            lambda: y.PReLU(**common),
            lambda: y.Rescaling(0.5, **common),
            lambda: (
                y.EinsumDense("...x,xy->...y", output_shape=small(), bias_axes="y", **common)
                if rank == 1
                else y.UnitNormalization(**common)
            ),
        ]
        if rank == 1:
            any_rank += [lambda: y.RepeatVector(small(), **common), lambda: y.Reshape((1, -1), **common)]
        else:
            any_rank += [
                lambda: y.Flatten(**common),
                lambda: y.TimeDistributed(y.Dense(small(), dtype=common["dtype"]), **common),
                lambda: y.Permute((*range(2, rank + 1), 1), **common),
            ]
        if conv:
            cls = lambda word: getattr(y, word + conv)  # noqa: E731
            same = {"padding": "same", **common}
            any_rank += 2 * [
                lambda: cls("Conv")(2 * small(), small(), strides=pick(1, 2), use_bias=pick(True, False), **same),
                lambda: getattr(y, f"Conv{conv}Transpose")(small(), small(), strides=pick(1, 2), **same),
                lambda: cls("MaxPooling")(2, **same),
                lambda: cls("AveragePooling")(small(), strides=pick(1, 2), **same),
                lambda: cls("GlobalMaxPooling")(keepdims=pick(True, False), **common),
                lambda: cls("GlobalAveragePooling")(**common),
                lambda: cls("UpSampling")(pick(1, 2), **common),
                lambda: cls("ZeroPadding")(pick(1, 2), **common),
            ]
        if rank in (2, 3):
            any_rank += [
                lambda: cls("DepthwiseConv")(small(), depth_multiplier=pick(1, 2), **same),
                lambda: cls("SeparableConv")(small(), small(), **same),
            ]
        if rank == 2:
            any_rank += 2 * [
                lambda: y.LSTM(small(), return_sequences=pick(True, False), **common),
                lambda: y.GRU(small(), reset_after=pick(True, False), **common),
                lambda: y.SimpleRNN(small(), return_sequences=True, **common),
                lambda: y.Bidirectional(
                    y.LSTM(small(), return_sequences=pick(True, False), dtype=common["dtype"]), **common
                ),
            ]
        return pick(*any_rank)()

    def grow(self, tensors, steps, depth=0):
        """Apply ``steps`` random layers; every new tensor may be read by later ones."""
        used = []
        for _ in range(steps):
            x = tensors[-1] if self.random.random() < 0.8 else self.pick(*tensors)
            roll = self.random.random()
            shape = x.shape[1:]
            if math.prod(shape) > 3000:
                y = self.layers.GlobalAveragePooling1D(name=self.name("shrink"))(
                    self.layers.Reshape((-1, shape[-1]), name=self.name("flat"))(x)
                )
            elif roll < 0.15:
                y = self.merge([t for t in tensors if t.shape == x.shape])
            elif roll < 0.3 and used:
                layer, before = self.pick(*used)
                fits = [t for t in tensors if t.shape == before]
                y = self.layers.Concatenate(name=self.name("calls"))([layer(fits[-1]), layer(fits[0])])
            elif roll < 0.4 and depth < 2:
                inner = self.nested(shape, depth)
                y = inner(x)
                if y.shape == x.shape:
                    y = inner(y)
            elif roll < 0.5 and len(shape) == 2:
                y = self.attention(x)
            else:
                layer = self.layer(len(shape))
                y = layer(x)
                used.append((layer, x.shape))
            tensors = [*tensors, y]
        return tensors

    def merge(self, same):
        word = self.pick("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
        chosen = [self.pick(*same), self.pick(*same)] + ([same[0]] if word not in ("Subtract",) else [])
        return getattr(self.layers, word)(name=self.name(word.lower()))(chosen)

    def attention(self, x):
        if self.pick(True, False):
            layer = self.layers.MultiHeadAttention(2, 3, name=self.name("mha"), use_bias=self.pick(True, False))
            return self.pick(lambda: layer(x, x), lambda: layer(query=x, key=x, value=x),
                             lambda: layer(x, value=x, return_attention_scores=True)[0])()  # fmt: skip
        if self.pick(True, False):
            y, *states = self.layers.LSTM(3, return_state=True, return_sequences=True, name=self.name("lstm"))(x)
            return self.layers.LSTM(3, name=self.name("decoder"))(y, initial_state=states)
        return self.layers.Attention(use_scale=True, name=self.name("attention"))([x, x])

    def nested(self, shape, depth):
        if self.pick(True, False):
            inner = [self.layer(len(shape)) for _ in range(1)]
            return self.keras.Sequential([self.keras.Input(shape), *inner], name=self.name("sequential"))
        start = self.keras.Input(shape, name=self.name("inner"))
        end = self.grow([start], self.random.randint(1, 4), depth + 1)[-1]
        model = self.keras.Model(start, end, name=self.name("model"))
        if self.random.random() < 0.3:
            model.trainable = False
        return model

    def model(self):
        shapes = [self.pick((6,), (5, 4), (6, 5, 3), (4, 4, 3, 2)) for _ in range(self.random.randint(1, 2))]
        starts = [self.keras.Input(shape, name=self.name("input")) for shape in shapes]
        tensors = self.grow(starts, self.random.randint(2, 14))
        outputs = [tensors[-1]] + ([tensors[-2]] if self.pick(True, False) and tensors[-2] not in starts else [])
        return self.keras.Model(starts, outputs, name=self.name("net"))


def leaves(model, prefix="", trainable=True):
    """(path, layer, trained) of every layer that is no model."""
    for layer in model.layers:
        if isinstance(getattr(layer, "layers", None), list):
            yield from leaves(layer, f"{prefix}{layer.name}/", trainable and layer.trainable)
        elif not prefix or type(layer).__name__ != "InputLayer":
            yield prefix + layer.name, layer, trainable


def size(weights):
    return sum(math.prod(w.shape) for w in weights)


def facts(graph):
    """What must survive a round trip, by name: the order of independent layers may change."""
    names = [layer.name for layer in graph.layers]
    return {
        layer.name: (
            layer.kind, [(names[ref.layer], ref.output) for ref in layer.inputs], layer.trainable,
            layer.dtype or graph.dtype, layer.shares is not None and names[layer.shares],
        )
        for layer in graph.layers
    }  # fmt: skip


@pytest.fixture(params=SEEDS)
def model(request, keras):
    keras.utils.clear_session()
    with without_weights(keras):
        yield Maker(keras, request.param).model()


def test_reading_equals_keras(model):
    graph = read_model(model)
    assert graph.dialect == "keras3" and not graph.findings
    rows = {row.name: row for row in analyze_graph(graph).layers}
    expected = {path: (layer, trained) for path, layer, trained in leaves(model)}
    assert {name for name, row in rows.items() if not row.shared} == set(expected)
    for path, (layer, trained) in expected.items():
        row = rows[path]
        if len(layer._inbound_nodes) == 1:
            outputs = layer.output if isinstance(layer.output, list | tuple) else [layer.output]
            assert [t.shape for t in row.outputs] == [tuple(t.shape[1:]) for t in outputs], path
            assert [t.dtype.name for t in row.outputs] == [t.dtype for t in outputs], path
        weights = layer.trainable_weights if trained else []
        assert (path, row.params, row.trainable_params) == (path, size(layer.weights), size(weights))
    assert sum(row.params for row in rows.values()) == model.count_params()
    ends = [analyze_graph(graph).layers[ref.layer].outputs[ref.output].shape for ref in graph.outputs]
    assert ends == [tuple(t.shape[1:]) for t in model.outputs]


def test_export_reads_back_as_the_same_graph(model):
    once = read_config(json.loads(json.dumps(to_config(read_model(model)))))
    again = read_config(to_config(once))
    assert facts(again) == facts(once)
    assert again.name == once.name and again.dialect == "keras3"
    original, exported = analyze_graph(read_model(model)), analyze_graph(once)
    assert exported.totals == original.totals


def test_keras_builds_what_is_exported(model):
    graph = read_model(model)
    rebuilt = build(graph)
    assert rebuilt.count_params() == model.count_params()
    assert size(rebuilt.trainable_weights) == analyze_graph(graph).totals.trainable_params
    assert [t.shape for t in rebuilt.outputs] == [t.shape for t in model.outputs]
    assert analyze_graph(read_model(rebuilt)).totals == analyze_graph(graph).totals
