"""Hold models to their budgets: exit code 1 when one is exceeded."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from cnncost.errors import CnncostError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnncost.budgets.evaluate import Result

EXAMPLE = """examples:
  cnncost check                              the models of cnncost-budget.yaml or [tool.cnncost]
  cnncost check net.yaml --format github     the budgets in the spec itself, and those that name it
  cnncost check --output junit=budgets.xml --output markdown=budgets.md

Exit code 0: all limits hold, 1: one does not, 2: something cannot be checked (a gate never passes by default).
"""
FORMATS = ("text", "json", "markdown", "github", "gitlab", "junit", "sarif")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="*",
                        help="sources with budgets, or budget files; none: the folder's budget file")  # fmt: skip
    parser.add_argument("--budget", metavar="FILE", help="the budget file (cnncost-budget.yaml, or pyproject.toml)")
    parser.add_argument("--baseline", metavar="FILE", help="the baseline that growth is measured against")
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--output", metavar="FORMAT=FILE", action="append", default=[], dest="outputs",
                        help="write FILE too; may be given again")  # fmt: skip
    parser.add_argument("--strict", action="store_true", help="warnings fail, too")
    parser.add_argument("--report-only", action="store_true", help="exit 0 whatever is found")


def run(args: argparse.Namespace) -> int:
    from cnncost.budgets.evaluate import exit_code
    from cnncost.budgets.formats import DATA, render
    from cnncost.cli.streams import colored, emit

    outputs = [_output(text) for text in args.outputs]
    results = results_of(args)
    color = args.format == "text" and colored()
    emit(render(results, args.format, args.strict, color), data=args.format in DATA)
    _summarize(results, args)
    for form, path in outputs:
        emit(render(results, form, args.strict), path)
    return exit_code(results, args.strict, args.report_only)


def results_of(args: argparse.Namespace) -> list[Result]:
    """The results of everything that the arguments name. Raises CnncostError where nothing is limited."""
    from cnncost.budgets.evaluate import check, unchecked
    from cnncost.budgets.targets import targets
    from cnncost.cli.progress import progress

    results: list[Result] = []
    for source, limits, baseline in targets(args.files, args.budget, args.baseline):
        with progress(f"checking {printable(source, 100)}"):
            if isinstance(limits, CnncostError):
                results.append(unchecked(source, None, limits))
            else:
                results += check(source, limits, baseline)
    return results


def _output(text: str) -> tuple[str, str]:
    from cnncost.errors import one_of

    form, equals, path = text.partition("=")
    if not equals or not path:
        raise CnncostError("a wrong output", rule="--output takes FORMAT=FILE", received=printable(text))
    one_of("format", form, FORMATS)
    folder = os.path.dirname(os.path.realpath(path))
    if not os.path.isdir(folder):
        raise CnncostError(f"cannot write '{printable(path, 200)}': there is no directory '{printable(folder, 200)}'")
    return form, path


def _summarize(results: Sequence[Result], args: argparse.Namespace) -> None:
    """With --format github, the Markdown goes to the job's summary, where there is one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if args.format != "github" or not path:
        return
    from cnncost.budgets.formats.markdown import SUMMARY, render

    try:
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(render(results, args.strict, limit=SUMMARY) + "\n")
    except OSError as problem:
        print(f"warning: cannot write the job's summary: {problem.strerror}", file=sys.stderr)
