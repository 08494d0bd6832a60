"""How big it is: the figures at the top of a page, each with what it assumes."""

from __future__ import annotations

from typing import NamedTuple

from cnncost.report.text import bytes_text, clean, count_text, exact
from cnncost.results import Analysis


class Tile(NamedTuple):
    """A figure in short, exactly, and what it assumes."""

    title: str
    short: str
    exact: str
    assumes: str


def tiles(analysis: Analysis) -> list[Tile]:
    """Parameters, multiplications, peak memory, activations, weights, resident bytes."""
    totals, memory = analysis.totals, analysis.memory
    batch = f"batch {analysis.batch:,}, {clean(analysis.dtype)}"
    found = [
        Tile("Parameters", count_text(totals.params), exact(totals.params),
             f"{exact(totals.trainable_params)} trainable; biases count"),
        Tile("Multiplications", count_text(totals.macs), exact(totals.macs),
             "of weighted sums, per instance; padded taps count"),
    ]  # fmt: skip
    step = memory.runtime.of(analysis.mode)
    how = f"{analysis.mode}{f', {clean(analysis.optimizer)}' if analysis.optimizer else ''}, {analysis.executor}"
    if step is not None:
        span = (
            f"; {bytes_text(step.low_bytes)} to {bytes_text(step.high_bytes)}"
            if step.low_bytes < step.high_bytes
            else ""
        )
        found.append(Tile("Peak memory", bytes_text(step.peak_bytes), f"{step.peak_bytes:,} B{span}",
                          f"{how}, {batch}; over weights and input"))  # fmt: skip
    else:
        found.append(Tile("Peak memory", "not known", "see the findings", f"{how}, {batch}"))
    found += [
        Tile("Activations", bytes_text(totals.activation_bytes), f"{totals.activation_bytes:,} B",
             f"all outputs, {batch}"),
        Tile("Weights", bytes_text(totals.weight_bytes), f"{totals.weight_bytes:,} B", "in their storage dtype"),
    ]  # fmt: skip
    if memory.resident is not None:
        parts = memory.resident
        uncounted = analysis.mode == "training" and not parts.optimizer_slots
        slots = "not counted" if uncounted else bytes_text(parts.optimizer_slots)
        held = f"weights, optimizer {slots}, input {bytes_text(parts.inputs)}"
        found.append(Tile("Resident", bytes_text(parts.total), f"{parts.total:,} B", held))
    return found
