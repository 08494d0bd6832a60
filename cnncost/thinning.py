"""A long line drawn with few points: of each run of its values the highest stays, so that no peak is lost."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def highest(values: Sequence[int], most: int) -> list[int]:
    """Places of all values, or of the highest in each of ``most`` equal runs where there are more.

    >>> highest([1, 5, 2, 2, 9, 0], 3)
    [1, 2, 4]
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    edges = [i * count // most for i in range(most + 1)]
    return [max(range(low, high), key=values.__getitem__) for low, high in pairwise(edges)]
