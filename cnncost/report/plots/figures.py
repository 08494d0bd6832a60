"""What each figure shows. Colours differ in lightness, and hatches or dashes tell what colour tells."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from cnncost.errors import CnncostError, printable
from cnncost.memory.prediction import CATEGORIES
from cnncost.report.text import bytes_text, clean, shorten
from cnncost.results import Analysis, LayerCost
from cnncost.thinning import highest

# Okabe and Ito's blue, orange, reddish purple and bluish green: told apart by colour-blind eyes, and by lightness.
COLORS = ("#0072b2", "#e69f00", "#cc79a7", "#009e73")
HATCHES = ("", "//", "..", "xx")
MOST_NAMES = 40
MOST_POINTS = 800  # of a line; a longer step is thinned, its highest points kept
Verification = Mapping[str, Any] | None


def timeline(figure: Any, analysis: Analysis, verification: Verification = None) -> None:
    """Live bytes over the ops of the simulated step, stacked by category, the peak marked."""
    import numpy as np

    step: Any = analysis.memory.runtime.of(analysis.mode)
    if step is None or not step.events:
        raise CnncostError(f"the simulation does not know a step of '{printable(analysis.model)}'",
                           rule="the timeline is the simulated step's")  # fmt: skip
    count = len(step.events)
    names = [name for name in CATEGORIES if any(life.category == name for life in step.lives)]
    live = np.zeros((len(names), count + 1))
    for life in step.lives:
        row = live[names.index(life.category)]
        row[life.begin] += life.bytes
        row[count if life.end is None else life.end] -= life.bytes
    shown = np.array(highest([event.live for event in step.events], MOST_POINTS))
    axes = figure.subplots()
    scale, unit = byte_scale(step.peak_bytes)
    areas = axes.stackplot(shown, np.cumsum(live, axis=1)[:, shown] / scale, labels=names, colors=COLORS, step="post",
                           linewidth=0)  # fmt: skip
    for area, hatch in zip(areas, HATCHES, strict=False):
        area.set(hatch=hatch, edgecolor="#ffffff88")
    peak, share = step.peak_bytes / scale, step.peak_event / count
    side = "left" if share < 0.12 else "right" if share > 0.88 else "center"
    axes.annotate(f"peak {bytes_text(step.peak_bytes)}, at {shorten(clean(step.peak_layer), 40)}",
                  (step.peak_event, peak), (0, 10), textcoords="offset points", ha=side,
                  arrowprops={"arrowstyle": "->"})  # fmt: skip
    how = f"training with {clean(analysis.optimizer)}" if analysis.optimizer else analysis.mode
    axes.set(xlim=(0, count), ylim=(0, peak * 1.15 or 1), xlabel="allocations and releases of one step, in order",
             ylabel=f"live {unit} over weights and input",
             title=_title(analysis, f"memory over one step of {how}"))  # fmt: skip
    axes.xaxis.set_major_formatter(_count)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)


def byte_scale(value: int) -> tuple[int, str]:
    """The binary unit that shows a value well.

    >>> byte_scale(40_000), byte_scale(3 * 2**20), byte_scale(12)
    ((1024, 'KiB'), (1048576, 'MiB'), (1, 'B'))
    """
    return next((2**n, unit) for n, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")) if value >= 2**n or not n)


def _count(value: float, place: object = None) -> str:
    """A tick's count: mathematical signs of a logarithmic axis are not typeset."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / min(size, 1e3 if prefix == 'k' else size):,.5g}{prefix}"
    return f"{value:,.10g}"


def layers(figure: Any, analysis: Analysis, verification: Verification = None) -> None:
    """Each layer's multiplications, parameters and activations; the largest is named."""
    axes = figure.subplots(3, 1, sharex=True)
    rows = analysis.layers
    scale, unit = byte_scale(max((row.activation_bytes for row in rows), default=0))
    series = (
        ("multiplications", [row.macs for row in rows], 1),
        ("parameters", [row.params for row in rows], 1),
        (f"activations, {unit}", [row.activation_bytes for row in rows], scale),
    )
    for place, (axis, (name, values, by)) in enumerate(zip(axes, series, strict=True)):
        axis.bar(range(len(rows)), [value / by for value in values], color=COLORS[place], width=0.9)
        axis.set_ylabel(name, fontsize=8)
        axis.locator_params(axis="y", nbins=3)
        axis.grid(visible=False, axis="x")
        axis.yaxis.set_major_formatter(_count)
        if any(values) and len(rows) > MOST_NAMES:
            most = max(range(len(rows)), key=values.__getitem__)
            left = most > len(rows) / 2
            axis.set_ylim(0, 1.3 * values[most] / by)
            axis.annotate(shorten(clean(rows[most].name), 60), (most, values[most] / by), (0, 2),
                          textcoords="offset points", fontsize=7, ha="right" if left else "left")  # fmt: skip
    if len(rows) <= MOST_NAMES:
        axes[-1].set_xticks(range(len(rows)), [shorten(clean(row.name), 22) for row in rows], rotation=60, ha="right",
                            rotation_mode="anchor", fontsize=7)  # fmt: skip
    axes[-1].set_xlabel("layers, in order")
    axes[0].set_title(_title(analysis, "where it goes"))


def scatter(figure: Any, analysis: Analysis, verification: Verification = None) -> None:
    """Parameters against multiplications of every layer that has both; the area is its output."""
    rows = [row for row in analysis.layers if row.params and row.macs]
    if not rows:
        raise CnncostError(f"no layer of '{printable(analysis.model)}' has both parameters and multiplications",
                           rule="this figure shows the layers that have")  # fmt: skip
    axes = figure.subplots()
    most = max((row.activation_bytes for row in rows), default=1) or 1
    sizes = [20 + 380 * row.activation_bytes / most for row in rows]
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="multiplications, per instance",
             title=_title(analysis, "each layer, its area what it puts out"))  # fmt: skip
    axes.scatter([row.params for row in rows], [row.macs for row in rows], s=sizes, alpha=0.6, color=COLORS[0],
                 edgecolor="#1c2430", linewidth=0.5)  # fmt: skip
    axes.margins(0.12, 0.15)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_count)
        axis.set_minor_formatter(lambda value, place: "")
    for place in named(rows):
        row, radius = rows[place], (sizes[place] / math.pi) ** 0.5
        axes.annotate(shorten(clean(row.name), 36), (row.params, row.macs), (0, radius + 3), ha="center", fontsize=7,
                      textcoords="offset points")  # fmt: skip


def named(rows: list[LayerCost]) -> list[int]:
    """Places of the three layers with the most multiplications and the three with the most parameters, less those
    whose names would lie over another's."""
    logs = [(math.log10(row.params), math.log10(row.macs)) for row in rows]
    spans = [(max(place) - min(place)) or 1 for place in zip(*logs, strict=True)]
    points = [tuple(value / span for value, span in zip(place, spans, strict=True)) for place in logs]

    def apart(i: int, j: int) -> bool:
        return abs(points[i][0] - points[j][0]) > 0.25 or abs(points[i][1] - points[j][1]) > 0.08

    found: list[int] = []
    for axis in (1, 0):
        own: list[int] = []
        for i in sorted(range(len(rows)), key=lambda i: -points[i][axis]):
            if len(own) < 3 and all(apart(i, j) for j in (*found, *own)):
                own.append(i)
        found += own
    return found


def measured(figure: Any, analysis: Analysis, verification: Verification = None) -> None:
    """Live bytes over one step, predicted and measured."""
    said = verification or {}
    lines = said.get("timeline")
    if not isinstance(lines, Mapping) or not any(lines.values()):
        raise CnncostError("there is no measured timeline", rule="this figure needs what `cnncost verify` measured",
                           nearest="--verification FILE of `cnncost verify SOURCE --format json`")  # fmt: skip
    known = {name: lines.get(name) or [] for name in ("measured", "predicted")}
    if not all(isinstance(values, list) and all(isinstance(v, int) for v in values) for values in known.values()):
        raise CnncostError("a timeline that is not whole", rule="it is a list of bytes")
    axes = figure.subplots()
    scale, unit = byte_scale(max(max(values, default=0) for values in known.values()))
    for place, (name, values) in enumerate(known.items()):
        if values:
            axes.plot([100 * (i + 1) / len(values) for i in range(len(values))], [v / scale for v in values],
                      color=COLORS[place], linestyle="--" if name == "predicted" else "-", drawstyle="steps-post",
                      label=f"{name}, peak {bytes_text(max(values))}", linewidth=1.3)  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(0, None), xlabel="share of the step's allocations and releases, %",
             ylabel=f"live {unit} over weights and input",
             title=_title(analysis, f"{said.get('mode', '')}, predicted and measured", said.get("batch")))  # fmt: skip
    figure.legend(loc="outside lower center", ncols=2, frameon=False)


def _title(analysis: Analysis, what: str, batch: int | None = None) -> str:
    return f"{clean(analysis.model, 60)}: {clean(what)} (batch {batch or analysis.batch:,}, {clean(analysis.dtype)})"


KINDS: Mapping[str, Callable[[Any, Analysis, Verification], None]] = {
    "timeline": timeline, "layers": layers, "scatter": scatter, "measured": measured,
}  # fmt: skip
