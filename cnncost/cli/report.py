"""Write a report about a model: one self-contained HTML page, or Markdown with pictures beside it."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from cnncost.cli.shared import add_simulation, add_source, analysis_of
from cnncost.errors import CnncostError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnncost.results import Analysis

EXAMPLE = """examples:
  cnncost report zoo:resnet152 -o resnet152.html --mode training --optimizer adam --batch 8
  cnncost report net.yaml -o net.md --limit comment
  cnncost verify net.yaml --format json -o run.json; cnncost report net.yaml -o net.html --verification run.json

The page opens from disk and loads nothing from anywhere.
"""
SUFFIXES = {".html": "html", ".htm": "html", ".md": "markdown", ".markdown": "markdown"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_simulation(parser)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="FILE.html or FILE.md, whole or not at all"
    )
    group.add_argument("--format", choices=("html", "markdown"), help="unless FILE's name says")
    group.add_argument("--limit", metavar="N", type=_limit,
                       help="most bytes of Markdown: a number, or summary (1 MiB) or comment (64 KiB) as GitHub has "
                            "them; rows are left out")  # fmt: skip
    group.add_argument("--verification", metavar="FILE", help="what `cnncost verify --format json` wrote of this model")
    group.add_argument("--budget", metavar="FILE", help="the budget file whose limits on this source are shown")
    group.add_argument("--baseline", metavar="FILE", help="the baseline that growth is measured against")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.verification import read_verification

    form = args.format or _form_of(args.output)
    if args.limit and form == "html":
        raise CnncostError("--limit is for Markdown", rule="a page in HTML has every layer", nearest="name FILE.md")
    folder = os.path.dirname(os.path.realpath(args.output))
    if not os.path.isdir(folder):
        raise CnncostError(f"cannot write '{printable(args.output, 200)}': there is no directory "
                           f"'{printable(folder, 200)}'")  # fmt: skip
    analysis = analysis_of(args)
    budgets = budget_results(args, analysis)
    verification = read_verification(args.verification, analysis.model) if args.verification else None
    write(analysis, form, args.output, budgets, verification, args.limit)
    return 0 if analysis.ok and not any(result.failed for result in budgets) else 1


def write(analysis: Analysis, form: str, path: str, budgets: Sequence[Any] = (), verification: Any = None,
          limit: int | None = None) -> None:  # fmt: skip
    """One report into one file (and, of Markdown, its pictures into the folder beside it)."""
    from cnncost.cli.progress import progress
    from cnncost.files import write_whole
    from cnncost.measure.advice import advice

    remedies = advice(analysis, analysis.mode)
    with progress(f"writing {printable(path, 100)}"):
        if form == "html":
            from cnncost.report.html import Extras, render_page

            text = render_page(analysis, Extras(budgets, verification, remedies))
            write_whole(path, text.encode("utf-8", "backslashreplace"))
        else:
            from cnncost.report.document import SUMMARY, write_document

            write_document(analysis, path, budgets, verification, remedies, limit or SUMMARY)


def budget_results(args: argparse.Namespace, analysis: Analysis) -> list[Any]:
    """The limits of the source itself and of the budget file, held against the source."""
    from cnncost.budgets import reading
    from cnncost.budgets.evaluate import check
    from cnncost.budgets.targets import baseline_of

    path = args.budget or reading.find()
    file = reading.read(path) if path else None
    limits = (*reading.own_limits(analysis.graph.budgets), *(file.matching(args.source) if file else ()))
    return check(args.source, limits, baseline_of(args.baseline, file)) if limits else []


LEAST = 10_000  # bytes: the head and the figures of any model


def _limit(text: str) -> int:
    from cnncost.cli.shared import whole_number
    from cnncost.report.document import LIMITS

    if text.isalpha() and text not in LIMITS:
        raise CnncostError("a wrong limit", rule=f"it is a number of bytes, {' or '.join(LIMITS)}",
                           received=printable(text))  # fmt: skip
    found: int = LIMITS[text] if text in LIMITS else whole_number(LEAST)(text)
    return found


def _form_of(path: str) -> str:
    found = SUFFIXES.get(os.path.splitext(path)[1].lower())
    if found is None:
        raise CnncostError(
            f"'{printable(path, 200)}' names no format of a report", rule="it ends in .html or .md",
            nearest="name it so, or give --format",
        )  # fmt: skip
    return found
