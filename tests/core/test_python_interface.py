"""Wrong arguments of the Python interface: each is a CnncostError that names the rule, never another exception."""

from __future__ import annotations

from typing import Any

import pytest

import cnncost

NET: dict[str, Any] = {"input": [8, 8, 3], "layers": [{"Conv2D": [4, 3]}]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"batch": 0}, "whole number"),
        ({"batch": True}, "whole number"),
        ({"batch": 1.0}, "whole number"),
        ({"input": 3}, r"such as \[224, 224, 3\]"),
        ({"input": "8,8,3"}, r"such as \[224, 224, 3\]"),
        ({"input": object()}, "a wrong input shape"),
        ({"input": {"input": 5}}, "a wrong input shape"),
        ({"input": {"input": "8,8"}}, "a wrong input shape"),
        ({"input": {3: [3]}}, "no input '3'"),
        ({"input": {"inptu": [3]}}, "did you mean 'input'"),
        ({"input": [8, 8, 3.0]}, "write 3"),
        ({"input": [[8, 8, 3], [8, 8, 3]]}, "2 input shapes for 1 inputs"),
        ({"input": [8, None, 3]}, "stays unknown"),
        ({"dtype": 3}, "unknown dtype"),
        ({"dtype": []}, "unknown dtype"),
        ({"mode": []}, "wrong mode"),
        ({"optimizer": 3}, "unknown optimizer"),
        ({"variables": 3}, "a mapping of names"),
        ({"variables": [1]}, "a mapping of names"),
        ({"variables": {3: 3}}, "no variable '3'"),
    ],
)
def test_wrong_arguments(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(cnncost.CnncostError, match=words):
        cnncost.analyze(NET, **wrong)


@pytest.mark.parametrize("shape", [[6, 7, 3], (6, 7, 3), [[6, 7, 3]], {"input": [6, 7, 3]}])
def test_ways_to_give_an_input(shape: Any) -> None:
    assert cnncost.analyze(NET, input=shape).layers[-1].output_shape == (4, 5, 4)


def test_a_row_has_what_its_json_has() -> None:
    analysis = cnncost.analyze("zoo:padding-same")
    for record, data in zip(analysis.layers, analysis.to_dict()["layers"], strict=True):
        for name in data.keys() - {"weights"}:
            value, plain = getattr(record, name), data[name]
            assert value == plain or [list(v) if isinstance(v, tuple) else v for v in value] == plain, name
    last = analysis.layers[1]
    assert (last.padding, last.ignored, last.receptive_field, last.jump, last.start) == (
        ((1, 2),), (0,), (6,), (5,), (-1,)
    )  # fmt: skip
