"""The network as a picture: boxes for layers or repeated blocks, shapes on the edges, skips beside them.

Plain SVG, coloured by the page's style; a link at each box chooses its layer, and opens without scripts too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from cnncost.analysis import LayerCost
from cnncost.report.blocks import Box, boxes
from cnncost.report.columns import brief_kind
from cnncost.report.text import clean, count_text, shape_text, shorten
from cnncost.results import Analysis

WIDE, HIGH, GAP, ACROSS, LANE, MARGIN = 300, 50, 38, 24, 20, 16
NARROW = 204  # a box that has others beside it
MOST_ABREAST = 6
INNER = 60  # boxes of a block's own picture
MOST_INNER = 40  # pictures of blocks


@dataclass(frozen=True, slots=True)
class Edge:
    """From one box to a later one, with the shape that flows."""

    begin: int
    end: int
    shape: str


@dataclass(frozen=True, slots=True)
class Place:
    """A box's upper left corner, and its width."""

    x: float
    y: float
    wide: float

    @property
    def middle(self) -> float:
        return self.x + self.wide / 2


def diagram(analysis: Analysis) -> str:
    """The whole as SVG, then the inside of every distinct block, folded."""
    layers = analysis.layers
    found = boxes(layers)
    title = f"{analysis.model}: its wiring"
    parts = [f'<div class="scroll tallest frame" tabindex="0" role="region" aria-label="The picture of the wiring">'
             f"{picture(found, layers, title)}</div>"]  # fmt: skip
    insides: list[str] = []
    shown = 0
    for box in found:
        if len(box.first) == 1 or shown >= MOST_INNER:
            continue
        shown += 1
        inner = boxes([layers[p] for p in box.first], INNER)
        own = [Box(b.label, tuple(box.first[p] for p in b.places), tuple(box.first[p] for p in b.first), b.times)
               for b in inner]  # fmt: skip
        inside = f"Inside {box.label}{f' (one of {box.times})' if box.times > 1 else ''}"
        insides.append(f"<details><summary>{escape(clean(inside))}</summary>"
                           f'<div class="scroll">{picture(own, layers, inside)}</div></details>')  # fmt: skip
    if insides:
        parts.append(f'<div class="insides">{"".join(insides)}</div>')
    return "\n".join(parts)


def picture(found: Sequence[Box], layers: Sequence[LayerCost], title: str) -> str:
    """One picture: ranks from top to bottom, edges that pass a rank in lanes at the right."""
    edges = edges_of(found, layers)
    places, width, height = _arranged(found, edges)
    lanes = _lanes(edges, places)
    right = width + MARGIN
    read = Counter(edge.begin for i, edge in enumerate(edges) if i not in lanes)
    body = [
        _skip(edge, places, lanes[i], right + lanes[i] * LANE)
        if i in lanes
        else _edge(edge, places, read[edge.begin] > 1)
        for i, edge in enumerate(edges)
    ]
    body += [_box(box, place, layers) for box, place in zip(found, places, strict=True)]
    whole = right + (max(lanes.values(), default=-1) + 1) * LANE + (90 if lanes else MARGIN)
    return (
        f'<svg class="net" viewBox="0 0 {whole:.0f} {height:.0f}" width="{whole:.0f}" height="{height:.0f}" '
        f'style="--wide:{whole:.0f}px" '
        f'role="group" aria-label="{escape(clean(title))}">{"".join(body)}</svg>'
    )


def edges_of(found: Sequence[Box], layers: Sequence[LayerCost]) -> list[Edge]:
    """What flows from box to box, each pair once."""
    owner = {p: i for i, box in enumerate(found) for p in box.places}
    edges: dict[tuple[int, int], Edge] = {}
    for p, end in sorted(owner.items()):
        for ref in layers[p].layer.inputs:
            begin = owner.get(ref.layer)
            if begin is not None and begin != end and (begin, end) not in edges:
                shape = shape_text(layers[ref.layer].outputs[ref.output].shape)
                edges[begin, end] = Edge(begin, end, shape)
    return list(edges.values())


def _arranged(found: Sequence[Box], edges: Sequence[Edge]) -> tuple[list[Place], float, float]:
    """A place for every box: its rank is the longest way to it, boxes of a rank stand abreast."""
    rank = [0] * len(found)
    for edge in sorted(edges, key=lambda e: e.end):
        rank[edge.end] = max(rank[edge.end], rank[edge.begin] + 1)
    rows: dict[int, list[int]] = {}
    for i, own in enumerate(rank):
        rows.setdefault(own, []).append(i)
    lines = [row[k : k + MOST_ABREAST] for _, row in sorted(rows.items()) for k in range(0, len(row), MOST_ABREAST)]
    most = max(len(line) for line in lines)
    width = max(WIDE, most * NARROW + (most - 1) * ACROSS)
    above: dict[int, list[int]] = {}
    for edge in edges:
        above.setdefault(edge.end, []).append(edge.begin)
    skipping = {edge.begin for edge in edges if rank[edge.end] > rank[edge.begin] + 1}
    places: dict[int, Place] = {}
    y = float(MARGIN)
    for line in lines:
        wide = WIDE if len(line) == 1 else NARROW
        wish = {i: _mean([places[p].middle for p in above.get(i, ()) if p in places], MARGIN + width / 2) for i in line}
        order = sorted(line, key=lambda i: (i in skipping, wish[i]))  # the lanes are at the right
        wishes = [wish[i] if len(line) > 1 else MARGIN + width / 2 for i in order]
        for i, middle in zip(order, _apart(wishes, wide + ACROSS, MARGIN + wide / 2, width + MARGIN - wide / 2),
                             strict=True):  # fmt: skip
            places[i] = Place(middle - wide / 2, y, wide)
        y += HIGH + GAP
    return [places[i] for i in range(len(found))], float(width + MARGIN), y - GAP + MARGIN


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(wishes: Sequence[float], step: float, low: float, high: float) -> list[float]:
    """Places in order between two bounds, at least ``step`` from one another and near to what is wished.

    >>> _apart([100, 100], 50, 0, 300), _apart([0, 0], 50, 0, 300)
    ([75.0, 125.0], [0, 50])
    """
    found: list[float] = []
    for wish in wishes:
        found.append(max(wish, found[-1] + step) if found else float(wish))
    shift = sum(wish - place for wish, place in zip(wishes, found, strict=True)) / len(found)
    found = [place + shift for place in found] if found != list(wishes) else found
    for i in range(len(found)):  # push from the left bound, then back from the right one
        found[i] = max(found[i], low + i * step if i == 0 else found[i - 1] + step)
    for i in reversed(range(len(found))):
        found[i] = min(found[i], high if i == len(found) - 1 else found[i + 1] - step)
    return found


def _lanes(edges: Sequence[Edge], places: Sequence[Place]) -> dict[int, int]:
    """Edges that pass a box go in a lane; two that overlap in height take different ones."""
    found: dict[int, int] = {}
    busy: list[list[tuple[float, float]]] = []
    long = [(i, places[e.begin].y, places[e.end].y) for i, e in enumerate(edges)]
    for i, top, bottom in sorted(long, key=lambda part: part[2] - part[1]):
        if bottom - top <= HIGH + GAP + 1:
            continue
        lane = next((n for n, own in enumerate(busy) if all(bottom <= a or top >= b for a, b in own)), len(busy))
        if lane == len(busy):
            busy.append([])
        busy[lane].append((top, bottom))
        found[i] = lane
    return found


def _skip(edge: Edge, places: Sequence[Place], place: int, lane: float) -> str:
    """Down a lane at the right; from and to a box that has others beside it through the gap between the ranks."""
    a, b = places[edge.begin], places[edge.end]
    y, z = a.y + HIGH / 2, b.y + HIGH / 2
    out = f"M{a.x + a.wide:.0f},{y:.0f} H{lane - 8:.0f} q8,0 8,8"
    into = f"q0,8 -8,8 H{b.x + b.wide + 7:.0f}"
    head = f"M{b.x + b.wide + 8:.0f},{z - 4:.0f} l-8,4 l8,4 z"
    if any(p.y == a.y and p.x > a.x for p in places):
        y = a.y + HIGH + 9
        out = f"M{a.middle - 12:.0f},{y - 9:.0f} v1 q0,8 8,8 H{lane - 8:.0f} q8,0 8,8"
    if any(p.y == b.y and p.x > b.x for p in places):
        z = b.y - 17
        into, head = f"q0,8 -8,8 H{b.middle + 20:.0f} q-8,0 -8,8", f"M{b.middle + 8:.0f},{b.y - 8:.0f} l4,8 l4,-8 z"
    text = f'<text x="{lane + 4:.0f}" y="{y + min((z - y) / 2, 30 + 14 * (place % 4)):.0f}">{escape(edge.shape)}</text>'
    path = f"{out} V{z - 8:.0f} {into}"
    return f'<g class="edge skip"><path d="{path}"/><path class="head" d="{head}"/>{text}</g>'


def _edge(edge: Edge, places: Sequence[Place], spread: bool) -> str:
    """From a box down to one of the next rank; the shape stands by the reader where several read the box."""
    a, b = places[edge.begin], places[edge.end]
    top, bottom = a.y + HIGH, b.y
    middle = (top + bottom) / 2
    bend = f"C{a.middle:.0f},{middle:.0f} {b.middle:.0f},{middle:.0f} {b.middle:.0f},{bottom - 7:.0f}"
    path = f"M{a.middle:.0f},{top:.0f} {bend}"
    head = f"M{b.middle - 4:.0f},{bottom - 8:.0f} l4,8 l4,-8 z"
    x, y = (b.middle, bottom - 9) if spread else (a.middle, middle + 4 if a.middle == b.middle else top + 12)
    text = f'<text x="{x + 8:.0f}" y="{y:.0f}">{escape(edge.shape)}</text>'
    return f'<g class="edge"><path d="{path}"/><path class="head" d="{head}"/>{text}</g>'


def _box(box: Box, place: Place, layers: Sequence[LayerCost]) -> str:
    own = [layers[p] for p in box.places]
    params, macs = sum(row.params for row in own), sum(row.macs for row in own)
    cells = max(int(place.wide / 9), 8)
    times = f" ×{box.times}" if box.times > 1 else ""
    title = shorten(clean(box.label), cells - len(times)) + times
    parts = [part for part in (_kinds(own, box), f"{count_text(params)} params" if params else "",
                               f"{count_text(macs)} MACs" if macs else "") if part]  # fmt: skip
    whole = f"{box.label}{times}: {'; '.join(parts)}"
    while len(parts) > 1 and len("; ".join(parts)) > place.wide / 6.8:
        parts.pop()
    last = box.places[-1]
    told = shorten("; ".join(parts), int(place.wide / 6.8))
    return (
        f'<a class="layer box{" times" if box.times > 1 else ""}" href="#row-{last}" data-i="{last}" '
        f'data-layers="{escape(json.dumps(list(box.places)))}"><title>{escape(clean(whole, 600))}</title>'
        f'<rect x="{place.x:.0f}" y="{place.y:.0f}" width="{place.wide:.0f}" height="{HIGH}" rx="8"/>'
        f'<text class="name" x="{place.middle:.0f}" y="{place.y + 20:.0f}">{escape(title)}</text>'
        f'<text x="{place.middle:.0f}" y="{place.y + 38:.0f}">{escape(told)}</text></a>'
    )


def _kinds(own: Sequence[LayerCost], box: Box) -> str:
    """The kind of a layer, or how many layers of a block compute."""
    if len(own) == 1:
        return brief_kind(clean(own[0].kind))
    return f"{box.times:,} × {len(box.first):,} layers" if box.times > 1 else f"{len(own):,} layers"
