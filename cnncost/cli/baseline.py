"""The committed figures that growth is measured against: update, show or diff them."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from cnncost.errors import CnncostError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnncost.budgets.baseline import Baseline
    from cnncost.budgets.limits import Conditions, Limit
    from cnncost.budgets.reading import BudgetFile

DIFFERENCE = "cnncost/baseline-difference/1"
EXAMPLE = """examples:
  cnncost baseline update                 figures of every model of the budget file, into its baseline
  cnncost baseline update zoo:resnet50 --baseline figures.json
  cnncost baseline diff                   what has changed since; exit code 1 when something has

The file is JSON of integers with sorted keys: commit it.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("update", "show", "diff"))
    parser.add_argument("sources", metavar="SOURCE", nargs="*", help="these alone; none: all of the budget file")
    parser.add_argument("--budget", metavar="FILE", help="the budget file (cnncost-budget.yaml, or pyproject.toml)")
    parser.add_argument("--baseline", metavar="FILE", help="the baseline (cnncost-baseline.json beside the budget)")
    parser.add_argument("--format", choices=("text", "json"), default="text")


def run(args: argparse.Namespace) -> int:
    from cnncost.budgets import baseline, reading
    from cnncost.budgets.targets import project_file
    from cnncost.cli.streams import emit

    file = project_file(args.budget)
    path = args.baseline or (file.baseline if file else reading.BASELINE)
    if args.action == "show":
        emit(_shown(baseline.load(path), args.sources, args.format), data=args.format == "json")
        return 0
    before = None if args.action == "update" and not (args.sources and os.path.exists(path)) else baseline.load(path)
    now, digests = _figures(_wanted(args.sources, file), path)
    if args.action == "update":
        after = before.with_records(now, digests) if before else baseline.Baseline(now, digests, path)
        emit(after.text(), path)
        emit(f"{printable(path, 200)}: {len(now):,} record{'s'[: len(now) != 1]} written\n")
        return 0
    assert before is not None
    return _difference(before, now, digests, args.format, whole=not args.sources)


def _figures(
    wanted: Sequence[tuple[str, list[Conditions]]], path: str
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Figures and digests by key, for every set of conditions that a limit asks for."""
    from cnncost.budgets.baseline import digest, figures, key_of
    from cnncost.budgets.evaluate import analyzed
    from cnncost.cli.progress import progress

    now: dict[str, dict[str, int]] = {}
    digests: dict[str, str] = {}
    for source, conditions in wanted:
        for at in conditions:
            with progress(f"analyzing {printable(source, 100)}"):
                key = key_of(source, at, path)
                now[key], digests[key] = figures(analyzed(source, at)), digest(source)
    return now, digests


def _wanted(sources: Sequence[str], file: BudgetFile | None) -> list[tuple[str, list[Conditions]]]:
    """Each source with the conditions of all limits on it, its own and the budget file's."""
    from cnncost.budgets.targets import of_file, own_limits

    if sources:
        return [(s, _conditions((*own_limits(s), *(file.matching(s) if file else ())))) for s in sources]
    if file is None:
        raise CnncostError("there is no budget file here", rule="the baseline has the models that it names",
                           nearest="name a source")  # fmt: skip
    found = []
    for target in of_file(file):
        if isinstance(target.limits, CnncostError):
            raise target.limits
        found.append((target.source, _conditions(target.limits)))
    return found


def _conditions(limits: Sequence[Limit]) -> list[Conditions]:
    """Those of the limits; the plain ones where there is no limit."""
    from cnncost.budgets.limits import Conditions

    return list(dict.fromkeys(limit.at.run() for limit in limits)) or [Conditions()]


def _shown(found: Baseline, sources: Sequence[str], form: str) -> str:
    records = {
        key: figures for key, figures in found.records.items()
        if not sources or any(key == s or key.startswith(f"{s} [") for s in sources)
    }  # fmt: skip
    if sources and not records:
        raise CnncostError(f"the baseline has none of {', '.join(printable(s) for s in sources)}")
    if form == "json":
        from cnncost.budgets.baseline import Baseline

        return Baseline(records, found.digests).text()
    return "\n".join(
        line for key, figures in sorted(records.items())
        for line in (printable(key, 200), *(f"  {name:<26}{value:>20,}" for name, value in sorted(figures.items())))
    ) + "\n"  # fmt: skip


def _difference(
    before: Baseline, now: Mapping[str, Mapping[str, int]], digests: Mapping[str, str], form: str, whole: bool
) -> int:
    """Print what has changed; 1 when a figure has. A source that was edited and costs the same is only mentioned."""
    import json

    from cnncost.cli.streams import emit

    rows = []
    edited = [key for key in sorted(now) if before.digests.get(key, digests[key]) != digests[key]]
    for key in sorted({*now, *(before.records if whole else ())}):
        old, new = before.records.get(key, {}), now.get(key, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                rows.append({"model": key, "metric": name, "before": old.get(name), "after": new.get(name)})
    if form == "json":
        data = {"schema": DIFFERENCE, "changed": bool(rows), "changes": rows, "edited": edited}
        emit(json.dumps(data, indent=1) + "\n", data=True)
    else:
        told = [f"{printable(key, 200)}: the source has changed since the baseline was written\n" for key in edited]
        emit("".join([*told, *map(_line, rows)] if rows else [*told, "no figure has changed\n"]))
    return int(bool(rows))


def _line(row: Mapping[str, object]) -> str:
    old, new = row["before"], row["after"]
    text = f"{printable(row['model'], 200)}: {row['metric']} {_number(old)} → {_number(new)}"
    if isinstance(old, int) and isinstance(new, int) and old:
        text += f" ({new - old:+,}, {(new - old) / old:+.2%})"
    return text + "\n"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "none"
