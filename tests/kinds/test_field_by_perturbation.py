"""What a position reads, found by disturbing one input position at a time in a real Keras layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cnncost.kinds import registry
from cnncost.window import Reach

SEQUENCES: list[tuple[str, dict[str, Any]]] = [
    ("Conv1D", {"filters": 1, "kernel_size": 6, "strides": 5}),
    ("Conv1D", {"filters": 1, "kernel_size": 6, "strides": 5, "padding": "same"}),
    ("Conv1D", {"filters": 1, "kernel_size": 2, "strides": 5, "padding": "same"}),
    ("Conv1D", {"filters": 1, "kernel_size": 3, "padding": "causal", "dilation_rate": 2}),
    ("Conv1D", {"filters": 1, "kernel_size": 3, "padding": "causal", "strides": 2}),
    ("Conv1D", {"filters": 1, "kernel_size": 4, "dilation_rate": 3, "padding": "same"}),
    ("DepthwiseConv1D", {"kernel_size": 4, "strides": 2, "padding": "same"}),
    ("SeparableConv1D", {"filters": 2, "kernel_size": 3, "strides": 3}),
    ("MaxPooling1D", {"pool_size": 3, "strides": 2, "padding": "same"}),
    ("MaxPooling1D", {"pool_size": 2, "strides": 3}),
    ("AveragePooling1D", {"pool_size": 4, "strides": 3, "padding": "same"}),
    ("AdaptiveAveragePooling1D", {"output_size": 5}),
    ("AdaptiveMaxPooling1D", {"output_size": 4}),
    ("AdaptiveAveragePooling1D", {"output_size": 16}),
    ("ZeroPadding1D", {"padding": [2, 3]}),
    ("Cropping1D", {"cropping": [3, 1]}),
    ("UpSampling1D", {"size": 3}),
    ("Identity", {}),
    ("LayerNormalization", {}),
    ("BatchNormalization", {}),
    ("Add", {}),
    ("Concatenate", {}),
]
SEQUENCES += [
    ("Conv1DTranspose", {"filters": 1, "kernel_size": k, "strides": s, "padding": padding})
    for k in (1, 2, 3, 4, 5)
    for s in (1, 2, 3, 4)
    for padding in ("same", "valid")
]
SEQUENCES += [
    ("Conv1DTranspose", {"filters": 1, "kernel_size": 5, "strides": 3, "padding": "same", "output_padding": p})
    for p in (0, 1, 2)
] + [("Conv1DTranspose", {"filters": 1, "kernel_size": 3, "dilation_rate": 2, "padding": "same"})]
# Images of one column: what the rows read.
IMAGES: list[tuple[str, dict[str, Any]]] = [
    ("UpSampling2D", {"size": [size, 1], "interpolation": method})
    for size in (1, 2, 3, 4)
    for method in ("nearest", "bilinear", "bicubic", "lanczos3")
] + [
    ("Resizing", {"height": rows, "width": 1, "interpolation": method})
    for rows in (3, 5, 8, 13, 20, 26)
    for method in ("nearest", "bilinear", "bicubic")
]
IMAGES += [
    ("CenterCrop", {"height": 6, "width": 1}),
    ("Conv2DTranspose", {"filters": 1, "kernel_size": 3, "strides": 2}),
]
SIZE = 13


def reads(layer: Any, name: str, shape: tuple[int, ...]) -> list[list[int]]:
    """For each output position along the first axis, the input positions that change it."""
    import numpy

    random = numpy.random.default_rng(1)
    base = random.uniform(-1, -0.5, shape).astype("float32")
    batch = numpy.repeat(base[None], shape[0] + 1, axis=0)
    for i in range(shape[0]):
        batch[i + 1, i] += random.uniform(3, 4, shape[1:])
    inputs = [batch, batch] if name in ("Add", "Concatenate") else batch
    layer.build([batch.shape, batch.shape] if isinstance(inputs, list) else batch.shape)
    layer.set_weights([random.uniform(1, 2, weight.shape) for weight in layer.get_weights()])
    out = numpy.asarray(layer(inputs))
    out = out.reshape(out.shape[0], out.shape[1], -1)
    changed = (numpy.abs(out[1:] - out[:1]) > 1e-4).any(axis=-1)
    return [numpy.flatnonzero(changed[:, o]).tolist() for o in range(out.shape[1])]


def compare(name: str, args: dict[str, Any], shape: tuple[int, ...], find: Callable[[str], Any], exact: bool) -> None:
    kind = registry.lookup(name).build(args)
    shapes = (shape,) * (2 if name in ("Add", "Concatenate") else 1)
    field = kind.field(shapes, kind.outputs(shapes))
    assert isinstance(field, tuple)
    if field[0] is None:
        assert not exact
        return
    step, low, high, up = field[0]
    assert isinstance(field[0], Reach)
    seen = reads(find(name)(**args), name, shape)
    assert len(seen) == kind.output(shapes)[0]
    for o, positions in enumerate(seen):
        first, last = (o * step + low) // up, (o * step + high) // up
        if args.get("dilation_rate") and not 0 <= first <= last < SIZE:
            continue  # the window's first tap inside the input lies anywhere
        # Positions beyond the edges are padding, or the edge itself for interpolation.
        clip = not exact
        want = {min(max(i, 0), SIZE - 1) if clip else i for i in range(first, last + 1)}
        inside = sorted(i for i in want if 0 <= i < SIZE)
        assert bool(positions) == bool(inside), (o, positions, inside)
        if inside:
            assert (positions[0], positions[-1]) == (inside[0], inside[-1]), o


@pytest.mark.keras
@pytest.mark.parametrize(("name", "args"), SEQUENCES)
def test_sequences(layer_class: Any, name: str, args: dict[str, Any]) -> None:
    compare(name, args, (SIZE, 2), layer_class, exact=True)


@pytest.mark.keras
@pytest.mark.parametrize(("name", "args"), IMAGES)
def test_rows_of_images(layer_class: Any, name: str, args: dict[str, Any]) -> None:
    compare(name, args, (SIZE, 1, 2), layer_class, exact=False)
