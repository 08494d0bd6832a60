"""Two or more models side by side: totals, layers, and who owns the peak."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

from cnncost.cli.shared import add_simulation, add_step, form_of, input_shapes
from cnncost.errors import CnncostError, printable
from cnncost.processors import HOST

if TYPE_CHECKING:
    from cnncost.difference import Difference

EXAMPLE = """examples:
  cnncost diff zoo:resnet50 zoo:resnet152
  cnncost analyze net.yaml --format json -o before.json; cnncost diff before.json net.yaml --exit-code
  cnncost diff main.yaml branch.yaml --format markdown -o comment.md
  cnncost diff --against main net.yaml    the file here and at a branch; none: all of the budget file

A model is any SOURCE, or an analysis that was saved as JSON.
"""
SUFFIXES = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html"}
FORMATS = ("table", "markdown", "json", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="*", help="sources, or analyses saved as JSON")
    parser.add_argument("--against", metavar="REF", help="hold each file against itself at a git commit")
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

    if args.against is not None:
        return _against(args)
    if len(args.models) < 2:
        first = printable(args.models[0]) if args.models else "ONE"
        raise CnncostError("a difference needs two models", rule="the first is what the others are held against",
                           nearest=f"cnncost diff {first} OTHER")  # fmt: skip
    sides = [side_of(model, args) for model in args.models]
    names = [str(side["model"]) for side in sides]
    labels = names if len(set(names)) == len(names) else [os.path.basename(model) for model in args.models]
    found = difference(sides, labels)
    form = args.format or form_of(args.output, SUFFIXES)
    emit(_render(found, form, args), args.output, data=form == "json")
    return int(args.exit_code and not found.same)


def _against(args: argparse.Namespace) -> int:
    """Files beside themselves at a commit; a file that is new or gone is said."""
    from cnncost.cli import against
    from cnncost.cli.streams import emit
    from cnncost.report.json_ import to_json

    form = args.format or form_of(args.output, SUFFIXES)
    if form == "html":
        raise CnncostError("--against has no HTML", rule="it is table, markdown or json")
    files = args.models or _budgeted()
    found = list(against.pairs(args.against, files, lambda file: side_of(file, args)))
    if form == "json":
        data = {"schema": against.SCHEMA, "against": args.against, "files": [pair.to_dict() for pair in found]}
        text = to_json(data)
    else:
        write = against.markdown if form == "markdown" else against.table
        text = write(found, args.against, lambda one: _render(one, form, args))
    emit(text, args.output, data=form == "json")
    return int(args.exit_code and any(pair.change != against.SAME for pair in found))


def _budgeted() -> list[str]:
    """The files that the project's budget file names."""
    from cnncost.budgets import reading
    from cnncost.budgets.baseline import is_file
    from cnncost.budgets.targets import project_file

    file = project_file(None)
    if file is None:
        raise CnncostError("--against names no file", rule="name some, or have a budget file that does")
    return [s for s, limits in reading.expand(file) if not isinstance(limits, CnncostError) and is_file(s)]


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
            processor=args.processor or HOST,
        ).to_dict()  # fmt: skip


def _render(found: Difference, form: str, args: argparse.Namespace) -> str:
    if form == "json":
        from cnncost.report.json_ import to_json

        return to_json(found.to_dict())
    if form == "html":
        from cnncost.report.html.difference import render_difference

        return render_difference(found)
    from cnncost.cli.streams import colored
    from cnncost.report import difference as report

    if form == "markdown":
        return report.markdown(found, args.all)
    return report.table(found, args.all, colored(args.output))
