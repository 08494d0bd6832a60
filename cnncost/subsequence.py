"""Two sequences side by side: the longest common subsequence, in bounded time.

The rows of the textbook's table are bit vectors (M. Crochemore, C. S. Iliopoulos, Y. J. Pinzon, J. F. Reid, "A fast and
practical bit-vector algorithm for the longest common subsequence problem", 2001): n·m steps in words of a big integer.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence


def common(first: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Places (in the first, in the other) of a longest common subsequence, in order.

    Which one, where there are several, does not depend on which sequence comes first.

    >>> common("abcbd", "acbxd")
    [(0, 0), (2, 1), (3, 2), (4, 4)]
    """
    numbers: dict[Hashable, int] = {}
    codes = [[numbers.setdefault(item, len(numbers)) for item in items] for items in (first, other)]
    start = 0
    end = 0
    shorter = min(len(first), len(other))
    while start < shorter and codes[0][start] == codes[1][start]:
        start += 1
    while end < shorter - start and codes[0][-1 - end] == codes[1][-1 - end]:
        end += 1
    one, two = (row[start : len(row) - end] for row in codes)
    texts = [repr(items[start : len(items) - end]) for items in (first, other)]
    if (len(two), texts[1]) < (len(one), texts[0]):
        middle = [(i, j) for j, i in _longest(two, one)]
    else:
        middle = _longest(one, two)
    pairs = [(i, i) for i in range(start)] + [(start + i, start + j) for i, j in middle]
    return pairs + [(len(first) - n, len(other) - n) for n in range(end, 0, -1)]


def length(first: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """How long it is; no row is kept.

    >>> length("allocate", "relocate"), length("", "a")
    (6, 0)
    """
    where: dict[Hashable, int] = {}
    for place, item in enumerate(first):
        where[item] = where.get(item, 0) | 1 << place
    full = row = (1 << len(first)) - 1
    for item in other:
        hits = row & where.get(item, 0)
        if hits:
            row = (row + hits | row - hits) & full
    return len(first) - row.bit_count()


def _longest(one: list[int], two: list[int]) -> list[tuple[int, int]]:
    """Row i of the table has a zero bit at j where the common subsequence of one[:i + 1] and two[:j + 1] is longer
    than that of two[:j]."""
    where: dict[int, int] = {}
    for j, item in enumerate(two):
        where[item] = where.get(item, 0) | 1 << j
    full = (1 << len(two)) - 1
    row, rows = full, []
    for item in one:
        matches = where.get(item, 0)
        hits = row & matches
        row = ((row + hits) | (row & ~matches)) & full
        rows.append(row)
    pairs: list[tuple[int, int]] = []
    i, j = len(one) - 1, len(two) - 1
    while i >= 0 and j >= 0:
        if rows[i] >> j & 1:  # two[j] makes nothing longer
            j -= 1
        elif i and not rows[i - 1] >> j & 1:  # nor does one[i]
            i -= 1
        else:
            pairs.append((i, j))
            i, j = i - 1, j - 1
    return pairs[::-1]
