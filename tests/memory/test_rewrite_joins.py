"""Concatenations inside concatenations are one."""

from __future__ import annotations

from typing import Any

import cnncost
from cnncost.memory.opgraph import OpGraph, Spec
from cnncost.memory.predict import predict
from cnncost.memory.rewrite import rewrite

BRANCH: list[Any] = [{"Conv2D": {"filters": 8, "kernel_size": 1}}]
FOUR = {"branches": [BRANCH] * 4}
NESTED = {"branches": [BRANCH, [{"branches": [BRANCH, BRANCH]}], BRANCH]}
END: list[Any] = [{"Conv2D": {"filters": 4, "kernel_size": 1}}]


def _joins(joined: Any, mode: str) -> tuple[int, list[int]]:
    """The peak, and the bytes of what is joined."""
    spec = {"input": [24, 24, 16], "layers": [{"Conv2D": {"filters": 16, "kernel_size": 3}}, joined, *END]}
    found = predict(cnncost.analyze(spec, batch=2, mode=mode), mode)
    return found.peak_bytes, [event.bytes for event in found.events if event.op.type == "ConcatV2" and event.bytes > 0]


def test_a_join_in_a_join_costs_what_one_join_costs() -> None:
    """Both have four branches of eight maps each: nobody but the outer join reads the inner one."""
    assert _joins(NESTED, "inference") == _joins(FOUR, "inference")


def test_so_it_is_in_training() -> None:
    """A join's gradient reads shapes alone; only that of the inner join is a slice of a slice."""
    assert _joins(NESTED, "training")[1] == _joins(FOUR, "training")[1] == [2 * 22 * 22 * 32 * 4]


def test_a_join_that_is_read_twice_stays() -> None:
    from cnncost.memory.opgraph import OpGraph, Spec
    from cnncost.memory.rewrite_joins import merge_joins

    graph = OpGraph()
    a, b = (graph.argument(name, Spec((1, 2), "float32")) for name in "ab")
    inner = graph.add("ConcatV2", [a, b], axis=1)
    outer = graph.add("ConcatV2", [inner, a], axis=1)
    other_axis = graph.add("ConcatV2", [graph.add("ConcatV2", [a, b], axis=1), inner], axis=0)
    graph.results = [outer, other_axis]
    merge_joins(graph)
    assert outer.op.inputs == [inner, a]
    assert [value.op.type for value in other_axis.op.inputs] == ["ConcatV2", "ConcatV2"]


def test_parts_of_joined_joins_are_computed_together() -> None:
    """concat(f(a), concat(f(b), f(c))) = f(concat(a, b, c)): the two blocks of InceptionV3 whose branches fork."""
    graph = OpGraph()
    a, b, c = (graph.add("Relu", (graph.argument(name, Spec((1, 2), "float32")),)) for name in "abc")
    graph.results = [graph.add("ConcatV2", [a, graph.add("ConcatV2", [b, c], axis=1)], axis=1)]
    rewrite(graph)
    assert [op.type for op in graph.ops if op.type in ("Relu", "ConcatV2")] == ["ConcatV2", "Relu"]
