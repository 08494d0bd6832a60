"""The whole model in short: each layer's sums, identical layers together, then the totals and the textbook memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from cnncost.analysis import Analysis, LayerCost
from cnncost.errors import printable
from cnncost.explain.amounts import size_chain, sum_text
from cnncost.explain.costs import is_map, output_bits, params_of
from cnncost.explain.geometry import size_steps
from cnncost.explain.section import Section, Step, section
from cnncost.tensor import shape_text

MOST_GROUPS = 150  # groups of identical layers that are listed


class Group(NamedTuple):
    """Layers that cost the same for the same reasons."""

    rows: tuple[LayerCost, ...]

    @property
    def title(self) -> str:
        first = self.rows[0]
        more = f" and {len(self.rows) - 1:,} more alike" if len(self.rows) > 1 else ""
        return f"{printable(first.name)}{more}: {first.kind} {flow(first)}"


def flow(row: LayerCost) -> str:
    """``[150, 100, 3] → [150, 100, 200]``."""
    reads = [shape_text(shape) for shape in row.input_shapes]
    many = f"{len(reads):,} inputs, the first {reads[0]}" if len(reads) > 4 else " and ".join(reads)
    gives = " and ".join(shape_text(tensor.shape) for tensor in row.outputs[:4])
    return f"{many} → {gives}" if reads else gives


def groups(rows: tuple[LayerCost, ...]) -> list[Group]:
    """Layers gathered by kind, shapes, weights and type, in the order of their first."""
    found: dict[object, list[LayerCost]] = {}
    for row in rows:
        key = (
            row.kind,
            row.input_shapes,
            row.outputs,
            row.weights,
            row.macs,
            row.flops,
            row.shared,
            row.trainable_params,
        )
        found.setdefault(key, []).append(row)
    return [Group(tuple(members)) for members in found.values()]


def model_sections(analysis: Analysis) -> list[Section]:
    """The short form of every layer, and the totals."""
    listed = groups(analysis.layers)
    sections = [_short(group, analysis.batch) for group in listed[:MOST_GROUPS]]
    if len(listed) > MOST_GROUPS:
        rest = [row for group in listed[MOST_GROUPS:] for row in group.rows]
        params, macs = sum(row.params for row in rest), sum(row.macs for row in rest)
        words = f"they hold {params:,} parameters and take {macs:,} multiplications"
        sections.append(Section(f"and {len(rest):,} more layers", (Step(words),)))
    return sections + totals_sections(analysis)


def _short(group: Group, batch: int) -> Section:
    row = group.rows[0]
    steps = size_steps(row)
    if row.weights:
        steps.append(Step(params_of(row).derivation(), "parameters", "counted at its first use" if row.shared else ""))
    for term in row.mac_terms:
        steps.append(Step(term.count.derivation(), "multiplications" if len(row.mac_terms) == 1 else term.label))
    if row.other_flops.value:
        steps.append(Step(row.other_flops.derivation(), "other operations"))
    if row.outputs[0].shape:
        steps.append(
            Step(output_bits(row.outputs[0], is_map(row)), "output" if len(row.outputs) == 1 else "first output")
        )
    if batch > 1:
        one = row.activation_bytes // batch
        steps.append(Step(f"{one:,} B × {batch:,} = {size_chain(row.activation_bytes)}", f"batch of {batch:,}"))
    return Section(group.title, tuple(steps))


def totals_sections(analysis: Analysis) -> list[Section]:
    """Each total as the sum of the layers' figures."""
    totals, rows = analysis.totals, analysis.layers

    def added(name: str, figure: Callable[[LayerCost], int], whole: int) -> Step:
        text, remark = sum_text(figure(row) for row in rows)
        return Step(text if text == f"{whole:,}" else f"{text} = {whole:,}", name, remark)

    flops = f"2 × {totals.macs:,} + {totals.flops - 2 * totals.macs:,} = {totals.flops:,}"
    fixed = totals.params - totals.trainable_params
    trained = f"{totals.params:,} - {fixed:,} = {totals.trainable_params:,}"
    sums = section(
        "Totals for one instance",
        added("parameters", lambda row: row.params, totals.params),
        Step(trained, "trainable parameters", "the rest is not trained") if fixed else None,
        added("multiplications", lambda row: row.macs, totals.macs),
        Step(flops, "floating-point operations", "two for each multiplication of a sum, and the other arithmetic"),
        added("multiplications of one training step", lambda row: row.training_macs, totals.training_macs),
    )
    return [part for part in (sums, textbook_section(analysis)) if part is not None]


def textbook_section(analysis: Analysis) -> Section | None:
    """The two bounds of textbooks: all outputs in training, one layer's input and output at inference."""
    memory, rows = analysis.memory.textbook, analysis.layers
    kept, remark = sum_text((row.activation_bytes for row in rows), " B")
    largest = next(row for row in rows if row.name == memory.inference_layer)
    pair = [rows[i].activation_bytes for i in sorted({ref.layer for ref in largest.layer.inputs})]
    both, more = sum_text([*pair, largest.activation_bytes], " B")
    why = "the reverse pass needs every intermediate value, so all outputs are kept"
    bound = f"input and output of '{printable(largest.name)}', the largest pair; any other output can be freed by then"
    return section(
        f"Textbook memory for a batch of {analysis.batch:,}",
        Step(f"{kept} = {size_chain(memory.training_bytes)}", "training", "; ".join(w for w in (why, remark) if w)),
        Step(f"{both} = {size_chain(memory.inference_bytes)}", "inference", "; ".join(w for w in (bound, more) if w)),
    )
