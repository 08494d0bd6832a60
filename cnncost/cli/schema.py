"""Print the JSON Schema (draft-07) of the spec language, or of budget files: editors complete and check with it."""

from __future__ import annotations

import argparse
from typing import Any

EXAMPLE = """example:
  cnncost schema -o cnncost.schema.json
  cnncost schema --budget -o cnncost-budget.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budget", action="store_true", help="the schema of cnncost-budget.yaml")
    parser.add_argument("--format", choices=("json",), default="json")
    parser.add_argument("-o", "--output", metavar="FILE", help="write FILE, whole or not at all")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.streams import emit

    emit(text(args.budget), args.output, data=True)
    return 0


def text(budget: bool = False) -> str:
    """The schema as a file's text, one definition to a line; ``schema.json`` of the package is the same."""
    from json import dumps

    from cnncost.limitable import budget_schema
    from cnncost.sources.spec.schema import json_schema

    def lines(value: dict[str, Any], indent: str) -> str:
        members = (
            f"{indent}{dumps(key)}: "
            + (lines(part, indent + " ") if not indent and isinstance(part, dict) else dumps(part, ensure_ascii=False))
            for key, part in value.items()
        )
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"

    return lines(budget_schema() if budget else json_schema(), "") + "\n"
