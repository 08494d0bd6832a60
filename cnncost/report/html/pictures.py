"""Still pictures for a page without scripts, and for its first moment: plain SVG, coloured by the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from cnncost.report.html.data import live_bytes
from cnncost.report.text import clean
from cnncost.results import Analysis
from cnncost.thinning import highest

WIDTH, HEIGHT, CELLS = 960, 300, 320


def timeline(step: dict[str, Any] | None) -> str:
    """Live bytes over the ops, stacked by category; empty where the step is not known."""
    if step is None:
        return ""
    series = live_bytes(step)
    sums = [sum(values) for values in zip(*series, strict=True)]
    shown = highest(sums, CELLS)
    top = step["peak_bytes"] or 1
    base = [0] * len(shown)
    parts = []
    for place, values in enumerate(series):
        above = [low + values[op] for low, op in zip(base, shown, strict=True)]
        if any(values):
            parts.append(_area(base, above, top, f"var(--c{place})", step["categories"][place]))
        base = above
    return _svg("live bytes over the ops of one step, stacked by category", parts)


def bars(analysis: Analysis) -> str:
    """Each layer's multiplications."""
    values = [row.macs for row in analysis.layers]
    top, cells = max(values, default=0) or 1, [values[i] for i in highest(values, CELLS)]
    wide = WIDTH / max(len(cells), 1)
    parts = [
        f'<rect x="{i * wide:.1f}" y="{_y(value, top):.1f}" width="{max(wide - 1, 0.5):.1f}" '
        f'height="{HEIGHT - _y(value, top):.1f}" fill="var(--c0)"/>'
        for i, value in enumerate(cells) if value
    ]  # fmt: skip
    return _svg("multiplications of each layer, in order", parts)


def _y(value: float, top: int) -> float:
    return HEIGHT - value / top * (HEIGHT - 4)


def _area(low: Sequence[int], high: Sequence[int], top: int, color: str, name: str) -> str:
    """What lies between two flights of steps."""
    wide = WIDTH / len(high)
    there = [f"{(i + j) * wide:.1f},{_y(value, top):.1f}" for i, value in enumerate(high) for j in (0, 1)]
    back = [f"{(i + j) * wide:.1f},{_y(value, top):.1f}" for i, value in reversed(list(enumerate(low))) for j in (1, 0)]
    return (
        f'<polygon points="{" ".join([*there, *back])}" fill="{color}" fill-opacity="0.75">'
        f"<title>{escape(clean(name))}</title></polygon>"
    )


def _svg(label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="still" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
