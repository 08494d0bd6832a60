"""One entry of a list of layers, read once: what it calls, its arguments, and the keys that all entries share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from cnncost.errors import CnncostError, UnsupportedLayer, nearest, printable
from cnncost.kinds import registry
from cnncost.kinds.base import Kind
from cnncost.sources.spec.call import Reader, dynamic, unknown_key
from cnncost.sources.spec.names import snake
from cnncost.sources.spec.nodes import List, Map, Mark, Node, Origin, Scalar, Trail, describe
from cnncost.sources.spec.positional import positional

COMMON = ("name", "inputs", "repeat", "when", "expect", "trainable", "dtype", "recompute")
FORMS = {"residual": ("shortcut", "merge"), "branches": ("merge",), "reuse": ()}
MOVED = ("name", "trainable", "dtype")  # may stand among a kind's arguments too
BLOCK_KEYS = ("params", "layers", "description")


class Block(NamedTuple):
    """A block of the spec: its parameters with their defaults (None must be given) and its layers."""

    name: str
    params: dict[str, Node]
    layers: list[Node]


class Entry(NamedTuple):
    """An entry's parts. Exactly one of ``kind``, ``block`` and ``form`` is set."""

    calls: str
    mark: Mark | None
    argument: Node | None
    named: dict[str, Node]  # arguments by name, for a kind or a block
    common: dict[str, Node]
    base: str  # the name an unnamed one gets
    kind: type[Kind] | None = None
    block: Block | None = None
    form: Map | None = None
    dynamic: bool = False


class Entries:
    """Reads entries, each node once."""

    def __init__(self, origin: Origin, reader: Reader, blocks: dict[str, Block]) -> None:

        self.origin, self.reader, self.blocks = origin, reader, blocks
        self._read: dict[int, Entry] = {}

    def read(self, node: Node, trail: Trail) -> Entry:
        found = self._read.get(id(node))
        if found is None:
            found = self._read[id(node)] = self._entry(node, trail)
        return found

    def check(self, nodes: list[Node], trail: Trail) -> None:
        """Read entries that may never be expanded, so that a typo in an unused block is found."""
        for i, node in enumerate(nodes):
            step = (trail, f"layers[{i}]")
            entry = self.read(node, step)
            if entry.form is not None:
                parts = [entry.argument, entry.form.value.get("shortcut")] if entry.calls == "residual" else (
                    entry.argument.value if entry.calls == "branches" and isinstance(entry.argument, List) else []
                )  # fmt: skip
                for part in parts:
                    self.check(part.value if isinstance(part, List) else [part] if isinstance(part, Map) else [], step)

    def _entry(self, node: Node, trail: Trail) -> Entry:
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value:
            return self._call(node.value, None, {}, node.mark, node.mark, trail)
        if not isinstance(node, Map) or not node.value:
            raise self.origin.error(
                node.mark, "an entry of 'layers' is a mapping such as 'Conv2D: [64, 3]', or a kind's name", trail,
                received=describe(node),
            )  # fmt: skip
        common = {key: value for key, value in node.value.items() if key in COMMON}
        calls = [key for key in node.value if key not in common]
        form = next((key for key in FORMS if key in node.value), None)
        if form is not None:
            return self._form(form, node, common, calls, trail)
        if len(calls) != 1:
            raise self._not_one(node, calls, trail)
        return self._call(calls[0], node.value[calls[0]], common, node.keys[calls[0]], node.mark, trail)

    def _form(self, form: str, node: Map, common: dict[str, Node], calls: list[str], trail: Trail) -> Entry:
        for key in calls:
            if key != form and key not in FORMS[form]:
                raise unknown_key(self.origin, node, key, (*FORMS[form], *COMMON), f"'{form}'", trail)
        return Entry(form, node.keys[form], node.value[form], {}, common, form, form=node)

    def _call(
        self, key: str, argument: Node | None, common: dict[str, Node], mark: Mark | None, start: Mark | None,
        trail: Trail,
    ) -> Entry:  # fmt: skip
        block = self.blocks.get(key)
        if block is not None:
            named = self.reader.bind(key, list(block.params), argument, trail)
            moved, named = self._moved(argument, named, common, block.params, trail)
            self._known_params(block, argument, named, trail)
            return Entry(key, mark, argument, named, {**common, **moved}, key, block=block)
        kind = self._kind(key, mark, trail)
        named = self.reader.bind(kind.name(), positional(kind), argument, trail, kind)
        moved, named = self._moved(argument, named, common, kind.arguments(), trail)
        varies = any(dynamic(value) for value in named.values())
        return Entry(kind.name(), mark, argument, named, {**common, **moved}, snake(kind.name()), kind=kind,
                     dynamic=varies)  # fmt: skip

    def _kind(self, key: str, mark: Mark | None, trail: Trail) -> type[Kind]:
        try:
            kind = registry.lookup(key)
        except UnsupportedLayer as error:
            if "unknown layer kind" in error.problem:
                known = [*registry.names(), *self.blocks, *FORMS, *COMMON]
                error.problem = f"unknown layer kind or block '{printable(key)}'"
                error.nearest = nearest(key, known) or error.nearest
            error.location = self.origin.location(mark, trail)
            raise
        if kind.name() == "InputLayer":
            raise self.origin.error(
                mark, "an InputLayer is not an entry of 'layers'", trail,
                rule="the model's inputs are declared by the key 'input' at the top",
            )  # fmt: skip
        return kind

    def _moved(
        self,
        argument: Node | None,
        named: dict[str, Node],
        common: dict[str, Node],
        own: Mapping[str, object],
        trail: Trail,
    ) -> tuple[dict[str, Node], dict[str, Node]]:
        """name, trainable and dtype that stand among the arguments belong to the layer."""
        if not isinstance(argument, Map):
            return {}, named
        moved = {key: named[key] for key in MOVED if key in named and key not in own}
        for key in moved:
            if key in common:
                raise self.origin.error(
                    argument.keys[key], f"'{key}' is given twice", trail, rule="beside the kind or inside it, not both"
                )
        return moved, {key: value for key, value in named.items() if key not in moved} if moved else named

    def _known_params(self, block: Block, argument: Node | None, named: dict[str, Node], trail: Trail) -> None:
        for key in named:
            if key not in block.params and isinstance(argument, Map):
                raise self.origin.error(
                    argument.keys[key], f"block '{block.name}' has no parameter '{printable(key)}'", trail,
                    rule=f"its parameters are: {', '.join(block.params) or 'none'}",
                    nearest=nearest(key, list(block.params)),
                )  # fmt: skip

    def _not_one(self, node: Map, calls: list[str], trail: Trail) -> CnncostError:
        rule = "an entry has one layer kind or block, and may have: " + ", ".join(COMMON)
        if not calls:
            return self.origin.error(node.mark, "an entry without a layer kind", trail, rule=rule)
        known = {key for key in calls if key in self.blocks or is_kind(key)}
        strange = next((key for key in calls if key not in known), None)
        if strange is None:
            second = calls[1]
            return self.origin.error(
                node.keys[second], f"'{printable(calls[0])}' and '{printable(second)}' in one entry", trail, rule=rule,
                nearest="start a new entry with '- '",
            )  # fmt: skip
        owner = next((key for key in known if is_kind(key) and strange in registry.lookup(key).arguments()), None)
        if owner is not None:
            hint = f"'{strange}' is an argument of {owner}: indent it below '{owner}:'"
        else:
            hint = nearest(strange, [*COMMON, *FORMS["residual"], *FORMS, *self.blocks, *registry.names()])
        return self.origin.error(
            node.keys[strange], f"unknown key '{printable(strange)}' in an entry", trail, rule=rule, nearest=hint
        )


def is_kind(name: str) -> bool:
    """Whether a layer kind has this name; cheap, unlike a look-up that fails."""
    return name in registry.ALIASES or name in _kinds()


@lru_cache(maxsize=1)
def _kinds() -> frozenset[str]:
    return frozenset(registry.names())


def entries_of(origin: Origin, node: Node | None, what: str, trail: Trail) -> list[Node]:
    """A list of entries; one entry alone may stand without its list."""
    if isinstance(node, List):
        return node.value
    if isinstance(node, Map) and node.value:
        return [node]
    raise origin.error(
        node.mark if node is not None else None, f"'{what}' is a list of layers", trail,
        received=describe(node) if node is not None else "nothing",
    )  # fmt: skip
