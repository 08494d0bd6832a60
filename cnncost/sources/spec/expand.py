"""The expansion: entries, blocks and repeats become a flat list of layers in topological order, bounded."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

from cnncost.errors import CnncostError, printable
from cnncost.graph import MAX_LAYERS, Expected, Layer, Ref
from cnncost.kinds.base import Kind
from cnncost.sources.spec import claims
from cnncost.sources.spec.call import Env, dynamic
from cnncost.sources.spec.entries import Block, Entries, Entry, entries_of
from cnncost.sources.spec.lookup import Context, Expansion, Refs
from cnncost.sources.spec.names import Scope
from cnncost.sources.spec.nodes import List, Map, Mark, Node, Origin, Scalar, Trail

MAX_NESTING = 64  # blocks, residuals and branches within each other
MAX_STEPS = 2 * MAX_LAYERS  # entries looked at, those that make no layer included
MERGES = {kind: Scalar(kind) for kind in ("Add", "Concatenate")}  # where no 'merge' stands


class Expander(Expansion):
    """Collects the layers; ``here`` is always what the next entry reads."""

    def __init__(self, origin: Origin, blocks: dict[str, Block], defaults: dict[str, Map], variables: Env) -> None:
        super().__init__(origin)
        self.entries = Entries(origin, self.reader, blocks)
        self.defaults, self.globals = defaults, variables
        self.varying = {name for name, node in defaults.items() if dynamic(node)}
        self.kinds: dict[int, Kind] = {}  # of entries without variables
        self.steps = 0

    # -- lists and entries -------------------------------------------------------------------------------------

    def sequence(self, nodes: list[Node], here: Refs, context: Context, trail: Trail, label: str) -> Refs:
        for i, node in enumerate(nodes):
            here = self.entry(node, here, context, (trail, f"{label}[{i}]"))
        return here

    def entry(self, node: Node, here: Refs, context: Context, trail: Trail) -> Refs:
        entry = self.entries.read(node, trail)
        self.step(entry, trail)
        common = entry.common
        if not common:
            return self.once(entry, here, context, None, trail)
        if "when" in common and not self.flag(common["when"], "when", context, trail):
            return here
        if "inputs" in common:
            here = self.refs(common["inputs"], here, context, trail)
        if "trainable" in common or "dtype" in common:
            context = self.inherit(common, context, trail)
        name = self.name(common["name"], context, trail) if "name" in common else None
        if "repeat" in common:
            return self.repeated(entry, here, context, name, trail)
        return self.once(entry, here, context, name, trail)

    def step(self, entry: Entry, trail: Trail) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise self.origin.error(
                entry.mark, "the expansion does not end in reasonable time", trail,
                rule=f"at most {MAX_STEPS:,} entries, written out",
            )  # fmt: skip

    def repeated(self, entry: Entry, here: Refs, context: Context, name: str | None, trail: Trail) -> Refs:
        node = entry.common["repeat"]
        times = self.reader.value(node, context.env, trail)
        if isinstance(times, bool) or not isinstance(times, int) or not 0 <= times <= MAX_LAYERS:
            raise self.error(
                node, "a wrong 'repeat'", trail, received=printable(times),
                rule=f"it must be a whole number from 0 to {MAX_LAYERS:,}",
            )  # fmt: skip
        start, before = len(self.layers), here
        ends = [start]
        for index in range(times):
            self.step(entry, trail)
            inner = context.copy()
            inner.env = {**context.env, "index": index}
            here = self.once(entry, here, inner, f"{name}_{index + 1}" if name else None, trail)
            ends.append(len(self.layers))
        full = context.scope.claim(name) if name and times else None
        if full is not None and here:
            self.named[full] = here[0]
            self.spans[full] = (start, len(self.layers), before)
            self.repetitions[full] = list(pairwise(ends))
        return here

    def once(self, entry: Entry, here: Refs, context: Context, name: str | None, trail: Trail) -> Refs:
        if "recompute" in entry.common and self.flag(entry.common["recompute"], "recompute", context, trail):
            context = context.copy()
            if context.recompute is None:  # a group inside another is run again with it
                context.recompute = len(self.layers)
        if entry.kind is not None:
            return self.layer(entry, here, context, name, trail)
        if entry.block is not None:
            return self.block(entry, entry.block, here, context, name, trail)
        return getattr(self, entry.calls)(entry, here, context, name, trail)  # type: ignore[no-any-return]

    # -- what an entry can be ----------------------------------------------------------------------------------

    def layer(
        self, entry: Entry, here: Refs, context: Context, name: str | None, trail: Trail, mark: Mark | None = None
    ) -> Refs:
        kind = self.kinds.get(id(entry)) or self.kind(entry, context, trail)
        full = self.full(entry, context, name, trail)
        expects = self.claims(entry, context, trail)
        return self.add(
            Layer(
                full,
                kind,
                here,
                context.trainable,
                context.dtype,
                None,
                self.location(entry, trail, mark),
                expects,
                context.recompute,
            )
        )

    def kind(self, entry: Entry, context: Context, trail: Trail) -> Kind:
        assert entry.kind is not None
        kind = self.reader.kind(
            entry.kind, entry.argument, entry.named, self.defaults.get(entry.calls), context.env, trail, entry.mark
        )
        if not entry.dynamic and entry.calls not in self.varying:
            self.kinds[id(entry)] = kind
        return kind

    def add(self, layer: Layer) -> Refs:
        index = len(self.layers)
        if index >= MAX_LAYERS:
            problem = f"the model has more than {MAX_LAYERS:,} layers"
            raise CnncostError(problem, rule=f"at most {MAX_LAYERS:,}", location=layer.location)
        self.layers.append(layer)
        self.named[layer.name] = ref = Ref(index)
        return (ref,)

    def block(
        self, entry: Entry, block: Block, here: Refs, context: Context, name: str | None, trail: Trail
    ) -> Refs:  # fmt: skip
        if block.name in context.blocks:
            cycle = " > ".join([*context.blocks[context.blocks.index(block.name) :], block.name])
            raise self.origin.error(entry.mark, "a block contains itself", trail, received=cycle)
        full = self.full(entry, context, name, trail)
        inner = self.deeper(entry, context, trail, context.scope.inside(full))
        inner.env = self.parameters(entry, block, context, trail)
        inner.blocks = (*context.blocks, block.name)
        start = len(self.layers)
        out = self.sequence(block.layers, here, inner, (trail, entry.calls), "layers")
        return self.finish(entry, full, start, here, out, context, trail)

    def residual(self, entry: Entry, here: Refs, context: Context, name: str | None, trail: Trail) -> Refs:
        assert entry.form is not None
        full, inner = self.grouped(entry, context, name, trail)
        start = len(self.layers)
        path = entries_of(self.origin, entry.argument, "residual", trail)
        main = self.sequence(path, here, inner, trail, "residual")
        if len(self.layers) == start:
            raise self.origin.error(entry.mark, "a residual without layers", trail, rule="it needs at least one")
        shortcut, cut = entry.form.value.get("shortcut"), here
        if shortcut is not None and shortcut.value:
            cut = self.sequence(entries_of(self.origin, shortcut, "shortcut", trail), here, inner, trail, "shortcut")
        out = self.merge(entry, "Add", (*main, *cut), inner, trail)
        return self.finish(entry, full, start, here, out, context, trail)

    def branches(self, entry: Entry, here: Refs, context: Context, name: str | None, trail: Trail) -> Refs:
        node = entry.argument
        if not isinstance(node, List) or not node.value:
            raise self.error(
                node, "'branches' is a list of lists of layers", trail,
                nearest="branches: [[Conv2D: [64, 1]], [Conv2D: [96, 1], Conv2D: [128, 3]]]",
            )  # fmt: skip
        full, inner = self.grouped(entry, context, name, trail)
        start = len(self.layers)
        ends: list[Ref] = []
        for i, branch in enumerate(node.value):
            steps = [] if isinstance(branch, List) and not branch.value else entries_of(
                self.origin, branch, f"branches[{i}]", trail
            )  # fmt: skip
            ends.extend(self.sequence(steps, here, inner, trail, f"branches[{i}]"))
        out = self.merge(entry, "Concatenate", tuple(ends), inner, trail)
        return self.finish(entry, full, start, here, out, context, trail)

    def merge(self, entry: Entry, default: str, refs: Refs, context: Context, trail: Trail) -> Refs:
        assert entry.form is not None
        node = entry.form.value.get("merge") or MERGES[default]
        inner = self.entries.read(node, (trail, "merge"))
        if inner.kind is None or inner.common.keys() - {"name"}:
            raise self.error(
                node, "'merge' is a merging layer kind", trail,
                nearest="merge: Concatenate, or merge: {Concatenate: {axis: -1}}",
            )  # fmt: skip
        name = self.name(inner.common["name"], context, trail) if "name" in inner.common else None
        return self.layer(inner, refs, context, name, (trail, "merge"), entry.mark)

    def reuse(self, entry: Entry, here: Refs, context: Context, name: str | None, trail: Trail) -> Refs:
        """Call an earlier layer, or all layers of an earlier block, again with the same weights."""
        node = entry.argument
        word = self.reader.value(node, context.env, trail) if node is not None else None
        if not isinstance(word, str):
            raise self.error(node, "'reuse' names an earlier layer or block", trail)
        found = self.find(word, context)
        if found is None:
            raise self.unknown_name(node, word, context, trail)
        first = self.named[found].layer
        low, high, before = self.spans.get(found, (first, first + 1, self.layers[first].inputs))
        base = name or found.rsplit("/", 1)[-1]
        full = self.claim(entry, context, name, trail) if name else context.scope.free(base)
        if low + 1 == high and found not in self.spans:
            self.reused.append((low, high, len(self.layers) - low))
            return self.again(low, full, here, entry, context, trail, self.claims(entry, context, trail))
        inner = context.scope.inside(full)
        shift = len(self.layers) - low
        self.reused.append((low, high, shift))
        if full is not None and found in self.repetitions:
            self.repetitions[full] = [(a + shift, b + shift) for a, b in self.repetitions[found]]
        for i in range(low, high):
            old = self.layers[i]
            refs = here if old.inputs == before else tuple(
                here[before.index(r)] if r in before and before.index(r) < len(here)
                else Ref(r.layer + shift, r.output) if r.layer >= low else r
                for r in old.inputs
            )  # fmt: skip
            tail = old.name[len(found) + 1 :] if old.name.startswith(found + "/") else old.name.rsplit("/", 1)[-1]
            self.again(i, inner.free(tail), refs, entry, context, trail)
        out = (Ref(self.named[found].layer + shift, self.named[found].output),)
        return self.finish(entry, full, low + shift, here, out, context, trail)

    def again(
        self, index: int, full: str, here: Refs, entry: Entry, context: Context, trail: Trail,
        expects: tuple[Expected, ...] = (),
    ) -> Refs:  # fmt: skip
        old = self.layers[index]
        shares = old.shares if old.shares is not None else index
        location = self.location(entry, trail)
        return self.add(
            Layer(full, old.kind, here, old.trainable, old.dtype, shares, location, expects, context.recompute)
        )

    # -- helpers -----------------------------------------------------------------------------------------------

    def grouped(self, entry: Entry, context: Context, name: str | None, trail: Trail) -> tuple[str | None, Context]:
        """A residual or branches makes a scope of its own only where it has a name."""
        full = self.claim(entry, context, name, trail) if name else None
        scope = context.scope.inside(full) if full else context.scope
        return full, self.deeper(entry, context, trail, scope)

    def deeper(self, entry: Entry, context: Context, trail: Trail, scope: Scope) -> Context:
        if context.depth >= MAX_NESTING:
            raise self.origin.error(entry.mark, f"blocks nested deeper than {MAX_NESTING}", trail)
        inner = context.copy()
        inner.scope, inner.depth = scope, context.depth + 1
        return inner

    def finish(
        self, entry: Entry, full: str | None, start: int, before: Refs, out: Refs, context: Context, trail: Trail
    ) -> Refs:
        """Register a group's name for its output, and put its claim on the layer that makes it."""
        if full is not None and out:
            self.named[full] = out[0]
            self.spans[full] = (start, len(self.layers), before)
        if "expect" in entry.common and len(self.layers) > start:
            expects = claims.of_group(self.reader, entry.common["expect"], context.env, trail)
            last = out[0].layer
            self.layers[last] = replace(self.layers[last], expects=(*self.layers[last].expects, *expects))
        return out

    def parameters(self, entry: Entry, block: Block, context: Context, trail: Trail) -> Env:
        """The block's variables: the model's own, then its parameters."""
        env: dict[str, Any] = dict(self.globals)
        for key, default in block.params.items():
            if key in entry.named:
                env[key] = self.reader.value(entry.named[key], context.env, trail)
            elif isinstance(default, Scalar) and default.value is None:
                raise self.origin.error(
                    entry.mark, f"block '{block.name}' needs '{key}'", trail,
                    rule=f"its parameters are: {', '.join(block.params)}",
                    received=", ".join(entry.named) or "no arguments",
                )  # fmt: skip
            else:
                env[key] = self.reader.value(default, env, trail)
        return env
