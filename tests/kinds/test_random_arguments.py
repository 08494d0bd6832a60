"""Random arguments on random inputs: the same answer as Keras, and an error exactly where Keras has one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncost.errors import CnncostError
from cnncost.kinds import registry

pytestmark = pytest.mark.keras
often = settings(max_examples=60, deadline=None)
FORMATS = st.sampled_from(["channels_last", "channels_first"])


def extents(rank: int, high: int) -> st.SearchStrategy[Any]:
    return st.one_of(st.integers(1, high), st.lists(st.integers(1, high), min_size=rank, max_size=rank))


def image(draw: st.DrawFn, rank: int, data_format: str, high: int = 12, channels: int = 6) -> list[int]:
    spatial = draw(st.lists(st.integers(1, high), min_size=rank, max_size=rank))
    maps = draw(st.integers(1, channels))
    return [maps, *spatial] if data_format == "channels_first" else [*spatial, maps]


Case = tuple[str, dict[str, Any], list[list[int]]]


@st.composite
def convolutions(draw: st.DrawFn) -> Case:
    family, ranks = draw(
        st.sampled_from([("Conv{}D", 3), ("DepthwiseConv{}D", 2), ("SeparableConv{}D", 2), ("Conv{}DTranspose", 3)])
    )
    rank, data_format = draw(st.integers(1, ranks)), draw(FORMATS)
    args: dict[str, Any] = {
        "kernel_size": draw(extents(rank, 4)),
        "strides": draw(extents(rank, 3)),
        "padding": draw(st.sampled_from(["valid", "same"])),
        "dilation_rate": draw(st.sampled_from([1, 1, 1, 2, 3])),
        "data_format": data_format,
        "use_bias": draw(st.booleans()),
        "activation": draw(st.sampled_from([None, "relu", "softmax", "gelu"])),
    }
    if family != "DepthwiseConv{}D":
        args["filters"] = draw(st.integers(1, 6))
    if family in ("DepthwiseConv{}D", "SeparableConv{}D"):
        args["depth_multiplier"] = draw(st.integers(1, 3))
    if family == "Conv{}D":
        args["groups"] = draw(st.sampled_from([1, 1, 1, 2, 3]))
        if rank == 1 and data_format == "channels_last" and draw(st.booleans()):
            args["padding"] = "causal"
    if family == "Conv{}DTranspose" and draw(st.booleans()):
        args["output_padding"] = draw(st.integers(0, 2))
    return family.format(rank), args, [image(draw, rank, data_format)]


@st.composite
def poolings(draw: st.DrawFn) -> Case:
    rank, data_format = draw(st.integers(1, 3)), draw(FORMATS)
    form = draw(st.sampled_from(["Max", "Average", "Global", "Adaptive"]))
    what = draw(st.sampled_from(["Max", "Average"]))
    args: dict[str, Any] = {"data_format": data_format}
    if form == "Global":
        args["keepdims"] = draw(st.booleans())
        return f"Global{what}Pooling{rank}D", args, [image(draw, rank, data_format)]
    if form == "Adaptive":
        args["output_size"] = draw(extents(rank, 4))
        return f"Adaptive{what}Pooling{rank}D", args, [image(draw, rank, data_format)]
    args |= {"pool_size": draw(extents(rank, 4)), "padding": draw(st.sampled_from(["valid", "same"]))}
    if draw(st.booleans()):
        args["strides"] = draw(extents(rank, 4))
    return f"{form}Pooling{rank}D", args, [image(draw, rank, data_format)]


@st.composite
def resamplings(draw: st.DrawFn) -> Case:
    rank, data_format = draw(st.integers(1, 3)), draw(FORMATS)
    kind = draw(st.sampled_from(["ZeroPadding", "Cropping", "UpSampling"]))
    if rank == 1 and kind != "ZeroPadding":
        data_format = "channels_last"
    args: dict[str, Any] = {} if rank == 1 and kind != "ZeroPadding" else {"data_format": data_format}
    if kind == "UpSampling":
        args["size"] = draw(extents(rank, 4))
    else:
        number = st.integers(0, 4)
        pair = st.lists(number, min_size=2, max_size=2)
        per_axis = pair if rank == 1 else st.lists(st.one_of(number, pair), min_size=rank, max_size=rank)
        args["padding" if kind == "ZeroPadding" else "cropping"] = draw(st.one_of(number, per_axis))
    return f"{kind}{rank}D", args, [image(draw, rank, data_format)]


@st.composite
def reshapings(draw: st.DrawFn) -> Case:
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    form = draw(st.sampled_from(["Reshape", "Permute", "Flatten", "RepeatVector"]))
    if form == "Permute":
        return form, {"dims": draw(st.permutations(range(1, len(shape) + 1)))}, [shape]
    if form == "RepeatVector":
        return form, {"n": draw(st.integers(1, 5))}, [shape]
    if form == "Flatten":
        return form, {}, [shape]
    target = draw(st.permutations(shape))
    if draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    if draw(st.booleans()):
        target.append(draw(st.integers(1, 3)))
    return form, {"target_shape": target}, [shape]


@st.composite
def merges(draw: st.DrawFn) -> Case:
    name = draw(st.sampled_from(["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot"]))
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    n = 2 if name in ("Subtract", "Dot") else draw(st.integers(2 if name == "Concatenate" else 1, 4))
    shapes = []
    for _ in range(n):
        other = [draw(st.sampled_from([dim, dim, dim, 1, dim + 1])) if draw(st.booleans()) else dim for dim in shape]
        shapes.append(other[draw(st.integers(0, len(other) - 1)) :] if draw(st.integers(0, 4)) == 0 else other)
    axis = st.integers(-len(shape), len(shape)).filter(bool)
    if name == "Concatenate":
        return name, {"axis": draw(axis)}, shapes
    if name == "Dot":
        return name, {"axes": draw(st.one_of(axis, st.lists(axis, min_size=2, max_size=2)))}, shapes
    return name, {}, shapes


@st.composite
def normalizations(draw: st.DrawFn) -> Case:
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    axis = st.integers(-len(shape), len(shape)).filter(bool)
    name = draw(
        st.sampled_from(["BatchNormalization", "LayerNormalization", "GroupNormalization", "PReLU", "Normalization"])
    )
    args: dict[str, Any] = {"axis": draw(axis)}
    if name == "PReLU":
        return name, {"shared_axes": draw(st.lists(st.integers(1, len(shape)), max_size=3))}, [shape]
    if name == "GroupNormalization":
        args["groups"] = draw(st.sampled_from([-1, 1, 2, 3]))
    if name != "Normalization":
        args |= {"center": draw(st.booleans()), "scale": draw(st.booleans())}
    return name, args, [shape]


def agree(oracle: Any, case: Case) -> None:
    name, args, shapes = case
    inputs = tuple(tuple(shape) for shape in shapes)
    try:
        want = oracle(name, args, inputs)
    except Exception as error:
        with pytest.raises(CnncostError):
            kind = registry.lookup(name).build(args)
            kind.outputs(inputs)
            kind.weights(inputs)
            pytest.fail(f"Keras: {str(error)[:300]}")
        return
    kind = registry.lookup(name).build(args)
    weights = kind.weights(inputs)
    assert list(kind.outputs(inputs)) == want["outputs"]
    assert [weight.shape for weight in weights] == want["weights"]
    assert sum(weight.size for weight in weights) == want["params"]
    assert sum(weight.size for weight in weights if weight.trainable) == want["trainable"]


@often
@given(convolutions())
def test_convolutions(oracle: Any, case: Case) -> None:
    agree(oracle, case)


@often
@given(poolings())
def test_poolings(oracle: Any, case: Case) -> None:
    agree(oracle, case)


@often
@given(resamplings())
def test_padding_cropping_upsampling(oracle: Any, case: Case) -> None:
    agree(oracle, case)


@often
@given(reshapings())
def test_reshapings(oracle: Any, case: Case) -> None:
    agree(oracle, case)


@often
@given(merges())
def test_merges(oracle: Any, case: Case) -> None:
    agree(oracle, case)


@often
@given(normalizations())
def test_normalizations(oracle: Any, case: Case) -> None:
    agree(oracle, case)
