"""The arithmetic of an analysis, with the numbers substituted, as sections of steps or as lines of text."""

from __future__ import annotations

import dataclasses
from typing import Any

from cnncost.analysis import Analysis, LayerCost
from cnncost.errors import printable
from cnncost.explain.costs import (
    dense_section,
    flops_section,
    macs_section,
    memory_section,
    phases_section,
    weights_section,
)
from cnncost.explain.equations import equation_section
from cnncost.explain.field import field_section
from cnncost.explain.geometry import size_section
from cnncost.explain.model import flow, model_sections, totals_sections
from cnncost.explain.pick import pick
from cnncost.explain.section import Section, Step
from cnncost.kinds.base import is_default

__all__ = ["Section", "Step", "explain", "explain_lines"]

MOST_FINDINGS = 50
SMALL = 2  # layers, besides the inputs, up to which the whole model is explained in full


def explain(analysis: Analysis, layer: str | None = None) -> tuple[Section, ...]:
    """The sections about one layer, or about the whole model.

    ``layer`` is a name, its unique end, or a pattern that fits one layer. Raises CnncostError naming the nearest.
    """
    if layer is not None:
        row = analysis.layers[pick(analysis, layer)]
        return (*layer_sections(analysis, row), *_findings(analysis, row.name))
    rows = [row for row in analysis.layers if row.layer.inputs]
    size = f"{analysis.totals.layers:,} layers, batch of {analysis.batch:,}, {analysis.dtype}"
    head = Section(f"{printable(analysis.model)}: {size}", ())
    if len(rows) > SMALL:
        return (head, *model_sections(analysis), *_findings(analysis))
    full = [part for row in rows for part in layer_sections(analysis, row)]
    return (head, *full, *totals_sections(analysis), *_findings(analysis))


def _findings(analysis: Analysis, layer: str | None = None) -> list[Section]:
    """What does not hold, of one layer or of all."""
    found = [finding for finding in analysis.findings if layer is None or finding.layer == layer]
    steps = []
    for finding in found[:MOST_FINDINGS]:
        where = f"{finding.severity}, {printable(finding.layer)}" if finding.layer else finding.severity
        steps.append(Step(finding.message, where))
    if len(found) > MOST_FINDINGS:
        steps.append(Step(f"and {len(found) - MOST_FINDINGS:,} more"))
    return [Section("Findings", tuple(steps))] if steps else []


def explain_lines(analysis: Analysis, layer: str | None = None) -> list[str]:
    """The same as lines of text, with an empty line between sections."""
    lines: list[str] = []
    for part in explain(analysis, layer):
        lines += [*([""] if lines else []), *part.lines()]
    return lines


def layer_sections(analysis: Analysis, row: LayerCost) -> list[Section]:
    """Everything about one layer."""
    parts = [
        _head(row),
        size_section(row),
        equation_section(row),
        weights_section(row),
        macs_section(row, analysis.batch),
        flops_section(row),
        memory_section(row, analysis.batch),
        dense_section(row),
        field_section(analysis, row),
        phases_section(analysis, row),
    ]
    return [part for part in parts if part is not None]


def _head(row: LayerCost) -> Section:
    steps = [Step(flow(row), "shape")]
    given = [f"{name} {_argument(value)}" for name, value in _given(row)]
    if given:
        steps.insert(0, Step(", ".join(given), "arguments"))
    if row.inputs:
        names = ", ".join(printable(name) for name in row.inputs[:8]) + (", …" if len(row.inputs) > 8 else "")
        steps.append(Step(names, "reads"))
    steps += [Step(note, "note") for note in row.notes]
    return Section(f"{printable(row.name)}: {row.kind}", tuple(steps))


def _given(row: LayerCost) -> list[tuple[str, Any]]:
    """Arguments that are required, or that are not their default."""
    kind = row.layer.kind
    defaults = {field.name: field.default for field in dataclasses.fields(kind)}
    plain = (int, str, bool, float, tuple)
    found = [
        (name, getattr(kind, name)) for name in kind.arguments() if name != "operands"
    ]  # an operation's: see reads
    return [
        (name, value) for name, value in found if isinstance(value, plain) and not is_default(value, defaults.get(name))
    ]


def _argument(value: Any) -> str:
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        return "×".join(f"{v}" for v in value)
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else printable(value)
