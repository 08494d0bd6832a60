"""Laws of limits: exact comparison, units, conditions, patterns, blame, wording, and the one declaration of figures."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnncost
from cnncost import limitable, results
from cnncost.budgets.assertions import limits_of
from cnncost.budgets.blame import blamed
from cnncost.budgets.evaluate import Result, check, exit_code, held
from cnncost.budgets.limits import Conditions, Limit, read_limits
from cnncost.budgets.metrics import METRICS
from cnncost.budgets.wording import amount_text, distance, rounded_up
from cnncost.errors import CnncostError
from cnncost.units import parse_quantity
from cnncost.written import written

WHOLE = st.integers(0, 10**18)


def limits(entry: dict[str, Any]) -> list[Limit]:
    return list(read_limits(written(entry).parts))


def growth(text: Any) -> Limit:
    return limits({"params": {"growth": text}})[0]


@given(WHOLE, WHOLE)
def test_integers_are_compared_exactly(value: int, amount: int) -> None:
    most, least = limits({"params": {"max": amount, "min": amount}})
    assert most.holds(value) == (value <= amount) and least.holds(value) == (value >= amount)


@given(WHOLE)
def test_a_growth_of_nothing_allows_nothing(base: int) -> None:
    assert growth("0%").holds(base, base) and not growth("0%").holds(base + 1, base)
    assert growth("0%").holds(0, base), "what shrinks holds"


@given(WHOLE, st.integers(0, 10**6))
def test_growth_is_a_fraction(base: int, thousandths: int) -> None:
    """The ceiling is the largest integer that has grown by no more than the share, without a float between."""
    ceiling = growth(f"{thousandths // 1000}.{thousandths % 1000:03d}%").ceiling(base)
    share = Fraction(thousandths, 100_000)
    assert ceiling - base <= share * base < ceiling + 1 - base


def test_growth_at_its_boundary() -> None:
    half = growth("0.5%")
    assert half.amount == Fraction(1, 200)
    assert half.holds(201, 200) and not half.holds(202, 200)
    assert half.holds(199, 199) and not half.holds(200, 199)
    assert growth("1 k").holds(1200, 200) and not growth(1000).holds(1201, 200)


@given(WHOLE, st.sampled_from(["", "1.5 MB", "64 MiB", "3"]), st.sampled_from(["bytes", "count", "positions"]))
def test_the_new_limit_that_is_proposed_holds(value: int, was: str, unit: str) -> None:
    was = was if unit == "bytes" else {"": "", "1.5 MB": "26M", "64 MiB": "4.2k", "3": "3"}[was]
    proposed = parse_quantity(amount_text(value, unit, was), bytes=unit == "bytes")
    assert value <= proposed <= value + max(value // 50, 1)
    assert value <= rounded_up(value) <= value + value // 99


def test_conditions_are_a_set() -> None:
    one = limits({"peak": {"max": 1, "at": {"batch": 8, "dtype": "float16"}}})[0]
    two = limits({"inference_peak_bytes": {"dtype": "float16", "max": 1, "batch": 8}})[0]
    assert one.at == two.at and hash(one.at) == hash(two.at)
    assert Conditions(mode="inference").run() == Conditions().run() == Conditions()


def test_a_figure_of_training_is_taken_in_training() -> None:
    assert limits({"training_peak": {"max": 1, "mode": "inference"}})[0].at.mode == "training"


def test_each_distinct_run_is_made_once() -> None:
    runs: list[Conditions] = []

    def analyzer(source: str, at: Conditions) -> results.Analysis:
        runs.append(at)
        return cnncost.analyze(source, batch=at.batch)

    entry = {"params": 1, "macs": {"max": 1, "mode": "inference"}, "activations": [{"max": 1}, {"max": 2, "batch": 3}]}
    found = check("zoo:lenet5-1998", limits(entry), analyzer=analyzer)
    assert len(found) == 4 and [at.batch for at in runs] == [1, 3]
    assert found[3].value == 3 * (found[2].value or 0)


def test_all_limits_of_a_list_are_held() -> None:
    found = check("zoo:lenet5-1998", limits({"params": [{"max": "1M"}, {"max": 1, "level": "warning"}, {"min": "1M"}]}))
    assert [result.ok for result in found] == [True, False, False]
    assert exit_code(found) == 1 and exit_code(found[:2]) == 0 and exit_code(found[:2], strict=True) == 1
    assert exit_code(found, report_only=True) == 0


def test_what_cannot_be_checked_is_2() -> None:
    found = check("zoo:lenet5-1998", limits({"params": "1M", "macs": {"growth": "0%"}}))
    assert [result.problem is None for result in found] == [True, False] and exit_code(found) == 2


@pytest.mark.parametrize("name", [name for name, metric in METRICS.items() if metric.read and metric.of_layer])
def test_blame_is_of_the_largest_parts(name: str) -> None:
    mode = METRICS[name].step or "inference"
    model = cnncost.analyze("zoo:lenet5-1998", mode=mode)
    limit = limits({name: 0})[0]
    found = blamed(model, limit)
    of_layer = METRICS[name].of_layer
    assert of_layer is not None and 0 < len(found) <= 3
    rows = model.with_peaks().layers if METRICS[name].step else model.layers
    parts = sorted((of_layer(row) or 0 for row in rows), reverse=True)
    assert [part.value for part in found] == parts[: len(found)]
    assert all(part.location and part.location.line for part in found)
    if name in ("params", "macs", "flops", "weight_bytes", "activation_bytes", "training_macs", "trainable_params"):
        assert sum(parts) == held(model, limit, "m").value, "the parts are all of it"


def test_a_rule_on_layers_is_held_by_the_worst() -> None:
    model = cnncost.analyze("zoo:lenet5-1998")
    (most,) = check("zoo:lenet5-1998", limits({"layer.params": {"max": 1000}}))
    worst = max(model.layers, key=lambda row: row.params)
    assert (most.layer, most.value) == (worst.name, worst.params)
    assert {part.layer for part in most.blame} == {row.name for row in model.layers if row.params > 1000}
    (chosen,) = check("zoo:lenet5-1998", limits({"layer.params": {"max": 0, "kind": "Dense"}}))
    assert {part.layer for part in chosen.blame} == {row.name for row in model.layers if row.kind == "Dense"}


def test_distance_says_the_side() -> None:
    def told(bound: str, value: int, limit: int) -> str:
        ok = value >= limit if bound == "min" else value <= limit
        return distance(Result("m", "m", "params", value, limit, bound, ok, "error"))

    assert told("max", 5, 10) == "50.0 % left" and told("max", 15, 10) == "50.0 % over"
    assert told("min", 15, 10) == "50.0 % above" and told("min", 5, 10) == "50.0 % below"
    assert told("max", 10, 10) == told("min", 10, 10) == "exactly"
    assert told("min", 60_000_000, 1) == "59,999,999 times above" and told("max", 3, 0) == "over"


def test_keywords() -> None:
    found = limits_of({"params": "26M", "layer_macs": {"max": "1G", "kind": "Conv*"}, "batch": 8, "mode": "training"})
    assert [limit.metric.name for limit in found] == ["params", "layer.macs"]
    assert {(limit.at.batch, limit.at.mode) for limit in found} == {(8, "training")}
    with pytest.raises(CnncostError, match="did you mean 'params'"):
        limits_of({"parms": 1})
    with pytest.raises(CnncostError, match="nothing is limited"):
        limits_of({"batch": 8})


def test_assert_within() -> None:
    cnncost.assert_within("zoo:lenet5-1998", params=60_840)
    with pytest.raises(AssertionError, match=r"60,840.*60,839.*\n  most of it: 'C5'"):
        cnncost.assert_within("zoo:lenet5-1998", params=60_839)
    with pytest.raises(AssertionError, match="matches no layer"):
        cnncost.assert_within(cnncost.analyze("zoo:lenet5-1998"), layer_params={"max": 1, "layers": "nothing*"})


def test_the_words_are_declared_once() -> None:
    assert list(limitable.FIGURES) == list(METRICS)
    assert set(limitable.ALIASES.values()) <= set(METRICS)
    for name, figure in limitable.FIGURES.items():
        assert METRICS[name].unit == figure.unit and METRICS[name].doc == figure.doc
