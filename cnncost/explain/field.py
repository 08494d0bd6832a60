"""The receptive field: how size, jump and start come from the layer below and what one output position reads."""

from __future__ import annotations

from cnncost.analysis import Analysis, LayerCost
from cnncost.arithmetic import axis_names, distinct
from cnncost.errors import printable
from cnncost.explain.section import Section, Step, section
from cnncost.receptive import Field
from cnncost.tensor import shape_text
from cnncost.window import Reach


def field_section(analysis: Analysis, row: LayerCost) -> Section | None:
    """How much of the model's input one neuron of the layer sees."""
    seen = row.seen
    if seen is None or not row.layer.inputs:
        return None
    below = [b for b in (analysis.layers[ref.layer].seen for ref in row.layer.inputs) if b and b.origin == seen.origin]
    steps: list[Step] = []
    reads = row.layer.kind.field(row.input_shapes, tuple(tensor.shape for tensor in row.outputs))
    names = axis_names(len(seen.size))
    if isinstance(reads, tuple) and seen.fields and below and all(len(b.fields) == len(seen.fields) for b in below):
        lines = []
        for axis, (field, reach) in enumerate(zip(seen.fields, reads, strict=True)):
            lines += [
                (f"{names[axis]}|{what}", text) for what, text in _axis([b.fields[axis] for b in below], field, reach)
            ]
        for what in ("size", "jump", "start"):
            same = [(name.split("|")[0], text) for name, text in lines if name.split("|")[1] == what]
            steps += [Step(text, f"{axes}, {_WORDS[what]}") for axes, text in distinct(same)]
    steps.append(
        Step(shape_text(seen.size), "one neuron sees", f"of {shape_text(seen.extent)} of '{printable(seen.origin)}'")
    )
    return section("Receptive field", *steps)


_WORDS = {"size": "receptive field", "jump": "jump (input positions from one neuron to the next)", "start": "start"}


def _axis(below: list[Field | None], field: Field | None, reach: Reach | None) -> list[tuple[str, str]]:
    """Arithmetic along one axis where every part advances evenly; nothing where it does not."""
    if field is None or reach is None or reach.up != 1 or len(field.low) != 1:
        return []
    plain = [b for b in below if b is not None and len(b.low) == 1]
    if not plain or len(plain) != len(below) or len({b.advance for b in plain}) != 1:
        return []
    one = len(set(plain)) == 1
    low, high, advance = min(b.low[0] for b in plain), max(b.high[0] for b in plain), plain[0].advance
    size, taps = high - low + 1, reach.high - reach.low
    lines: list[tuple[str, str]] = []
    if one:
        lines.append(("size", f"{size:,} + {taps:,} × {advance:,} = {field.size:,}"))
        lines.append(("start", f"{_signed(low)} {_offset(reach.low)} × {advance:,} = {_signed(field.start)}"))
    else:
        ends, starts = (", ".join(dict.fromkeys(_signed(e) for e in many)) for many in _ends(plain))
        lines.append(("size", f"max({ends}) - min({starts}) + 1 + {taps:,} × {advance:,} = {field.size:,}"))
        lines.append(("start", f"min({starts}) {_offset(reach.low)} × {advance:,} = {_signed(field.start)}"))
    lines.append(("jump", f"{advance:,} × {reach.step:,} = {field.advance:,}"))
    exact = (size + taps * advance, low + reach.low * advance, advance * reach.step)
    return lines if exact == (field.size, field.start, field.advance) else []


def _ends(fields: list[Field]) -> tuple[list[int], list[int]]:
    return [f.high[0] for f in fields], [f.low[0] for f in fields]


def _signed(value: int) -> str:
    return f"{value:,}"


def _offset(low: int) -> str:
    return f"- {-low:,}" if low < 0 else f"+ {low:,}"
