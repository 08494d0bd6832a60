"""The pytest plugin: budgets as marks, as a fixture, and as items of their own.

Nothing of cnncost is loaded before a test asks for it, and TensorFlow only by a test's own model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from cnncost.budgets.evaluate import Result
    from cnncost.results import Analysis

MARK = "cnncost(model, **limits): the model's budget, as cnncost.assert_within takes it; checked before the test runs"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cnncost", "budgets of neural networks")
    group.addoption("--cnncost-budget", metavar="FILE", action="append", default=[],
                    help="collect each limit of a budget file as a test")  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    for named in config.getoption("--cnncost-budget"):
        if not Path(named).is_file():
            raise pytest.UsageError(f"--cnncost-budget: there is no file '{named}'")
        config.args.append(str(Path(named).absolute()))  # beside what is collected anyway


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("cnncost"):
        limits = dict(mark.kwargs)
        model = limits.pop("model", mark.args[0] if mark.args else None)
        if model is None:
            pytest.fail("@pytest.mark.cnncost names no model: write model=…", pytrace=False)
        if limits:
            _require(model, limits)


def _require(model: Any, limits: dict[str, Any]) -> None:
    from cnncost.budgets.assertions import results_of, told_failures
    from cnncost.errors import CnncostError

    try:
        told = told_failures(results_of(model, limits))
    except CnncostError as error:
        told = str(error)
    if told:
        pytest.fail(told, pytrace=False)


@pytest.fixture
def cnncost_report(request: pytest.FixtureRequest) -> Callable[..., Analysis]:
    """``cnncost_report(model, batch=8, …)`` is the analysis; without a model, that of the test's mark."""

    def report(model: Any = None, **options: Any) -> Analysis:
        from cnncost import analyze
        from cnncost.limitable import AT

        mark = request.node.get_closest_marker("cnncost")
        if model is None:
            if mark is None:
                pytest.fail("cnncost_report() needs a model, or the test a mark that names one", pytrace=False)
            model = mark.kwargs.get("model", mark.args[0] if mark.args else None)
            options = {name: value for name, value in mark.kwargs.items() if name in AT} | options
        return analyze(model, **options)

    return report


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    for named in parent.config.getoption("--cnncost-budget"):
        if file_path == Path(named).absolute():
            return BudgetFile.from_parent(parent, path=file_path, named=named)
    return None


class BudgetFile(pytest.File):
    """A budget file; each limit on each of its models is an item."""

    def __init__(self, *, named: str, **rest: Any) -> None:
        super().__init__(**rest)
        self.named = named

    def collect(self) -> Iterable[pytest.Item]:
        from cnncost.budgets import reading, targets
        from cnncost.errors import CnncostError

        try:
            file = reading.read(self.named)
        except CnncostError as error:
            raise self.CollectError(str(error)) from None
        seen: dict[str, int] = {}
        for source, limits, baseline in targets.of_file(file):
            for limit in [limits] if isinstance(limits, CnncostError) else limits:
                name = _item_name(source, limit)
                seen[name] = seen.get(name, 0) + 1
                name += f" #{seen[name]}" if seen[name] > 1 else ""
                yield BudgetItem.from_parent(self, name=name, source=source, limit=limit, baseline=baseline)


def _item_name(source: str, limit: Any) -> str:
    from cnncost.errors import CnncostError, printable

    if isinstance(limit, CnncostError):
        return printable(source, 200)
    return f"{printable(source, 200)}::{limit.metric.name} {limit.bound} [{limit.at.text()}]"


class BudgetItem(pytest.Item):
    """One limit on one model, or why a model has none."""

    def __init__(self, *, source: str, limit: Any, baseline: Any, **rest: Any) -> None:
        super().__init__(**rest)
        self.source, self.limit, self.baseline = source, limit, baseline

    def runtest(self) -> None:
        from cnncost.budgets.evaluate import check, unchecked
        from cnncost.errors import CnncostError

        if isinstance(self.limit, CnncostError):
            raise BudgetExceeded(unchecked(self.source, None, self.limit))
        (result,) = check(self.source, [self.limit], self.baseline)
        if result.failed or result.problem is not None:
            raise BudgetExceeded(result)
        if not result.ok:
            self.warn(pytest.PytestWarning(_told(result)))

    def repr_failure(self, excinfo: Any, style: Any = None) -> Any:
        if isinstance(excinfo.value, BudgetExceeded):
            place = f"{excinfo.value.result.location}: " if excinfo.value.result.location else ""
            return f"{place}{_told(excinfo.value.result)}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        place = self.limit.location
        return self.path, place.line - 1 if place and place.line else None, f"budget: {self.name}"


class BudgetExceeded(Exception):
    """A limit that does not hold."""

    def __init__(self, result: Result) -> None:
        super().__init__(_told(result))
        self.result = result


def _told(result: Result) -> str:
    from cnncost.budgets.wording import advice, headline

    return "\n".join([headline(result), *(f"  {line}" for line in advice(result))])
