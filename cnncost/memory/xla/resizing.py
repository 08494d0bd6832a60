"""Images brought to a size, as tf2xla builds it (image_resize_ops.cc).

Bilinear: of every output pixel the 3 × 3 pixels around its place are gathered into one large buffer, nine times the
output, of which a batched matrix product takes the weighted sums. Its gradient weighs every output's gradient for those
nine places and scatters them into zeros, both laid out with the batch inside. Nearest: a gather alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from cnncost.memory.opgraph import Op
from cnncost.memory.spec import Spec
from cnncost.memory.xla.hlo import F32, Hlo, Module, Operand

SPAN = 3  # pixels along each axis that an output pixel is interpolated from


class _Axis(NamedTuple):
    """Where each output's span begins, and the weights of the span."""

    start: Hlo
    weights: Hlo


def _some(value: Operand) -> Hlo:
    assert value is not None
    return value


def _start(module: Module, size: int, nearest: bool) -> Hlo:
    value: Operand = module.add("iota", (), (size,), F32, fusible=True)
    for opcode in ("add", "multiply", "floor" if nearest else "ceil", "clamp"):
        value = module.map(opcode, (value, None), Spec((size,), F32))
    return _some(value)


def _axis(module: Module, source: int, size: int) -> _Axis:
    start = _start(module, size, nearest=False)
    span = min(SPAN, source)
    wide, flat = Spec((size, span), F32), Spec((size,), F32)
    begin = module.broadcast(_some(module.map("subtract", (start, None), flat)), wide.shape)
    pixel = module.add("iota", (), wide.shape, F32, fusible=True)
    place = module.map("abs", (module.map("add", (begin, pixel), wide),), wide)
    kernel = _some(module.map("maximum", (place, None), wide))
    total = module.broadcast(module.add("reduce", (kernel,), flat.shape, F32), wide.shape)
    return _Axis(start, _some(module.map("divide", (kernel, total), wide)))


def _axes(module: Module, small: Sequence[int], size: Sequence[int]) -> tuple[_Axis, _Axis]:
    """Rows and columns; equal ones are one. Made once for an op and its gradient."""
    made: dict[tuple[int, int], _Axis] = module.shared.setdefault("resize", {})
    keys = list(zip(small, size, strict=True))
    for key in keys:
        if key not in made:
            made[key] = _axis(module, *key)
    return made[keys[0]], made[keys[1]]


def _places(module: Module, rows: Hlo, columns: Hlo) -> Hlo:
    """(outputs, 2): the corner of each output's span."""
    height, width = rows.elements, columns.elements
    key = ("places", rows.index, columns.index)
    found = module.shared.get(key)
    if found is None:
        pair = [module.broadcast(value, (height, width, 1)) for value in (rows, columns)]
        joined = module.add("concatenate", pair, (height, width, 2), F32)
        found = module.shared[key] = module.reshape(_some(module.convert(joined, "int32")), (height * width, 2))
    return found


def _products(module: Module, rows: Hlo, columns: Hlo) -> Hlo:
    """(columns, span, rows, span): the weight of each of an output's pixels."""
    shape = (*columns.shape, *rows.shape)
    pair = (module.broadcast(columns, shape), module.broadcast(rows, shape))
    return _some(module.map("multiply", pair, Spec(shape, F32)))


def bilinear(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    x = _some(module.convert(module.filled(inputs[0], op.inputs[0].spec), F32, asked=True))
    batch, *small, channels = x.shape
    _, height, width, _ = op.outputs[0].shape
    rows, columns = _axes(module, small, (height, width))
    spans = (min(SPAN, small[0]), min(SPAN, small[1]))
    products = module.transpose(_products(module, rows.weights, columns.weights), (0, 2, 1, 3))
    weights = module.reshape(products, (width, height, prod(spans)))
    gathered = module.add(
        "gather", (x, _places(module, rows.start, columns.start)), (height * width, batch, *spans, channels), F32
    )
    laid = module.reshape(gathered, (height, width, batch, *spans, channels))
    laid = module.transpose(laid, (1, 0, 4, 3, 2, 5))
    patches = module.reshape(laid, (width, height, prod(spans), batch * channels))
    made = module.add("dot", (weights, patches), (width, height, batch * channels), F32)
    return [module.transpose(module.reshape(made, (width, height, batch, channels)), (2, 1, 0, 3))]


def bilinear_gradient(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    grad = _some(module.convert(module.filled(inputs[0], op.inputs[0].spec), F32, asked=True))
    batch, height, width, channels = grad.shape
    small = op.outputs[0].shape[1:3]
    rows, columns = _axes(module, small, (height, width))
    spans = (min(SPAN, small[0]), min(SPAN, small[1]))
    full = Spec((height, width, spans[1], spans[0], batch, channels), F32)
    weights = module.transpose(_products(module, rows.weights, columns.weights), (2, 0, 1, 3))
    turned = module.transpose(grad, (1, 2, 0, 3))
    pair = (module.broadcast(weights, full.shape), module.broadcast(turned, full.shape))
    weighed = module.transpose(_some(module.map("multiply", pair, full)), (0, 1, 3, 2, 4, 5))
    weighed = module.reshape(weighed, (height * width, *spans, batch, channels))
    zeros = module.zeros(Spec((*small, batch, channels), F32), op)
    places = _places(module, rows.start, columns.start)
    summed = module.add("scatter", (zeros, places, weighed), zeros.shape, F32)
    return [module.convert(module.transpose(summed, (2, 0, 1, 3)), op.outputs[0].dtype, asked=True)]


def nearest(module: Module, op: Op, inputs: list[Operand]) -> list[Operand]:
    x = module.filled(inputs[0], op.inputs[0].spec)
    batch, _, _, channels = x.shape
    _, height, width, _ = op.outputs[0].shape
    places = _places(module, _start(module, height, nearest=True), _start(module, width, nearest=True))
    gathered = module.add("gather", (x, places), (height * width, batch, channels), x.dtype)
    laid = module.reshape(gathered, (height, width, batch, channels))
    return [module.transpose(laid, (2, 0, 1, 3))]


RULES: dict[str, Any] = {
    "ResizeBilinear": bilinear,
    "ResizeBilinearGrad": bilinear_gradient,
    "ResizeNearestNeighbor": nearest,
}
