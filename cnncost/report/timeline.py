"""Live bytes over one step, predicted and measured, as an SVG picture; no library draws it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from cnncost.compare import Verification
from cnncost.report.text import bytes_text, clean
from cnncost.thinning import highest

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 960, 420, 90, 20, 56, 44
MOST_POINTS = 4000  # of a line; a longer step is thinned, its highest points kept
# Colours that differ in lightness too; the predicted line is dashed besides.
MEASURED, PREDICTED, GRID, INK = "#1f4e9c", "#d95f02", "#d8d8d8", "#333333"


def svg(result: Verification) -> str:
    """The picture's text: the step from left to right, event by event, each line over its own events."""
    lines = {"measured": result.measured_live, "predicted": result.predicted_live}
    interval = result.interval if result.allocator == "requested" else None
    top = max(*(max(values, default=0) for values in lines.values()), interval[1] if interval else 0) or 1
    job = result.job
    what = f"{clean(result.analysis.model)}: {job.mode}, batch {job.batch:,}, {job.executor}, {job.device}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="13" fill="{INK}" role="img" aria-label="{escape(what)}">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(what)}</text>',
        *_axis(top),
        *_band(interval, top),
        _line(lines["measured"], top, MEASURED, ""),
        _line(lines["predicted"], top, PREDICTED, ' stroke-dasharray="7 4"'),
        *_legend(lines),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: int) -> float:
    return HEIGHT - BOTTOM - max(value, 0) / top * (HEIGHT - TOP - BOTTOM)


def _axis(top: int) -> list[str]:
    """Four lines with their bytes, and what the axes are."""
    parts = []
    for quarter in range(5):
        value = top * quarter // 4
        y = _y(value, top)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{bytes_text(value)}</text>')
    middle = (LEFT + WIDTH - RIGHT) // 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">allocations and releases of one step, '
                 "in order; live bytes above weights and input</text>")  # fmt: skip
    return parts


def _band(interval: tuple[int, int] | None, top: int) -> list[str]:
    """Where the peak is predicted to lie, if more than a point is claimed."""
    if interval is None:
        return []
    low, high = (_y(value, top) for value in interval)
    words = f"the peak is predicted to lie between {interval[0]:,} and {interval[1]:,} B"
    return [f'<rect x="{LEFT}" y="{high:.1f}" width="{WIDTH - LEFT - RIGHT}" height="{low - high:.1f}" '
            f'fill="{PREDICTED}" fill-opacity="0.15"><title>{words}</title></rect>']  # fmt: skip


def _line(values: Sequence[int], top: int, color: str, dashes: str) -> str:
    if not values:
        return ""
    last = len(values)
    steps = [f"M{_x(0):.1f} {_y(0, top):.1f}"]
    for i in highest(values, MOST_POINTS):  # what lives changes at an event, and stays until the next
        steps.append(f"H{_x((i + 0.5) / last):.1f}V{_y(values[i], top):.1f}")
    path = "".join([*steps, f"H{_x(1):.1f}"])
    return f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.6"{dashes}/>'


def _legend(lines: dict[str, tuple[int, ...]]) -> list[str]:
    parts = []
    for place, (name, values) in enumerate(lines.items()):
        x, color = LEFT + 330 * place, (MEASURED, PREDICTED)[place]
        dashes = ' stroke-dasharray="7 4"' if place else ""
        text = f"{name}, peak {max(values):,} B" if values else f"not {name}"
        parts.append(f'<line x1="{x}" x2="{x + 34}" y1="40" y2="40" stroke="{color}" stroke-width="2"{dashes}/>')
        parts.append(f'<text x="{x + 42}" y="44">{text}</text>')
    return parts
