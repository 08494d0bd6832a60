"""The Markdown report: GitHub-flavoured tables, folded details, and pictures in a folder beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from cnncost.errors import CnncostError, MissingExtra
from cnncost.escaping import escaped
from cnncost.files import write_whole
from cnncost.report.columns import BY_KEY
from cnncost.report.markdown import pipes, table
from cnncost.report.options import Options
from cnncost.report.rows import rows_of
from cnncost.report.summary import CONVENTIONS, heading, totals
from cnncost.report.text import bytes_text, finding_text, percent
from cnncost.results import Analysis

SUMMARY, COMMENT = 2**20, 65_536  # what GitHub shows: bytes of a job's summary, characters of a comment
PICTURES = {
    "timeline": "Memory over one step", "layers": "Each layer's part", "scatter": "Parameters against multiplications",
    "measured": "Predicted and measured",
}  # fmt: skip
COLUMNS = ("name", "kind", "output_shape", "params", "macs", "macs_share", "activation_bytes", "peak_bytes")


def write_document(
    analysis: Analysis, path: str, budgets: Sequence[Any] = (), verification: Mapping[str, Any] | None = None,
    advice: Sequence[str] = (), limit: int = SUMMARY, pictures: bool = True,
) -> None:  # fmt: skip
    """FILE.md, and FILE_files/ with its pictures where matplotlib is there."""
    made = draw(analysis, path, verification) if pictures else {}
    text = document(analysis, budgets, verification, advice, made, limit)
    write_whole(path, text.encode("utf-8", "backslashreplace"))


def draw(analysis: Analysis, path: str, verification: Mapping[str, Any] | None) -> dict[str, str]:
    """The pictures that can be drawn: kind → file, relative to the report. SVG for the page, PNG beside it."""
    from cnncost.report.plots import KINDS, save

    folder = os.path.splitext(path)[0] + "_files"
    made = {}
    for kind in KINDS:
        try:
            if kind == "measured" and not (verification or {}).get("timeline"):
                continue
            os.makedirs(folder, exist_ok=True)
            for suffix in (".svg", ".png"):
                save(kind, analysis, os.path.join(folder, kind + suffix), verification)
        except MissingExtra:
            break
        except CnncostError:  # a step that is not simulated has no timeline
            continue
        made[kind] = f"{os.path.basename(folder)}/{kind}.svg"
    return made


def document(
    analysis: Analysis, budgets: Sequence[Any] = (), verification: Mapping[str, Any] | None = None,
    advice: Sequence[str] = (), pictures: Mapping[str, str] | None = None, limit: int = COMMENT,
) -> str:  # fmt: skip
    """The text, at most ``limit`` bytes: rows of layers are left out, and it says how many."""
    analysis = analysis.with_peaks()
    head = [*_head(analysis), *_budgets(budgets), *_findings(analysis), *_figures(analysis)]
    head += [line for kind, file in (pictures or {}).items() for line in _picture(kind, file)]
    head += [*_alive(analysis), *_measured(verification), *_advice(advice)]
    tail = ["", "## Conventions", "", *(f"- {escaped(line)}" for line in CONVENTIONS)]
    room = limit - sum(len(line.encode()) + 1 for line in (*head, *tail)) - 400
    return "\n".join([*head, *_layers(analysis, room), *tail]) + "\n"


def _head(analysis: Analysis) -> list[str]:
    pairs = dict(heading(analysis))
    model = pairs.pop("model")
    return [f"# {escaped(model)}", "", " · ".join(f"{label} {escaped(text)}" for label, text in pairs.items()), ""]


def _budgets(budgets: Sequence[Any]) -> list[str]:
    if not budgets:
        return []
    from cnncost.budgets.wording import bound_text

    bad = sum(not result.ok for result in budgets)
    rows = [
        ["✅" if result.ok else "❌", escaped(result.metric), result.shown(result.value), escaped(bound_text(result)),
         escaped(result.at.text())]
        for result in budgets
    ]  # fmt: skip
    title = "all limits hold" if not bad else f"{bad:,} of {len(budgets):,} limits do not hold"
    grid = pipes(["", "figure", "value", "limit", "at"], rows, ["left", "left", "right", "right", "left"])
    return [f"## {'❌' if bad else '✅'} Budgets: {title}", "", *grid, ""]


def _findings(analysis: Analysis) -> list[str]:
    found = (*analysis.findings, *analysis.memory.runtime.findings)
    if not found:
        return []
    lines = [f"- {escaped(finding_text(finding))}" for finding in found[:100]]
    return ["## Findings", "", *lines, *([f"- and {len(found) - 100:,} more"] if len(found) > 100 else []), ""]


def _figures(analysis: Analysis) -> list[str]:
    rows = [[label, escaped(text)] for label, text in totals(analysis, simulated=True)]
    return ["## Figures", "", *pipes(["figure", "value"], rows, ["left", "left"]), ""]


def _picture(kind: str, file: str) -> list[str]:
    return [f"## {PICTURES[kind]}", "", f"![{PICTURES[kind]}]({quote(file)})", ""]


def _alive(analysis: Analysis) -> list[str]:
    step: Any = analysis.memory.runtime.of(analysis.mode)
    if step is None or not step.events:
        return []
    rows = [
        [escaped(held.op.layer), escaped(held.op.type), held.category, bytes_text(held.bytes),
         percent(held.bytes, step.peak_bytes)]
        for held in step.alive_at_peak[:15]
    ]  # fmt: skip
    return ["<details><summary>What lives at the peak</summary>", "",
            *pipes(["layer", "op", "what it is", "bytes", "share"], rows, ["left", "left", "left", "right", "right"]),
            "", "</details>", ""]  # fmt: skip


def _measured(verification: Mapping[str, Any] | None) -> list[str]:
    if not verification:
        return []
    peak, time = verification["peak"], verification["step_seconds"]
    low, middle, high = (1000 * time[name] for name in ("low", "median", "high"))
    rows = [
        ["peak, predicted", bytes_text(peak["predicted_bytes"])],
        ["peak, measured", bytes_text(peak["measured_bytes"])],
        ["error", f"{peak['error']:+.2%}" if peak["error"] is not None else ""],
        ["step time, median", f"{middle:.2f} ms ({low:.2f} to {high:.2f})"],
    ]
    said = escaped(f"{verification['mode']}, batch {verification['batch']}, {verification['device']}")
    return ["## Predicted against measured", "", said, "", *pipes(["figure", "value"], rows, ["left", "right"]), ""]


def _advice(advice: Sequence[str]) -> list[str]:
    if not advice:
        return []
    lines = [f"- {escaped(line)}" for line in advice]
    return ["<details><summary>What to change when it does not fit</summary>", "", *lines, "", "</details>", ""]


def _layers(analysis: Analysis, room: int) -> list[str]:
    """Every layer as far as there is room; then blocks; the total always."""
    rows, _ = rows_of(analysis.layers, Options())
    columns = [BY_KEY[key] for key in COLUMNS]
    lines = table(rows, columns, analysis)
    head, body, total = lines[:2], lines[2:-1], lines[-1]
    room -= sum(len(line.encode()) + 1 for line in (*head, total))
    shown = 0
    while shown < len(body) and room - len(body[shown].encode()) - 1 >= 0:
        room -= len(body[shown].encode()) + 1
        shown += 1
    left = [f"{len(body) - shown:,} of {len(body):,} layers are left out for want of room.", ""]
    title = f"<details><summary>Every layer ({len(body):,})</summary>"
    return [
        "## Layers",
        "",
        title,
        "",
        *(left if shown < len(body) else []),
        *head,
        *body[:shown],
        total,
        "",
        "</details>",
    ]
