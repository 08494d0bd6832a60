"""The walk: every layer's shapes, weights, counts and receptive field, and the totals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from cnncost.choices import MODES, OPTIMIZERS
from cnncost.count import Count
from cnncost.errors import CnncostError, GeometryError, nearest, printable
from cnncost.graph import Graph, Layer, groups_of
from cnncost.kinds.base import Kind, MacTerm, Weight, total
from cnncost.memory_record import Memory, TextbookMemory
from cnncost.reach import Seen, see
from cnncost.results import Analysis, LayerCost, Totals
from cnncost.sums import textbook, totals
from cnncost.tensor import DTYPES, POLICY_NAMES, Policy, Shape, Tensor, policy, shape_text
from cnncost.window import Window

__all__ = ["Analysis", "LayerCost", "Memory", "TextbookMemory", "Totals", "analyze_graph", "with_dtype", "with_inputs"]

MAX_DIMENSION = 2**63 - 1


def analyze_graph(
    graph: Graph,
    *,
    batch: int = 1,
    inputs: Mapping[str, Shape] | Sequence[Shape] | None = None,
    dtype: str | None = None,
    mode: str = "inference",
    optimizer: str | None = None,
) -> Analysis:
    """Walk a graph. ``inputs`` overrides input shapes (by name, or in order); ``dtype`` overrides every layer's policy.

    Raises GeometryError with the layer's place when a layer cannot stand where it is.
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or not 1 <= batch < 2**31:
        raise CnncostError(
            "a wrong batch", rule="it must be a whole number from 1 to 2^31 - 1", received=str(batch)[:40]
        )
    if mode not in MODES:
        raise CnncostError("a wrong mode", rule=f"it must be {' or '.join(MODES)}", received=printable(mode))
    if optimizer is not None and str(optimizer).lower() not in OPTIMIZERS:
        raise CnncostError(
            f"unknown optimizer '{printable(optimizer)}'",
            rule=f"an optimizer is one of {', '.join(OPTIMIZERS)}",
            nearest=nearest(str(optimizer), OPTIMIZERS),
        )
    if inputs:
        graph = with_inputs(graph, inputs)
    fixed = _chosen(dtype) if dtype is not None else None
    walk = _Walk(graph, batch, fixed)
    rows = walk.run()
    return Analysis(
        model=graph.name, source=graph.source, batch=batch, dtype=fixed.name if fixed else graph.dtype, mode=mode,
        optimizer=optimizer, layers=rows, totals=totals(rows), memory=Memory(textbook(rows, graph)),
        findings=graph.findings, graph=graph,
    )  # fmt: skip


def _chosen(dtype: object) -> Policy:
    """The policy for the whole model; integer types of single layers are no choice for all of them."""
    name = dtype if isinstance(dtype, str) else ""
    if name not in POLICY_NAMES:
        raise CnncostError(
            f"unknown dtype '{printable(dtype)}'", rule=f"a dtype is one of {', '.join(POLICY_NAMES)}",
            nearest=nearest(name, POLICY_NAMES),
        )  # fmt: skip
    return policy(name)


def with_inputs(graph: Graph, shapes: Mapping[str, Shape] | Sequence[Shape]) -> Graph:
    """The graph with other input shapes."""
    names = [graph.layers[i].name for i in graph.inputs]
    parts = shapes.values() if isinstance(shapes, Mapping) else shapes if isinstance(shapes, list | tuple) else [shapes]
    for part in parts:
        if not isinstance(part, list | tuple):
            raise CnncostError(
                "a wrong input shape", received=printable(part),
                rule="it is a list such as [224, 224, 3], without the batch; several in order, or by name",
            )  # fmt: skip
    if not isinstance(shapes, Mapping):
        if len(shapes) > len(names):
            raise CnncostError(
                f"{len(shapes)} input shapes for {len(names)} inputs",
                rule=f"the inputs are {printable(', '.join(names), 300)}",
            )
        shapes = dict(zip(names, shapes, strict=False))
    for name in shapes:
        if name not in names:
            raise CnncostError(
                f"the model has no input '{printable(name)}'", nearest=nearest(str(name), names),
                rule=f"its inputs are {printable(', '.join(names), 300)}",
            )  # fmt: skip
    layers = list(graph.layers)
    for i in graph.inputs:
        if layers[i].name in shapes:
            kind = replace(layers[i].kind, shape=tuple(shapes[layers[i].name]))  # type: ignore[call-arg]
            layers[i] = replace(layers[i], kind=kind)
    return replace(graph, layers=tuple(layers), as_written=graph.as_written and tuple(layers) == graph.layers)


def with_dtype(graph: Graph, dtype: str) -> Graph:
    """The graph with one policy for every layer."""
    layers = tuple(replace(layer, dtype=None) for layer in graph.layers)
    return replace(graph, layers=layers, dtype=policy(dtype).name)


class _Ruled(NamedTuple):
    """What a kind's rules say of given input shapes, whoever the layer is."""

    outputs: tuple[Shape, ...]
    weights: tuple[Weight, ...]
    params: int
    trainable_params: int
    terms: tuple[MacTerm, ...]
    macs: Count
    other_flops: Count
    windows: tuple[Window, ...]
    notes: tuple[str, ...]


def _ruled(kind: Kind, shapes: tuple[Shape, ...]) -> _Ruled:
    outputs = _within_bounds(kind.outputs(shapes))
    weights = kind.weights(shapes)
    terms = kind.macs(shapes, outputs)
    return _Ruled(
        outputs=outputs,
        weights=weights,
        params=sum(w.size for w in weights),
        trainable_params=sum(w.size for w in weights if w.trainable),
        terms=terms,
        macs=total(terms),
        other_flops=kind.other_flops(shapes, outputs),
        windows=kind.windows(shapes),
        notes=kind.notes(shapes),
    )


class _Walk:
    """One pass over the layers; keeps what later layers need to know of earlier ones."""

    def __init__(self, graph: Graph, batch: int, fixed: Policy | None) -> None:
        self.graph, self.batch, self.fixed = graph, batch, fixed
        self.tensors: list[tuple[Tensor, ...]] = []
        self.seen: list[Seen | None] = []
        self.wants_gradient: list[bool] = []  # something trainable at or below this layer
        self.policies: dict[str, Policy] = {}
        self.known: dict[tuple[Kind, tuple[Shape, ...]], _Ruled] = {}
        self.rows: list[LayerCost] = []
        self.channels_first = any(getattr(y.kind, "data_format", None) == "channels_first" for y in graph.layers)

    def run(self) -> tuple[LayerCost, ...]:
        for layer in self.graph.layers:
            try:
                self.rows.append(self.row(layer))
            except GeometryError as error:
                if layer.name not in error.problem:
                    error.problem = f"layer '{layer.name}': {error.problem}"
                raise error.at(layer.location or self.graph.location) from None
            except CnncostError as error:
                raise error.at(layer.location or self.graph.location) from None
        for group in groups_of(self.graph).values():
            if any(self.wants_gradient[index] for index in group.members):
                for index in group.members:
                    self.rows[index] = replace(self.rows[index], recomputed_macs=self.rows[index].macs)
        return tuple(self.rows)

    def policy_of(self, layer: Layer) -> Policy:
        if self.fixed is not None:
            return self.fixed
        name = layer.dtype or self.graph.dtype
        if name not in self.policies:
            self.policies[name] = policy(name)
        return self.policies[name]

    def ruled(self, kind: Kind, shapes: tuple[Shape, ...]) -> _Ruled:
        """A kind's rules on these shapes; equal layers of a repeated block are ruled once."""
        if kind.singular():
            return _ruled(kind, shapes)
        try:
            found = self.known.get((kind, shapes))
        except TypeError:  # an argument that cannot be hashed
            return _ruled(kind, shapes)
        if found is None:
            found = self.known[kind, shapes] = _ruled(kind, shapes)
        return found

    def row(self, layer: Layer) -> LayerCost:
        kind, own = layer.kind, self.policy_of(layer)
        read = [self.tensors[ref.layer][ref.output] for ref in self._refs(layer)]
        shapes = tuple(tensor.shape for tensor in read)
        ruled = self.ruled(kind, shapes)
        outputs, weights, notes = ruled.outputs, ruled.weights, ruled.notes
        dtype = kind.output_dtype(tuple(tensor.dtype for tensor in read), own.compute)
        tensors = tuple(Tensor(shape, dtype) for shape in outputs)
        below = [self.wants_gradient[ref.layer] for ref in layer.inputs]
        trains = layer.trainable and ruled.trainable_params > 0
        self._same_weights(layer, weights)
        shared = layer.shares is not None
        self._must_be_known(layer, tensors, ruled.macs, ruled.other_flops)
        seen = see(kind, shapes, outputs, [self.seen[ref.layer] for ref in layer.inputs], layer.name,
                   self.channels_first)  # fmt: skip
        self.tensors.append(tensors)
        self.seen.append(seen)
        self.wants_gradient.append(trains or any(below))
        if shared:
            first = self.graph.layers[layer.shares or 0].name
            notes = (*notes, f"shares the weights of '{first}', which are counted there")
        if not layer.trainable and weights:
            notes = (*notes, "frozen: its weights are not trained")
        return LayerCost(
            name=layer.name,
            kind=kind.name(),
            inputs=tuple(self.graph.layers[ref.layer].name for ref in layer.inputs),
            input_shapes=shapes,
            outputs=tensors,
            weights=weights,
            params=0 if shared else ruled.params,
            trainable_params=0 if shared or not layer.trainable else ruled.trainable_params,
            mac_terms=ruled.terms,
            macs_count=ruled.macs,
            other_flops=ruled.other_flops,
            training_macs=_training_macs(ruled.terms, weights, layer.trainable, below),
            activation_bytes=self.batch * sum(tensor.bytes or 0 for tensor in tensors),
            weight_bytes=0 if shared else _weight_bytes(weights, own),
            windows=ruled.windows,
            seen=seen,
            notes=notes,
            compute=own.compute,
            layer=layer,
            shared=shared,
        )

    def _refs(self, layer: Layer) -> Sequence[Any]:
        for ref in layer.inputs:
            count = len(self.tensors[ref.layer])
            if ref.output >= count:
                before = self.graph.layers[ref.layer].name
                raise GeometryError(f"'{before}' has {count} outputs, number {ref.output + 1} is asked for")
        return layer.inputs

    def _same_weights(self, layer: Layer, weights: tuple[Weight, ...]) -> None:
        if layer.shares is None:
            return
        first = self.rows[layer.shares]
        if [w.shape for w in first.weights] != [w.shape for w in weights]:
            raise GeometryError(
                f"it shares the weights of '{first.name}' but its input would need others",
                rule="a layer that is used twice needs inputs that fit the same weights",
                received=f"{shape_text(first.input_shapes[0])}, then another shape",
            )

    def _must_be_known(self, layer: Layer, tensors: tuple[Tensor, ...], *counts: Count) -> None:
        if any(t.elements is None for t in tensors) or any(c.value is None for c in counts):
            unknown = next((i for i in self.graph.inputs if None in self.graph.layers[i].kind.outputs(())[0]), None)
            where = f" (input '{self.graph.layers[unknown].name}')" if unknown is not None else ""
            raise CnncostError(
                f"the shape of layer '{layer.name}' stays unknown: {shape_text(tensors[0].shape)}{where}",
                rule="costs need every dimension",
                nearest="give the unknown dimensions with --input H,W,C",
            )


def _within_bounds(shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """The shapes, once every dimension is one that TensorFlow could hold (a signed 64-bit integer)."""
    for shape in shapes:
        for dim in shape:
            if dim is not None and dim > MAX_DIMENSION:
                raise GeometryError(
                    "an output of astronomic size", rule="a dimension is below 2^63", received=printable(dim)
                )
    return shapes


def _weight_bytes(weights: tuple[Weight, ...], own: Policy) -> int:
    return sum(w.size * (DTYPES[w.dtype] if w.dtype else own.variable).bytes for w in weights)


def _training_macs(
    terms: tuple[MacTerm, ...], weights: tuple[Weight, ...], trainable: bool, below: Sequence[bool]
) -> int:
    """One training step's multiplications: forward, the data's gradient where something below trains, the weight's
    gradient where it trains. Each gradient of a product of sums costs as many multiplications as the product itself."""
    trained = {w.name for w in weights if w.trainable} if trainable else set()
    result = 0
    for term in terms:
        data = any(below) or (term.inner and bool(trained))
        if term.weight is None:
            operands = 2 if term.inner and data else min(2, sum(below))
        else:
            operands = int(data) + int(term.weight in trained)
        result += int(term.count) * (1 + operands)
    return result
