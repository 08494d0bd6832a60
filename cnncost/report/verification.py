"""A verification as a table for the terminal, as Markdown and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnncost.compare import Verification
from cnncost.measure.checks import LayerCheck
from cnncost.report.summary import updates
from cnncost.report.text import bytes_text, clean, exact, shape_text, shorten, wide, wrapped

_COUNTERS = {"jax": "by XLA's own account", "torch": "by PyTorch's own count"}
_NUMBERS = frozenset((3, 4, 5, 6, 7))  # columns of TITLES
_SPARED = (6, 7, 4, 1, 3, 2)  # the first to go on a narrow terminal first
TITLES = ("Layer", "Kind", "Output", "Params", "Bytes", "Time", "Spread", "GMAC/s", "")


def render(result: Verification, form: str, width: int | None = None) -> str:
    """The result as text, ending in a newline; ``width``: the columns that a table may take."""
    if form == "json":
        from cnncost.report.json_ import to_json

        return to_json(as_data(result))
    if form == "html":
        from cnncost.report.html import Extras, render_page

        return render_page(result.analysis, Extras(verification=as_data(result)))
    return _markdown(result) if form == "markdown" else _table(result, width)


def as_data(result: Verification) -> dict[str, Any]:
    """The object that ``verify --format json`` prints."""
    return {**result.to_dict(), "verdict": verdict(result)}


def heading(result: Verification) -> list[str]:
    """What was run: the parts of one line."""
    job, real = result.job, result.measured
    mode = job.mode + (f", {job.optimizer}" if job.optimizer else "") + updates(job.gradient_accumulation_steps)
    runner = f"executor {job.executor}" if job.backend == "tensorflow" else f"backend {job.backend}"
    parts = [f"source {clean(result.analysis.source)}", f"batch {job.batch:,}", f"dtype {clean(result.analysis.dtype)}",
             mode, runner, f"device {clean(real.device)}"]  # fmt: skip
    return [*parts, ", ".join(f"{clean(name)} {clean(version)}" for name, version in real.versions.items())]


def rows(result: Verification) -> list[list[str]]:
    """One line of cells for each layer."""
    return [_row(layer, result) for layer in result.layers]


def _row(layer: LayerCheck, result: Verification) -> list[str]:
    times = layer.times
    return [
        clean(layer.name), layer.kind, shape_text(layer.shapes.predicted[0]) if layer.shapes.predicted else "",
        exact(layer.params.predicted), exact(layer.activation_bytes.predicted + layer.weight_bytes.predicted),
        time_text(times.seconds) if times else "",
        f"{time_text(times.low)} to {time_text(times.high)}" if times else "",
        "" if layer.rate is None else rate_text(layer.rate), "ok" if layer.ok else "differs",
    ]  # fmt: skip


def time_text(seconds: float) -> str:
    """
    >>> time_text(0.0000123), time_text(0.0456), time_text(2)
    ('12.3 µs', '45.6 ms', '2.00 s')
    """
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def rate_text(gmacs: float) -> str:
    """What is not nothing is not called so.

    >>> rate_text(31.26), rate_text(0.004), rate_text(0)
    ('31.3', '<0.1', '0')
    """
    return f"{gmacs:.1f}" if gmacs >= 0.05 else "<0.1" if gmacs else "0"


def differences(result: Verification) -> list[str]:
    """A sentence for each claim that the real model does not bear out."""
    resident = [] if result.resident_ok else [claim for claim in result.resident if not claim.ok]
    return [
        *(
            f"resident bytes of {claim.figure}: predicted {claim.predicted:,}, measured {claim.measured:,}"
            for claim in resident
        ),
    ] + [
        f"layer '{clean(layer.name)}': {claim.figure} predicted {claim.predicted}, measured {claim.measured}"
        for layer in result.layers
        for claim in layer.claims
        if not claim.ok
    ]


def figures(result: Verification) -> list[tuple[str, str]]:
    """The model's figures: (label, text)."""
    real = result.measured
    pairs = [("layers", _layers(result)), ("peak", _peak(result))]
    if result.unpredicted:
        rests = "" if result.unchecked else "; the verdict rests on shapes, params and bytes"
        pairs.append(("", f"no peak was predicted ({clean(result.unpredicted, 300)}){rests}"))
    elif not result.judged:
        pairs.append(("", "the predicted peak is TensorFlow's; the verdict rests on shapes, params and bytes"))
    if result.allocator == "bfc" and real.peak_bytes is not None:
        pairs.append(("requested", f"{_bytes(real.peak_bytes)} measured, above weights and input"))
    elif real.chunk_bytes is not None:
        pairs.append(("chunks", f"{_bytes(real.chunk_bytes)} as the allocator rounds, above weights and input"))
    pairs.append(("process", f"{_bytes(real.process_bytes)} resident, framework and all"))
    pairs.append(("resident", _resident(result)))
    found, single = result.allocations, result.temporary
    if single is not None:
        pairs.append(
            (
                "allocations",
                f"one temporary allocation of {_bytes(single[1])}: XLA plans all buffers of the "
                "step in it" + ("" if single[0] is None else f"; predicted {_bytes(single[0])}"),
            )
        )
    elif found.matched is not None and found.total:
        more = "" if found.predicted == found.total else f"; {found.predicted:,} were predicted"
        if found.closest and found.closest.orders > 1:
            more += f"; the order is the commonest of {found.closest.orders} simulated"
        pairs.append(("allocations", f"{found.matched:,} of {found.total:,} of 1 KiB or more match in "
                                     f"order and size ({found.matched / found.total:.1%}){more}"))  # fmt: skip
        if found.large_matched is not None and found.large_total:
            pairs.append(("", f"{found.large_matched:,} of {found.large_total:,} of those of 64 KiB or more "
                              f"({found.large_matched / found.large_total:.1%})"))  # fmt: skip
        shares = [own.large_matched / own.large_total for own in found.processes if own.large_total]
        if len(shares) > 1:
            pairs.append(("", f"{min(shares):.1%} to {max(shares):.1%} of those in each of {len(shares)} processes"))
        if found.closest and found.closest.large_matched > (found.large_matched or 0):
            share = found.closest.large_matched / found.large_total
            pairs.append(("", f"{share:.1%} of those in the closest of {found.closest.orders} simulated orders"))
        if found.by_layer and found.by_layer.matched < found.matched:
            pairs.append(("", f"{found.by_layer.matched:,} of the same layer too"))
        if found.first_mismatch:
            pairs.append(("", f"first mismatch: {clean(found.first_mismatch, 300)}"))
            pairs.append(("", f"its reason: {found.reason or 'not known'}"))
    elif found.total:
        pairs.append(("allocations", f"{found.total:,} of 1 KiB or more"))
    pairs.append(("step", _step(result)))
    notes = [*real.notes, *result.predicted_notes]
    allowed = [("tolerance", tolerance_text(result))] if result.judged else []
    return [*pairs, *(("note", clean(note, 300)) for note in notes), *allowed, ("verdict", verdict(result))]


def _resident(result: Verification) -> str:
    text = ", ".join(f"{name} {_bytes(size)}" for name, size in result.measured.resident.items() if size)
    judged = result.resident and result.job.backend == "tensorflow"
    return f"{text}; {'as predicted' if result.resident_ok else 'not as predicted'}" if judged else text


def _step(result: Verification) -> str:
    if result.step_seconds is None:
        return "not timed"
    middle, low, high = map(time_text, result.step_seconds)
    repeats, rate = len(result.measured.step_seconds), rate_text(result.gmacs_per_second or 0)
    return f"{middle} median of {repeats} ({low} to {high}), {rate} GMAC/s{_no_layers(result)}"


def _no_layers(result: Verification) -> str:
    """Why no layer has a time of its own."""
    job = result.job
    if any(layer.times for layer in result.layers):
        return ""
    why = {"jax": "JAX compiles them into one program", "torch": "PyTorch's ops bear no layer's name"}.get(job.backend)
    why = why or {"xla": "XLA compiles them into one program", "eager": "ops bear no layer's name"}.get(job.executor)
    return f"; no times of single layers: {why}" if why else ""


def tolerance_text(result: Verification) -> str:
    """What a peak may be off, whole."""
    parts = [f"{share(result.tolerance)} of the measured peak"]
    if result.named:
        return f"{parts[0]}, as asked"
    parts.append(f"or {_bytes(result.floor)}")
    if result.interval:
        parts.append("or anywhere inside the predicted interval")
    if result.scratch is not None and result.slack > result.floor:
        _, _, ours, theirs = result.scratch
        parts.append(f"or {_bytes(result.slack)}, the largest scratch that was taken or simulated alone: without such "
                     f"scratch the peaks are {ours:,} B predicted and {theirs:,} B measured")  # fmt: skip
    return ", ".join(parts)


def share(value: float) -> str:
    """
    >>> share(0.01), share(0.000025), share(12.5)
    ('1.00%', '0.0025%', '1250.00%')
    """
    return f"{value:.2%}" if not value or value >= 0.0001 else f"{value * 100:.2g}%"


def verdict(result: Verification) -> str:
    """One sentence."""
    if not all(layer.ok for layer in result.layers):
        return "differs: the real model's layers are not as predicted"
    if not result.resident_ok:
        return "differs: the bytes of weights, optimizer or inputs are not as predicted"
    if result.unchecked:
        missing = "predicted" if result.predicted_peak is None else "measured"
        return f"not checked: no peak was {missing} to hold against the tolerance of {share(result.tolerance)}"
    if not result.peak_ok:
        outside = "" if result.interval is None else " and outside the predicted interval"
        if result.inside_interval:
            outside = ", though inside the predicted interval"
        return f"differs: the peak is outside the tolerance of {share(result.tolerance)}{outside}"
    if not result.judged:
        return "ok: shapes, params and bytes are as predicted; no peak to judge"
    if abs(result.peak_error or 0) <= result.tolerance:
        return f"ok: all as predicted, the peak within {share(result.tolerance)}"
    if result.inside_interval:
        return "ok: all as predicted, the peak inside the predicted interval"
    if abs(result.off) <= result.floor:
        return f"ok: all as predicted, the peak within {_bytes(result.floor)}"
    return f"ok: all as predicted, the peak within a kernel's own scratch ({_bytes(result.slack)})"


def _layers(result: Verification) -> str:
    right = sum(layer.ok for layer in result.layers)
    return f"{right:,} of {len(result.layers):,} have the predicted shapes, params and bytes"


def _peak(result: Verification) -> str:
    real, predicted, interval = result.measured_peak, result.predicted_peak, result.interval
    parts, ours = [], result.job.backend == "tensorflow"
    if predicted is not None:
        between = f" ({interval[0]:,} to {interval[1]:,} B)" if interval else ""
        parts.append(f"predicted{'' if ours else ' for TensorFlow'} {_bytes(predicted)}{between}")
    parts.append(f"measured {_bytes(real)}{_processes(result)}" if real is not None else "not measured")
    if result.peak_error is not None:
        parts.append(f"{'error' if ours else 'difference'} {result.peak_error:+.2%}")
    if result.inside_interval is not None and ours:
        parts.append("inside the interval" if result.inside_interval else "outside the interval")
    unit = "in the allocator's chunks" if result.allocator == "bfc" else "requested"
    unit = _COUNTERS.get(result.job.backend, unit)
    return ", ".join(parts) + f"; {unit} above weights and input"


def _processes(result: Verification) -> str:
    """How many processes the peak is the median of, and how far they were apart."""
    peaks = result.measured_peaks
    if len(peaks) < 2:
        return ""
    return f" (median of {len(peaks)} processes, {min(peaks):,} to {max(peaks):,} B)"


def _bytes(value: int) -> str:
    return f"{value:,} B = {bytes_text(value)}" if value >= 1024 else f"{value:,} B"


def _table(result: Verification, width: int | None) -> str:
    def fold(text: str, indent: str = "") -> list[str]:
        return [text] if width is None else wrapped(text, width, indent)

    lines = [
        *fold(clean(result.analysis.model)),
        *fold(" · ".join(heading(result))),
        "",
        *_grid(rows(result), width),
        "",
    ]
    pairs = figures(result)
    label = max(len(name) for name, _ in pairs)
    for name, text in pairs:
        lines += fold(f"{name:<{label}}  {text}", " " * (label + 2))
    found = [line for text in differences(result) for line in fold(text, "  ")]
    lines += ["", *found] if found else []
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _grid(body: list[list[str]], most: int | None) -> list[str]:
    """The rows in columns. Where they are too wide, columns that say least go, then the layers' names are cut."""
    widths = {i: max(wide(line[i]) for line in [list(TITLES), *body]) for i in range(len(TITLES))}
    for column in _SPARED:
        if most is not None and _across(widths) > most:
            del widths[column]
    if most is not None and _across(widths) > most:
        widths[0] = max(4, widths[0] - (_across(widths) - most))
    rule = "─" * _across(widths)
    return [_line(TITLES, widths), rule, *(_line(cells, widths) for cells in body), rule]


def _across(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + 2 * (len(widths) - 1)


def _line(cells: Sequence[str], widths: Mapping[int, int]) -> str:
    padded = []
    for column, width in widths.items():
        cell = shorten(cells[column], width)
        blank = " " * (width - wide(cell))
        padded.append(blank + cell if column in _NUMBERS else cell + blank)
    return "  ".join(padded)


def _markdown(result: Verification) -> str:
    from cnncost.escaping import escaped
    from cnncost.report.markdown import pipes

    align = ["left", "left", "left", "right", "right", "right", "right", "left"]
    titles = [*TITLES[:-1], "As predicted"]
    body = [[escaped(cell) for cell in cells] for cells in rows(result)]
    lines = [f"# {escaped(result.analysis.model)}: predicted and measured", ""]
    lines += [" · ".join(escaped(part) for part in heading(result)), "", "## Layers", "", *pipes(titles, body, align)]
    pairs = [[label, escaped(text)] for label, text in figures(result)]
    lines += ["", "## Figures", "", *pipes(["Figure", "Value"], pairs, ["left", "left"])]
    found = differences(result)
    lines += ["", "## Differences", "", *(f"- {escaped(text)}" for text in found)] if found else []
    return "\n".join(lines) + "\n"
