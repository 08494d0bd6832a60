"""Limits held against analyses: each distinct set of conditions is analyzed once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cnncost.api import analyze
from cnncost.budgets.baseline import Baseline, key_of
from cnncost.budgets.blame import Blamed, blamed, chosen
from cnncost.budgets.limits import Conditions, Limit
from cnncost.errors import CnncostError, Location
from cnncost.processors import AVX512
from cnncost.results import Analysis
from cnncost.units import bytes_text, count_text

PLAIN = Conditions()
ERROR, WARNING = "error", "warning"
Analyzer = Callable[[str, Conditions], Analysis]


@dataclass(frozen=True, slots=True)
class Result:
    """One limit held against one model, or a model that could not be checked (``problem``)."""

    model: str
    source: str
    metric: str
    value: int | None
    limit: int | None
    bound: str
    ok: bool
    level: str
    unit: str = ""
    at: Conditions = PLAIN
    written: str = ""
    why: str = ""
    location: Location | None = None
    layer: str | None = None  # of a rule on layers: the worst
    baseline: int | None = None
    blame: tuple[Blamed, ...] = ()
    problem: str | None = None
    note: str = ""  # what else there is to know, such as a source that has changed since its baseline

    @property
    def failed(self) -> bool:
        """It fails the check: a limit that does not hold, of level error."""
        return not self.ok and self.level == ERROR

    @property
    def excess(self) -> int | None:
        """How far beyond the limit the value is; negative where there is room."""
        if self.value is None or self.limit is None:
            return None
        return self.limit - self.value if self.bound == "min" else self.value - self.limit

    @property
    def percent(self) -> float | None:
        """The excess as a share of the limit."""
        return None if self.excess is None or not self.limit else self.excess / self.limit

    def shown(self, value: int | None) -> str:
        """A value in its unit, exact and short.

        >>> Result("m", "m", "params", 5, 4, "max", False, "error").shown(26_000_000)
        '26,000,000 (26.00M)'
        """
        if value is None:
            return "unknown"
        short = bytes_text(value) if self.unit == "bytes" else count_text(value)
        exact = f"{value:,}{' B' if self.unit == 'bytes' else ''}"
        return exact if short in (exact, f"{value:,}") else f"{exact} ({short})"

    def to_dict(self) -> dict[str, Any]:
        """A row of ``cnncost check --format json``."""
        return {
            "model": self.model, "source": self.source, "metric": self.metric, "value": self.value,
            "limit": self.limit, "bound": self.bound, "ok": self.ok, "level": self.level, "unit": self.unit,
            "at": self.at.text(), "written": self.written, "why": self.why,
            "location": str(self.location) if self.location else None, "layer": self.layer, "excess": self.excess,
            "percent": self.percent, "baseline": self.baseline, "blame": [part.to_dict() for part in self.blame],
            "problem": self.problem, "note": self.note,
        }  # fmt: skip


def analyzed(source: str, at: Conditions) -> Analysis:
    """The analysis under a limit's conditions. The processor is one for all machines, so that a budget of half
    precision holds or fails everywhere alike."""
    return analyze(
        source, batch=at.batch, input=at.input, dtype=at.dtype, mode=at.mode or "inference", optimizer=at.optimizer,
        executor=at.executor, allocator=at.allocator, processor=AVX512.name,
    )  # fmt: skip


def check(
    source: Any, limits: Sequence[Limit], baseline: Callable[[Limit], Baseline] | None = None,
    analyzer: Analyzer | None = None,
) -> list[Result]:  # fmt: skip
    """Every limit's result, in the order of the limits. What cannot be checked is a result that says why: one broken
    model hides no other."""
    analyzer = analyzer or analyzed
    known: dict[Conditions, Analysis | CnncostError] = {}
    results = []
    for limit in limits:
        at = limit.at.run()
        if at not in known:
            try:
                known[at] = analyzer(source, at)
            except CnncostError as error:
                known[at] = error
        found = known[at]
        if isinstance(found, CnncostError):
            results.append(unchecked(source, limit, found))
            continue
        try:
            results.append(held(found, limit, named(source), baseline))
        except CnncostError as error:
            results.append(unchecked(source, limit, error))
    return results


def unchecked(source: Any, limit: Limit | None, error: CnncostError) -> Result:
    """A limit that could not be held against anything; it stands where the error does, else where the limit does."""
    name, place = limit.metric.name if limit else "", error.location
    if limit and (place is None or place.line is None):
        place = limit.location or place
    expanded = f" (in {error.location.path})" if error.location and error.location.path else ""
    return Result(named(source), named(source), name, None, None, limit.bound if limit else "", False, ERROR,
                  at=limit.at if limit else PLAIN, location=place, problem=error.message + expanded)  # fmt: skip


def named(source: Any) -> str:
    """A source's name, for a live model its own."""
    if isinstance(source, str) or hasattr(source, "__fspath__"):
        return str(os.fspath(source))
    name = source.get("name") if isinstance(source, dict) else getattr(source, "name", None)
    return str(name or type(source).__name__)


def held(analysis: Analysis, limit: Limit, source: str, baseline: Callable[[Limit], Baseline] | None = None) -> Result:
    """One limit against one analysis. Raises CnncostError where the figure or the baseline is not known."""
    layer, value, blame = _figure(analysis, limit)
    base, note = None, ""
    if limit.bound == "growth":
        if baseline is None:
            raise CnncostError("growth needs a baseline", rule="it is committed beside the budget file",
                               nearest="run: cnncost baseline update", location=limit.location)  # fmt: skip
        record = baseline(limit)
        key = key_of(source, limit.at, record.path)
        base, note = record.figure(key, limit.metric.name, limit.location), record.stale(key, source)
    ok = limit.holds(value, base)
    return Result(
        analysis.model, source, limit.metric.name, value, limit.ceiling(base), limit.bound, ok, limit.level,
        limit.metric.unit, limit.at, limit.text, limit.why, limit.location, layer, base, () if ok else blame, note=note,
    )  # fmt: skip


def _figure(analysis: Analysis, limit: Limit) -> tuple[str | None, int, tuple[Blamed, ...]]:
    """(layer, value, who is to blame): the model's figure, or that of the layer which is furthest out."""
    metric = limit.metric
    if metric.read is not None:
        value = metric.read(analysis)
        if value is None:
            raise CnncostError(_unknown(analysis, limit), location=limit.location)
        return None, value, blamed(analysis, limit)
    if metric.step is not None:
        analysis = analysis.with_peaks()
    own = metric.of_layer
    rows = [(own(row), row) for row in chosen(analysis, limit)] if own else []
    known = [(value, row) for value, row in rows if value is not None]
    if not known:
        raise CnncostError(_unknown(analysis, limit), location=limit.location)
    known.sort(key=lambda part: part[0] if limit.bound == "min" else -part[0])
    beyond = [(value, row) for value, row in known if not limit.holds(value)] if limit.bound != "growth" else []
    blame = tuple(Blamed(row.name, value, row.layer.location) for value, row in beyond[:20])
    return known[0][1].name, known[0][0], blame


def _unknown(analysis: Analysis, limit: Limit) -> str:
    """Why a figure has no value: what the simulation says, where it is one of its figures."""
    said = [finding.message for finding in analysis.memory.runtime.findings] if limit.metric.step else []
    return f"{limit.metric.name} is not known" + (f": {said[0]}" if said else "")


def exit_code(results: Iterable[Result], strict: bool = False, report_only: bool = False) -> int:
    """0 within budget, 1 beyond it, 2 where something could not be checked."""
    if report_only:
        return 0
    found = list(results)
    if any(result.problem is not None for result in found):
        return 2
    return int(any(not result.ok and (strict or result.level == ERROR) for result in found))
