"""The arithmetic with the numbers substituted: shapes, padding, parameters, multiplications, memory."""

from __future__ import annotations

import argparse

from cnncost.cli.shared import add_source, analysis_of, errors_to_stderr

EXAMPLE = """examples:
  cnncost explain zoo:memory-example --batch 100
  cnncost explain net.yaml stage1/conv
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    parser.add_argument("layer", metavar="LAYER", nargs="?", help="one layer by its name; without it the whole model")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("-o", "--output", metavar="FILE", help="write FILE, whole or not at all")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.streams import emit
    from cnncost.explain import explain_lines

    analysis = analysis_of(args)
    lines = explain_lines(analysis, args.layer)
    if args.format == "json":
        from cnncost.report.json_ import to_json

        found = [finding.to_dict() for finding in analysis.findings]
        data = {"schema": "cnncost/explain/1", "model": analysis.model, "layer": args.layer, "lines": lines}
        emit(to_json({**data, "findings": found}), args.output, data=True)
    else:
        emit("".join(f"{line}\n" for line in lines), args.output)
    errors_to_stderr(analysis.findings)
    return 0 if analysis.ok else 1
