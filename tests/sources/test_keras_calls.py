"""The ways in which Keras 3 models call layers and models, against the live model."""

import math

import pytest

from cnncost.analysis import analyze_graph
from cnncost.sources.keras_live import import_keras, read_model

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def keras():
    return import_keras()


@pytest.fixture
def y(keras):
    keras.utils.clear_session()
    return keras.layers


def rows_of(model):
    graph = read_model(model)
    analysis = analyze_graph(graph)
    assert analysis.totals.params == model.count_params()
    trained = sum(math.prod(w.shape) for w in model.trainable_weights)
    assert analysis.totals.trainable_params == trained
    ends = [analysis.layers[ref.layer].outputs[ref.output] for ref in graph.outputs]
    outputs = sorted((tuple(t.shape[1:]), t.dtype) for t in model.outputs)
    assert sorted((t.shape, t.dtype.name) for t in ends) == outputs
    return {row.name: row for row in analysis.layers}


def test_attention_by_position_and_name(keras, y):
    a, b, c = (keras.Input((n, 4), name=name) for n, name in ((5, "a"), (6, "b"), (6, "c")))
    one = y.MultiHeadAttention(2, 3, name="one")(a, b, c)
    two, scores = y.MultiHeadAttention(2, 3, name="two")(query=a, key=c, value=b, return_attention_scores=True)
    three = y.MultiHeadAttention(2, 3, name="three")(a, b, attention_mask=scores[:, 0] > 0)
    four = y.Attention(name="four")([a, b, c], return_attention_scores=True)
    five = y.GroupQueryAttention(2, 4, 2, name="five")(a, key=c, value=b)
    # Keras's own symbolic shape of a MultiHeadAttention's scores is wrong where key and query differ in length.
    rows = rows_of(keras.Model([a, b, c], [one, two, three, *four, five]))
    assert rows["one"].inputs == rows["two"].inputs == ("a", "b", "c") == rows["five"].inputs
    assert rows["three"].inputs == ("a", "b")
    assert [t.shape for t in rows["two"].outputs] == [(5, 4), (2, 5, 6)]
    assert [t.shape for t in rows["four"].outputs] == [(5, 4), (5, 6)]


def test_a_causal_call_stays_one(keras, y):
    """Of two calls of one layer one is causal: the config tells them apart, and so does the exported model."""
    from cnncost.export import build

    x = keras.Input((6, 4), name="x")
    layer = y.MultiHeadAttention(2, 3, name="heads")
    scores = y.Attention(name="scores")
    model = keras.Model(x, [layer(x, x, use_causal_mask=True), layer(x, x), scores([x, x], use_causal_mask=True)])
    graph = read_model(model)
    causal = [row.kind.use_causal_mask for row in graph.layers[1:]]
    assert sorted(causal) == [False, True, True] and causal[-1]
    again = read_model(build(graph))
    assert [row.kind for row in again.layers] == [row.kind for row in graph.layers]


def test_states_by_position_and_name(keras, y):
    x = keras.Input((5, 4), name="x")
    h, c = keras.Input((3,), name="h"), keras.Input((3,), name="c")
    one = y.LSTM(3, name="one")(x, [h, c])
    two = y.LSTM(3, name="two")(x, initial_state=[h, c], mask=x[:, :, 0] > 0)
    three = y.GRU(3, name="three", return_state=True)(x, h)
    four = y.Bidirectional(y.GRU(3), name="four")(x, initial_state=[h, c])
    rows = rows_of(keras.Model([x, h, c], [one, two, *three, four]))
    assert rows["one"].inputs == rows["two"].inputs == ("x", "h", "c") == rows["four"].inputs
    assert rows["three"].inputs == ("x", "h")


def test_masks_cost_nothing(keras, y):
    x = keras.Input((5,), name="x")
    e = y.Embedding(10, 4, mask_zero=True, name="e")(x)
    rows = rows_of(keras.Model(x, y.Attention(name="a")([e, e])))
    assert rows["a"].inputs == ("e", "e")


def test_dictionaries_of_inputs_and_outputs(keras, y):
    a, b = keras.Input((3,), name="a"), keras.Input((4,), name="b")
    inner = keras.Model({"b": b, "a": a}, {"z": y.Dense(1, name="da")(a), "y": y.Dense(2, name="db")(b)}, name="inner")
    p, q = keras.Input((3,), name="p"), keras.Input((4,), name="q")
    first, second = inner({"a": p, "b": q}), inner({"b": q, "a": p})
    rows = rows_of(keras.Model([p, q], {"one": first["y"], "two": second["z"], "three": first["z"]}))
    assert rows["inner/da"].inputs == ("p",) == rows["inner:2/da"].inputs
    assert rows["inner/db"].inputs == ("q",)


def test_models_in_models_called_in_turn(keras, y):
    """A(B(A(B(x)))): rows in the order of the calls."""
    x = keras.Input((4,), name="x")
    i = keras.Input((4,), name="i")
    a = keras.Model(i, y.Dense(4, name="d")(i), name="a")
    b = keras.Sequential([keras.Input((4,)), y.Dense(4, name="d"), y.ReLU(name="r")], name="b")
    rows = rows_of(keras.Model(x, a(b(a(b(x))))))
    assert list(rows) == ["x", "b/d", "b/r", "a/d", "b:2/d", "b:2/r", "a:2/d"]
    assert rows["b:2/d"].inputs == ("a/d",) and rows["b:2/d"].params == 0


def test_a_model_that_another_begins_with(keras, y):
    base = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.25)
    base.trainable = False
    rows = rows_of(keras.Sequential([base, y.GlobalAveragePooling2D(name="pool"), y.Dense(3, name="top")]))
    assert rows["top"].params == 256 * 3 + 3
    assert sum(name.startswith("mobilenet") for name in rows) == len(base.layers) - 1


def test_a_functional_subclass(keras, y):
    class Net(keras.Model):  # with a training step of its own, say
        pass

    x = keras.Input((4,), name="x")
    assert rows_of(Net(x, y.Dense(3, name="d")(x)))["d"].params == 15


def test_operations_between_layers(keras, y):
    x = keras.Input((8, 8, 3), name="x")
    h = y.Conv2D(4, 3, padding="same", name="c")(x) * 2.0
    h = keras.ops.concatenate([h, keras.ops.relu(x)], axis=-1)[:, ::2, 1:]
    h = keras.ops.mean(h, axis=(1, 2)) / 3
    rows = rows_of(keras.Model(x, keras.ops.reshape(h, (-1, 7, 1))))
    assert len(rows) == 9


def test_time_distributed_models(keras, y):
    inner = keras.Sequential([keras.Input((8, 8, 1)), y.Conv2D(2, 3, name="c"), y.Flatten(name="f")], name="inner")
    i = keras.Input((8, 8, 1), name="i")
    j = y.Conv2D(2, 3, padding="same", name="k")(i)
    branchy = keras.Model(i, y.Concatenate(name="join")([i, j]), name="branchy")
    x = keras.Input((5, 8, 8, 1), name="x")
    rows = rows_of(keras.Model(x, [y.TimeDistributed(inner, name="t")(x), y.TimeDistributed(branchy, name="u")(x)]))
    assert rows["t/c"].kind == "TimeDistributed" and rows["t/f"].output_shape == (5, 72)
    assert rows["u/join"].inputs == ("x", "u/k") and rows["u/join"].output_shape == (5, 8, 8, 3)


def test_fixed_batches_and_unknown_sizes(keras, y):
    x = keras.Input(batch_shape=(7, None, None, 3), name="x")
    graph = read_model(keras.Model(x, y.Conv2D(2, 3, name="c")(x)))
    assert analyze_graph(graph, inputs=[(9, 9, 3)]).layers[-1].output_shape == (7, 7, 2)


def test_channels_first(keras, y):
    x = keras.Input((3, 9, 9), name="x")
    h = y.Conv2D(2, 3, data_format="channels_first", name="c")(x)
    h = y.MaxPooling2D(2, data_format="channels_first", name="p")(h)
    rows = rows_of(keras.Model(x, y.BatchNormalization(axis=1)(h)))
    assert rows["c"].output_shape == (2, 7, 7) and rows["p"].output_shape == (2, 3, 3)


def test_a_layer_that_stands_in_several_models(keras, y):
    """Its weights are one set; only the live model knows."""
    shared = y.Dense(4, name="d")
    i, j, x = (keras.Input((4,), name=name) for name in "ijx")
    a = keras.Model(i, shared(i), name="a")
    b = keras.Model(j, shared(y.ReLU(name="r")(j)), name="b")
    rows = rows_of(keras.Model(x, y.Add(name="sum")([b(a(x)), b(x), shared(x)])))
    assert sum(row.params > 0 for row in rows.values()) == 1
    assert {name for name, row in rows.items() if row.kind == "Dense"} == {"d", "a/d", "b/d", "b:2/d"}
