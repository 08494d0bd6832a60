"""Print the JSON Schema (draft-07) of the spec language, from which editors complete and check a spec."""

from __future__ import annotations

import argparse

EXAMPLE = """example:
  cnncost schema -o cnncost.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("json",), default="json")
    parser.add_argument("-o", "--output", metavar="FILE", help="write FILE, whole or not at all")


def run(args: argparse.Namespace) -> int:
    from json import dumps

    from cnncost.cli.streams import emit
    from cnncost.sources.spec.schema import schema

    emit(dumps(schema(), indent=2, ensure_ascii=False) + "\n", args.output, data=True)
    return 0
