"""The Markdown report: GitHub-flavoured tables, folded details, and pictures in a folder beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from cnncost.errors import CnncostError, MissingExtra, OutsideError, printable
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
LIMITS = {"summary": SUMMARY, "comment": COMMENT}
PICTURES = {
    "timeline": "Memory over one step", "layers": "Each layer's part", "scatter": "Parameters against multiplications",
    "measured": "Predicted and measured",
}  # fmt: skip
COLUMNS = ("name", "kind", "output_shape", "params", "macs", "macs_share", "activation_bytes", "peak_bytes")


class Part(NamedTuple):
    """A section; ``rows`` may be cut where there is no room for all, the rest is all or nothing."""

    what: str  # the rows, in words
    head: list[str]
    rows: Sequence[str] = ()
    tail: Sequence[str] = ()


def write_document(
    analysis: Analysis, path: str, budgets: Sequence[Any] = (), verification: Mapping[str, Any] | None = None,
    advice: Sequence[str] = (), limit: int = SUMMARY, pictures: Sequence[str] = (".svg", ".png"),
) -> None:  # fmt: skip
    """FILE.md, and FILE_files/ with its pictures in these formats, the first of which the text shows. The text is
    written though a picture cannot be, and says so; where the text cannot be written, no new picture stays."""
    drawn = Drawn({}, [], [])
    if pictures and not (os.path.exists(path) and not os.path.isfile(path)):  # beside a device there is no folder
        drawn = draw(analysis, path, verification, pictures)
    text = document(analysis, budgets, verification, advice, drawn.files, limit, drawn.failed)
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    except CnncostError:
        drawn.undo()
        raise


class Drawn(NamedTuple):
    """``files``: kind → file, relative to the report; ``failed``: sentences; ``new``: paths that were not there."""

    files: dict[str, str]
    failed: list[str]
    new: list[str]

    def undo(self) -> None:
        for path in reversed(self.new):
            try:
                (os.rmdir if os.path.isdir(path) else os.unlink)(path)
            except OSError:
                continue


def draw(analysis: Analysis, path: str, verification: Mapping[str, Any] | None, suffixes: Sequence[str]) -> Drawn:
    """The pictures that can be drawn."""
    from cnncost.report.plots import KINDS, save

    folder = os.path.splitext(path)[0] + "_files"
    drawn = Drawn({}, [], [])
    for kind in KINDS:
        if kind == "measured" and not (verification or {}).get("timeline"):
            continue
        try:
            if not os.path.isdir(folder):
                os.mkdir(folder)
                drawn.new.append(folder)
            for suffix in suffixes:
                file = os.path.join(folder, kind + suffix)
                there = os.path.exists(file)
                save(kind, analysis, file, verification)
                drawn.new.extend([] if there else [file])
            drawn.files[kind] = f"{os.path.basename(folder)}/{kind}{suffixes[0]}"
        except MissingExtra as error:
            drawn.undo()
            return Drawn({}, [f"There are no pictures: {error.message}."], [])
        except OutsideError as error:
            drawn.failed.append(f"The picture '{PICTURES[kind]}' could not be written: {error.message}.")
        except OSError as error:
            return Drawn({}, [f"There are no pictures: cannot make '{printable(folder, 200)}': {error.strerror}."], [])
        except CnncostError:  # a step that is not simulated has no timeline; the findings say why
            continue
    return drawn


def document(
    analysis: Analysis, budgets: Sequence[Any] = (), verification: Mapping[str, Any] | None = None,
    advice: Sequence[str] = (), pictures: Mapping[str, str] | None = None, limit: int = COMMENT,
    failed: Sequence[str] = (),
) -> str:  # fmt: skip
    """The text, at most ``limit`` bytes: rows and sections are left out, and it says which and how many."""
    analysis = analysis.with_peaks()
    shown = [
        Part("", _head(analysis)), _budgets(budgets), _findings(analysis), Part("the figures", _figures(analysis)),
        *(Part(f"the picture '{PICTURES[kind]}'", _picture(kind, file)) for kind, file in (pictures or {}).items()),
        Part("what failed", [f"> {escaped(line)}" for line in failed] + [""] * bool(failed)),
        Part("what lives at the peak", _alive(analysis)), Part("what was measured", _measured(verification)),
        Part("what to change", _advice(advice)), _layers(analysis),
        Part("the conventions", ["", "## Conventions", "", *(f"- {escaped(line)}" for line in CONVENTIONS)]),
    ]  # fmt: skip
    return "\n".join(fitted([part for part in shown if part.head], limit)) + "\n"


def fitted(parts: Sequence[Part], limit: int) -> list[str]:
    """The lines of the parts in their order, at most ``limit`` bytes. What has no rows goes first, then each part with
    rows gets half of the room that is left, the last all of it.

    >>> fitted([Part("", ["a"]), Part("rows", ["b"], ["c" * 50] * 9)], 350)[4:]
    ['cccccccccccccccccccccccccccccccccccccccccccccccccc', '', '6 of 9 rows are left out for want of room.', '']
    """
    if sum(_size([*part.head, *part.rows, *part.tail]) for part in parts) > limit:
        parts = [Part(part.what, *([*map(_narrow, lines)] for lines in part[1:])) for part in parts]
    room = limit - 80 * len(parts)
    kept: dict[int, list[str]] = {}
    cut = [at for at, part in enumerate(parts) if part.rows]
    for at in [at for at in range(len(parts)) if at not in cut] + cut:
        part = parts[at]
        own = _size([*part.head, *part.tail])
        if own > room:
            kept[at] = [f"*For want of room {part.what} is left out.*", ""] if part.what else []
            continue
        room -= own
        most = room if [at] == cut[-1:] else room // 2
        fit, used = 0, 0
        while fit < len(part.rows) and used + _size(part.rows[fit : fit + 1]) <= most:
            used += _size(part.rows[fit : fit + 1])
            fit += 1
        room -= used
        left = len(part.rows) - fit
        said = ["", f"{left:,} of {len(part.rows):,} {part.what} are left out for want of room.", ""] if left else []
        kept[at] = [*part.head, *part.rows[:fit], *part.tail[:1], *said, *part.tail[1:]]
    return [line for at in range(len(parts)) for line in kept[at]]


def _narrow(line: str) -> str:
    """A row of a table without the blanks that align its columns.

    >>> _narrow("| a    |   1 |"), _narrow("|:-----|----:|")
    ('| a | 1 |', '|:---|---:|')
    """
    if line.startswith(("|:", "|-")):
        return re.sub("-{4,}", "---", line)
    return re.sub(" {2,}", " ", line) if line.startswith("| ") else line


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode("utf-8", "backslashreplace")) + 1 for line in lines)


def _head(analysis: Analysis) -> list[str]:
    pairs = dict(heading(analysis))
    model = pairs.pop("model")
    return [f"# {escaped(model)}", "", " · ".join(f"{label} {escaped(text)}" for label, text in pairs.items()), ""]


def _budgets(budgets: Sequence[Any]) -> Part:
    if not budgets:
        return Part("", [])
    from cnncost.budgets.wording import bound_text

    bad = sum(not result.ok for result in budgets)
    rows = [
        ["✅" if result.ok else "❌", escaped(result.metric), result.shown(result.value), escaped(bound_text(result)),
         escaped(result.at.text())]
        for result in budgets
    ]  # fmt: skip
    title = "all limits hold" if not bad else f"{bad:,} of {len(budgets):,} limits do not hold"
    grid = pipes(["", "figure", "value", "limit", "at"], rows, ["left", "left", "right", "right", "left"])
    return Part("limits", [f"## {'❌' if bad else '✅'} Budgets: {title}", "", *grid[:2]], grid[2:], [""])


def _findings(analysis: Analysis) -> Part:
    found = (*analysis.findings, *analysis.memory.runtime.findings)
    lines = [f"- {escaped(finding_text(finding))}" for finding in found]
    return Part("findings", ["## Findings", ""] if lines else [], lines, [""])


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
    times = [time[name] for name in ("median", "low", "high")]
    step = "not timed" if None in times else "{:.2f} ms ({:.2f} to {:.2f})".format(*(1000 * one for one in times))
    rows = [
        ["peak, predicted", bytes_text(peak["predicted_bytes"])],
        ["peak, measured", bytes_text(peak["measured_bytes"])],
        ["error", f"{peak['error']:+.2%}" if peak["error"] is not None else ""],
        ["step time, median", step],
    ]
    said = escaped(f"{verification['mode']}, batch {verification['batch']}, {verification['device']}")
    return ["## Predicted against measured", "", said, "", *pipes(["figure", "value"], rows, ["left", "right"]), ""]


def _advice(advice: Sequence[str]) -> list[str]:
    if not advice:
        return []
    lines = [f"- {escaped(line)}" for line in advice]
    return ["<details><summary>What to change when it does not fit</summary>", "", *lines, "", "</details>", ""]


def _layers(analysis: Analysis) -> Part:
    """Every layer; the total always."""
    rows, _ = rows_of(analysis.layers, Options())
    columns = [BY_KEY[key] for key in COLUMNS]
    lines = table(rows, columns, analysis)
    title = f"<details><summary>Every layer ({len(lines) - 3:,})</summary>"
    return Part("layers", ["## Layers", "", title, "", *lines[:2]], lines[2:-1], [lines[-1], "", "</details>"])
