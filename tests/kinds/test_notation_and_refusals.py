"""TensorFlow's four-element notation with its rules, what is refused, and activation functions."""

from __future__ import annotations

from typing import Any

import pytest

from cnncost.errors import ArgumentError, CnncostError, GeometryError, UnsupportedLayer
from cnncost.kinds import registry
from cnncost.kinds.activations import ALIASES, FUNCTIONS, activated, canonical
from cnncost.tensor import Shape


def build(name: str, **args: Any) -> Any:
    return registry.lookup(name).build(args)


@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D"])
def test_four_elements_over_space(name: str) -> None:
    four = build(name, pool_size=[1, 2, 3, 1], strides=[1, 3, 2, 1])
    assert four == build(name, pool_size=[2, 3], strides=[3, 2])
    assert build("Conv2D", filters=1, kernel_size=7, strides=[1, 2, 2, 1]).strides == (2, 2)


@pytest.mark.parametrize("name", ["MaxPooling2D", "AveragePooling2D"])
def test_four_elements_over_depth(name: str) -> None:
    pool = build(name, pool_size=[1, 1, 1, 3], strides=[1, 1, 1, 3])
    shapes = ((5, 7, 9),)
    assert pool.outputs(shapes) == ((5, 7, 3),)
    assert int(pool.other_flops(shapes, pool.outputs(shapes))) == 5 * 7 * 9
    assert pool.outputs(((None, 7, 9),)) == ((None, 7, 3),)
    assert "depth" in pool.notes(shapes)[0] and pool.windows(shapes) == ()
    assert build(name, pool_size=[1, 1, 1, 3]).outputs(shapes) == pool.outputs(shapes)
    first = build(name, pool_size=[1, 1, 1, 3], data_format="channels_first")
    assert first.outputs(((9, 5, 7),)) == ((3, 5, 7),)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"pool_size": [2, 2, 2, 1]}, "first entry must be 1"),
        ({"pool_size": [1, 2, 2, 2]}, "either both spatial entries are 1 or the depth entry is 1"),
        ({"pool_size": [1, 2, 1, 2]}, "either both spatial entries are 1 or the depth entry is 1"),
        ({"pool_size": [1, 2, 2, 1], "strides": [2, 2, 2, 1]}, "first entry must be 1"),
        ({"pool_size": [1, 2, 2, 1], "strides": [1, 1, 1, 2]}, "depth"),
        ({"pool_size": [1, 1, 1, 2], "strides": [1, 2, 2, 1]}, "depth"),
        ({"pool_size": [1, 1, 1, 2], "strides": 2}, "depth"),
        ({"pool_size": [1, 1, 1, 2], "strides": [1, 1, 1, 1]}, "must be equal"),
        ({"pool_size": [1, 1, 1, 4], "strides": [1, 1, 1, 2]}, "must be equal"),
        ({"pool_size": [1, 2, 2]}, "wrong number of entries"),
    ],
)
def test_broken_four_element_pooling_names_its_rule(args: dict[str, Any], words: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        build("MaxPooling2D", **args)
    assert words in caught.value.message
    assert caught.value.key[0] in args


def test_depth_window_must_divide_the_maps() -> None:
    with pytest.raises(GeometryError, match="do not divide"):
        build("MaxPooling2D", pool_size=[1, 1, 1, 2]).outputs(((4, 4, 3),))


@pytest.mark.parametrize("strides", [[1, 2, 2, 2], [2, 2, 2, 1], [2, 1, 1, 1]])
def test_convolution_strides_stay_in_space(strides: list[int]) -> None:
    with pytest.raises(ArgumentError) as caught:
        build("Conv2D", filters=1, kernel_size=3, strides=strides)
    assert "must be 1" in caught.value.message and str(strides) in caught.value.message


@pytest.mark.parametrize("name", ["TextVectorization", "StringLookup", "IntegerLookup", "Hashing", "HashedCrossing",
                                  "CategoryEncoding", "Discretization", "FeatureSpace"])  # fmt: skip
def test_text_and_tables_are_refused(name: str) -> None:
    with pytest.raises(UnsupportedLayer) as caught:
        registry.lookup(name)
    assert name in caught.value.message and "preprocessing" in caught.value.message


def test_code_is_never_run() -> None:
    with pytest.raises(UnsupportedLayer, match="Lambda") as caught:
        registry.lookup("Lambda")
    assert "not executed" in caught.value.message


def test_unknown_kinds_name_the_nearest() -> None:
    with pytest.raises(UnsupportedLayer) as caught:
        registry.lookup("MaxPoling2D")
    assert "'MaxPooling2D'" in caught.value.message
    assert registry.lookup("MaxPool2D").name() == "MaxPooling2D"
    assert registry.lookup("Convolution2DTranspose").name() == "Conv2DTranspose"
    assert all(registry.lookup(alias) for alias in registry.ALIASES)


@pytest.mark.parametrize(
    ("name", "args", "shapes"),
    [
        ("Add", {}, ((8, 8, 4), (8, 7, 4))),
        ("Add", {}, ()),
        ("Subtract", {}, ((4,), (4,), (4,))),
        ("Concatenate", {}, ((8, 8, 4), (8, 7, 4))),
        ("Concatenate", {"axis": 0}, ((8, 4), (8, 4))),
        ("Concatenate", {}, ((8, 8, 4), (4,))),
        ("Dot", {"axes": 1}, ((3, 4), (5, 4))),
        ("Dot", {"axes": 0}, ((3, 4), (3, 4))),
        ("Reshape", {"target_shape": [7]}, ((8, 8),)),
        ("Permute", {"dims": [2, 1]}, ((8,),)),
        ("Cropping2D", {"cropping": 4}, ((8, 8, 3),)),
        ("MaxPooling2D", {"pool_size": 9}, ((8, 8, 3),)),
        ("GroupNormalization", {"groups": 3}, ((8, 8, 4),)),
        ("BatchNormalization", {"axis": 4}, ((8, 8, 4),)),
        ("Conv2D", {"filters": 4, "kernel_size": 1, "groups": 2}, ((8, 8, 3),)),
        ("LayerScale", {"init_values": 1.0, "projection_dim": 5}, ((8, 8, 4),)),
        ("Dense", {"units": 3, "activation": "glu"}, ((8,),)),
        ("RandomFlip", {}, ((8, 8),)),
    ],
)
def test_inputs_that_do_not_fit(name: str, args: dict[str, Any], shapes: tuple[Shape, ...]) -> None:
    with pytest.raises(GeometryError) as caught:
        build(name, **args).outputs(shapes)
    assert any(word in caught.value.message for word in (name, "glu", "window that spans"))


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("Reshape", {"target_shape": [-1, -1]}),
        ("Reshape", {"target_shape": [0, 4]}),
        ("Permute", {"dims": [1, 3]}),
        ("Dropout", {"rate": 1.5}),
        ("Dropout", {}),
        ("Conv2D", {"filters": 5, "kernel_size": 3, "groups": 2}),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "causal"}),
        ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2}),
        ("Conv2DTranspose", {"filters": 4, "kernel_size": 3, "output_padding": 1}),
        ("GroupNormalization", {"groups": 0}),
        ("BatchNormalization", {"axis": [1, 2]}),
        ("Normalization", {"mean": 1.0}),
        ("Rescaling", {"scale": [[1.0], [1.0, 2.0]]}),
        ("UpSampling2D", {"interpolation": "cubic"}),
        ("Dot", {"axes": [1, 2, 3]}),
        ("RandomFlip", {"mode": [[[]]]}),
        ("Activation", {"activation": "rellu"}),
    ],
)
def test_arguments_that_are_wrong(name: str, args: dict[str, Any]) -> None:
    with pytest.raises(CnncostError) as caught:
        kind = build(name, **args)
        kind.outputs(((8, 8, 4),))
    assert name in caught.value.message


def test_layers_of_keras_2() -> None:
    """What Keras 3 left out is said in its terms, or refused by name."""
    from cnncost.kinds.config import kind_from_config

    kind, ignored = kind_from_config("ThresholdedReLU", {"name": "act", "theta": 0.5}, "keras2")
    assert kind == build("ReLU", threshold=0.5) and not ignored
    for name in ("LocallyConnected2D", "RandomHeight"):
        with pytest.raises(UnsupportedLayer, match=name):
            registry.lookup(name)


def test_glu_halves_the_last_axis() -> None:
    assert build("Activation", activation="glu").output(((7, 8),)) == (7, 4)
    dense = build("Dense", units=6, activation="glu")
    assert dense.output(((5,),)) == (3,)
    assert int(dense.other_flops(((5,),), ((3,),))) == 6 + 6 * FUNCTIONS["glu"][0]
    conv = build("Conv2D", filters=6, kernel_size=3, activation="glu")
    shapes = ((5, 5, 2),)
    assert conv.output(shapes) == (3, 3, 3)
    assert int(conv.macs(shapes, conv.outputs(shapes))[0].count) == 3 * 3 * 6 * 3 * 3 * 2


@pytest.mark.keras
def test_activations_are_those_of_keras(keras: Any) -> None:
    """Every name that Keras takes is known; what the function does to a shape is what Keras's does."""
    import numpy
    from keras.src.activations import ALL_OBJECTS_DICT

    values = numpy.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)
    for name in ALL_OBJECTS_DICT:
        found = canonical(name)
        assert found is not None, name
        if name == "threshold":  # Keras cannot call it without its two arguments
            continue
        assert activated((3, 4), found) == tuple(keras.activations.get(name)(values).shape), name
    assert set(FUNCTIONS) <= set(ALL_OBJECTS_DICT)
    assert set(ALIASES.values()) <= set(FUNCTIONS)


@pytest.mark.parametrize(("axes", "output"), [(-3, (1, 1)), (-1, (4, 3)), (1, (4, 3))])
def test_one_negative_axis_of_a_dot_counts_round(axes: int, output: Shape) -> None:
    """As Keras's: axis -3 of two axes, the batch among them, is axis 1."""
    shapes = {-3: ((1, 1, 1), (1,)), -1: ((4, 5), (3, 5)), 1: ((5, 4), (5, 3))}[axes]
    assert build("Dot", axes=axes).output(shapes) == output
