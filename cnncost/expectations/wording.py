"""How a broken claim reads: what was claimed and computed, the rule with its numbers, the nearest changes that hold."""

from __future__ import annotations

from typing import Any

from cnncost.arithmetic import (
    axis_names,
    distinct,
    field_arithmetic,
    number,
    output_arithmetic,
    params_count,
    shape_arithmetic,
)
from cnncost.count import Count, tight
from cnncost.errors import CnncostError
from cnncost.expectations.metrics import SHAPED, claim_text, figure_text, same_axes, tuples
from cnncost.expectations.trial import Remedy, Trial
from cnncost.kinds.base import Kind, Shapes, total

MOST_TEXT = 400


def message(trial: Trial, actual: Any, found: list[Remedy]) -> str:
    """The whole finding."""
    expected = trial.expected
    parts = [f"expected {expected.metric} {claim_text(expected)}, computed {figure_text(actual)}"]
    claimed = tuples(expected.value)
    if isinstance(actual, int) and isinstance(claimed, int):
        parts[0] += f" ({actual - claimed:+,})"
    parts += [text for text in (rule(trial, trial.kind, trial.inputs),) if text]
    if found:
        parts.append("nearest that holds: " + ", or ".join(remedy_text(trial, remedy) for remedy in found))
    return "; ".join(parts)


def rule(trial: Trial, kind: Kind, inputs: Shapes, only_claimed: bool = True) -> str:
    """The rule that applied, with its numbers: ``rows and columns: SAME gives ceil(224/4) = 56``."""
    metric = trial.expected.metric
    if metric in SHAPED:
        lines = _field(trial, kind, inputs) if metric in FIGURE else _axes(trial, kind, inputs, only_claimed)
        lines = lines or shape_arithmetic(kind, inputs, kind.outputs(inputs))
        if lines:
            return ", ".join(f"{names}: {text}" for names, text in lines)
        reads = " and ".join(figure_text(shape) for shape in inputs) or "no input"
        return f"{kind.name()} reads {reads}"
    return _derivation(trial, kind, inputs)


def _axes(trial: Trial, kind: Kind, inputs: Shapes, only_claimed: bool) -> list[tuple[str, str]]:
    """The windows' arithmetic; only of axes that did not come out as claimed, where that can be told."""
    windows = kind.windows(inputs)
    claimed = tuples(trial.expected.value)
    shape = kind.outputs(inputs)[0]
    first = 1 if getattr(kind, "channels_first", False) else 0
    differs = set(range(len(windows)))
    if only_claimed and trial.expected.metric == "output_shape" and same_axes(claimed, shape):
        differs = {a for a in differs if a + first < len(shape) and claimed[a + first] not in (None, shape[a + first])}
    names = axis_names(len(windows))
    return distinct((names[a], _gives(output_arithmetic(windows[a]))) for a in sorted(differs))


FIGURE = {"receptive_field": "size", "jump": "jump", "start": "start"}


def _field(trial: Trial, kind: Kind, inputs: Shapes) -> list[tuple[str, str]]:
    """How the receptive field comes from what the layers below see."""
    row, reads = trial.row, kind.field(inputs, kind.outputs(inputs))
    below = [trial.analysis.layers[ref.layer].seen for ref in row.layer.inputs]
    fields = row.seen.fields if row.seen else ()
    if not isinstance(reads, tuple) or not fields or any(not b or len(b.fields) != len(fields) for b in below):
        return []
    names, wanted = axis_names(len(fields)), FIGURE[trial.expected.metric]
    axes = [[b.fields[axis] for b in below if b] for axis in range(len(fields))]
    lines = [dict(field_arithmetic(axes[a], fields[a], reads[a])).get(wanted, "") for a in range(len(fields))]
    return distinct(zip(names, lines, strict=True))


def _gives(arithmetic: str) -> str:
    """``SAME: ceil(224 / 4) = 56`` inside a sentence."""
    return arithmetic.replace(": ", " gives ", 1).replace(" / ", "/")


def _derivation(trial: Trial, kind: Kind, inputs: Shapes) -> str:
    metric, outputs = trial.expected.metric, kind.outputs(inputs)
    counts = {
        "params": lambda: params_count(kind, inputs, kind.weights(inputs)).derivation(),
        "trainable_params": lambda: params_count(kind, inputs, kind.weights(inputs)).derivation(),
        "macs": lambda: total(kind.macs(inputs, outputs)).derivation(),
        "flops": lambda: _flops(kind, inputs, outputs),
        "activation_bytes": lambda: _activation(trial, outputs),
    }
    text = counts[metric]() if metric in counts else ""
    return text if " = " in text and len(text) <= MOST_TEXT else ""


def _flops(kind: Kind, inputs: Shapes, outputs: Shapes) -> str:
    macs, other = int(total(kind.macs(inputs, outputs))), int(kind.other_flops(inputs, outputs))
    return f"2 × {macs:,} + {other:,} = {2 * macs + other:,}"


def _activation(trial: Trial, outputs: Shapes) -> str:
    size, batch = trial.row.outputs[0].dtype.bytes, trial.analysis.batch
    sizes = [tight(*shape) for shape in outputs]
    if len(sizes) != 1:
        return ""
    instances = f" × {batch:,} instances" if batch > 1 else ""
    shape: Count = sizes[0]
    return f"{shape} × {size} B{instances} = {number(int(shape) * size * batch)} B"


def remedy_text(trial: Trial, remedy: Remedy) -> str:
    """``an input of 227 × 227 with VALID gives floor((227 - 11)/4) + 1 = 55``."""
    parts = []
    if remedy.resized:
        whose = "an input of" if remedy.of != trial.row.name else "at this layer an input of"
        parts.append(f"{whose} {remedy.resized}")
    words = [f"{name} {_value(value)}" for name, value in remedy.changes.items() if name != "padding"]
    padding = getattr(remedy.kind, "padding", None)
    if trial.expected.metric == "output_shape" and remedy.kind.windows(remedy.inputs) and isinstance(padding, str):
        words.append(padding.upper())
    elif "padding" in remedy.changes:
        words.append(f"padding {_value(remedy.changes['padding'])}")
    changed = " with ".join([*parts, " and ".join(words)] if words else parts)
    return f"{changed}{_result(trial, remedy)}"


def _result(trial: Trial, remedy: Remedy) -> str:
    try:
        if trial.expected.metric == "output_shape":
            lines = _changed_axes(trial, remedy)
            return f" gives {lines[0][1].split(' gives ', 1)[1]}" if lines else ""
        text = _derivation(trial, remedy.kind, remedy.inputs)
        return f" gives {text}" if text else ""
    except CnncostError:
        return ""


def _changed_axes(trial: Trial, remedy: Remedy) -> list[tuple[str, str]]:
    """The arithmetic of the axes that now come out otherwise."""
    before = trial.kind.windows(trial.inputs)
    after = remedy.kind.windows(remedy.inputs)
    names = axis_names(len(after))
    return distinct(
        (names[a], _gives(output_arithmetic(w)))
        for a, w in enumerate(after)
        if a >= len(before) or w.output != before[a].output
    )


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return str(value[0]) if len(set(value)) == 1 else " × ".join(str(v) for v in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
