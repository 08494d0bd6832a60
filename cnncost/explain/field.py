"""The receptive field: how size, jump and start come from the layer below and what one output position reads."""

from __future__ import annotations

from cnncost.analysis import Analysis, LayerCost
from cnncost.arithmetic import axis_names, distinct, field_arithmetic
from cnncost.errors import printable
from cnncost.explain.section import Section, Step, section
from cnncost.tensor import shape_text


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
                (f"{names[axis]}|{what}", text)
                for what, text in field_arithmetic([b.fields[axis] for b in below], field, reach)
            ]
        for what in ("size", "jump", "start"):
            same = [(name.split("|")[0], text) for name, text in lines if name.split("|")[1] == what]
            steps += [Step(text, f"{axes}, {_WORDS[what]}") for axes, text in distinct(same)]
    steps.append(
        Step(shape_text(seen.size), "one neuron sees", f"of {shape_text(seen.extent)} of '{printable(seen.origin)}'")
    )
    return section("Receptive field", *steps)


_WORDS = {"size": "receptive field", "jump": "jump (input positions from one neuron to the next)", "start": "start"}
