"""What each figure shows. Colours differ in lightness, and hatches or dashes tell what colour tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cnncost.errors import CnncostError, printable
from cnncost.memory.prediction import CATEGORIES
from cnncost.report.text import clean, shorten
from cnncost.results import Analysis

COLORS = ("#2f6fde", "#d9822b", "#8f63c9", "#2a9d8f")
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
    shown = np.array(thinned([event.live for event in step.events], MOST_POINTS))
    axes = figure.subplots()
    areas = axes.stackplot(shown, np.cumsum(live, axis=1)[:, shown] / 2**20, labels=names, colors=COLORS, step="post",
                           linewidth=0)  # fmt: skip
    for area, hatch in zip(areas, HATCHES, strict=False):
        area.set(hatch=hatch, edgecolor="#ffffff55")
    peak = step.peak_bytes / 2**20
    axes.annotate(f"peak {peak:,.2f} MiB", (step.peak_event, peak), (0, 8), textcoords="offset points", ha="center",
                  arrowprops={"arrowstyle": "->"})  # fmt: skip
    title = _title(analysis, f"memory over one step of {analysis.mode}")
    axes.set(xlim=(0, count), ylim=(0, peak * 1.15), xlabel="allocations and releases of one step, in order",
             ylabel="live MiB over weights and input", title=title)  # fmt: skip
    axes.legend(loc="upper left", frameon=False)


def thinned(values: list[int], most: int) -> list[int]:
    """Places of all values, or of the highest in each of ``most`` runs.

    >>> thinned([1, 5, 2, 9], 2)
    [1, 3]
    """
    run = -(-len(values) // most)
    starts = range(0, len(values), run)
    return [max(range(i, min(i + run, len(values))), key=values.__getitem__) for i in starts]


def layers(figure: Any, analysis: Analysis, verification: Verification = None) -> None:
    """Each layer's multiplications, parameters and activations."""
    axes = figure.subplots(3, 1, sharex=True)
    rows = analysis.layers
    series = (
        ("multiplications (M)", [row.macs / 1e6 for row in rows]),
        ("parameters (k)", [row.params / 1e3 for row in rows]),
        ("activations (MiB)", [row.activation_bytes / 2**20 for row in rows]),
    )  # fmt: skip
    for place, (axis, (name, values)) in enumerate(zip(axes, series, strict=True)):
        axis.bar(range(len(rows)), values, color=COLORS[place], width=0.9)
        axis.set_ylabel(name, fontsize=8)
    if len(rows) <= MOST_NAMES:
        axes[-1].set_xticks(range(len(rows)), [shorten(clean(row.name), 22) for row in rows], rotation=60, ha="right",
                            fontsize=7)  # fmt: skip
    axes[-1].set_xlabel("layers, in order")
    axes[0].set_title(_title(analysis, "where it goes"))


def scatter(figure: Any, analysis: Analysis, verification: Verification = None) -> None:
    """Parameters against multiplications of every layer that has both; the area is its output."""
    rows = [row for row in analysis.layers if row.params and row.macs]
    axes = figure.subplots()
    most = max((row.activation_bytes for row in rows), default=1) or 1
    sizes = [20 + 380 * row.activation_bytes / most for row in rows]
    axes.scatter([row.params for row in rows], [row.macs for row in rows], s=sizes, alpha=0.6, color=COLORS[0],
                 edgecolor="#1c2430", linewidth=0.5)  # fmt: skip
    for row in sorted(rows, key=lambda row: -row.macs)[:3] + sorted(rows, key=lambda row: -row.params)[:3]:
        axes.annotate(
            shorten(clean(row.name), 30), (row.params, row.macs), (4, 4), textcoords="offset points", fontsize=7
        )
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel="multiplications, per instance",
             title=_title(analysis, "parameters against multiplications (area: bytes put out)"))  # fmt: skip


def measured(figure: Any, analysis: Analysis, verification: Verification = None) -> None:
    """Live bytes over one step, predicted and measured."""
    lines = (verification or {}).get("timeline")
    if not isinstance(lines, Mapping) or not any(lines.values()):
        raise CnncostError("there is no measured timeline", rule="this figure needs what `cnncost verify` measured",
                           nearest="--verification FILE of `cnncost verify SOURCE --format json`")  # fmt: skip
    axes = figure.subplots()
    for place, (name, values) in enumerate(lines.items()):
        if values:
            axes.plot([100 * (i + 1) / len(values) for i in range(len(values))], [v / 2**20 for v in values],
                      color=COLORS[place], linestyle="--" if name == "predicted" else "-", drawstyle="steps-post",
                      label=f"{name}, peak {max(values) / 2**20:,.2f} MiB", linewidth=1.3)  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(0, None), xlabel="share of the step's allocations and releases, %",
             ylabel="live MiB over weights and input", title=_title(analysis, "predicted and measured"))  # fmt: skip
    axes.legend(frameon=False)


def _title(analysis: Analysis, what: str) -> str:
    return f"{clean(analysis.model, 60)}: {what} (batch {analysis.batch:,}, {clean(analysis.dtype)})"


KINDS: Mapping[str, Callable[[Any, Analysis, Verification], None]] = {
    "timeline": timeline, "layers": layers, "scatter": scatter, "measured": measured,
}  # fmt: skip
