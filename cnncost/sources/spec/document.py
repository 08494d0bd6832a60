"""The top of a spec: its keys, inputs, variables, defaults, blocks and outputs; the whole becomes a Graph."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cnncost.errors import ArgumentError, CnncostError, printable
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds import registry
from cnncost.kinds.core import InputLayer
from cnncost.sources.spec import claims
from cnncost.sources.spec.call import Reader, meant, unknown_key
from cnncost.sources.spec.entries import BLOCK_KEYS, COMMON, FORMS, Block, entries_of, is_kind
from cnncost.sources.spec.expand import Expander
from cnncost.sources.spec.lookup import Context
from cnncost.sources.spec.names import MAX_NAME, Scope, checked
from cnncost.sources.spec.nodes import List, Map, Node, Origin, Scalar, describe
from cnncost.sources.spec.recompute import regroup
from cnncost.sources.spec.variables import declared

TOP = (
    "name", "description", "input", "variables", "defaults", "blocks", "layers", "outputs", "expect", "budgets",
    "dtype", "recompute",
)  # fmt: skip


def to_graph(root: Node, origin: Origin, given: Mapping[str, Any] | None, source: str) -> Graph:
    """The graph of a composed spec. Raises CnncostError with its place."""
    return _Document(root, origin, given).graph(source)


class _Document:
    def __init__(self, root: Node, origin: Origin, given: Mapping[str, Any] | None) -> None:
        if not isinstance(root, Map):
            raise origin.error(
                root.mark, "a spec is a mapping with the keys 'input' and 'layers'", received=describe(root)
            )
        for key in root.value:
            if key not in TOP:
                raise unknown_key(origin, root, key, TOP, "a spec", None)
        for key in ("input", "layers"):
            if key not in root.value:
                hint = "input: [224, 224, 3]" if key == "input" else "layers: [{Conv2D: [64, 3]}, Flatten]"
                raise origin.error(root.mark, f"the spec has no '{key}'", rule="it needs both", nearest=f"write {hint}")
        text = root.value.get("description")
        if text is not None and not (isinstance(text, Scalar) and isinstance(text.value, str | None)):
            raise origin.error(text.mark, "a wrong description", rule="it is a text", received=describe(text))
        self.root, self.origin, self.reader = root, origin, Reader(origin)
        self.env = declared(self.reader, root.value.get("variables"), given)
        self.as_written = not given

    def graph(self, source: str) -> Graph:
        expander = Expander(self.origin, self.blocks(), self.defaults(), self.env)
        context = Context(self.env, Scope())
        here = self.inputs(expander, context)
        layers = entries_of(self.origin, self.root.value["layers"], "layers", None)
        if not layers:
            raise self.origin.error(self.root.value["layers"].mark, "the spec has no layers", rule="it needs one")
        here = expander.sequence(layers, here, context, None, "layers")
        outputs = self.outputs(expander, here, context)
        regroup(expander, self.root.value.get("recompute"), self.env)
        for name, block in expander.entries.blocks.items():
            expander.entries.check(block.layers, (None, f"blocks > {name}"))
        top = self.root.value
        env, trail = self.env, (None, "expect")
        expects = claims.of_model(self.reader, top["expect"], env, trail) if "expect" in top else ()
        limits = claims.budgets(self.reader, top["budgets"], env, (None, "budgets")) if "budgets" in top else {}
        dtype = expander.policy_name(top["dtype"], env, (None, "dtype")) if "dtype" in top else "float32"
        return Graph(
            name=self.name(), layers=tuple(expander.layers), outputs=outputs, source=source, dtype=dtype,
            location=self.origin.location(self.root.mark), expects=expects, budgets=limits,
            as_written=self.as_written,
        )  # fmt: skip

    def name(self) -> str:
        node = self.root.value.get("name")
        if node is None:
            if self.root.mark is None:
                return "model"  # a dict
            base = os.path.splitext(os.path.basename(self.origin.file))[0]
            return printable(base, MAX_NAME) or "model"
        name = self.reader.value(node, self.env, (None, "name"))
        if isinstance(name, str) and name.strip() and len(name) <= MAX_NAME and name.isprintable():
            return name
        raise self.origin.error(
            node.mark,
            "a wrong name",
            rule=f"a name is a line of 1 to {MAX_NAME} printable characters",
            received=describe(node),
        )

    # -- inputs and outputs ------------------------------------------------------------------------------------

    def inputs(self, expander: Expander, context: Context) -> tuple[Ref, ...]:
        node = self.root.value["input"]
        if isinstance(node, Map) and "shape" not in node.value:
            if not node.value:
                raise self.origin.error(node.mark, "'input' names no input")
            named = [(name, node.keys[name], part) for name, part in node.value.items()]
        else:
            named = [("input", node.mark, node)]
        refs = []
        for name, mark, part in named:
            trail = (None, "input" if part is node else f"input > {name}")
            try:
                context.scope.claim(checked(name))
            except CnncostError as error:
                raise error.at(self.origin.location(mark, trail)) from None
            kind = self.input(part, trail)
            expander.layers.append(Layer(name, kind, location=self.origin.location(mark, trail)))
            expander.named[name] = ref = Ref(len(expander.layers) - 1)
            refs.append(ref)
        return tuple(refs)

    def input(self, node: Node, trail: Any) -> InputLayer:
        parts: dict[str, Node] = {"shape": node}
        if isinstance(node, Map):
            parts = node.value
            for key in parts:
                if key not in ("shape", "dtype"):
                    raise unknown_key(self.origin, node, key, ("shape", "dtype"), "an input", trail)
        values = {key: self.reader.value(part, self.env, trail) for key, part in parts.items()}
        shape = values.get("shape")
        if not isinstance(shape, list):
            raise self.origin.error(
                node.mark, "an input is a shape without the batch", trail, rule="a list such as [224, 224, 3]",
                received=describe(node), nearest=f"write [{shape}]" if isinstance(shape, int) else "",
            )  # fmt: skip
        values["shape"] = [None if dim == "?" else dim for dim in shape]
        try:
            return InputLayer.build(values)
        except ArgumentError as error:
            place: Any = parts.get(str(error.key[0])) if error.key else None
            if place is not None and len(error.key) > 1 and isinstance(place, List) and isinstance(error.key[1], int):
                place = place.value[error.key[1]]
            error.problem = error.problem.replace("InputLayer", "input")
            if isinstance(place, Scalar):
                error.nearest = meant(place, error.rule) or error.nearest
            raise error.at(self.origin.location((place or node).mark, trail)) from None

    def outputs(self, expander: Expander, here: tuple[Ref, ...], context: Context) -> tuple[Ref, ...]:
        node = self.root.value.get("outputs")
        if node is None:
            return here
        return expander.refs(node, here, context, (None, "outputs"), "outputs")

    # -- defaults and blocks -----------------------------------------------------------------------------------

    def section(self, key: str) -> Map | None:
        """A top key that is a mapping of mappings."""
        node = self.root.value.get(key)
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return None
        if not isinstance(node, Map):
            raise self.origin.error(node.mark, f"'{key}' is a mapping", received=describe(node))
        return node

    def defaults(self) -> dict[str, Map]:
        section = self.section("defaults")
        found: dict[str, Map] = {}
        for name, node in section.value.items() if section else ():
            trail = (None, f"defaults > {name}")
            assert section is not None
            try:
                kind = registry.lookup(name)
            except CnncostError as error:
                raise error.at(self.origin.location(section.keys[name], trail)) from None
            if not isinstance(node, Map):
                raise self.origin.error(
                    node.mark, f"the defaults of {kind.name()} are a mapping of its arguments", trail,
                    received=describe(node),
                )  # fmt: skip
            known = kind.arguments()
            for key in node.value:
                if key not in known and key not in kind.passive:
                    raise unknown_key(self.origin, node, key, list(known), f"the defaults of {kind.name()}", trail)
            found[kind.name()] = node
        return found

    def blocks(self) -> dict[str, Block]:
        section = self.section("blocks")
        found: dict[str, Block] = {}
        for name, node in section.value.items() if section else ():
            assert section is not None
            trail, mark = (None, f"blocks > {name}"), section.keys[name]
            try:
                checked(name)
            except CnncostError as error:
                raise error.at(self.origin.location(mark, trail)) from None
            if (
                name in COMMON
                or name in FORMS
                or name in ("merge", "shortcut")
                or is_kind(name)
                or name in registry.REFUSED
            ):
                raise self.origin.error(
                    mark, f"a block cannot be called '{printable(name)}'", trail,
                    rule="layer kinds and the language's own keys keep their names",
                )  # fmt: skip
            found[name] = self.block(name, node, trail)
        return found

    def block(self, name: str, node: Node, trail: Any) -> Block:
        if isinstance(node, List):
            return Block(name, {}, node.value)
        if not isinstance(node, Map) or "layers" not in node.value:
            raise self.origin.error(
                node.mark, "a block is a mapping with 'layers', and with 'params' where it has some", trail,
                received=describe(node),
            )  # fmt: skip
        for key in node.value:
            if key not in BLOCK_KEYS:
                raise unknown_key(self.origin, node, key, BLOCK_KEYS, "a block", trail)
        layers = node.value["layers"]
        nodes = entries_of(self.origin, layers, "layers", trail) if layers.value != [] else []
        return Block(name, self.params(node.value.get("params"), trail), nodes)

    def params(self, node: Node | None, trail: Any) -> dict[str, Node]:
        if node is None or (isinstance(node, Scalar) and node.value is None):
            return {}
        if isinstance(node, List):  # names alone: all must be given
            for part in node.value:
                self.word(part, part.mark, trail)
            return {str(part.value): Scalar(None, part.mark) for part in node.value}
        if not isinstance(node, Map):
            raise self.origin.error(
                node.mark, "'params' is a mapping of names to defaults (null must be given)", trail,
                received=describe(node),
            )  # fmt: skip
        for key in node.value:
            self.word(Scalar(key), node.keys[key], trail)
        return node.value

    def word(self, node: Node, mark: Any, trail: Any) -> None:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.value.isidentifier():
            raise self.origin.error(
                mark, "a wrong parameter name", trail, rule="letters, digits and _, such as kernel_size",
                received=describe(node),
            )  # fmt: skip
