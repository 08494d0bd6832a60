"""units.py: text and integers agree."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncost.errors import CnncostError
from cnncost.units import BINARY, COUNTS, DECIMAL, bytes_text, count_text, interval, parse_quantity, thousands

SIZES = st.integers(0, 2**60) | st.sampled_from(
    [s + d for s in (*BINARY.values(), *DECIMAL.values()) for d in (-1, 0, 1)]
)


@given(SIZES, st.integers(0, 3), st.booleans())
def test_bytes_text_is_the_value_to_half_a_digit(value: int, digits: int, si: bool) -> None:
    text = bytes_text(value, digits, si)
    number, unit = text.split()
    size = (DECIMAL if si else BINARY)[unit]
    assert abs(Fraction(number.replace(",", "")) * size - value) <= Fraction(
        size, 2 * 10 ** (digits if size > 1 else 0)
    )
    assert Fraction(number.replace(",", "")) < (1000 if si else 1024) or unit.startswith("P")


@given(SIZES, st.integers(0, 3))
def test_printed_counts_contain_their_value(value: int, digits: int) -> None:
    low, high = interval(count_text(value, digits))
    assert low <= value <= high


@given(SIZES)
def test_exact_numbers_come_back(value: int) -> None:
    assert parse_quantity(thousands(value)) == parse_quantity(str(value)) == parse_quantity(value) == value
    assert interval(thousands(value)) == (value, value)


@given(st.integers(0, 10**6), st.sampled_from([*BINARY, *DECIMAL]))
def test_units_of_bytes(value: int, unit: str) -> None:
    size = (BINARY | DECIMAL)[unit]
    assert parse_quantity(f"{value} {unit}", bytes=True) == parse_quantity(f"{value}{unit}", bytes=True) == value * size


@given(st.integers(0, 10**6), st.integers(0, 10**4), st.sampled_from([*COUNTS]))
def test_intervals_are_one_unit_of_the_last_digit_wide(whole: int, rest: int, unit: str) -> None:
    text = f"{whole}.{rest:04d}{unit}"
    low, high = interval(text)
    exact = Fraction(f"{whole}.{rest:04d}") * COUNTS[unit]
    half = Fraction(COUNTS[unit], 2 * 10 ** len(f"{rest:04d}"))
    assert low >= exact - half and high <= exact + half
    assert low - 1 < max(exact - half, 0) and high + 1 > exact + half


@pytest.mark.parametrize("text", ["6G", "64M", "3k", "6 K"])
def test_bytes_need_a_whole_unit(text: str) -> None:
    with pytest.raises(CnncostError, match="no unit of bytes") as caught:
        parse_quantity(text, bytes=True)
    number, letter = text[:-1].strip(), text[-1].upper()
    assert f"{number} {letter}iB or {number}" in caught.value.nearest


@pytest.mark.parametrize(
    "text", ["", "many", "1.2.3", "-5", "1,00", "5 X", "5 MiB", "1e9", None, True, [], "9" * 99, "1.5"]
)
def test_wrong_counts(text: object) -> None:
    with pytest.raises(CnncostError):
        parse_quantity(text)


def test_reference_example() -> None:
    assert bytes_text(1_200_000_000) == "1.12 GiB"
    assert bytes_text(1_200_000_000, 1, si=True) == "1.2 GB"
    assert count_text(60_419_944) == "60.42M"
    assert parse_quantity("1.5k") == 1500
    assert interval("25.6M") == (25_550_000, 25_650_000)
