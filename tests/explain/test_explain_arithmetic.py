"""Every line that explain prints is evaluated: both sides of each = must agree, exactly or within the rounding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import cnncost
from cnncost.analysis import Analysis, analyze_graph
from cnncost.errors import CnncostError
from cnncost.explain import explain, explain_lines
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds.convolution import Conv1D, Conv2D
from cnncost.kinds.core import InputLayer
from cnncost.kinds.pooling import AveragePooling2D, MaxPooling2D
from cnncost.kinds.registry import lookup

ZOO = sorted(path.stem for path in (Path(cnncost.__file__).parent / "zoo").glob("*.yaml"))

# -- a tiny evaluator of what is printed -------------------------------------------------------------------------------

BITS = {"bit": 1, "B": 8, "KiB": 2**13, "MiB": 2**23, "GiB": 2**33, "TiB": 2**43, "PiB": 2**53}
BITS |= {"kB": 8 * 10**3, "MB": 8 * 10**6, "GB": 8 * 10**9, "TB": 8 * 10**12, "PB": 8 * 10**15}
TOKEN = re.compile(r"\s*(\d[\d,]*(?:\.\d+)?|[A-Za-z]+|//|[-+×·/(),])")
CALLS = {"ceil": ceil, "floor": floor}


class Amount(NamedTuple):
    """A number known to lie between two bounds, of bits or of nothing."""

    low: Fraction
    high: Fraction
    unit: str = ""


class Evaluator:
    """expr = term (+|- term)*; term = factor ((×|·|/|//) factor)*; factor = -? number unit? | call | ( expr )."""

    def __init__(self, text: str) -> None:
        self.tokens: list[str] = []
        at = 0
        while at < len(text.rstrip()):
            found = TOKEN.match(text, at)
            assert found, f"cannot read {text[at:]!r} in {text!r}"
            self.tokens.append(found.group(1))
            at = found.end()
        self.text, self.at = text, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        token = self.peek()
        assert token and (not expected or token == expected), f"{expected or 'something'} missing in {self.text!r}"
        self.at += 1
        return token

    def run(self) -> Amount:
        value = self.sum()
        assert not self.peek(), f"{self.peek()!r} is left over in {self.text!r}"
        return value

    def sum(self) -> Amount:
        value = self.term()
        while self.peek() in ("+", "-"):
            sign, other = self.take(), self.term()
            assert value.unit == other.unit, self.text
            value = (
                Amount(value.low + other.low, value.high + other.high, value.unit)
                if sign == "+"
                else Amount(value.low - other.high, value.high - other.low, value.unit)
            )
        return value

    def term(self) -> Amount:
        value = self.factor()
        while self.peek() in ("×", "·", "/", "//"):
            sign, other = self.take(), self.factor()
            assert not (value.unit and other.unit), self.text
            unit = value.unit or other.unit
            if sign in ("×", "·"):
                value = Amount(value.low * other.low, value.high * other.high, unit)
            else:
                quotient = value.low / other.low
                value = Amount(*(2 * (Fraction(floor(quotient)) if sign == "//" else quotient,)), unit)
        return value

    def factor(self) -> Amount:
        if self.peek() == "-":
            self.take()
            value = self.factor()
            return Amount(-value.high, -value.low, value.unit)
        if self.peek() == "(":
            self.take()
            value = self.sum()
            self.take(")")
            return value
        token = self.take()
        if token in ("max", "min", *CALLS):
            return self.call(token)
        # A comma that no three digits follow belongs to the list, not to the number.
        assert re.fullmatch(r"\d{1,3}(,\d{3})*(\.\d+)?|\d+(\.\d+)?", token.rstrip(",")), f"{token!r} in {self.text!r}"
        if token.endswith(","):
            self.at -= 1
            self.tokens[self.at : self.at + 1] = [token[:-1], ","]
            self.at += 1
            token = token[:-1]
        number = Fraction(token.replace(",", ""))
        unit = self.peek()
        if unit in BITS:
            self.take()
            slack = Fraction(0) if unit in ("bit", "B") else Fraction(1, 200)
            return Amount((number - slack) * BITS[unit], (number + slack) * BITS[unit], "bit")
        if unit == "weights":
            self.take()
        assert "." not in token, f"a rounded number without a unit in {self.text!r}"
        return Amount(number, number)

    def call(self, name: str) -> Amount:
        self.take("(")
        values = [self.sum()]
        while self.peek() == ",":
            self.take()
            values.append(self.sum())
        self.take(")")
        if name in CALLS:
            assert len(values) == 1
            return Amount(*(2 * (Fraction(CALLS[name](values[0].low)),)))
        lows = [value.low for value in values]
        return Amount(*(2 * ((max if name == "max" else min)(lows),)))


def chains(line: str) -> Iterator[str]:
    """The chains of = in a printed line: without the name before a colon, the words before 'gives', the remarks."""
    for part in re.split(r"; |, or |, (?=[a-z])", line.strip()):
        if " = " in part:
            head, tail = part.split(" = ", 1)
            head = re.split(r": | gives ", head)[-1]
            yield f"{head} = {tail}"


def is_equation(chain: str) -> bool:
    """Not arithmetic but a definition: its left side is a symbol."""
    return bool(re.fullmatch(r"[a-z](\[[^\]=]*\])?", chain.split(" = ", 1)[0]))


def check(line: str) -> int:
    """Evaluate a line; the number of equalities that it states."""
    stated = 0
    for chain in chains(line):
        if is_equation(chain):
            continue
        sides = [Evaluator(side).run() for side in chain.split(" = ")]
        for side in sides[1:]:
            assert side.unit == sides[0].unit, line
            assert side.low <= sides[0].high and sides[0].low <= side.high, line
            stated += 1
    return stated


@pytest.mark.parametrize(
    "wrong",
    ["a: 2 × 3 = 7", "b: ceil(13 / 5) = 2", "c: 12,000,000 B = 11.45 MiB", "d: 1 B = 8", "e: 2 + 2 = 4 = 5", "f: = 4",
     "g; x gives floor((224 - 11)/4) + 1 = 55", "h: 1,2 = 12"],
)  # fmt: skip
def test_the_evaluator_refuses_what_is_false(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check(wrong)


# -- what is printed ---------------------------------------------------------------------------------------------------


def check_all(analysis: Analysis, layer: str | None = None) -> int:
    equations = [step.line() for part in explain(analysis, layer) if part.title == "Equation" for step in part.steps]
    stated = 0
    for line in explain_lines(analysis, layer):
        assert "\n" not in line and len(line) < 4000
        if any(is_equation(chain) for chain in chains(line)):
            assert line.strip() in equations, line
        elif line.strip() not in equations:
            stated += check(line)
    return stated


@pytest.mark.parametrize("name", ZOO)
def test_every_line_about_the_zoo_is_true(name: str) -> None:
    analysis = cnncost.analyze(f"zoo:{name}", batch=3)
    assert check_all(analysis) >= len({row.kind for row in analysis.layers})
    kinds = {row.kind: row.name for row in analysis.layers}
    for layer in kinds.values():
        check_all(analysis, layer)


def model(kind: object, shape: tuple[int, ...], batch: int = 1, dtype: str | None = None) -> Analysis:
    layers = (Layer("input", InputLayer(shape=shape)), Layer("layer", kind, (Ref(0),)))  # type: ignore[arg-type]
    return analyze_graph(Graph("model", layers, (Ref(1),)), batch=batch, dtype=dtype)


def texts(analysis: Analysis, layer: str | None = None) -> str:
    return "\n".join(explain_lines(analysis, layer))


def test_the_memory_example_reads_as_the_lecture_has_it() -> None:
    printed = texts(cnncost.analyze("zoo:memory-example", batch=100), "conv")
    for text in (
        "(5×5×3 + 1) × 200 = 15,200",
        "150 × 100 × 200 × 75 = 225,000,000",
        "200 × 150 × 100 × 32 bit = 96,000,000 bit = 12,000,000 B = 11.44 MiB",
        "× 100 = 1,200,000,000 B = 1.2 GB = 1.12 GiB",
        "× 100 = 1.2 GB = 1.12 GiB",
        "150 × 100 × 3 × 3,000,000 + 3,000,000 weights",
        "z[i, j, k] = b[k] + Σ_u Σ_v Σ_k' x[i + u - 2, j + v - 2, k'] · w[u, v, k', k]",
    ):
        assert text in printed


def test_the_paddings_of_width_13_read_as_the_lecture_has_them() -> None:
    same = texts(model(Conv1D(filters=1, kernel_size=6, strides=5, padding="same"), (13, 1)))
    assert "SAME: ceil(13 / 5) = 3" in same
    assert "max((3 - 1) × 5 + 6 - 13, 0) = 3; left 1, right 2" in same
    valid = texts(model(Conv1D(filters=1, kernel_size=6, strides=5), (13, 1)))
    assert "VALID: floor((13 - 6) / 5) + 1 = 2" in valid
    assert "13 - ((2 - 1) × 5 + 6) = 2; no window reaches the last 2" in valid


sizes, small = st.integers(1, 3000), st.integers(1, 9)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(sizes, sizes, st.integers(1, 4).map(lambda n: 2 * n)), kernel=st.tuples(small, small),
    strides=st.tuples(small, small), dilation=st.tuples(small, small), padding=st.sampled_from(["same", "valid"]),
    filters=small, grouped=st.booleans(), bias=st.booleans(), batch=st.sampled_from([1, 7, 100]),
    dtype=st.sampled_from([None, "float16", "mixed_bfloat16"]), kind=st.sampled_from(["conv", "max", "mean"]),
)  # fmt: skip
def test_random_convolutions_and_poolings(
    shape, kernel, strides, dilation, padding, filters, grouped, bias, batch, dtype, kind
) -> None:  # type: ignore[no-untyped-def]
    try:
        if kind == "conv":
            steps = {"dilation_rate": dilation} if strides == (1, 1) or sum(strides) % 3 == 0 else {"strides": strides}
            layer: object = Conv2D(filters=2 * filters, kernel_size=kernel, padding=padding, groups=2 if grouped else 1,
                                   use_bias=bias, **steps)  # fmt: skip
        else:
            pool = MaxPooling2D if kind == "max" else AveragePooling2D
            layer = pool(pool_size=kernel, strides=strides, padding=padding)
        analysis = model(layer, shape, batch, dtype)
    except CnncostError:
        return
    row = analysis.layers[1]
    assert check_all(analysis) >= 5
    # The indices of the equation run exactly over the positions that the windows cover.
    equation = next(part for part in explain(analysis) if part.title == "Equation").steps[0].text
    indices = re.search(r"x\[([^,]*), ([^,]*)", equation)
    assert indices
    for text, window, (out, tap) in zip(indices.groups(), row.windows, (("i", "u"), ("j", "v")), strict=True):
        code = text.replace("·", "*").replace(",", "").replace("]", "")
        first = eval(code, {"i": 0, "j": 0, "u": 0, "v": 0})
        last = eval(code, {out: window.output - 1, tap: window.kernel - 1})
        assert first == -window.before
        assert last == (window.output - 1) * window.stride - window.before + (window.kernel - 1) * window.dilation


CASES = [row for path in sorted((Path(__file__).parents[1] / "kinds").glob("cases_*.yaml"))
         for row in yaml.safe_load(path.read_text()) if row[2]]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{row[0]}-{i}" for i, row in enumerate(CASES)])
def test_every_kind_explains_itself(case: list) -> None:
    name, arguments, shapes = case[:3]
    inputs = tuple(Layer(f"input{i}", InputLayer(shape=tuple(shape))) for i, shape in enumerate(shapes))
    layer = Layer("layer", lookup(name).build(arguments), tuple(Ref(i) for i in range(len(shapes))))
    analysis = analyze_graph(Graph("model", (*inputs, layer), (Ref(len(shapes)),)), batch=2)
    check_all(analysis, "layer")
    check_all(analysis)
    sections = explain(analysis, "layer")
    row = analysis.layers[-1]
    titles = {part.title for part in sections}
    assert {"Output size", "Equation", "Training and inference"} <= titles
    assert ("Weights" in titles) == bool(row.weights)
    printed = "\n".join(explain_lines(analysis, "layer"))
    assert all(f"{figure:,}" in printed for figure in (row.params, row.macs, row.flops) if figure)


def chain_of(*kinds: object, shape: tuple[int, ...] = (32, 32, 3)) -> Analysis:
    layers = [Layer("input", InputLayer(shape=shape))]
    layers += [Layer(f"block/conv_{i}", kind, (Ref(i),)) for i, kind in enumerate(kinds)]  # type: ignore[arg-type]
    return analyze_graph(Graph("chain", tuple(layers), (Ref(len(kinds)),)))


def test_a_layer_is_named_by_its_end_or_a_pattern_and_the_nearest_is_named_on_a_typo() -> None:
    analysis = chain_of(*(Conv2D(filters=4, kernel_size=3, padding="same") for _ in range(3)))
    whole = explain(analysis, "block/conv_1")
    assert explain(analysis, "conv_1") == explain(analysis, "*_1") == explain(analysis, "_1") == whole
    with pytest.raises(CnncostError, match="fits 3 layers"):
        explain(analysis, "block/*")
    with pytest.raises(CnncostError) as wrong:
        explain(analysis, "block/conv_l")
    assert "did you mean 'block/conv_" in wrong.value.message
    for hostile in ("", "[", "*" * 300, "x" * 10_000, "\x00", "[!" * 50, "?" * 199):
        with pytest.raises(CnncostError):
            explain(analysis, hostile)


def test_a_very_long_model_stays_short() -> None:
    conv = Conv2D(filters=3, kernel_size=3, padding="same")
    same = explain_lines(chain_of(*[conv] * 3000))
    assert len(same) < 60 and max(map(len, same)) < 500
    varied = explain_lines(chain_of(*(Conv2D(filters=1 + i % 997, kernel_size=1) for i in range(2500))))
    assert len(varied) < 1500 and max(map(len, varied)) < 1500
    for line in varied:
        check(line)


def test_totals_are_the_sums_of_the_layers() -> None:
    analysis = cnncost.analyze("zoo:resnet152")
    printed = texts(analysis)
    for figure in ("= 60,419,944", "- 151,424 = 60,268,520", "= 11,282,415,616"):
        assert figure in printed


def test_lenet5_counts_the_connections_of_the_1998_paper() -> None:
    analysis = cnncost.analyze("zoo:lenet5-1998")
    paper = {"C1": 122_304, "S2": 5_880, "C3": 151_600, "S4": 2_000, "C5": 48_120, "F6": 10_164, "Out": 840}
    for layer, connections in paper.items():
        (line,) = [line for line in explain_lines(analysis, layer) if line.strip().startswith("connections: ")]
        assert f" = {connections:,};" in line
