"""The committed figures that growth is measured against: update, show or diff them."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from cnncost.errors import CnncostError, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnncost.budgets.baseline import Baseline
    from cnncost.budgets.limits import Conditions
    from cnncost.budgets.reading import BudgetFile

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
    from cnncost.cli.streams import emit

    budget = args.budget or reading.find()
    file = reading.read(budget) if budget else None
    path = args.baseline or (file.baseline if file else reading.BASELINE)
    if args.action == "show":
        emit(_shown(baseline.load(path), args.sources, args.format), data=args.format == "json")
        return 0
    now, digests = _figures(args.sources, file)
    if args.action == "update":
        before = baseline.load(path) if os.path.exists(path) else baseline.Baseline(path=path)
        after = before.with_records(now, digests) if args.sources else baseline.Baseline(now, digests, path)
        emit(after.text(), path)
        emit(f"{printable(path, 200)}: {len(now):,} record{'s'[: len(now) != 1]} written\n")
        return 0
    return _difference(baseline.load(path), now, args.format, whole=not args.sources)


def _figures(sources: Sequence[str], file: BudgetFile | None) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """Figures and digests by key, for every set of conditions that a limit asks for."""
    from cnncost.budgets.baseline import digest, figures, key_of
    from cnncost.budgets.evaluate import analyzed
    from cnncost.cli.progress import progress

    now: dict[str, dict[str, int]] = {}
    digests: dict[str, str] = {}
    for source, conditions in _wanted(sources, file):
        for at in conditions:
            with progress(f"analyzing {printable(source, 100)}"):
                key = key_of(source, at)
                now[key], digests[key] = figures(analyzed(source, at)), digest(source)
    return now, digests


def _wanted(sources: Sequence[str], file: BudgetFile | None) -> list[tuple[str, list[Conditions]]]:
    from cnncost.budgets.limits import Conditions
    from cnncost.budgets.reading import expand

    if sources:
        return [(source, _conditions(file.matching(source)) if file else [Conditions()]) for source in sources]
    if file is None:
        raise CnncostError("there is no budget file here", rule="the baseline has the models that it names",
                           nearest="name a source")  # fmt: skip
    return [(source, _conditions(limits)) for source, limits in expand(file)]


def _conditions(limits: Sequence[object]) -> list[Conditions]:
    """Those of the limits; the plain ones where there is no limit."""
    from cnncost.budgets.limits import Conditions, Limit

    return list(dict.fromkeys(limit.at for limit in limits if isinstance(limit, Limit))) or [Conditions()]


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


def _difference(before: Baseline, now: Mapping[str, Mapping[str, int]], form: str, whole: bool) -> int:
    """Print what has changed; 1 when something has."""
    import json

    from cnncost.cli.streams import emit

    rows = []
    keys = sorted({*now, *(before.records if whole else ())})
    for key in keys:
        old, new = before.records.get(key, {}), now.get(key, {})
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                rows.append({"model": key, "metric": name, "before": old.get(name), "after": new.get(name)})
    if form == "json":
        emit(json.dumps({"changed": bool(rows), "changes": rows}, indent=1) + "\n", data=True)
    else:
        emit("".join(map(_line, rows)) or "nothing has changed\n")
    return int(bool(rows))


def _line(row: Mapping[str, object]) -> str:
    old, new = row["before"], row["after"]
    text = f"{printable(row['model'], 200)}: {row['metric']} {_number(old)} → {_number(new)}"
    if isinstance(old, int) and isinstance(new, int) and old:
        text += f" ({new - old:+,}, {(new - old) / old:+.2%})"
    return text + "\n"


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "none"
