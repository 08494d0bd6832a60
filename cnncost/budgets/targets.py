"""What is to be checked: each source with all limits on it, its own and the budget file's, and with its baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from cnncost.budgets import baseline, reading
from cnncost.budgets.baseline import Baseline
from cnncost.budgets.limits import Limit
from cnncost.budgets.reading import BudgetFile
from cnncost.errors import CnncostError, printable

SPECS = (".yaml", ".yml", ".json")  # sources that can have limits of their own


class Target(NamedTuple):
    """``limits`` is why there are none where the source (or the pattern, under its name) cannot be read."""

    source: str
    limits: Sequence[Limit] | CnncostError
    baseline: Callable[[Limit], Baseline]


def targets(files: Sequence[str], budget: str | None = None, named: str | None = None) -> list[Target]:
    """Everything that ``files`` name (sources and budget files; none: the project's budget file). ``budget`` is the
    project's budget file and ``named`` its baseline, where they are not the usual ones. Raises CnncostError where
    nothing is limited."""
    project = project_file(budget)
    own = [file for file in files if not reading.is_budget_file(file)]
    found = [reading.read(file) for file in files if file not in own]
    if not files:
        if project is None:
            raise CnncostError(
                "there is no budget file here", rule=f"it is {reading.NAMES[0]} or [tool.cnncost] of a pyproject.toml",
                nearest="name a file, or a source that has budgets of its own",
            )  # fmt: skip
        found = [project]
    whole = [target for file in found for target in of_file(file, named)]
    return [*whole, *(of_source(source, project, named) for source in own)]


def project_file(budget: str | None) -> BudgetFile | None:
    path = budget or reading.find()
    return reading.read(path) if path else None


def of_file(file: BudgetFile, named: str | None = None) -> Iterator[Target]:
    """Every source of a budget file."""
    record = baseline_of(named, file)
    for source, limits in reading.expand(file):
        try:
            yield Target(source, limits if isinstance(limits, CnncostError) else (*own_limits(source), *limits), record)
        except CnncostError as error:  # one broken model hides no other
            yield Target(source, error, record)


def of_source(source: str, project: BudgetFile | None, named: str | None = None) -> Target:
    """A source with its own limits and the project's."""
    record = baseline_of(named, project)
    try:
        limits = (*own_limits(source), *(project.matching(source) if project else ()))
        if not limits:
            raise CnncostError(
                f"'{printable(source, 200)}' has no budget", rule="a gate never passes by default",
                nearest=f"write budgets: {{params: 26M}} into it, or name it in {reading.NAMES[0]}",
            )  # fmt: skip
    except CnncostError as error:
        return Target(source, error, record)
    return Target(source, limits, record)


def own_limits(source: str) -> tuple[Limit, ...]:
    """The limits in a source itself: a spec's ``budgets``."""
    from cnncost.sources import load

    if not source.startswith("zoo:") and not source.lower().endswith(SPECS):
        return ()
    return reading.own_limits(load(source).budgets)


def baseline_of(named: str | None, file: BudgetFile | None) -> Callable[[Limit], Baseline]:
    """Reads the baseline (the named one, or the budget file's) when a limit first asks for it."""
    path = named or (file.baseline if file else reading.BASELINE)

    @cache
    def once() -> Baseline:
        return baseline.load(path)

    def loaded(limit: Limit) -> Baseline:
        try:
            return once()
        except CnncostError as error:
            raise error.at(limit.location) from None

    return loaded
