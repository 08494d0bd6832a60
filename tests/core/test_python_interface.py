"""Wrong arguments of the Python interface: each is a CnncostError that names the rule, never another exception."""

from __future__ import annotations

import json
from pathlib import Path
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


@pytest.mark.parametrize("given", [[3, 5], (3, 5), "[3, 5]", "[3,5]"])
def test_a_variable_that_is_a_list(given: Any) -> None:
    net = {"input": [8, 8, 1], "variables": {"k": [1, 1]}, "layers": [{"Conv2D": {"filters": 1, "kernel_size": "$k"}}]}
    assert cnncost.analyze(net, variables={"k": given}).layers[-1].output_shape == (6, 4, 1)
    with pytest.raises(cnncost.CnncostError, match="kernel_size"):
        cnncost.analyze(net, variables={"k": "[3, x]"})


@pytest.mark.parametrize("shape", [[6, 7, 3], (6, 7, 3), [[6, 7, 3]], {"input": [6, 7, 3]}])
def test_ways_to_give_an_input(shape: Any) -> None:
    assert cnncost.analyze(NET, input=shape).layers[-1].output_shape == (4, 5, 4)


def test_a_row_has_what_its_json_has() -> None:
    analysis = cnncost.analyze("zoo:padding-same").with_peaks()
    for record, data in zip(analysis.layers, analysis.to_dict()["layers"], strict=True):
        for name in data.keys() - {"weights"}:
            value, plain = getattr(record, name), data[name]
            assert value == plain or [list(v) if isinstance(v, tuple) else v for v in value] == plain, name
    last = analysis.layers[1]
    assert (last.padding, last.ignored, last.receptive_field, last.jump, last.start) == (
        ((1, 2),), (0,), (6,), (5,), (-1,)
    )  # fmt: skip


DATA = Path(__file__).parents[1] / "sources" / "data"


def tupled(value: Any) -> Any:
    """Tuples where JSON has lists in a call's arguments, as ``get_config`` returns them."""
    if isinstance(value, dict):
        return {k: tuple(v) if k == "args" and isinstance(v, list) else tupled(v) for k, v in value.items()}
    return [tupled(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", ["mixed", "mobile", "siamese", "transfer"])
def test_what_get_config_returns_is_a_keras_config(name: str, tmp_path: Path) -> None:
    whole = json.loads((DATA / f"{name}.json").read_text())
    bare = tmp_path / "bare.json"
    bare.write_text(json.dumps(whole["config"]))
    expected = cnncost.analyze(whole).totals
    assert cnncost.analyze(tupled(whole["config"])).totals == cnncost.analyze(str(bare)).totals == expected


def test_a_config_inside_itself_is_an_error() -> None:
    config: dict[str, Any] = {"layers": [{"class_name": "Dense", "config": {}}]}
    config["layers"][0]["config"]["units"] = config
    with pytest.raises(cnncost.CnncostError, match="nested too deeply"):
        cnncost.analyze(config)


@pytest.mark.keras
def test_get_config_of_live_models() -> None:
    import keras

    entry = keras.Input((9, 9, 2))
    hidden = keras.layers.Conv2D(3, 3)(entry)
    several = keras.Model(entry, [hidden, keras.layers.Add()([hidden, hidden])])
    chain = keras.Sequential([keras.Input((9, 9, 2)), keras.layers.Conv2D(3, 3), keras.layers.Flatten()])
    for model in (several, chain):
        assert cnncost.analyze(model.get_config()).totals == cnncost.analyze(model).totals
