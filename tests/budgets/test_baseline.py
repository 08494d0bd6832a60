"""The baseline: round trip, determinism, what is refused, and where records stand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnncost
from cnncost.budgets import baseline
from cnncost.budgets.baseline import Baseline, figures, key_of, load
from cnncost.budgets.evaluate import check
from cnncost.budgets.limits import Conditions, read_limits
from cnncost.errors import CnncostError, Location
from cnncost.written import written

RECORDS = st.dictionaries(st.text(max_size=8), st.dictionaries(st.text(max_size=4), st.integers(0, 2**80), max_size=3))


@given(RECORDS)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, records: dict[str, dict[str, int]]) -> None:
    path = tmp_path_factory.getbasetemp() / "base.json"
    one = Baseline(records, dict.fromkeys(records, "sha256:0"), str(path))
    path.write_bytes(one.text().encode("utf-8", "surrogatepass"))
    assert load(str(path)) == one
    other = Baseline(dict(reversed(records.items())), one.digests, str(path))
    assert other.text() == one.text(), "the order of making does not matter"


def test_keys_are_sorted_and_figures_whole() -> None:
    found = figures(cnncost.analyze("zoo:lenet5-1998"))
    text = Baseline({"b": found, "a": found}, {}).text()
    data = json.loads(text, object_pairs_hook=lambda pairs: (_sorted(pairs), dict(pairs))[1])
    assert all(type(value) is int for value in data["models"]["a"]["figures"].values())
    assert text == Baseline({"a": found, "b": found}, {}).text() and text.endswith("}\n")


def _sorted(pairs: list[tuple[str, Any]]) -> None:
    assert [key for key, _ in pairs] == sorted(key for key, _ in pairs)


def test_records_stand_under_the_same_key_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    at = Conditions(batch=8)
    here = key_of("m/a.yaml", at, "base.json")
    assert here == key_of("./m/../m/a.yaml", at, "base.json") == key_of(str(tmp_path / "m" / "a.yaml"), at, "base.json")
    monkeypatch.chdir(tmp_path / "sub")
    assert key_of("../m/a.yaml", at, "../base.json") == here == "m/a.yaml [batch 8]"
    assert key_of("zoo:unet", Conditions(), "../base.json") == "zoo:unet"
    assert key_of("pkg.mod:build", Conditions(), "../base.json") == "pkg.mod:build"


MINE = '{"schema": "cnncost/baseline/1", "formulas": 1, '


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ('{\n "a": 1,\n}', "not JSON", (3, 1)),
        ("", "not JSON", (1, 1)),
        ("[]", "not a baseline of this version", (1, 1)),
        ('{\n "schema": "cnncost/baseline/2"}', "received cnncost/baseline/2", (2, 2)),
        ('{"schema": "cnncost/baseline/1",\n "formulas": 7, "models": {}}', "of other formulas", (2, 2)),
        ('{"schema": "cnncost/baseline/1", "formulas": true, "models": {}}', "of other formulas", (1, 34)),
        (MINE + '"models": []}', "has no 'models'", (1, 49)),
        (MINE + '\n"models": {\n"a.yaml": 3}}', "'a.yaml' has no digest", (3, 1)),
        (MINE + '\n"models": {"a": {"digest": "", "figures": {"params": 1.5}}}}', "'a' has no digest", (2, 12)),
        (MINE + '\n"models": {"a": {"digest": "", "figures": {"params": -1}}}}', "'a' has no digest", (2, 12)),
        (MINE + '\n"models": {"a": {"digest": "", "figures": {"params": true}}}}', "'a' has no digest", (2, 12)),
        (MINE + '\n"models": {"a": {"digest": "", "figures": {"params": NaN}}}}', "NaN", (2, 54)),
        (MINE + '\n"models": {"a": {"figures": {"params": 1}}}}', "'a' has no digest", (2, 12)),
        ("<<<<<<< HEAD\n{}", "not JSON", (1, 1)),
        ("[" * 100_000, "nested too deeply", (1, 1)),
        ('{"a": ' + "9" * 5000 + "}", "5,000 digits", (1, 7)),
        ("{\x00}", "binary", (1, 1)),
    ],
)
def test_what_is_no_baseline_is_said_with_its_place(
    tmp_path: Path, text: str, said: str, place: tuple[int, int]
) -> None:
    path = tmp_path / "base.json"
    path.write_text(text)
    with pytest.raises(CnncostError) as caught:
        load(str(path))
    assert said in str(caught.value), str(caught.value)
    assert caught.value.exit_code == 2 and caught.value.location == Location(str(path), *place)


def test_a_missing_baseline_is_said_at_the_limit(tmp_path: Path) -> None:
    with pytest.raises(CnncostError, match=r"b\.yaml:3:4: error: there is no baseline .* run: cnncost baseline update"):
        load(str(tmp_path / "none.json"), Location("b.yaml", 3, 4))
    with pytest.raises(CnncostError, match="Is a directory|is a directory"):
        load(str(tmp_path))


def test_growth_against_a_source_that_has_changed_is_noted(tmp_path: Path) -> None:
    source = tmp_path / "net.yaml"
    source.write_text("input: [8, 8, 3]\nlayers: [Flatten, Dense: 3]\n")
    limits = list(read_limits(written({"params": {"growth": "0%"}}).parts))
    key = key_of(str(source), Conditions(), str(tmp_path / "base.json"))
    record = Baseline({key: figures(cnncost.analyze(str(source)))}, {key: baseline.digest(str(source))},
                      str(tmp_path / "base.json"))  # fmt: skip

    def held() -> tuple[bool, str]:
        (result,) = check(str(source), limits, lambda limit: record)
        return result.ok, result.note

    assert held() == (True, "")
    source.write_text(source.read_text() + "# a comment\n")
    ok, note = held()
    assert ok and "has changed since its baseline" in note
    source.write_text(source.read_text().replace("3\n", "4\n").replace("Dense: 3", "Dense: 4"))
    assert held()[0] is False
