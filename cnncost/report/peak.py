"""The simulated step in words and blocks: what lives at its peak, when memory is used, why a textbook differs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from cnncost.analysis import Analysis
from cnncost.memory_record import StepMemory
from cnncost.report.text import bytes_text, clean, percent
from cnncost.thinning import highest

BLOCKS = " ▁▂▃▄▅▆▇█"
CELLS = 60  # of the line of live bytes
SHOWN = 5  # of what lives at the peak
PHASES = {"forward": "forward", "loss": "loss", "backward": "reverse", "update": "update"}


def described(analysis: Analysis, mode: str) -> list[tuple[str, str]]:
    """(label, text) of one simulated step; nothing where it is not known."""
    step = analysis.memory.runtime.of(mode)
    if step is None or not step.peak_bytes:
        return []
    lines = [("at the peak", _parts(step)), ("alive", _alive(step)), ("over the step", picture(step))]
    lines.append(("textbook", difference(analysis, step, mode)))
    return lines + [("note", clean(note, 2000)) for note in step.notes]


def _parts(step: StepMemory) -> str:
    """Bytes of each category, the largest first."""
    found = sorted(step.by_category().items(), key=lambda item: -item[1])
    return " · ".join(f"{name} {bytes_text(size)}" for name, size in found if size)


def _alive(step: StepMemory) -> str:
    """The layers whose buffers are the most of the peak."""
    sizes = list(step.by_layer().items())
    shown = [f"'{clean(layer) or 'the step itself'}' {bytes_text(size)} ({percent(size, step.peak_bytes)})"
             for layer, size in sizes[:SHOWN]]  # fmt: skip
    more = f" and {len(sizes) - SHOWN:,} more" if len(sizes) > SHOWN else ""
    return ", ".join(shown) + more


def blocks(values: Sequence[int], top: int) -> str:
    """A line of blocks; ``top`` is a full one, and nothing that is above nothing vanishes.

    >>> blocks([0, 1, 50, 100], 100)
    ' ▁▄█'
    """
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[max(value * steps // top, value > 0)] if top else " " for value in values)


def picture(step: StepMemory) -> str:
    """Live bytes over the ops of each phase, all phases on one scale."""
    phases = [
        (phase, [row[-1] for row in rows]) for phase, rows in groupby(step.timeline(), key=lambda row: row[0].phase)
    ]
    if len(phases) > len(PHASES):  # the executor mixes them: one line for all
        phases = [("", [live for _, values in phases for live in values])]
    ops = sum(len(values) for _, values in phases)
    parts = []
    for phase, values in phases:
        cells = max(1, CELLS * len(values) // ops)
        line = blocks([values[i] for i in highest(values, cells)], step.peak_bytes)
        parts.append(f"{PHASES.get(phase, phase)} │{line}│".lstrip())
    return " ".join(parts) + f" {ops:,} ops that allocate or free"


def difference(analysis: Analysis, step: StepMemory, mode: str) -> str:
    """Why the textbook's figure is another one."""
    book, found = analysis.memory.textbook, step.by_category()
    if mode == "training":
        return (
            f"keeping every output would be {bytes_text(book.training_bytes)}; the step keeps "
            f"{bytes_text(found['kept activations'])} for the reverse pass at its peak (what no gradient reads is "
            "freed or overwritten in place, normalization keeps products of its own) and has gradients, updates and "
            "temporaries besides"
        )
    return (
        f"the largest pair of input and output is {bytes_text(book.inference_bytes)}; a runtime fuses layers, writes "
        "in place, keeps branches alive until they are read, and takes scratch"
    )
