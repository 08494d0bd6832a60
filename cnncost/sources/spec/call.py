"""Arguments of a layer kind or a block: one scalar, a list of positional ones, or a mapping of named ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cnncost.errors import ArgumentError, CnncostError, nearest, printable
from cnncost.kinds import registry
from cnncost.kinds.base import Kind
from cnncost.sources.spec.expression import substitute
from cnncost.sources.spec.nodes import List, Map, Mark, Node, Origin, Scalar, Trail, describe
from cnncost.sources.spec.positional import positional
from cnncost.sources.spec.scalars import MAX_DIGITS, OLD_BOOLEANS, plain

Env = Mapping[str, Any]


def dynamic(node: Node) -> bool:
    """Whether a ``$`` stands somewhere in it."""
    if isinstance(node, Scalar):
        return isinstance(node.value, str) and "$" in node.value
    parts = node.value if isinstance(node, List) else node.value.values()
    return any(dynamic(part) for part in parts)


class Reader:
    """Nodes → plain values, in an environment of variables; places the errors."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin

    def value(self, node: Node, env: Env, trail: Trail) -> Any:
        """Plain data with every ``$`` substituted."""
        if isinstance(node, Scalar):
            value = node.value
            if isinstance(value, str) and "$" in value:
                try:
                    return substitute(value, env)
                except CnncostError as error:
                    raise error.at(self.origin.location(node.mark, trail)) from None
            return value
        if isinstance(node, List):
            return [self.value(part, env, trail) for part in node.value]
        return {key: self.value(part, env, trail) for key, part in node.value.items()}

    def bind(
        self, what: str, names: Sequence[str], node: Node | None, trail: Trail, cls: type[Kind] | None = None
    ) -> dict[str, Node]:
        """Arguments by name: positional ones take ``names`` in order."""
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return {}
        if isinstance(node, Map):
            return node.value
        given: list[Node] = node.value if isinstance(node, List) else [node]
        if len(given) > len(names):
            raise self._too_many(what, names, node, given, trail, cls)
        return dict(zip(names, given, strict=False))

    def _too_many(
        self, what: str, names: Sequence[str], node: Node, given: list[Node], trail: Trail, cls: type[Kind] | None
    ) -> CnncostError:
        """More positional arguments than there are; the rest may be there by name, or one tuple may be meant."""
        hint = ""
        by_name = [name for name in cls.arguments() if name not in names] if cls else []
        if isinstance(node, List) and len(given) > 1 and (names or by_name):
            hint = self._tuple_meant(cls, node) if cls else both_spellings(what, names[0], node)
        if by_name and not hint:
            hint = f"by name: '{what}: {{{by_name[0]}: {printable(_text(given[len(names)]))}}}'"
        return self.origin.error(
            given[len(names)].mark or node.mark,
            f"{what} takes {len(names) or 'no'} positional argument{'s' * (len(names) != 1)}, {len(given)} are given",
            trail,
            rule=f"a list is positional arguments: {', '.join(names)}" if names else "",
            nearest=hint,
        )

    def kind(
        self, cls: type[Kind], node: Node | None, named: dict[str, Node], defaults: Map | None, env: Env, trail: Trail,
        mark: Mark | None,
    ) -> Kind:  # fmt: skip
        """The layer kind built from its arguments; a wrong one is placed at the very value."""
        if defaults is not None:
            named = {**defaults.value, **named}
        try:
            return cls.build({key: self.value(part, env, trail) for key, part in named.items()})
        except ArgumentError as error:
            raise self.placed(error, cls, node, named, defaults, trail, mark) from None
        except CnncostError as error:
            raise error.at(self.origin.location(mark, trail)) from None

    def placed(
        self, error: ArgumentError, cls: type[Kind], node: Node | None, named: dict[str, Node], defaults: Map | None,
        trail: Trail, mark: Mark | None,
    ) -> CnncostError:  # fmt: skip
        """An argument error at its value, or at its key when the key itself is unknown."""
        path = list(error.key)
        place, found = mark, named.get(str(path[0])) if path else None
        if found is not None:
            place = found.mark
            if path[0] not in cls.arguments():
                place = _key_mark(str(path[0]), node, defaults) or place
                if "layer" in cls.arguments() and path[0] in registry.names():  # a wrapper around it
                    error.nearest = f"write {cls.name()}: {{layer: {{{path[0]}: …}}}}"
            for step in path[1:]:
                found = _child(found, step)
                if found is None:
                    break
                place = found.mark
            if isinstance(found, Scalar):
                error.nearest = meant(found, error.rule) or error.nearest
        if isinstance(node, List) and len(node.value) > 1 and "nests its tuples" not in error.nearest:
            hint = self._tuple_meant(cls, node)
            error.nearest = "; ".join(part for part in (error.nearest, hint) if part)
        error.location = self.origin.location(place, trail)
        return error

    def _tuple_meant(self, cls: type[Kind], node: List) -> str:
        """Both spellings, when the whole list would have been a good first argument."""
        values = [part.value for part in node.value if isinstance(part, Scalar)]
        if len(values) != len(node.value):
            return ""
        first, type_ = next(iter(cls.arguments().items()))
        try:
            type_.check(values, cls.rank)
        except CnncostError:
            return ""
        return both_spellings(cls.name(), first, node, bool(positional(cls)))


def meant(node: Scalar, rule: str) -> str:
    """What a text was probably meant to be, where a truth value or a number is asked for.

    >>> meant(Scalar("yes", None, True), "it must be true or false")
    "YAML 1.2 reads 'yes' as text: write true"
    """
    text = node.value
    if not isinstance(text, str) or len(text) > MAX_DIGITS:
        return ""
    if "true or false" in rule:
        old = OLD_BOOLEANS.get(text.lower()) or (text.lower() if text.lower() in ("true", "false") else "")
        return (
            (f"YAML 1.2 reads '{text}' as text: " if node.plain else "without quotes: ") + f"write {old}" if old else ""
        )
    number = plain(text.replace("_", "").replace(",", "") or "-")
    if "number" in rule and isinstance(number, int) and not isinstance(number, bool):
        return f"'{printable(text)}' is a text: write {number}"
    return ""


def both_spellings(what: str, first: str, node: List, nests: bool = True) -> str:
    """How a list is given as one argument."""
    text = printable(", ".join(_text(part) for part in node.value))
    nested = f"'{what}: [[{text}]]' or " if nests else ""
    return f"for one list write {nested}'{what}: {{{first}: [{text}]}}'"


def _text(node: Node) -> str:
    if isinstance(node, Scalar):
        return describe(node) if node.value is not None else "null"
    return "[" + ", ".join(_text(part) for part in node.value) + "]" if isinstance(node, List) else "{...}"


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(node, List) and isinstance(step, int) and -len(node.value) <= step < len(node.value):
        return node.value[step]
    return node.value.get(str(step)) if isinstance(node, Map) else None


def _key_mark(key: str, *maps: Node | None) -> Mark | None:
    for node in maps:
        if isinstance(node, Map) and key in node.keys:
            return node.keys[key]
    return None


def unknown_key(origin: Origin, node: Map, key: str, known: Sequence[str], what: str, trail: Trail) -> CnncostError:
    """The error about a key that ``what`` does not have."""
    return origin.error(
        node.keys.get(key), f"unknown key '{printable(key)}' in {what}", trail,
        rule=f"its keys are: {', '.join(known)}", nearest=nearest(key, known),
    )  # fmt: skip
