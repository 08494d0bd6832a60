"""Draw one figure of a model: memory over a step, layers as bars, parameters against multiplications."""

from __future__ import annotations

import argparse

from cnncost.cli.shared import add_simulation, add_source, analysis_of

EXAMPLE = """examples:
  cnncost plot timeline zoo:resnet50 --mode training --optimizer adam -o timeline.svg
  cnncost plot layers net.yaml -o layers.png
  cnncost plot measured net.yaml --verification run.json -o run.svg

It needs the report extra: pip install 'cnncost[report]'.
"""
KINDS = ("timeline", "layers", "scatter", "measured")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", metavar="KIND", choices=KINDS, help=f"one of {', '.join(KINDS)}")
    add_source(parser)
    add_simulation(parser)
    group = parser.add_argument_group("output")
    group.add_argument("-o", "--output", metavar="FILE", required=True, help="FILE.svg, FILE.png or FILE.pdf")
    group.add_argument("--verification", metavar="FILE", help="what `cnncost verify --format json` wrote of this model")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.verification import read_verification
    from cnncost.report.plots import save

    analysis = analysis_of(args)
    verification = read_verification(args.verification, analysis.model) if args.verification else None
    save(args.kind, analysis, args.output, verification)
    return 0 if analysis.ok else 1
