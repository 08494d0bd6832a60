"""The network as a picture: boxes for layers or repeated blocks, shapes on the edges, skips beside them.

Plain SVG, coloured by the page's style; a link at each box chooses its layer, and opens without scripts too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from urllib.parse import quote

from cnncost.analysis import LayerCost
from cnncost.report.blocks import Box, boxes
from cnncost.report.columns import brief_kind
from cnncost.report.text import clean, count_text, shape_text, shorten
from cnncost.results import Analysis

WIDE, HIGH, GAP, ACROSS, LANE, MARGIN = 300, 54, 44, 24, 20, 16
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
    parts = [f'<div class="scroll">{picture(found, layers, f"{analysis.model}: its wiring")}</div>']
    shown = 0
    for box in found:
        if len(box.first) == 1 or shown >= MOST_INNER:
            continue
        shown += 1
        inner = boxes([layers[p] for p in box.first], INNER)
        own = [Box(b.label, tuple(box.first[p] for p in b.places), tuple(box.first[p] for p in b.first), b.times)
               for b in inner]  # fmt: skip
        title = f"Inside {box.label}{f' (one of {box.times})' if box.times > 1 else ''}"
        parts.append(f"<details><summary>{escape(clean(title))}</summary>"
                     f'<div class="scroll">{picture(own, layers, title)}</div></details>')  # fmt: skip
    return "\n".join(parts)


def picture(found: Sequence[Box], layers: Sequence[LayerCost], title: str) -> str:
    """One picture: ranks from top to bottom, edges that pass a rank in lanes at the right."""
    edges = edges_of(found, layers)
    places, width, height = _arranged(found, edges)
    lanes = _lanes(edges, places)
    right = width + MARGIN
    body = [_edge(edge, places, right + lanes.get(i, 0) * LANE, i in lanes) for i, edge in enumerate(edges)]
    body += [_box(box, place, layers) for box, place in zip(found, places, strict=True)]
    whole = right + (max(lanes.values(), default=-1) + 1) * LANE + (90 if lanes else MARGIN)
    return (
        f'<svg class="net" viewBox="0 0 {whole:.0f} {height:.0f}" width="{whole:.0f}" height="{height:.0f}" '
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
    width = MARGIN + max(WIDE, min(most, MOST_ABREAST) * 190 + (most - 1) * ACROSS)
    places: dict[int, Place] = {}
    y = float(MARGIN)
    for line in lines:
        wide = min(WIDE, (width - MARGIN - (len(line) - 1) * ACROSS) / len(line))
        x = MARGIN + (width - MARGIN - wide * len(line) - ACROSS * (len(line) - 1)) / 2
        for i in line:
            places[i] = Place(x, y, wide)
            x += wide + ACROSS
        y += HIGH + GAP
    return [places[i] for i in range(len(found))], float(width), y - GAP + MARGIN


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


def _edge(edge: Edge, places: Sequence[Place], lane: float, skips: bool) -> str:
    a, b = places[edge.begin], places[edge.end]
    top, bottom = a.y + HIGH, b.y
    if skips:
        out, into = a.x + a.wide, b.x + b.wide
        y, z = a.y + HIGH / 2, b.y + HIGH / 2
        path = f"M{out:.0f},{y:.0f} H{lane - 8:.0f} q8,0 8,8 V{z - 8:.0f} q0,8 -8,8 H{into + 7:.0f}"
        head = f"M{into + 8:.0f},{z - 4:.0f} l-8,4 l8,4 z"
        text = f'<text x="{lane + 4:.0f}" y="{(y + z) / 2:.0f}">{escape(edge.shape)}</text>'
        return f'<g class="edge skip"><path d="{path}"/><path class="head" d="{head}"/>{text}</g>'
    middle = (top + bottom) / 2
    bend = f"C{a.middle:.0f},{middle:.0f} {b.middle:.0f},{middle:.0f} {b.middle:.0f},{bottom - 7:.0f}"
    path = f"M{a.middle:.0f},{top:.0f} {bend}"
    head = f"M{b.middle - 4:.0f},{bottom - 8:.0f} l4,8 l4,-8 z"
    at = (a.middle + b.middle) / 2 + 8
    text = f'<text x="{at:.0f}" y="{middle + 4:.0f}">{escape(edge.shape)}</text>'
    return f'<g class="edge"><path d="{path}"/><path class="head" d="{head}"/>{text}</g>'


def _box(box: Box, place: Place, layers: Sequence[LayerCost]) -> str:
    own = [layers[p] for p in box.places]
    params, macs = sum(row.params for row in own), sum(row.macs for row in own)
    cells = max(int(place.wide / 8.2), 8)
    times = f" ×{box.times}" if box.times > 1 else ""
    title = shorten(clean(box.label), cells - len(times)) + times
    told = "; ".join(part for part in (_kinds(own, box), f"{count_text(params)} params" if params else "",
                                       f"{count_text(macs)} MACs" if macs else "") if part)  # fmt: skip
    name = own[0].name if len(own) == 1 else own[-1].name
    whole = f"{box.label}{times}: {told}"
    return (
        f'<a class="layer box{" times" if box.times > 1 else ""}" href="#layer={quote(name, safe="")}" '
        f'data-layers="{escape(json.dumps(list(box.places)))}"><title>{escape(clean(whole, 600))}</title>'
        f'<rect x="{place.x:.0f}" y="{place.y:.0f}" width="{place.wide:.0f}" height="{HIGH}" rx="8"/>'
        f'<text class="name" x="{place.middle:.0f}" y="{place.y + 22:.0f}">{escape(title)}</text>'
        f'<text x="{place.middle:.0f}" y="{place.y + 41:.0f}">{escape(shorten(told, int(place.wide / 6.8)))}</text></a>'
    )


def _kinds(own: Sequence[LayerCost], box: Box) -> str:
    """The kind of a layer, or how many layers of a block compute."""
    if len(own) == 1:
        return brief_kind(clean(own[0].kind))
    return f"{box.times:,} × {len(box.first):,} layers" if box.times > 1 else f"{len(own):,} layers"
