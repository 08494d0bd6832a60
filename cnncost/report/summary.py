"""What stands above and below the layers: the model, the totals, the memory figures and the conventions."""

from __future__ import annotations

from cnncost.analysis import Analysis
from cnncost.memory_record import StepMemory
from cnncost.report.text import bytes_text, clean, count_text, exact, shape_text
from cnncost.units import bytes_text as in_units

CONVENTIONS = (
    "MACs: multiplications of weighted sums, per instance; padded taps count.",
    "FLOPs: 2·MACs + biases, activations, pooling, norms, merges; per instance.",
    "Activations: bytes of all outputs, for the whole batch. Params: biases count.",
    "Memory: textbook bounds from outputs alone; no weights, no runtime's extras.",
)


def heading(analysis: Analysis) -> list[tuple[str, str]]:
    """What was analyzed: (label, text)."""
    inputs = [
        f"{clean(analysis.layers[i].name)} {shape_text(shape)}" if len(analysis.input_shapes) > 1 else shape_text(shape)
        for i, shape in zip(analysis.graph.inputs, analysis.input_shapes, strict=True)
    ]
    shown = ", ".join(inputs[:4]) + (f" … ({len(inputs)} inputs)" if len(inputs) > 4 else "")
    pairs = [
        ("model", clean(analysis.model)), ("source", clean(analysis.source)), ("input", shown or "none"),
        ("batch", exact(analysis.batch)), ("dtype", clean(analysis.dtype)),
    ]  # fmt: skip
    if analysis.mode != "inference" or analysis.optimizer:
        text = analysis.mode + (f", {clean(analysis.optimizer)}" if analysis.optimizer else "")
        pairs.append(("mode", text + updates(analysis.gradient_accumulation_steps)))
    return pairs


def updates(steps: int | None) -> str:
    """How often weights are updated, where that is not in each step, as the end of a line.

    >>> updates(4), updates(None)
    (', an update every 4 steps', '')
    """
    return f", an update every {steps:,} steps" if steps else ""


def count_line(value: int, what: str = "") -> str:
    """An exact count, with its SI text where that is shorter."""
    short = count_text(value)
    human = f" ({short})" if short != exact(value) else ""
    return f"{exact(value)}{human}{' ' + what if what else ''}"


def bytes_line(value: int) -> str:
    """Exact bytes, and both families of units.

    >>> bytes_line(12_000_000)
    '12,000,000 B = 12.00 MB = 11.44 MiB'
    """
    if value < 1000:
        return f"{value:,} B"
    binary = f" = {bytes_text(value)}" if value >= 1024 else ""
    return f"{value:,} B = {in_units(value, si=True)}{binary}"


def _peak(step: StepMemory | None, analysis: Analysis) -> str:
    if step is None:
        return "not known: see the findings"
    parts = [bytes_line(step.peak_bytes)]
    if step.low_bytes < step.high_bytes:
        parts.append(f"(from {bytes_text(step.low_bytes)} to {bytes_text(step.high_bytes)})")
    parts.append(f"predicted for TensorFlow{_HOW[analysis.executor]}, over weights and input")
    if analysis.allocator == "bfc":
        parts.append("in chunks of its BFC allocator")
    return " ".join(parts) + (f"; at '{clean(step.peak_layer)}'" if step.peak_layer else "")


_HOW = {"graph": "", "xla": " compiled by XLA", "eager": " op by op (eager)"}


def runtime(analysis: Analysis) -> list[tuple[str, str]]:
    """What TensorFlow's step would hold at its peak, and what that is: (label, text)."""
    from cnncost.report.peak import described

    found = analysis.memory.runtime
    lines = []
    for mode in ("inference", "training") if analysis.mode == "training" else ("inference",):
        lines.append((f"{mode} peak", _peak(found.of(mode), analysis)))
        if mode == analysis.mode:
            lines += described(analysis, mode)
    if found.resident:
        parts = found.resident
        slots = f"{parts.optimizer_slots:,}" if parts.optimizer_slots or analysis.mode != "training" else "not counted"
        lines.append(("resident", f"{bytes_line(parts.total)}: weights {parts.weights:,}, optimizer "
                                  f"{slots}, input batch {parts.inputs:,} B"))  # fmt: skip
    return lines


def totals(analysis: Analysis, simulated: bool = False) -> list[tuple[str, str]]:
    """The totals in exact integers and in units: (label, text); the runtime's memory too where it is asked for."""
    t = analysis.totals
    calls = len(analysis.layers)
    book = analysis.memory.textbook
    batch = "one instance" if analysis.batch == 1 else f"{analysis.batch:,} instances"
    return [
        ("layers", exact(t.layers) + (f" in {calls:,} calls" if calls != t.layers else "")),
        ("params", f"{count_line(t.params)}, {exact(t.trainable_params)} trainable"),
        ("weights", bytes_line(t.weight_bytes)),
        ("MACs", f"{count_line(t.macs)} per instance"),
        ("training MACs", f"{count_line(t.training_macs)} per instance and step"),
        ("FLOPs", f"{count_line(t.flops)} per instance"),
        ("training memory", f"{bytes_line(book.training_bytes)} for {batch}: every output is kept"),
        ("inference memory", f"{bytes_line(book.inference_bytes)} for {batch}: input and output of "
                             f"'{clean(book.inference_layer)}', the largest pair"),
        *(runtime(analysis) if simulated else ()),
    ]  # fmt: skip
