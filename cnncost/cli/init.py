"""Write a commented starter spec, ready to analyze."""

from __future__ import annotations

import argparse

EXAMPLE = """examples:
  cnncost init net.yaml
  cnncost analyze net.yaml
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", default="model.yaml", help="the file to write (model.yaml)")
    parser.add_argument("--force", action="store_true", help="overwrite a file that exists")


def run(args: argparse.Namespace) -> int:
    import os

    from cnncost.cli.starter import starter
    from cnncost.cli.streams import emit
    from cnncost.errors import CnncostError, printable

    shown = printable(args.file, 200)
    if not args.file.lower().endswith((".yaml", ".yml")):
        raise CnncostError(f"'{shown}' is no name for a spec", rule="a spec's name ends in .yaml or .yml")
    if os.path.lexists(args.file) and not args.force:
        raise CnncostError(f"'{shown}' exists", rule="init overwrites nothing", nearest="another name, or --force")
    emit(starter(), args.file)
    emit(f"wrote {shown}; next: cnncost analyze {shown}\n")
    return 0
