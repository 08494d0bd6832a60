"""Hostile input: never anything but CnncostError, never slow."""

from __future__ import annotations

import os
import string
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnncost.errors import CnncostError
from cnncost.sources import load
from cnncost.sources.spec import read_dict, read_file, read_text
from cnncost.sources.spec.expression import MAX_VALUE, evaluate, substitute

VARIABLES = {"w": 64, "n": 3, "flag": True, "text": "same", "zero": 0, "items": [1, 2]}
TOKENS = [
    "w",
    "n",
    "flag",
    "text",
    "zero",
    "items",
    "nothing",
    "1",
    "0",
    "9999999999999999999",
    "1.5",
    "'a'",
    "+",
    "-",
    "*",
    "//",
    "/",
    "%",
    "**",
    "(",
    ")",
    "<",
    "==",
    "and",
    "or",
    "not",
    "if",
    "else",
    "min",
    "max",
    "abs",
    ",",
    "lambda:",
    "[",
    "]",
    ".real",
    "__class__",
    ":=",
    "~",
    "<<",
    "for",
    "in",
    "\\",
    "\x00",
    "…",
    "{",
    "}",
    "$",
]
FAST = settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.too_slow])


@FAST
@given(st.lists(st.sampled_from(TOKENS), max_size=40), st.sampled_from(["", " "]))
def test_expressions_give_bounded_numbers_or_an_error(tokens: list[str], joint: str) -> None:
    try:
        value = evaluate(joint.join(tokens), VARIABLES)
    except CnncostError:
        return
    assert isinstance(value, int) and abs(value) <= MAX_VALUE


@FAST
@given(st.text(alphabet=st.sampled_from([*string.printable, "é", "\u2028", "\ud800"]), max_size=80))
def test_any_text_with_dollars(text: str) -> None:
    try:
        substitute("$" + text, VARIABLES)
    except CnncostError as error:
        assert str(error).isprintable()


@FAST
@given(st.recursive(
    st.sampled_from(["1", "2", "7", "w", "n", "zero"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "<", ">=", "==", " and ", " or "]), inner)
        .map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        inner.map(lambda t: f"(-{t})"),
        inner.map(lambda t: f"(not {t})"),
        st.tuples(inner, inner).map(lambda t: f"max({t[0]}, {t[1]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
    ),
    max_leaves=12,
))  # fmt: skip
def test_expressions_mean_what_python_means(text: str) -> None:
    try:
        expected = eval(text, {"__builtins__": {"max": max}}, {"w": 64, "n": 3, "zero": 0})
    except ZeroDivisionError:
        with pytest.raises(CnncostError, match="division by zero"):
            evaluate(text, VARIABLES)
        return
    try:
        value = evaluate(text, VARIABLES)
    except CnncostError as error:
        assert len(text) > 60 or abs(expected) > MAX_VALUE, error
        return
    assert value == expected and type(value) is type(expected)


YAML_BITS = [
    "input: ",
    "[8, 8, 3]",
    "layers:",
    "\n",
    "  ",
    "- ",
    "Conv2D",
    ": ",
    "[4, 3]",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "!!x ",
    "<<: ",
    "repeat: ",
    "residual:",
    "branches:",
    "$",
    "$(",
    ")",
    "'",
    '"',
    "#",
    ">",
    "?",
    "%",
    "---",
    "...",
    "\t",
    "blocks:",
    "b",
    "params:",
    "null",
    "1e999",
    "-.inf",
    "when: ",
    "inputs: ",
    "expect: ",
    "reuse: ",
    "\xa0",
    "\ufeff",
    "variables:",
    "name: ",
    "|",
]


@FAST
@given(st.lists(st.sampled_from(YAML_BITS), max_size=60))
def test_any_yaml_is_a_graph_or_an_error(bits: list[str]) -> None:
    try:
        read_text("".join(bits), "spec.yaml")
    except CnncostError as error:
        assert "\n" not in str(error)


KEYS = [
    "Conv2D",
    "ReLU",
    "Reshape",
    "residual",
    "branches",
    "reuse",
    "merge",
    "shortcut",
    "name",
    "inputs",
    "repeat",
    "when",
    "expect",
    "trainable",
    "dtype",
    "b",
    "filters",
    "kernel_size",
]
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["Conv2D", "$w", "$(w*2)", "b", "input", "previous"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@FAST
@given(DATA, DATA, DATA)
def test_any_data_is_a_graph_or_an_error(entry: object, params: object, expect: object) -> None:
    spec = {
        "input": [8, 8, 3], "variables": {"w": 3}, "layers": [{"Conv2D": [4, 3]}, entry], "expect": expect,
        "blocks": {"b": {"params": params, "layers": [entry]}},
    }  # fmt: skip
    for candidate in (spec, {**spec, "input": entry}, {**spec, "defaults": params}, {**spec, "outputs": entry}):
        try:
            read_dict(candidate)
        except CnncostError as error:
            assert "\n" not in str(error)


def test_cyclic_dicts() -> None:
    ring: list[object] = []
    ring.extend([ring, ring])
    with pytest.raises(CnncostError, match=r"nesting|values"):
        read_dict({"input": [3], "layers": ring})


@pytest.mark.parametrize(
    "data, words",
    [
        (b"input: [3]\nlayers: [Fl\xe4tten]\n", r"net\.yaml:2:12: error: not UTF-8 text.*0xe4"),
        (b"\x93NUMPY\x01\x00v\x00", "a binary file"),
        ("input: [3]\n".encode("utf-16"), "a binary file"),
        (b"#" * (4 * 2**20 + 1), "larger than 4 MiB"),
        (b"", "the spec is empty"),
        (b"input: [3]\nlayers: [Flatten, Re\xc2\x80LU]\n", r"net\.yaml:2:21: error: the character"),
    ],
)
def test_files_that_are_no_specs(tmp_path: Path, data: bytes, words: str) -> None:
    file = tmp_path / "net.yaml"
    file.write_bytes(data)
    with pytest.raises(CnncostError) as caught:
        read_file(str(file))
    import re

    assert re.search(words, str(caught.value)), str(caught.value)


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    file = tmp_path / "net.yaml"
    file.write_bytes(b"\xef\xbb\xbfinput: [3]\r\nlayers:\r\n  - Dense: 2\r\n")
    assert [layer.name for layer in read_file(str(file)).layers] == ["input", "dense"]


def test_things_that_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "dir.yaml").mkdir()
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "null.yaml").symlink_to("/dev/zero")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    problems = {"dir": "directory", "fifo": "not a regular file", "null": "not a regular file",
                "loop": "cannot be read", "none": "no such file", "x" * 300: "cannot be read"}  # fmt: skip
    for name, words in problems.items():
        with pytest.raises(CnncostError, match=words):
            load(str(tmp_path / f"{name}.yaml"))
    with pytest.raises(CnncostError, match="cannot be read"):
        load("a\0b.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "a: " * 1000, "&a " * 1000, "'" * 100_000,
        "input: [" + "?, " * 100_000 + "]", "x" * 1_000_000, "\n" * 1_000_000, "a" * 2000 + ": 1", "- x\n" * 300_000,
        "input: [3]\nlayers: [" + "ReLU, " * 100_000 + "Conv]",
        "input: [" + "9" * 100_000 + "]\nlayers: [Flatten]", "input: [1e" + "9" * 100_000 + "]\nlayers: [Flatten]",
        "input: [0x" + "f" * 100_000 + "]\nlayers: [Flatten]",
        "input: [3]\nlayers: [{Dense: $(" + "(" * 400 + "1" + ")" * 400 + ")}]",
        "input: [3]\nvariables: {a: 9223372036854775807}\nlayers: [{Dense: $(a * a)}]",
    ],
    ids=range(18),
)  # fmt: skip
def test_large_and_strange_texts_end_soon(text: str) -> None:
    start = time.process_time()
    with pytest.raises(CnncostError) as caught:
        read_text(text, "spec.yaml")
    assert time.process_time() - start < 5
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "text, words",
    [
        ('{"input": [8, 8, 3], "layers": [{"Conv2D": [4, 3', r"net\.json:1:49: error: not JSON.*cut off"),
        ('{"input": [8, 8, 3],\n "layers": [{"Conv2": [4, 3]}]}', r"net\.json:2:14: error: unknown layer kind"),
        ('{"input": [8, 8, 3], "input": [1], "layers": ["ReLU"]}', "stands twice"),
        ("[1, 2]", "a JSON source is an object"),
        ('{"a":\n "NaN", "b": NaN}', r"net\.json:2:14: error: not JSON: NaN is not a JSON number"),
        ('{"a":\n ' + "9" * 5000 + "}", r"net\.json:2:2: error: not JSON that can be read: a number of 5,000 digits"),
        ('{"a": [' + "{}," * 2_000_000 + "1]}", "the JSON is too large"),
        ("1.5", "received a number"),
        ("[" * 100_000, "not JSON"),
        ("", "not JSON"),
    ],
)
def test_json_files(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "net.json"
    file.write_text(text)
    with pytest.raises(CnncostError) as caught:
        load(str(file))
    import re

    assert re.search(words, str(caught.value)), str(caught.value)


def test_json_spec_is_the_yaml_spec(tmp_path: Path) -> None:
    file = tmp_path / "net.json"
    file.write_text('{"input":[8,8,3],\n\t"layers":[{"Conv2D":[4,3]},{"ReLU":null,"name":"caf\\u00e9"}]}')
    assert [layer.name for layer in load(str(file)).layers] == ["input", "conv2d", "café"]


@pytest.mark.parametrize("levels", [65, 999, 1_100, 20_000])
@pytest.mark.parametrize("form", ["[" * 65 + "{0}", "{0}", "- {1}"], ids=["brackets", "more-brackets", "dashes"])
def test_nesting_of_any_depth_is_one_error(levels: int, form: str) -> None:
    """The reader's own limit, which some versions of libyaml have, tells nothing else."""
    with pytest.raises(CnncostError, match="the nesting is deeper than 64 levels"):
        read_text(form.format("[" * levels + "]" * levels, "- " * levels), "spec.yaml")
