"""The order in which the executor's graph is built from a list of nodes."""

from __future__ import annotations

from random import Random

import pytest

from cnncost.memory.construction import constructed


def _plainly(places: list[int], sources: list[list[int]]) -> list[int]:
    """Each time the first of the list whose sources are all there."""
    left, order = list(places), list[int]()
    while left:
        place = next(place for place in left if set(sources[place]) <= set(order))
        left.remove(place)
        order.append(place)
    return order


def _random(seed: int, nodes: int = 24) -> tuple[list[int], list[list[int]]]:
    draw = Random(seed)
    sources = [draw.choices(range(node), k=draw.randint(0, 3)) if node else [] for node in range(nodes)]
    places = list(range(nodes))
    draw.shuffle(places)
    return places, sources


@pytest.mark.parametrize("seed", range(40))
def test_the_first_that_is_ready_comes_next(seed: int) -> None:
    places, sources = _random(seed)
    assert constructed(places, sources, range(len(places))) == _plainly(places, sources)


@pytest.mark.parametrize("seed", range(40))
def test_what_was_put_at_the_end_goes_back(seed: int) -> None:
    """A topological list whose every third node was moved behind all others, as oneDNN's pass does."""
    _, sources = _random(seed)
    places = [node for node in range(24) if node % 3] + [node for node in range(24) if not node % 3]
    assert constructed(places, sources, range(24)) == _plainly(places, sources)


@pytest.mark.parametrize("seed", range(10))
def test_a_topological_list_stays_as_it_is(seed: int) -> None:
    places, sources = _random(seed)
    order = constructed(places, sources, range(len(places)))
    assert constructed(order, sources, order) == order
