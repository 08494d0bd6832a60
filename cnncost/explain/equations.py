"""The equation of one neuron, with the layer's own strides, paddings and ranges. Indices count from 0.

z is the sum, x the input, w the weights, b the bias; positions outside x are the zeros that padding adds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from cnncost.analysis import LayerCost
from cnncost.arithmetic import number
from cnncost.explain.formulas import FORMULAS
from cnncost.explain.section import Section, Step, section
from cnncost.kinds.activations import FUNCTIONS
from cnncost.tensor import product
from cnncost.window import Window

OUT, TAP = ("i", "j", "l"), ("u", "v", "t")


def equation_section(row: LayerCost) -> Section | None:
    """What the layer computes: its equation, or what its kind says of itself."""
    rule = EQUATIONS.get(row.kind)
    steps = rule(row) if rule is not None else [Step(text, remark=words) for text, words in FORMULAS.get(row.kind, ())]
    if not steps:
        text = meaning(row)
        steps = [Step(text)] if text else []
    return section("Equation", *steps, *_activation(row))


def meaning(row: LayerCost) -> str:
    """The first sentence that the kind's own text says about what it computes."""
    for cls in type(row.layer.kind).__mro__:
        if cls.__name__ in ("Kind", "Weightless", "Free", "SamePositions", "Spatial", "object"):
            continue
        text = " ".join((cls.__doc__ or "").split(">>>", 1)[0].split("\n\n", 1)[0].split())
        if text and not text.startswith(f"{cls.__name__}("):
            return text.replace("``", "")
    return ""


def _activation(row: LayerCost) -> list[Step]:
    """The activation argument, where the layer has one."""
    name = getattr(row.layer.kind, "activation", None)
    if (
        not isinstance(name, str)
        or name not in FUNCTIONS
        or name == "linear"
        or row.kind in FORMULAS
        or row.kind == "Activation"
    ):
        return []
    formula = re.sub(r"\bx\b", "z", FUNCTIONS[name][1])
    return [Step(f"y = {formula}", name)]


def _at(window: Window, out: str, tap: str) -> str:
    """The input position that a tap of output ``out`` reads: ``i·5 + u - 1``."""
    before = window.before or 0
    step = out if window.stride == 1 else f"{out}·{window.stride:,}"
    reach = tap if window.dilation == 1 else f"{tap}·{window.dilation:,}"
    if window.kernel == 1:
        return step
    return f"{step} + {reach}" + (f" - {before:,}" if before else "")


def _taps(windows: tuple[Window, ...]) -> list[tuple[str, int]]:
    """(index, size) of each axis of the window that has more than one tap."""
    return [(tap, w.kernel) for tap, w in zip(TAP, windows, strict=False) if w.kernel > 1]


def _ranges(*pairs: tuple[str, int | None]) -> str:
    return ", ".join(f"{index} < {number(size)}" for index, size in pairs if size is not None)


def _positions(row: LayerCost) -> tuple[str, ...]:
    return tuple(_at(w, out, tap) for w, out, tap in zip(row.windows, OUT, TAP, strict=False))


def _outs(row: LayerCost) -> list[tuple[str, int | None]]:
    return [(out, w.output) for w, out in zip(row.windows, OUT, strict=False)]


def _join(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _sigma(*indices: str) -> str:
    return "".join(f"Σ_{index} " for index in indices)


def _bias(row: LayerCost, index: str = "k") -> str:
    return f"b[{index}] + " if any(w.name == "bias" for w in row.weights) else ""


def _edges(row: LayerCost) -> str:
    padded = any(w.before or w.after for w in row.windows)
    return "; x is 0 outside, where padding stands" if padded else ""


def _convolution(row: LayerCost) -> list[Step]:
    kind: Any = row.layer.kind
    taps, kernel = _taps(row.windows), row.weights[0].shape
    fan_in, filters, groups = kernel[-2], kernel[-1], getattr(kind, "groups", 1)
    maps = "k'" if groups == 1 else f"floor(k / {filters // groups:,})·{fan_in:,} + k'"
    outs = [out for out, _ in _outs(row)]
    names = [name for name, _ in taps]
    x, w = _join(*_positions(row), maps), _join(*names, "k'", "k")
    text = f"z[{_join(*outs, 'k')}] = {_bias(row)}{_sigma(*names, chr(107) + chr(39))}x[{x}] · w[{w}]"
    return [Step(text, remark=_ranges(*taps, ("k'", fan_in), *_outs(row), ("k", filters)) + _edges(row))]


def _depthwise(row: LayerCost, weight: str = "w") -> list[Step]:
    kernel = row.weights[0].shape
    channels, multiplier = kernel[-2], kernel[-1]
    taps, outs = _taps(row.windows), [out for out, _ in _outs(row)]
    names = [name for name, _ in taps]
    k = "c" if multiplier == 1 else f"c·{multiplier:,} + q"
    more = [] if multiplier == 1 else [("q", multiplier)]
    value, bias = ("z", _bias(row, k)) if weight == "w" else ("d", "")
    text = (
        f"{value}[{_join(*outs, k)}] = {bias}{_sigma(*names)}x[{_join(*_positions(row), 'c')}] · "
        f"{weight}[{_join(*names, 'c', *(q for q, _ in more))}]"
    )
    return [Step(text, remark=_ranges(*taps, ("c", channels), *more, *_outs(row)) + _edges(row))]


def _separable(row: LayerCost) -> list[Step]:
    between, filters = row.weights[1].shape[-2:]
    outs = [out for out, _ in _outs(row)]
    text = f"z[{_join(*outs, 'k')}] = {_bias(row)}Σ_c d[{_join(*outs, 'c')}] · p[c, k]"
    return [*_depthwise(row, "w_d"), Step(text, remark=_ranges(("c", between), ("k", filters)))]


def _transposed(row: LayerCost) -> list[Step]:
    kind: Any = row.layer.kind
    kernel = row.weights[0].shape
    outs, taps = OUT[: len(kind.strides)], TAP[: len(kind.strides)]
    reads = [f"({o} + crop_{o} - {u})/{s}" for o, u, s in zip(outs, taps, kind.strides, strict=True)]
    text = f"z[{_join(*outs, 'k')}] = {_bias(row)}{_sigma(*taps)}Σ_k' x[{_join(*reads, chr(107) + chr(39))}] · w[{_join(*taps, 'k', chr(107) + chr(39))}]"  # noqa: E501
    ranges = _ranges(*zip(taps, kernel, strict=False), ("k", kernel[-2]), ("k'", kernel[-1]))
    return [
        Step(text, remark=f"{ranges}; only where the division is whole and inside x; crop is what the edge cuts off")
    ]


def _pooling(operation: str) -> Callable[[LayerCost], list[Step]]:
    def steps(row: LayerCost) -> list[Step]:
        if not row.windows:
            return []
        outs, taps = [out for out, _ in _outs(row)], _taps(row.windows)
        x = f"x[{_join(*_positions(row), 'k')}]"
        names = [name for name, _ in taps]
        values = product(w.kernel for w in row.windows)
        if operation == "max":
            body = f"max_{{{', '.join(names)}}} {x}" if names else x
        else:
            body = f"1/{number(values)} · {_sigma(*names)}{x}"
        padded = any(w.before or w.after for w in row.windows)
        edges = "; at the edges only the values inside x count" if padded else ""
        ranges = _ranges(*taps, *_outs(row), ("k", _channels(row)))
        return [Step(f"z[{_join(*outs, 'k')}] = {body}", remark=ranges + edges)]

    return steps


def _channels(row: LayerCost) -> int | None:
    return row.output_shape[0] if getattr(row.layer.kind, "channels_first", False) else row.output_shape[-1]


def _global(operation: str) -> Callable[[LayerCost], list[Step]]:
    def steps(row: LayerCost) -> list[Step]:
        shape = row.input_shapes[0]
        spatial = shape[1:] if getattr(row.layer.kind, "channels_first", False) else shape[:-1]
        names = OUT[: len(spatial)]
        x = f"x[{_join(*names, 'k')}]"
        body = (
            f"max_{{{', '.join(names)}}} {x}"
            if operation == "max"
            else f"1/{number(product(spatial))} · {_sigma(*names)}{x}"
        )
        return [Step(f"z[k] = {body}", remark=_ranges(*zip(names, spatial, strict=True)))]

    return steps


def _dense(row: LayerCost) -> list[Step]:
    fan_in, units = row.weights[0].shape
    at = "p, " if len(row.output_shape) > 1 else ""
    where = f"; p is any of {number(product(row.output_shape[:-1]))} positions" if at else ""
    text = f"z[{at}k] = {_bias(row)}Σ_c x[{at}c] · w[c, k]"
    return [Step(text, remark=_ranges(("c", fan_in), ("k", units)) + where)]


def _batch_normalization(row: LayerCost) -> list[Step]:
    kind: Any = row.layer.kind
    names = {w.name for w in row.weights}
    gamma = "gamma[k] · " if "gamma" in names else ""
    beta = " + beta[k]" if "beta" in names else ""
    text = f"z[…, k] = {gamma}(x[…, k] - mean[k]) / sqrt(variance[k] + {kind.epsilon}){beta}"
    return [Step(text, remark=_ranges(("k", row.weights[0].size)) if row.weights else "")]


def _merge(sign: str) -> Callable[[LayerCost], list[Step]]:
    def steps(row: LayerCost) -> list[Step]:
        if len(row.inputs) > 8:
            return []
        return [
            Step(
                "z[p] = " + f" {sign} ".join(f"x{i + 1}[p]" for i in range(len(row.inputs))),
                remark="at every position p",
            )
        ]

    return steps


def _function(row: LayerCost) -> list[Step]:
    name = getattr(row.layer.kind, "activation", None)
    name = name if isinstance(name, str) else {"ReLU": "relu", "Softmax": "softmax"}.get(row.kind, "")
    return [Step(f"y = {FUNCTIONS[name][1]}", name)] if name in FUNCTIONS else []


EQUATIONS: dict[str, Callable[[LayerCost], list[Step]]] = {
    **dict.fromkeys(("Conv1D", "Conv2D", "Conv3D"), _convolution),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), _depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), _separable),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), _transposed),
    **dict.fromkeys((f"MaxPooling{n}D" for n in (1, 2, 3)), _pooling("max")),
    **dict.fromkeys((f"AveragePooling{n}D" for n in (1, 2, 3)), _pooling("mean")),
    **dict.fromkeys((f"GlobalMaxPooling{n}D" for n in (1, 2, 3)), _global("max")),
    **dict.fromkeys((f"GlobalAveragePooling{n}D" for n in (1, 2, 3)), _global("mean")),
    "Dense": _dense,
    "BatchNormalization": _batch_normalization,
    "Add": _merge("+"),
    "Subtract": _merge("-"),
    "Multiply": _merge("·"),
    "Activation": _function,
    "ReLU": _function,
}
