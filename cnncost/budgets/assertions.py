"""Budgets as assertions, for any test runner."""

from __future__ import annotations

from typing import Any

from cnncost.budgets.evaluate import Result, check, held, unchecked
from cnncost.budgets.limits import Limit, read_conditions, read_limits
from cnncost.budgets.wording import advice, headline
from cnncost.errors import CnncostError
from cnncost.limitable import AT
from cnncost.results import Analysis
from cnncost.written import Written, written


def limits_of(keywords: dict[str, Any]) -> tuple[Limit, ...]:
    """Limits from keyword arguments: figures (``params="26M"``, ``layer_activation={"max": "4 MiB"}``) and the
    conditions that they hold under (``batch=8``). Raises CnncostError naming the nearest.

    >>> [(limit.metric.name, limit.amount, limit.at.batch) for limit in limits_of({"params": "26M", "batch": 8})]
    [('params', 26000000, 8)]
    """
    parts = {_name(name): _plain(value) for name, value in keywords.items()}
    at = read_conditions({name: part for name, part in parts.items() if name in AT})
    found = tuple(read_limits({name: part for name, part in parts.items() if name not in AT}, at))
    if not found:
        raise CnncostError("nothing is limited", rule="give at least one figure", nearest='params="26M"')
    return found


def results_of(model: Any, keywords: dict[str, Any]) -> list[Result]:
    """Each limit held against a model (any source) or an analysis."""
    limits = limits_of(keywords)
    if not isinstance(model, Analysis):
        return check(model, limits)
    results = []
    for limit in limits:
        try:
            results.append(held(model, limit, model.source))
        except CnncostError as error:
            results.append(unchecked(model.source, limit, error))
    return results


def assert_within(model: Any, **limits: Any) -> None:
    """Raise AssertionError unless the model is within all limits; it says value, limit, excess and who is to blame.

    ``model`` is any source of ``cnncost.analyze``, or an Analysis, whose own batch and mode then hold.

    >>> assert_within("zoo:lenet5-1998", trainable_params=60_000, layer_params={"max": "50k"})
    """
    told = told_failures(results_of(model, limits))
    if told:
        raise AssertionError(told)


def told_failures(results: list[Result]) -> str:
    """What does not hold, in words; empty where all does."""
    bad = [result for result in results if result.failed or result.problem is not None]
    return "\n\n".join("\n".join([headline(result), *(f"  {line}" for line in advice(result))]) for result in bad)


def _name(keyword: str) -> str:
    """A keyword cannot hold a dot: ``layer_macs`` is ``layer.macs``."""
    return f"layer.{keyword[6:]}" if keyword.startswith("layer_") else keyword


def _plain(value: Any) -> Written:
    return written(list(value) if isinstance(value, tuple) else value)
