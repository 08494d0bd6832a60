"""The one JSON object of a page: what its charts draw and what a reader may download."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnncost.memory.prediction import CATEGORIES
from cnncost.report.text import clean
from cnncost.results import MODES, Analysis

SCHEMA = "cnncost/report/1"
MOST_EXPLAINED = 4000  # layers whose arithmetic stands in the page


def page_data(
    analysis: Analysis, budgets: Sequence[Any] = (), verification: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Plain data. ``budgets`` are results of ``cnncost.budgets``, ``verification`` is what ``verify`` wrote as JSON.

    The timelines of ``analysis.memory`` are left out: ``step`` has the one that the page shows, buffer by buffer.
    """
    plain = analysis.to_dict()
    for mode in MODES:
        if plain["memory"][mode] is not None:
            del plain["memory"][mode]["timeline"]
    return {
        "schema": SCHEMA, "analysis": plain, "step": step_data(analysis),
        "budgets": [result.to_dict() for result in budgets], "verification": verification,
    }  # fmt: skip


def step_data(analysis: Analysis) -> dict[str, Any] | None:
    """The simulated step of the analysis's mode, for the timeline: the ops in order, and every buffer's life.

    ``ops`` are [layer, type, phase, live bytes at its highest]; ``buffers`` are [the op that makes it, the op that
    frees it, bytes, category], by their places; None where the step is not known.
    """
    step: Any = analysis.memory.runtime.of(analysis.mode)
    if step is None or not step.events:
        return None
    ops: list[list[Any]] = []
    places: list[int] = []  # for each event the op that it belongs to
    before = None
    for event in step.events:
        if event.op is not before:
            ops.append([clean(event.op.layer), event.op.type, event.op.phase, event.live])
            before = event.op
        ops[-1][3] = max(ops[-1][3], event.live)
        places.append(len(ops) - 1)
    names = [name for name in CATEGORIES if any(life.category == name for life in step.lives)]
    buffers = [
        [places[life.begin], None if life.end is None else places[life.end], life.bytes, names.index(life.category)]
        for life in step.lives
    ]
    return {"ops": ops, "buffers": buffers, "categories": names, "peak_op": places[step.peak_event],
            "peak_bytes": step.peak_bytes}  # fmt: skip


def explained(analysis: Analysis) -> list[tuple[str, list[tuple[str, list[tuple[str, str]]]]]]:
    """For each layer that computes or holds something: its name and its arithmetic, (title, [(label, text), …])."""
    from cnncost.explain import layer_sections

    found = []
    for row in analysis.layers[:MOST_EXPLAINED]:
        if not row.layer.inputs:
            continue
        sections = [
            (clean(part.title, 300), [(clean(step.name, 300), clean(step.text, 1000) + (
                f"  ({clean(step.remark, 500)})" if step.remark else "")) for step in part.steps])
            for part in layer_sections(analysis, row)
        ]  # fmt: skip
        found.append((row.name, sections))
    return found
