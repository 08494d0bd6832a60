"""List the specs that come with the tool, or print one."""

from __future__ import annotations

import argparse
from typing import Any

EXAMPLE = """examples:
  cnncost zoo
  cnncost zoo resnet152 > my-resnet.yaml
  cnncost analyze zoo:resnet152
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", help="print this spec's text")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument("-o", "--output", metavar="FILE", help="write FILE, whole or not at all")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.streams import emit
    from cnncost.sources.zoo import path

    if args.name:
        with open(path(args.name.removeprefix("zoo:")), encoding="utf-8") as stream:
            text = stream.read()
        if args.format == "json":
            text = _json({"name": args.name.removeprefix("zoo:"), "text": text})
        emit(text, args.output, data=args.format == "json")
        return 0
    entries = listing()
    if args.format == "json":
        emit(_json({"schema": "cnncost/zoo/1", "specs": entries}), args.output, data=True)
        return 0
    width = max(len(entry["name"]) for entry in entries)
    lines = [f"{entry['name']:<{width}}  {entry['description']}" for entry in entries]
    emit(
        "\n".join([*lines, "", "cnncost analyze zoo:NAME analyzes one; cnncost zoo NAME prints its text", ""]),
        args.output,
    )
    return 0


def listing() -> list[dict[str, Any]]:
    """Name, description and source of every shipped spec."""
    from cnncost.sources.zoo import names, path

    return [{"name": name, "description": description(path(name)), "source": f"zoo:{name}"} for name in names()]


def description(file: str) -> str:
    """The one-line ``description`` of a shipped spec, read without parsing the rest."""
    with open(file, encoding="utf-8") as stream:
        for line in stream:
            key, _, text = line.partition(":")
            if key == "description":
                return text.strip().strip("'\"")
    return ""


def _json(value: dict[str, Any]) -> str:
    from cnncost.report.json_ import to_json

    return to_json(value)
