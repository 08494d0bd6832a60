"""Two or more models side by side: totals, layers, and who owns the peak."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from cnncost.cli.shared import add_simulation, add_step, input_shapes
from cnncost.errors import CnncostError, printable

if TYPE_CHECKING:
    from cnncost.difference import Difference

EXAMPLE = """examples:
  cnncost diff zoo:resnet50 zoo:resnet152
  cnncost analyze net.yaml --format json -o before.json; cnncost diff before.json net.yaml --exit-code
  cnncost diff main.yaml branch.yaml --format markdown -o comment.md

A model is any SOURCE, or an analysis that was saved as JSON.
"""
SUFFIXES = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html"}
FORMATS = ("table", "markdown", "json", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="+", help="sources, or analyses saved as JSON")
    add_step(parser)
    add_simulation(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=FORMATS, help="table unless FILE's name says otherwise")
    group.add_argument("-o", "--output", metavar="FILE", help="write FILE, whole or not at all")
    group.add_argument("--all", action="store_true", help="show layers that are the same, too")
    group.add_argument("--exit-code", action="store_true", help="exit 1 when the models differ")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.streams import emit
    from cnncost.difference import difference

    if len(args.models) < 2:
        raise CnncostError("a difference needs two models", rule="the first is what the others are held against",
                           nearest=f"cnncost diff {printable(args.models[0])} OTHER")  # fmt: skip
    sides = [side_of(model, args) for model in args.models]
    names = [str(side["model"]) for side in sides]
    labels = names if len(set(names)) == len(names) else [os.path.basename(model) for model in args.models]
    found = difference(sides, labels)
    form = args.format or SUFFIXES.get(os.path.splitext(args.output or "")[1].lower(), "table")
    emit(_render(found, form, args), args.output, data=form == "json")
    return int(args.exit_code and not found.same)


def side_of(model: str, args: argparse.Namespace) -> dict[str, Any]:
    """A saved analysis as it is, or the analysis of a source."""
    from cnncost.api import analyze
    from cnncost.cli.progress import progress
    from cnncost.difference import saved

    data = saved(model)
    if data is not None:
        return data
    with progress(f"reading {printable(model)}"):
        return analyze(
            model, batch=args.batch, input=input_shapes(args.shapes), dtype=args.dtype,
            mode=args.mode or "inference", optimizer=args.optimizer, variables=dict(args.variables) or None,
            executor=args.executor or "graph", allocator=args.allocator or "requested",
        ).to_dict()  # fmt: skip


def _render(found: Difference, form: str, args: argparse.Namespace) -> str:
    if form == "json":
        from cnncost.report.json_ import to_json

        return to_json(found.to_dict())
    if form == "html":
        from cnncost.report.html.difference import render_difference

        return render_difference(found)
    from cnncost.report import difference as report

    if form == "markdown":
        return report.markdown(found, args.all)
    return report.table(found, args.all, _color(args))


def _color(args: argparse.Namespace) -> bool:
    if args.output is not None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "") not in ("", "0"):
        return True
    return sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
