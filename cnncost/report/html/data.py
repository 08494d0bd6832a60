"""The one JSON object of a page: what its charts draw and what a reader may download."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate, groupby
from typing import Any

from cnncost.choices import MODES
from cnncost.memory.prediction import CATEGORIES
from cnncost.report.blocks import parted
from cnncost.report.text import clean
from cnncost.results import Analysis

SCHEMA = "cnncost/report/1"
MOST_BLOCKS = 60  # of the table and the areas
MOST_EXPLAINED = 4000  # layers whose arithmetic stands in the page


def page_data(
    analysis: Analysis, budgets: Sequence[Any] = (), verification: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Plain data. ``budgets`` are results of ``cnncost.budgets``, ``verification`` is what ``verify`` wrote as JSON.

    The timelines of ``analysis.memory`` and the lists of what lives at their peaks are left out: ``step`` has every
    buffer of the step that the page shows.
    """
    plain = analysis.to_dict()
    for mode in MODES:
        if plain["memory"][mode] is not None:
            del plain["memory"][mode]["timeline"], plain["memory"][mode]["alive_at_peak"]
    return {
        "schema": SCHEMA, "analysis": plain, "step": step_data(analysis),
        "blocks": [[row.label, len(row.layers)] for row in parted(analysis.layers, MOST_BLOCKS)],
        "budgets": [result.to_dict() for result in budgets], "verification": verification,
    }  # fmt: skip


def step_data(analysis: Analysis) -> dict[str, Any] | None:
    """The simulated step of the analysis's mode, for the timeline; None where it is not known.

    ``ops`` are columns over the ops in their order: ``layer`` (its place in the model, -1: of no layer), ``type`` and
    ``phase`` (places in ``types`` and ``phases``). ``buffers`` are columns over the buffers: ``op`` that makes it, the
    ``first`` and the ``last`` op at whose highest moment it lives, ``bytes`` and ``category`` (place in
    ``categories``). The bytes of the buffers from ``first`` to ``last`` sum to the live bytes of each op, and to the
    peak at ``peak_op``.
    """
    step: Any = analysis.memory.runtime.of(analysis.mode)
    if step is None or not step.events:
        return None
    layers = {row.name: place for place, row in enumerate(analysis.layers)}
    types: dict[str, int] = {}
    phases: dict[str, int] = {}
    ops: dict[str, list[int]] = {"layer": [], "type": [], "phase": []}
    maker: list[int] = []  # for each event the op that it belongs to
    highest: list[int] = []  # for each op the event after which it holds the most; the one before it, where that is so
    for _, run in groupby(enumerate(step.events), key=lambda part: id(part[1].op)):
        own = list(run)
        op = own[0][1].op
        ops["layer"].append(layers.get(op.layer, -1))
        ops["type"].append(types.setdefault(op.type, len(types)))
        ops["phase"].append(phases.setdefault(op.phase, len(phases)))
        maker += [len(highest)] * len(own)
        begin, event = own[0]
        highest.append(max([(begin - 1, event.live - event.bytes), *((i, event.live) for i, event in own)],
                           key=lambda part: part[1])[0])  # fmt: skip
    buffers: dict[str, list[int]] = {"op": [], "first": [], "last": [], "bytes": [], "category": []}
    for life in step.lives:
        first = bisect_left(highest, life.begin)
        last = (len(highest) if life.end is None else bisect_left(highest, life.end)) - 1
        if first > last:  # freed before its op is at its highest
            continue
        for key, value in zip(buffers, (maker[life.begin], first, last, life.bytes, CATEGORIES.index(life.category)),
                              strict=True):  # fmt: skip
            buffers[key].append(value)
    return {"ops": ops, "types": list(types), "phases": list(phases), "buffers": buffers,
            "categories": list(CATEGORIES), "peak_op": maker[step.peak_event],
            "peak_bytes": step.peak_bytes}  # fmt: skip


def live_bytes(step: Mapping[str, Any]) -> list[list[int]]:
    """For each category the live bytes at each op's highest moment."""
    count, buffers = len(step["ops"]["layer"]), step["buffers"]
    series = [[0] * (count + 1) for _ in step["categories"]]
    for first, last, size, category in zip(*(buffers[key] for key in ("first", "last", "bytes", "category")),
                                           strict=True):  # fmt: skip
        series[category][first] += size
        series[category][last + 1] -= size
    return [list(accumulate(changes[:count])) for changes in series]


def lived(step: Mapping[str, Any] | None) -> set[str]:
    """The categories of which there is any buffer."""
    return {step["categories"][place] for place in step["buffers"]["category"]} if step else set()


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
