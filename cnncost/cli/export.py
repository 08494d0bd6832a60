"""Write the real Keras model of a source: its architecture as JSON, or a .keras file with fresh weights."""

from __future__ import annotations

import argparse

from cnncost.cli.shared import add_source, analysis_of, errors_to_stderr

EXAMPLE = """examples:
  cnncost export net.yaml -o net.keras
  cnncost export zoo:unet --input 256,256,3 -o unet.json

A .keras file needs the tensorflow extra: pip install 'cnncost[tensorflow]'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    parser.add_argument("-o", "--output", metavar="FILE", required=True, help="FILE.keras or FILE.json")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.progress import progress

    analysis = analysis_of(args)
    with progress(f"writing {args.output}"):
        from cnncost.analysis import with_dtype
        from cnncost.export import left_out, write

        write(with_dtype(analysis.graph, args.dtype) if args.dtype else analysis.graph, args.output, args.batch)
    errors_to_stderr(left_out(analysis.graph), "warning")
    return 0
