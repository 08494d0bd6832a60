"""Constants that are several, or none yet, until the second of grappler's rounds (TensorFlow 2.21).

Of several constants in a tree of products (``constants``) the lowest product becomes one. It is folded at once where
what it was before, a product of the layer's shape, is not larger than 100 KiB (constant_folding.cc: kMaxConstantSize;
seen with 102,400 and 108,800 bytes); otherwise it goes through the first round as an op, which reads both constants,
and is another node than an equal constant that was folded in time. What waited for the product, as the gradient of
``erfc`` does, waits for it until the dependency optimizer sorts last: the remapper's walk comes to it from there.

What the first round makes behind its own merging of equal nodes, equal or not, is a node each until the second merges
it: reciprocals of divisors, begins of slices, shapes of noise, squares of a gradient that weights share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cnncost.memory.opgraph import Op

SIZE = 100 << 10  # bytes
MADE_OF = "made of"  # of a constant that is folded late: those that it was made of
SEVERAL = "several"  # of what weights that share a gradient make of it: one op for each reader in the first round
TOLD = "told"  # what a steering constant was made from, by ops that the first round folds
FREED = "freed"  # of an op: the late constant that it waited for
Sources = Sequence[Sequence[int]]


class Late(NamedTuple):
    """``made``: what each constant that is folded late reads in the first round; ``freed``: which one an op waits for;
    ``own``: what ops read while equal constants are several; ``equal``: these, by the one that they become."""

    made: dict[int, list[int]]
    freed: dict[int, int]
    own: dict[int, list[int]]
    equal: dict[int, list[int]]

    def first(self, sources: Sources) -> Sources:
        """What each node waits for when the second round begins."""
        if not (self.own or self.made):
            return sources
        found = list(self.second(sources))
        for place, read in {**self.own, **self.made}.items():
            found[place] = read
        return found

    def second(self, sources: Sources) -> Sources:
        """The same when all are folded, and equal ones are one."""
        if not self.freed:
            return sources
        found = list(sources)
        for place, constant in self.freed.items():
            found[place] = [*sources[place], constant]
        return found

    def merged(self, order: list[int], sources: Sources, ops: int) -> list[int]:
        """Of equal constants the first stays; those that nobody reads any more go."""
        over = {place for read in self.made.values() for place in read if place >= ops}
        if over:
            for own in sources:
                over.difference_update(own)
        if not over and not self.equal:
            return order
        one = {place: constant for constant, several in self.equal.items() for place in several}
        if over:
            order = [place for place in order if place not in over]
        return list(dict.fromkeys(map(one.get, order, order)))


def made_late(product: Op, constants: Sequence[Op]) -> dict[str, Sequence[Op]]:
    """Attributes of the constant that ``constants`` become where ``product`` was."""
    return {MADE_OF: constants} if product.outputs[0].bytes > SIZE else {}
