"""Arguments that are layers themselves: a wrapper's layer, a recurrent layer's cell, a stack of cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from cnncost.errors import ArgumentError, CnncostError, printable
from cnncost.kinds.arguments import Arg
from cnncost.kinds.base import Kind, MacTerm, Shapes, Weight
from cnncost.kinds.config import config_of, kind_from_arguments, kind_from_config

MAX_NESTING = 32  # layers inside layers
MAX_CELLS = 1000


class LayerArg(Arg):
    """A layer: ``{Kind: arguments}`` as in a spec, a Keras config ``{class_name, config}``, a kind's name, or a kind.

    >>> LayerArg().check({"Dense": 3}, None)
    Dense(units=3, activation=None, use_bias=True)
    >>> LayerArg().check({"class_name": "Dense", "config": {"units": 3, "name": "d"}}, None).units
    3
    """

    rule = "a layer, such as {Dense: {units: 10}}"
    nests = True

    def check(self, value: Any, rank: int | None) -> Kind:
        if isinstance(value, Kind):
            return value
        if isinstance(value, str):
            return _spec(value, None)
        if not isinstance(value, Mapping):
            raise self.fail(value)
        _bounded(value)
        if "class_name" in value:
            return self._config(value)
        if len(value) != 1:
            raise self.fail(", ".join(printable(key) for key in list(value)[:4]) or "nothing")
        ((name, arguments),) = value.items()
        return _spec(name, arguments)

    def _config(self, value: Mapping[Any, Any]) -> Kind:
        name, config = value["class_name"], value.get("config", {})
        if not isinstance(name, str) or not isinstance(config, Mapping):
            raise self.fail(value)
        try:
            kind, _ = kind_from_config(name, config, "keras3" if "module" in value else "keras2")
        except ArgumentError as error:
            error.key = ("config", *error.key)
            raise
        return frozen(kind) if config.get("trainable") is False else kind

    def schema(self, rank: int | None) -> dict[str, Any]:
        one = {"type": "object", "minProperties": 1, "maxProperties": 1}
        keras = {"type": "object", "required": ["class_name", "config"]}
        return {"anyOf": [{"type": "string"}, one, keras]}

    def dump(self, value: Any) -> Any:
        return None if value is None else config_of(value)


class LayersArg(Arg):
    """A list of layers."""

    rule = f"a list of 1 to {MAX_CELLS} layers"
    nests = True
    _layer = LayerArg()

    def check(self, value: Any, rank: int | None) -> tuple[Kind, ...]:
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_CELLS:
            raise self.fail(value)
        result = []
        for i, entry in enumerate(value):
            try:
                result.append(self._layer.check(entry, rank))
            except ArgumentError as error:
                error.key = (i, *error.key)
                raise
        return tuple(result)

    def schema(self, rank: int | None) -> dict[str, Any]:
        return {"type": "array", "items": self._layer.schema(rank), "minItems": 1, "maxItems": MAX_CELLS}

    def dump(self, value: Any) -> Any:
        return [self._layer.dump(layer) for layer in value]


def _spec(name: Any, arguments: Any) -> Kind:
    """The spec's form; every error points into it."""
    if not isinstance(name, str):
        raise ArgumentError("a layer kind is a name", rule=LayerArg.rule, received=printable(name))
    try:
        return kind_from_arguments(name, arguments)
    except ArgumentError as error:
        error.key = (name, *error.key)
        raise
    except CnncostError as error:
        raise ArgumentError(
            error.problem, (name,), rule=error.rule, received=error.received, nearest=error.nearest
        ) from None


def _bounded(value: Any) -> None:
    """Layers inside layers end somewhere."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > 4 * MAX_NESTING:
            raise ArgumentError("layers nested too deeply", rule=f"at most {MAX_NESTING} layers inside each other")
        below: list[Any] = []
        for item in level:
            inner = item.values() if isinstance(item, Mapping) else item
            below.extend(child for child in inner if isinstance(child, Mapping | list | tuple))
        level = below


def frozen(kind: Kind) -> Kind:
    """The same layer, not trained: its config says ``trainable: false`` although its wrapper trains."""
    return dataclasses.replace(kind, options={**kind.options, "trainable": False})


def inner_weights(kind: Kind, inputs: Shapes, prefix: str = "") -> tuple[Weight, ...]:
    """A nested layer's weights, ``prefix/name``; none is trained where the nested layer is frozen."""
    trains = kind.options.get("trainable") is not False
    return tuple(
        w._replace(name=f"{prefix}/{w.name}" if prefix else w.name, trainable=w.trainable and trains)
        for w in kind.weights(inputs)
    )


def inner_macs(terms: tuple[MacTerm, ...], prefix: str) -> tuple[MacTerm, ...]:
    """A nested layer's terms with the names that ``inner_weights`` gives."""
    return tuple(
        term._replace(label=f"{prefix}: {term.label}", weight=f"{prefix}/{term.weight}" if term.weight else None)
        for term in terms
    )
