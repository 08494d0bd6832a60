"""One axis of a sliding window, against an enumeration of every placement and every tap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncost.errors import GeometryError
from cnncost.window import reach, slide

SIZES, KERNELS, STRIDES, DILATIONS = (st.integers(1, n) for n in (40, 8, 7, 4))


def placements(size: int, span: int, stride: int, before: int, after: int) -> list[int]:
    """Starts of all windows that lie inside the padded axis, position 0 being the input's first."""
    return [
        start
        for start in range(-before, size + after)
        if start + span <= size + after and (start + before) % stride == 0
    ]


@given(SIZES, KERNELS, STRIDES, DILATIONS)
def test_valid_is_every_window_inside(size: int, kernel: int, stride: int, dilation: int) -> None:
    span = (kernel - 1) * dilation + 1
    starts = placements(size, span, stride, 0, 0)
    if not starts:
        with pytest.raises(GeometryError):
            slide(size, kernel, stride, "valid", dilation)
        return
    window = slide(size, kernel, stride, "valid", dilation)
    assert window.output == len(starts) and window.before == window.after == 0
    assert window.ignored == size - max(start + span for start in starts)


@given(SIZES, KERNELS, STRIDES, DILATIONS)
def test_same_is_the_least_padding_for_one_window_each_stride(
    size: int, kernel: int, stride: int, dilation: int
) -> None:
    window = slide(size, kernel, stride, "same", dilation)
    before, after = window.before, window.after
    assert before is not None and after is not None
    assert window.output == len(range(0, size, stride))
    assert len(placements(size, window.span, stride, before, after)) == window.output
    assert after - before in (0, 1), "the odd position goes to the end"
    if before + after:  # one position less would lose the last window
        assert len(placements(size, window.span, stride, before, after - 1)) == window.output - 1
    starts = placements(size, window.span, stride, before, after)
    assert window.ignored == max(size - (starts[-1] + window.span), 0)


@given(SIZES, KERNELS, STRIDES, DILATIONS)
def test_causal_never_sees_the_future(size: int, kernel: int, stride: int, dilation: int) -> None:
    window = slide(size, kernel, stride, "causal", dilation)
    read = reach(window)
    assert read is not None and window.output == len(range(0, size, stride))
    assert all(i * read.step + read.high == i * stride for i in range(window.output or 0))


@given(SIZES, KERNELS, STRIDES, DILATIONS, st.sampled_from(["valid", "same", "causal", "full"]))
def test_reach_is_first_and_last_tap(size: int, kernel: int, stride: int, dilation: int, padding: str) -> None:
    try:
        window = slide(size, kernel, stride, padding, dilation)
    except GeometryError:
        return
    read = reach(window)
    assert read is not None and window.before is not None and window.after is not None
    starts = placements(size, window.span, stride, window.before, window.after)
    assert len(starts) == window.output
    for i, start in enumerate(starts):
        taps = [start + u * dilation for u in range(kernel)]
        assert (i * read.step + read.low, i * read.step + read.high) == (taps[0], taps[-1])


@given(KERNELS, STRIDES, DILATIONS, st.sampled_from(["valid", "same", "causal"]), SIZES)
def test_unknown_size_agrees_with_every_known_one(
    kernel: int, stride: int, dilation: int, padding: str, size: int
) -> None:
    unknown = slide(None, kernel, stride, padding, dilation)
    assert unknown.output is None
    try:
        known = slide(size, kernel, stride, padding, dilation)
    except GeometryError:
        return
    for field in ("before", "after", "ignored"):
        assert getattr(unknown, field) in (None, getattr(known, field))


@pytest.mark.parametrize(
    ("size", "padding", "output", "before", "after", "ignored"),
    [(13, "valid", 2, 0, 0, 2), (13, "same", 3, 1, 2, 0)],
)
def test_the_lecture_s_example(size: int, padding: str, output: int, before: int, after: int, ignored: int) -> None:
    """Width 13, filter 6, stride 5."""
    window = slide(size, 6, 5, padding)
    assert (window.output, window.before, window.after, window.ignored) == (output, before, after, ignored)
