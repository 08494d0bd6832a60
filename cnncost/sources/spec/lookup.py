"""State of an expansion: the layers so far, their names, and how entries look each other up."""

from __future__ import annotations

from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.graph import Expected, Layer, Ref
from cnncost.sources.spec import claims
from cnncost.sources.spec.call import Env, Reader, meant
from cnncost.sources.spec.entries import Entry
from cnncost.sources.spec.names import Scope, checked
from cnncost.sources.spec.nodes import List, Mark, Node, Origin, Scalar, Trail, describe
from cnncost.tensor import policy

Refs = tuple[Ref, ...]


class Context:
    """What holds for the entries of one list."""

    __slots__ = ("blocks", "depth", "dtype", "env", "recompute", "scope", "trainable")

    def __init__(
        self, env: Env, scope: Scope, trainable: bool = True, dtype: str | None = None,
        blocks: tuple[str, ...] = (), depth: int = 0, recompute: int | None = None,
    ) -> None:  # fmt: skip
        self.env, self.scope, self.trainable, self.dtype = env, scope, trainable, dtype
        self.blocks, self.depth, self.recompute = blocks, depth, recompute

    def copy(self) -> Context:
        return Context(self.env, self.scope, self.trainable, self.dtype, self.blocks, self.depth, self.recompute)


class Expansion:
    """The flat list of layers while it grows, and the values and names that entries give."""

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.reader = Reader(origin)
        self.layers: list[Layer] = []
        self.named: dict[str, Ref] = {}  # layers, blocks and repeated entries by full name
        self.spans: dict[str, tuple[int, int, Refs]] = {}  # first and last + 1 layer of a name, and what it read
        self.repetitions: dict[str, list[tuple[int, int]]] = {}  # of a repeated name the first and last + 1 of each
        self.reused: list[tuple[int, int, int]] = []  # first and last + 1 layer, and how far behind its copy stands

    def full(self, entry: Entry, context: Context, name: str | None, trail: Trail) -> str:
        return self.claim(entry, context, name, trail) if name else context.scope.free(entry.base)

    def claim(self, entry: Entry, context: Context, name: str, trail: Trail) -> str:
        full = context.scope.claim(name)
        if full is None:
            full = context.scope.prefix + name
            other = self.named.get(full)
            place = self.layers[other.layer].location if other else None
            raise self.error(
                entry.common.get("name"), f"the name '{printable(full)}' is taken", trail,
                rule="names are unique in their block", received=f"first at {place}" if place else "",
            )  # fmt: skip
        return full

    def name(self, node: Node, context: Context, trail: Trail) -> str:
        try:
            return checked(self.reader.value(node, context.env, trail))
        except CnncostError as error:
            raise error.at(self.origin.location(node.mark, trail)) from None

    def inherit(self, common: dict[str, Node], context: Context, trail: Trail) -> Context:
        context = context.copy()
        if "trainable" in common:
            context.trainable = self.flag(common["trainable"], "trainable", context, trail) and context.trainable
        if "dtype" in common:
            context.dtype = self.policy_name(common["dtype"], context.env, trail)
        return context

    def policy_name(self, node: Node, env: Env, trail: Trail) -> str:
        name = self.reader.value(node, env, trail)
        if not isinstance(name, str):
            raise self.error(node, "'dtype' is a name such as float32", trail)
        try:
            return policy(name).name
        except CnncostError as error:
            raise error.at(self.origin.location(node.mark, trail)) from None

    def flag(self, node: Node, what: str, context: Context, trail: Trail) -> bool:
        value = self.reader.value(node, context.env, trail)
        if not isinstance(value, bool):
            rule = "it must be true or false"
            hint = meant(node, rule) if isinstance(node, Scalar) else ""
            raise self.error(node, f"a wrong '{what}'", trail, rule=rule, received=printable(value), nearest=hint)
        return value

    def refs(self, node: Node, here: Refs, context: Context, trail: Trail, what: str = "inputs") -> Refs:
        """The named outputs; ``previous`` is what would have been read, ``name:1`` a layer's second output."""
        parts = node.value if isinstance(node, List) else [node]
        found: list[Ref] = []
        for part in parts:
            word = self.reader.value(part, context.env, trail)
            if not isinstance(word, str) or not word:
                raise self.error(part, f"'{what}' are names of earlier layers", trail)
            found.extend(self.look_up(part, word, here, context, trail))
        if not found:
            raise self.error(node, f"'{what}' names no layer", trail, rule="it needs at least one")
        return tuple(found)

    def look_up(self, node: Node, word: str, here: Refs, context: Context, trail: Trail) -> Refs:
        full = self.find(word, context)
        if full is not None:
            return (self.named[full],)
        if word == "previous":
            return here
        base, _, output = word.rpartition(":")
        full = self.find(base, context) if base and output.isdecimal() and len(output) < 4 else None
        if full is None:
            raise self.unknown_name(node, word, context, trail)
        return (Ref(self.named[full].layer, int(output)),)

    def find(self, word: str, context: Context) -> str | None:
        return next((full for full in context.scope.outward(word) if full in self.named), None)

    def unknown_name(self, node: Node | None, word: str, context: Context, trail: Trail) -> CnncostError:
        prefix = context.scope.prefix
        near = [n[len(prefix) :] if n.startswith(prefix) else n for n in list(self.named)[-2000:]]
        return self.error(
            node, f"there is no earlier layer '{printable(word)}'", trail,
            rule="only layers that stand before can be named", nearest=nearest(word, near),
        )  # fmt: skip

    def claims(self, entry: Entry, context: Context, trail: Trail) -> tuple[Expected, ...]:
        node = entry.common.get("expect") if entry.common else None
        return claims.of_layer(self.reader, node, context.env, trail) if node is not None else ()

    def location(self, entry: Entry, trail: Trail, mark: Mark | None = None) -> Location:
        return self.origin.location(entry.mark or mark, (trail, entry.calls))

    def error(self, node: Node | None, problem: str, trail: Trail, **parts: str) -> CnncostError:
        if "received" not in parts:
            parts["received"] = describe(node) if node is not None else "nothing"
        return self.origin.error(node.mark if node is not None else None, problem, trail, **parts)
