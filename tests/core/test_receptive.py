"""Receptive fields, against sets of positions carried through random stacks one position at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cnncost.receptive import POINT, Field, merged, through
from cnncost.window import Reach, reach, slide

LONG = 10_000  # positions are numbered from the middle of an axis without edges


@st.composite
def reaches(draw: st.DrawFn) -> Reach:
    """A window, a shift, an upsampling or a transposed convolution, all without gaps."""
    form = draw(st.sampled_from(["window", "shift", "repeat", "between", "transposed", "adaptive"]))
    if form == "window":
        kernel, stride, dilation = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
        padding = draw(st.sampled_from(["valid", "same", "causal"]))
        found = reach(slide(LONG, kernel, stride, padding, dilation))
        assert found is not None
        return found
    n = draw(st.integers(1, 4))
    if form == "shift":
        return Reach(1, n - 2, n - 2)
    if form == "repeat":
        return Reach(1, 0, 0, n)
    if form == "between":  # bilinear
        return Reach(2, 1 - n, n, 2 * n)
    if form == "adaptive":
        size = draw(st.integers(1, 6))
        return Reach(size, 0, size - 1, n)
    kernel = draw(st.integers(n, 5))
    crop = (kernel - n) // 2
    return Reach(1, crop - kernel + n, crop, n)


def span(i: int, stack: list[Reach]) -> tuple[int, int]:
    """First and last input position that position i of the stack's end reads."""
    first = last = i
    for step, low, high, up in reversed(stack):
        pairs = [((j * step + low) // up, (j * step + high) // up) for j in range(first, last + 1)]
        first, last = min(a for a, _ in pairs), max(b for _, b in pairs)
    return first, last


def field_of(stack: list[Reach]) -> Field | None:
    field: Field | None = POINT
    for step in stack:
        field = None if field is None else through(field, step)
    return field


@given(st.lists(reaches(), max_size=5), st.integers(-40, 40))
def test_field_is_the_enumeration(stack: list[Reach], i: int) -> None:
    field = field_of(stack)
    assert field is None or field.at(i) == span(i, stack)


@given(st.lists(reaches(), max_size=5))
def test_size_and_start_and_jump(stack: list[Reach]) -> None:
    field = field_of(stack)
    if field is None:
        return
    spans = [span(i, stack) for i in range(len(field.low) + 1)]
    assert field.size == max(b - a for a, b in spans[:-1]) + 1
    assert field.start == spans[0][0]
    assert spans[-1][0] - spans[0][0] == field.advance == field.jump * len(field.low)


@given(st.lists(reaches(), max_size=4), st.lists(reaches(), max_size=4), st.integers(-20, 20))
def test_merge_is_the_union(left: list[Reach], right: list[Reach], i: int) -> None:
    a, b = field_of(left), field_of(right)
    if a is None or b is None:
        return
    both = merged(a, b)
    if both is None:
        return
    (first, last), (low, high) = span(i, left), span(i, right)
    assert both.at(i) == (min(first, low), max(last, high))


def test_known_network() -> None:
    """Three 3-wide windows and two poolings of 2: 1 + 2·1 + 1·1 + 2·2 + 1·2 + 2·4 = 18 positions, 4 apart."""
    stack = [Reach(1, -1, 1), Reach(2, 0, 1), Reach(1, -1, 1), Reach(2, 0, 1), Reach(1, -1, 1)]
    field = field_of(stack)
    assert field is not None and (field.size, field.jump) == (18, 4)
