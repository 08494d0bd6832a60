"""A spec's variables: declared with defaults, given by ``--set`` or from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, nearest, printable
from cnncost.sources.spec.call import Reader
from cnncost.sources.spec.nodes import Map, Node, Scalar, describe
from cnncost.sources.spec.scalars import LongNumber, plain

MAX_PARTS = 1000  # of a list that is a variable's value
RESERVED = ("index", "min", "max", "abs", "true", "false")


def declared(reader: Reader, node: Node | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The variables and their values; a declared one may use those before it."""
    given = dict(given or {})
    if node is None or (isinstance(node, Scalar) and node.value is None):
        node = Map({}, {})
    if not isinstance(node, Map):
        raise reader.origin.error(node.mark, "'variables' is a mapping of names to values", received=describe(node))
    for name in given:
        if name not in node.value:
            raise reader.origin.error(
                node.mark, f"the spec has no variable '{printable(name)}'", nearest=nearest(str(name), node.value),
                rule=f"it has: {printable(', '.join(node.value), 300)}" if node.value else "it declares none",
            )  # fmt: skip
    found: dict[str, Any] = {}
    for name, part in node.value.items():
        trail = (None, f"variables > {name}")
        if not name.isidentifier() or not name.isascii() or name in RESERVED:
            raise reader.origin.error(
                node.keys[name], f"a wrong variable name '{printable(name)}'", trail,
                rule=f"letters, digits and _; not {', '.join(RESERVED)}",
            )  # fmt: skip
        default = _default(reader, part, found, trail)
        try:
            found[name] = _bounded(_given(name, given[name], default) if name in given else default)
        except CnncostError as error:
            raise error.at(reader.origin.location(part.mark, trail)) from None
        if found[name] is None:
            raise reader.origin.error(
                part.mark, f"the variable '{name}' has no value", trail, nearest=f"give it with --set {name}=VALUE"
            )
    return found


def _default(reader: Reader, part: Node, found: dict[str, Any], trail: Any) -> Any:
    try:
        return reader.value(part, found, trail)
    except CnncostError as error:
        if error.problem.startswith("there is no variable"):
            error.rule = f"a variable may use those declared before it: {', '.join(found) or 'none here'}"
        raise


def _given(name: str, value: Any, default: Any) -> Any:
    """A value from outside; text means what it would mean in the spec."""
    if isinstance(value, str):
        try:
            flat = isinstance(default, list) and value[:1] == "[" and value[-1:] == "]"
            value = [plain(part.strip()) for part in value[1:-1].split(",")] if flat else plain(value)
        except LongNumber as error:
            raise CnncostError(f"the variable '{name}': {error}") from None
    elif isinstance(value, tuple):
        value = list(value)
    if default is not None and _sort(value) != _sort(default):
        raise CnncostError(
            f"a wrong value for the variable '{name}'", rule=f"it is {_sort(default)} in the spec",
            received=printable(value) if value is not None else "null",
        )  # fmt: skip
    return value


def _sort(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a text" if isinstance(value, str) else "a list" if isinstance(value, list) else "another type"


def _bounded(value: Any) -> Any:
    """The value, once it is known to be a scalar or a list of few parts."""
    count, waiting = 0, [value]
    while waiting:
        part = waiting.pop()
        count += 1
        if count > MAX_PARTS:
            raise CnncostError(f"a variable of more than {MAX_PARTS:,} values")
        if isinstance(part, list):
            waiting.extend(part)
        elif part is not None and not isinstance(part, str | int | float):
            raise CnncostError("a variable is a number, a text, true, false or a list", received=printable(part))
    return value
