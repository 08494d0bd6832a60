"""``expect`` and ``budgets``: claims about figures, as they were written and what they mean."""

from __future__ import annotations

from typing import Any

from cnncost.errors import CnncostError, printable
from cnncost.graph import Expected
from cnncost.sources.spec.call import Env, Reader
from cnncost.sources.spec.nodes import List, Map, Mark, Node, Scalar, Trail, describe
from cnncost.units import interval
from cnncost.written import Written

RULE = "a claim is a whole number, a list (a shape), or text such as 25.6M"
WORDS = ("dtype",)  # figures that are words


def of_layer(reader: Reader, node: Node, env: Env, trail: Trail) -> tuple[Expected, ...]:
    """A layer's claims: a list is its output shape, a mapping names the figures."""
    if isinstance(node, List):
        return (_claim(reader, "output_shape", node, env, trail),)
    if isinstance(node, Map):
        return tuple(_claim(reader, metric, part, env, trail) for metric, part in node.value.items())
    value = reader.value(node, env, trail)
    if isinstance(value, list):
        return (
            Expected("output_shape", _shape(reader, value, node, trail), "", reader.origin.location(node.mark, trail)),
        )
    raise reader.origin.error(
        node.mark, "a wrong 'expect'", trail, rule="a list is the output shape, a mapping names figures such as params",
        received=describe(node),
    )  # fmt: skip


def of_group(reader: Reader, node: Node, env: Env, trail: Trail) -> tuple[Expected, ...]:
    """The claims of a block, residual or branches: its output's shape."""
    if isinstance(node, Map):
        for key in node.value:
            if key not in ("output_shape", "dtype", "receptive_field", "jump", "start"):
                raise reader.origin.error(
                    node.keys[key], f"'{printable(key)}' cannot be expected of a block", trail,
                    rule="a claim on a block is about its output: output_shape, dtype, receptive_field, jump, start",
                    nearest="put the claim on a layer, or on the model",
                )  # fmt: skip
    return of_layer(reader, node, env, trail)


def of_model(reader: Reader, node: Node, env: Env, trail: Trail) -> tuple[Expected, ...]:
    """The model's claims, by figure."""
    if isinstance(node, Map) and node.value:
        return tuple(_claim(reader, metric, part, env, trail) for metric, part in node.value.items())
    raise reader.origin.error(
        node.mark, "a wrong 'expect'", trail, rule="the model's claims are a mapping such as {params: 25.6M}",
        received=describe(node),
    )  # fmt: skip


def budgets(reader: Reader, node: Node, env: Env, trail: Trail) -> dict[str, Written]:
    """The limits by figure, raw (``26M``, ``{max: 64 MiB, batch: 8}``), each part with its place."""
    if not isinstance(node, Map):
        raise reader.origin.error(
            node.mark, "'budgets' is a mapping such as {params: 26M}", trail, received=describe(node)
        )
    limits = {}
    for metric, part in node.value.items():
        value = reader.value(part, env, trail)
        if value is None or isinstance(value, bool) or value == []:
            raise reader.origin.error(
                part.mark, f"a wrong budget for '{printable(metric)}'", trail, received=describe(part),
                rule="a limit is a number, text such as 26M or 64 MiB, a mapping such as {max: 64 MiB, batch: 8}, or a "
                "list of those",
            )  # fmt: skip
        limits[metric] = as_written(reader, part, node.keys[metric], env, trail)
    return limits


def as_written(reader: Reader, node: Node, key: Mark | None, env: Env, trail: Trail) -> Written:
    """A node's plain data with the places of all parts; ``key`` is the mark of the key that it stands under."""
    parts = {}
    if isinstance(node, Map):
        parts = {name: as_written(reader, part, node.keys[name], env, trail) for name, part in node.value.items()}
    elif isinstance(node, List):
        parts = {str(i): as_written(reader, part, None, env, trail) for i, part in enumerate(node.value)}
    origin = reader.origin
    return Written(
        reader.value(node, env, trail), origin.location(node.mark, trail), origin.location(key, trail), parts
    )


def _claim(reader: Reader, metric: str, node: Node, env: Env, trail: Trail) -> Expected:
    value = reader.value(node, env, trail)
    place = reader.origin.location(node.mark, trail)
    if isinstance(value, list):
        return Expected(metric, _shape(reader, value, node, trail), "", place)
    if isinstance(value, int) and not isinstance(value, bool):
        return Expected(metric, value, "", place)
    if isinstance(value, str) and metric in WORDS:
        return Expected(metric, value, value, place)
    if isinstance(value, str):
        try:
            low, high = interval(value, metric.endswith("bytes"))
        except CnncostError as error:
            raise error.at(place) from None
        return Expected(metric, low if low == high else (low, high), value, place)
    raise reader.origin.error(
        node.mark, f"a wrong claim about '{printable(metric)}'", trail, rule=RULE, received=describe(node)
    )


def _shape(reader: Reader, value: list[Any], node: Node, trail: Trail) -> tuple[Any, ...]:
    """Dimensions, ``?`` and null for any; or a list of such lists."""
    parts: list[Any] = []
    for i, dim in enumerate(value):
        part = node.value[i] if isinstance(node, List) and i < len(node.value) else node
        if isinstance(dim, list):
            parts.append(_shape(reader, dim, part, trail))
        elif dim in (None, "?") and not isinstance(dim, bool):
            parts.append(None)
        elif isinstance(dim, int) and not isinstance(dim, bool):
            parts.append(dim)
        else:
            raise reader.origin.error(
                part.mark, "a wrong dimension in a claim", trail, rule="a dimension is a whole number, ? or null",
                received=describe(part) if isinstance(part, Scalar) else printable(dim),
            )  # fmt: skip
    return tuple(parts)
