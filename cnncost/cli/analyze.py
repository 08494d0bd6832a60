"""Shapes, parameters, multiplications and activation memory of every layer, and the totals."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from cnncost.cli.shared import (
    add_accumulation,
    add_simulation,
    add_source,
    analysis_of,
    errors_to_stderr,
    form_of,
    whole_number,
)  # fmt: skip

EXAMPLE = """examples:
  cnncost analyze net.yaml --batch 100
  cnncost analyze zoo:resnet152 --depth 1 --sort macs
  cnncost analyze model.keras --input 224,224,3 --format json -o costs.json
  cnncost analyze zoo:mobilenet-v2 --batch 32 --mode training --optimizer adam --columns name,macs,peak
"""
SUFFIXES = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".csv": "csv", ".html": "html",
            ".htm": "html"}  # fmt: skip
FORMATS = ("table", "json", "markdown", "csv", "html")
DATA = ("json", "csv", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_accumulation(parser)
    add_simulation(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=FORMATS, help="table unless FILE's name says otherwise")
    group.add_argument("-o", "--output", metavar="FILE", help="write FILE, whole or not at all")
    group.add_argument(
        "--columns", metavar="A,B,…", action=_Columns, help="the columns to show; `--columns help` lists them"
    )
    group.add_argument("--depth", metavar="N", type=whole_number(0, 1000),
                       help="fold blocks below N levels of names; 0 shows every layer")  # fmt: skip
    group.add_argument("--sort", metavar="COLUMN", help="order the rows by a column, the largest first")
    group.add_argument("--top", metavar="N", type=whole_number(1, 10**6), help="the first N rows, the others as one")
    group.add_argument("--width", metavar="N", type=whole_number(40, 10**6), help="fit the table into N columns")


class _Columns(argparse.Action):
    """``--columns help`` needs no SOURCE."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option_string: Any = None) -> None:
        setattr(namespace, self.dest, values)
        if values == "help":
            from cnncost.report.columns import describe

            sys.stdout.write(describe())
            parser.exit()


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.streams import colored, columns_of, emit, is_terminal
    from cnncost.report import Options, render
    from cnncost.report.columns import chosen, column

    columns = chosen(args.columns) if args.columns is not None else None
    form = args.format or form_of(args.output, SUFFIXES)
    terminal = form == "table" and is_terminal(args.output)
    width = args.width or columns_of(args.output)
    options = Options(
        columns=columns, depth=args.depth, sort=column(args.sort).key if args.sort is not None else None, top=args.top,
        width=width, color=form == "table" and colored(args.output), terminal=terminal,
        runtime=any((args.mode, args.optimizer, args.accumulate, args.executor, args.allocator, args.interval,
                     args.processor)),
    )  # fmt: skip
    analysis = analysis_of(args)
    emit(render(analysis, form, options), args.output, data=form in DATA)
    if form in DATA or args.output is not None:
        errors_to_stderr(analysis.findings)
    return 0 if analysis.ok else 1
