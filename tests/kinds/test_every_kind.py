"""Laws that hold for every kind, over the case tables cases_*.yaml, and the same cases against Keras."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from cnncost.errors import CnncostError
from cnncost.kinds import registry
from cnncost.kinds.base import Kind, Scattered, Whole

CASES: list[tuple[str, dict[str, Any], tuple[tuple[int, ...], ...], dict[str, Any]]] = [
    (row[0], row[1], tuple(tuple(shape) for shape in row[2]), row[3] if len(row) > 3 else {})
    for path in sorted(Path(__file__).parent.glob("cases_*.yaml"))
    for row in yaml.safe_load(path.read_text())
]
IDS = [f"{name}-{i}" for i, (name, *_) in enumerate(CASES)]
every_case = pytest.mark.parametrize(("name", "args", "shapes", "options"), CASES, ids=IDS)
RULES = ("weights", "macs", "other_flops", "field")
# Arguments that every Keras layer takes; a source reads them for all kinds.
COMMON = {"name", "dtype", "trainable", "activity_regularizer", "kwargs", "self", "weights", "quantization_config"}


def test_every_registered_kind_has_a_case() -> None:
    assert set(registry.names()) - {name for name, *_ in CASES} == set()


@pytest.mark.parametrize("name", registry.names())
def test_every_kind_states_its_rules(name: str) -> None:
    kind = registry.lookup(name)
    assert kind.name() == name
    for rule in RULES:
        assert getattr(kind, rule) is not getattr(Kind, rule), f"{name} does not state {rule}"
    assert kind.output is not Kind.output or kind.outputs is not Kind.outputs
    assert (kind.__doc__ or "").strip(), f"{name} has no docstring"


@every_case
def test_laws(name: str, args: dict[str, Any], shapes: Any, options: dict[str, Any]) -> None:
    kind = registry.lookup(name).build(args)
    outputs = kind.outputs(shapes)
    assert all(isinstance(dim, int) and dim > 0 for shape in outputs for dim in shape)
    terms, flops = kind.macs(shapes, outputs), kind.other_flops(shapes, outputs)
    assert all(int(term.count) > 0 for term in terms) and int(flops) >= 0
    assert set(kind.keeps) <= {"inputs", "outputs", "mask", "statistics", "sums"}
    weights = kind.weights(shapes)
    assert len({weight.name for weight in weights}) == len(weights)
    assert {term.weight for term in terms} <= {weight.name for weight in weights} | {None}
    if not terms and not int(flops):
        assert kind.notes(shapes), f"{name} computes nothing and does not say why"
    if hasattr(kind, "params_count"):
        assert int(kind.params_count(shapes)) == sum(weight.size for weight in weights)
    field = kind.field(shapes, outputs)
    assert isinstance(field, Whole | Scattered) or all(reach is None or reach.up > 0 for reach in field)
    assert kind == registry.lookup(name).build(args) and hash(kind) == hash(kind)


@every_case
def test_arguments_keep_their_normal_form(
    name: str, args: dict[str, Any], shapes: Any, options: dict[str, Any]
) -> None:
    """What a kind writes for a Keras config reads back as the same kind, and its schema accepts what it accepts."""
    from jsonschema import Draft7Validator

    kind = registry.lookup(name).build(args)
    types = kind.arguments()
    dumped = {key: value if (value := getattr(kind, key)) is None else types[key].dump(value) for key in types}
    assert type(kind).build(dumped) == kind
    for key, value in args.items():
        if key in types and value is not None:
            errors = list(Draft7Validator(types[key].schema(kind.rank)).iter_errors(value))
            assert not errors, errors


@every_case
def test_unknown_sizes_propagate(name: str, args: dict[str, Any], shapes: Any, options: dict[str, Any]) -> None:
    """With one size unknown, a kind gives what it knows, or one clear error; never a wrong number."""
    kind = registry.lookup(name).build(args)
    known = kind.outputs(shapes)
    for which, shape in enumerate(shapes):
        for axis in range(len(shape)):
            holed = tuple(
                tuple(None if (i, j) == (which, axis) else dim for j, dim in enumerate(other))
                for i, other in enumerate(shapes)
            )
            try:
                outputs = kind.outputs(holed)
                kind.macs(holed, outputs), kind.other_flops(holed, outputs), kind.windows(holed)
                kind.field(holed, outputs), kind.notes(holed)
            except CnncostError as error:
                assert "unknown" in error.message, error.message
                continue
            for got, want in zip(outputs, known, strict=True):
                assert len(got) == len(want)
                assert all(a is None or a == b for a, b in zip(got, want, strict=True))


@every_case
def test_wrong_inputs_are_errors(name: str, args: dict[str, Any], shapes: Any, options: dict[str, Any]) -> None:
    """Too few, too many, or inputs of a strange rank: an answer or one clear error, no traceback."""
    kind = registry.lookup(name).build(args)
    for wrong in ((), (*shapes, *shapes, *shapes, *shapes, *shapes), tuple((1,) * 9 for _ in shapes)):
        try:
            kind.outputs(wrong)
        except CnncostError as error:
            assert error.message


@pytest.mark.keras
@every_case
def test_against_keras(oracle: Any, name: str, args: dict[str, Any], shapes: Any, options: dict[str, Any]) -> None:
    if not options.get("keras", True):
        pytest.skip("Keras has no such layer or notation")
    kind = registry.lookup(name).build(args)
    want = oracle(name, args, shapes, options.get("dtype", "float32"), options.get("call", "list"))
    weights = kind.weights(shapes)
    assert list(kind.outputs(shapes)) == want["outputs"]
    assert [weight.shape for weight in weights] == want["weights"]
    assert sum(weight.size for weight in weights) == want["params"]
    assert sum(weight.size for weight in weights if weight.trainable) == want["trainable"]


@pytest.mark.keras
@pytest.mark.parametrize("name", registry.names())
def test_arguments_are_those_of_keras(layer_class: Any, name: str) -> None:
    """Keras's names in Keras's order with Keras's defaults; what is left of Keras's own is passive."""
    kind, layer = registry.lookup(name), layer_class(name)
    if layer is None or not kind.keras or name == "InputLayer":
        pytest.skip("Keras has no such layer")
    theirs = {k: p for k, p in inspect.signature(layer.__init__).parameters.items() if k not in COMMON}
    ours = kind.arguments()
    in_signature = [key for key in ours if key in theirs]
    assert in_signature == [key for key in theirs if key in ours]
    assert set(theirs) - set(ours) <= set(kind.passive)
    for key in in_signature:
        default = theirs[key].default
        assert (default is inspect.Parameter.empty) == (key in kind.required()), key
        if default is inspect.Parameter.empty:
            continue
        own = next(f.default for f in fields(kind) if f.name == key)
        wanted, got = (None if v is None else ours[key].check(v, kind.rank) for v in (default, own))
        assert wanted == got or {wanted, got} == {None, "channels_last"}, key


@pytest.mark.keras
def test_every_layer_of_keras_has_a_verdict(keras: Any) -> None:
    """A layer of keras.layers is a kind, another name of one, or refused with a reason."""
    abstract = {"Layer", "Wrapper", "InputSpec", "Input"}
    layers = {n for n, v in vars(keras.layers).items() if inspect.isclass(v) and n not in abstract}
    assert layers - set(registry.names()) - set(registry.ALIASES) - set(registry.REFUSED) == set()
