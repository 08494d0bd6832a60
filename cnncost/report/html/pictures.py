"""Still pictures for a page without scripts, and for its first moment: plain SVG, coloured by the page's style."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from cnncost.report.peak import heights
from cnncost.report.text import bytes_text, clean
from cnncost.results import Analysis

WIDTH, HEIGHT, CELLS = 960, 300, 320
COLORS = 4


def timeline(step: dict[str, Any] | None) -> str:
    """Live bytes over the ops, stacked by category; empty where the step is not known."""
    if step is None:
        return ""
    count = len(step["ops"])
    series = [[0] * (count + 1) for _ in step["categories"]]
    for begin, end, size, category in step["buffers"]:
        series[category][begin] += size
        if end is not None:
            series[category][end + 1] -= size
    top = step["peak_bytes"] or 1
    base = [0] * min(count, CELLS)
    parts = []
    for place, changes in enumerate(series):
        live, values = 0, []
        for change in changes[:count]:
            live += change
            values.append(live)
        above = [low + value for low, value in zip(base, heights(values, CELLS), strict=True)]
        if any(values):
            parts.append(_area(base, above, top, f"var(--c{place % COLORS})", step["categories"][place]))
        base = above
    parts.append(_text(4, 14, f"{bytes_text(top)} at the peak"))
    return _svg("live bytes over the ops of one step, stacked by category", parts)


def bars(analysis: Analysis) -> str:
    """Each layer's multiplications."""
    values = [row.macs for row in analysis.layers]
    top, cells = max(values, default=0) or 1, heights(values, CELLS)
    wide = WIDTH / max(len(cells), 1)
    parts = [
        f'<rect x="{i * wide:.1f}" y="{_y(value, top):.1f}" width="{max(wide - 1, 0.5):.1f}" '
        f'height="{HEIGHT - _y(value, top):.1f}" fill="var(--c0)"/>'
        for i, value in enumerate(cells) if value
    ]  # fmt: skip
    return _svg("multiplications of each layer, in order", [*parts, _text(4, 14, "multiplications by layer")])


def _y(value: float, top: int) -> float:
    return HEIGHT - value / top * (HEIGHT - 24)


def _area(low: Sequence[int], high: Sequence[int], top: int, color: str, name: str) -> str:
    """What lies between two lines."""
    wide = WIDTH / max(len(high) - 1, 1)
    there = [f"{i * wide:.1f},{_y(value, top):.1f}" for i, value in enumerate(high)]
    back = [f"{i * wide:.1f},{_y(value, top):.1f}" for i, value in reversed(list(enumerate(low)))]
    return (
        f'<polygon points="{" ".join([*there, *back])}" fill="{color}" fill-opacity="0.75">'
        f"<title>{escape(clean(name))}</title></polygon>"
    )


def _text(x: int, y: int, text: str) -> str:
    return f'<text x="{x}" y="{y}" font-size="13" fill="currentColor">{escape(text)}</text>'


def _svg(label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="still" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )
