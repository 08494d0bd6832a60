"""The immutable graph: layers in topological order, validated once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.findings import Finding
from cnncost.kinds.base import Kind
from cnncost.written import Written

MAX_LAYERS = 100_000


class Ref(NamedTuple):
    """Output ``output`` of the layer at index ``layer``."""

    layer: int
    output: int = 0


class Expected(NamedTuple):
    """A claim about one figure (``output_shape``, ``params``, …): what was claimed, how it was written, where."""

    metric: str
    value: Any  # an exact integer or a shape, or (low, high) when the claim was rounded text such as "25.6M"
    text: str
    location: Location | None = None


@dataclass(frozen=True, slots=True)
class Layer:
    """One call of a layer. A layer that is called twice stands twice; the later call ``shares`` the first's weights."""

    name: str  # blocks and nested models as a path: "stage1/conv"
    kind: Kind
    inputs: tuple[Ref, ...] = ()
    trainable: bool = True
    dtype: str | None = None  # the layer's own policy; None takes the model's
    shares: int | None = None  # index of the first call
    location: Location | None = None
    expects: tuple[Expected, ...] = ()
    recompute: int | None = None  # a group whose forward pass the reverse pass runs again: its first layer's index


@dataclass(frozen=True, slots=True)
class Graph:
    """A model: ``layers[i]`` reads only layers before ``i``. Raises CnncostError when that or a name is broken."""

    name: str
    layers: tuple[Layer, ...]
    outputs: tuple[Ref, ...]
    source: str = ""
    dtype: str = "float32"
    location: Location | None = None
    expects: tuple[Expected, ...] = ()
    budgets: Mapping[str, Written] = field(default_factory=dict)  # limits by figure
    findings: tuple[Finding, ...] = ()
    as_written: bool = True  # False once an input or a variable was overridden: claims no longer bind
    dialect: str = "spec"  # "spec", "keras2" or "keras3": what it was read from

    def __post_init__(self) -> None:
        if not self.layers:
            raise CnncostError("the model has no layers", location=self.location)
        if len(self.layers) > MAX_LAYERS:
            raise CnncostError(
                f"the model has {len(self.layers):,} layers", rule=f"at most {MAX_LAYERS:,}", location=self.location
            )
        names: set[str] = set()
        for index, layer in enumerate(self.layers):
            if layer.name in names:
                raise CnncostError(f"two layers are named '{printable(layer.name)}'", location=layer.location)
            names.add(layer.name)
            for ref in layer.inputs:
                if not 0 <= ref.layer < index:
                    raise CnncostError(
                        f"layer '{printable(layer.name)}' reads a layer that does not stand before it",
                        location=layer.location,
                    )
        if any(not 0 <= ref.layer < len(self.layers) for ref in self.outputs) or not self.outputs:
            raise CnncostError("the model's outputs name no layer of it", location=self.location)

    @property
    def inputs(self) -> tuple[int, ...]:
        """Indices of the input layers."""
        return tuple(i for i, layer in enumerate(self.layers) if not layer.inputs and layer.kind.name() == "InputLayer")

    def index(self, name: str) -> int:
        """The index of a layer by name. Raises CnncostError naming the nearest."""
        for i, layer in enumerate(self.layers):
            if layer.name == name:
                return i
        raise CnncostError(
            f"there is no layer '{printable(name)}'", nearest=nearest(name, [layer.name for layer in self.layers])
        )


class Group(NamedTuple):
    """Layers whose forward pass the reverse pass runs again (``recompute`` in a spec): their indices, the outputs of
    other layers that they read, and their own that others read."""

    members: tuple[int, ...]
    given: tuple[Ref, ...]
    left: tuple[Ref, ...]


def groups_of(graph: Graph) -> dict[int | None, Group]:
    """The groups of a graph by the index that their layers' ``recompute`` names."""
    members: dict[int | None, list[int]] = {}
    for index, layer in enumerate(graph.layers):
        if layer.recompute is not None:
            members.setdefault(layer.recompute, []).append(index)
    found: dict[int | None, Group] = {}
    for key, own in members.items():
        inside = frozenset(own)
        given = dict.fromkeys(ref for i in own for ref in graph.layers[i].inputs if ref.layer not in inside)
        read = [ref for i, layer in enumerate(graph.layers) if i not in inside for ref in layer.inputs]
        left = dict.fromkeys(ref for ref in (*read, *graph.outputs) if ref.layer in inside)
        found[key] = Group(tuple(own), tuple(given), tuple(left))
    return found
