"""Receptive fields, exactly: which positions of the model's input one output position sees, along one axis.

Position ``q·period + r`` sees ``low[r] + q·advance … high[r] + q·advance``. Sliding windows, upsampling, transposed
convolutions and merges stay inside this form, so no approximation is made; ``jump`` is advance/period. Positions that
padding added are part of the field, as usual in the literature (a field may be larger than the image).
"""

from __future__ import annotations

from fractions import Fraction
from math import gcd
from typing import NamedTuple

from cnncost.window import Reach

MAX_PERIOD = 1024


class Field(NamedTuple):
    """What positions along one axis see; see the module's text for the form."""

    advance: int
    low: tuple[int, ...]
    high: tuple[int, ...]

    @property
    def size(self) -> int:
        """The most positions that one output position sees."""
        return max(h - lo for lo, h in zip(self.low, self.high, strict=True)) + 1

    @property
    def jump(self) -> Fraction:
        return Fraction(self.advance, len(self.low))

    @property
    def start(self) -> int:
        """The first position that output position 0 sees; negative inside the padding."""
        return self.low[0]

    def at(self, i: int) -> tuple[int, int]:
        """First and last input position that position ``i`` sees."""
        q, r = divmod(i, len(self.low))
        return self.low[r] + q * self.advance, self.high[r] + q * self.advance


POINT = Field(1, (0,), (0,))


def through(field: Field, reach: Reach) -> Field | None:
    """The field of a layer's output, from the field of its input and what the layer reads.

    >>> through(through(POINT, Reach(2, 0, 2)), Reach(2, 0, 2))   # two 3-wide windows with stride 2
    Field(advance=4, low=(0,), high=(6,))
    """
    step, low, high, up = reach
    if up == 1 and len(field.low) == 1:
        base, top, advance = field.low[0], field.high[0], field.advance
        return Field(advance * step, (base + low * advance,), (top + high * advance,))
    inner = len(field.low)
    period = up * inner // gcd(step, up * inner)
    if period > MAX_PERIOD:
        return None
    lows, highs = [], []
    for i in range(period):
        # Both ends only ever move forward, here and below, so that the ends of the range have the ends of the union.
        first, last = (i * step + low) // up, (i * step + high) // up
        lows.append(field.at(min(first, last))[0])
        highs.append(field.at(last)[1])
    return _reduced(Field(period * step * field.advance // (up * inner), tuple(lows), tuple(highs)))


def merged(a: Field, b: Field) -> Field | None:
    """The union of two branches' fields; None when they do not advance alike.

    >>> merged(POINT, Field(1, (-1,), (1,)))
    Field(advance=1, low=(-1,), high=(1,))
    """
    if a == b:
        return a
    if a.jump != b.jump:
        return None
    period = len(a.low) * len(b.low) // gcd(len(a.low), len(b.low))
    if period > MAX_PERIOD:
        return None
    ends = [(a.at(i), b.at(i)) for i in range(period)]
    lows = tuple(min(x[0], y[0]) for x, y in ends)
    highs = tuple(max(x[1], y[1]) for x, y in ends)
    return _reduced(Field(int(a.jump * period), lows, highs))


def _reduced(field: Field) -> Field:
    """The same field with its shortest period, so that equal fields compare equal."""
    n = len(field.low)
    for period in range(1, n):
        if n % period == 0 and field.advance * period % n == 0:
            short = Field(field.advance * period // n, field.low[:period], field.high[:period])
            if all(short.at(i) == (field.low[i], field.high[i]) for i in range(n)):
                return short
    return field
