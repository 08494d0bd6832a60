"""Graph → the config of a Keras 3 Functional model, as plain data. Nothing of Keras is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, UnsupportedLayer, printable
from cnncost.findings import Finding
from cnncost.graph import Graph, Layer, Ref
from cnncost.kinds.base import Kind
from cnncost.kinds.config import config_of
from cnncost.tensor import DType, Shape, policy

Data = dict[str, Any]
LAYERS_MODULE = "cnncost.export.layers"
PACKAGE = "cnncost"  # the layers that Keras lacks are registered as "cnncost>NAME"
# Layers that keras.applications defines beside its architectures.
_APPLICATIONS = {
    "LayerScale": "keras.src.applications.convnext",
    "StochasticDepth": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}
_SPREAD = frozenset({"MultiHeadAttention", "GroupQueryAttention"})  # called as layer(query, value, key)
_LISTED = frozenset({
    "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot", "Attention",
    "AdditiveAttention", "CustomScaleLayer",
})  # fmt: skip  # called as layer([a, b, …]), even with one tensor
# Weightless layers whose constructors in Keras 3 take no `trainable`.
_UNFREEZABLE = frozenset({"Discretization", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"})
Tensors = list[list[tuple[Shape, DType]]]


def to_config(graph: Graph, batch: int = 1) -> Data:
    """The serialized Functional model, which ``keras.models.model_from_json`` reads and ``read_config`` reads back.

    Keras forbids ``/`` in a layer's name: ``stage1/conv`` becomes ``stage1.conv``. Calls that share weights become
    calls of one layer. Keras wants the size of the batch where a recurrent layer keeps its states from batch to batch:
    ``batch`` is written there alone. No Keras file says which layers are recomputed (``keras.remat`` wraps a function
    in code): that is left out. Raises UnsupportedLayer when a layer has no Keras form, GeometryError when one cannot
    stand.
    """
    return _Exporter(graph, batch).config()


def left_out(graph: Graph) -> tuple[Finding, ...]:
    """What the model that is written no longer says."""
    layer = next((layer for layer in graph.layers if layer.recompute is not None), None)
    if layer is None:
        return ()
    message = (
        f"the exported model does not recompute '{printable(layer.name)}': no Keras file can say it; keras.remat wraps "
        "a function in code"
    )
    return (Finding("warning", message, layer.name, layer.location),)


def keras_names(graph: Graph) -> tuple[tuple[str, int], ...]:
    """For each row of the graph its layer's name in the exported model, and which call of that layer the row is."""
    found = _Exporter(graph)
    return tuple((found.names[first], number) for first, number in (found.calls[i] for i in range(len(graph.layers))))


class _Exporter:
    """What every part of the config needs to know of the graph."""

    def __init__(self, graph: Graph, batch: int = 1) -> None:
        self.graph = graph
        self.batch = batch if any(_keeps_states(layer.kind) for layer in graph.layers) else None
        self.names = _legal_names(graph)
        self.groups = _grouped(graph)
        self.calls = {row: (first, n) for first, rows in self.groups.items() for n, row in enumerate(rows)}
        self.tensors = _tensors(graph)

    def config(self) -> Data:
        graph = self.graph
        return {
            "module": "keras.src.models.functional",
            "class_name": "Functional",
            "config": {
                "name": _legal(graph.name),
                "trainable": True,
                "layers": [self.layer(first, rows) for first, rows in self.groups.items()],
                "input_layers": [self.history(Ref(row)) for row in graph.inputs],
                "output_layers": [self.history(ref) for ref in graph.outputs],
            },
            "registered_name": "Functional",
        }

    def history(self, ref: Ref) -> list[Any]:
        """[layer, call, output], as Keras writes where a tensor comes from."""
        first, number = self.calls[ref.layer]
        return [self.names[first], number, ref.output]

    def tensor(self, ref: Ref) -> Data:
        shape, dtype = self.tensors[ref.layer][ref.output]
        config = {"shape": [self.batch, *shape], "dtype": dtype.name, "keras_history": self.history(ref)}
        return {"class_name": "__keras_tensor__", "config": config}

    def layer(self, first: int, rows: list[int]) -> Data:
        layer, name = self.graph.layers[first], self.names[first]
        data = _serialized(layer, name, layer.dtype or self.graph.dtype, self.tensors[first][0], self.batch)
        calls = [self.graph.layers[row] for row in rows if layer.inputs]
        nodes = [_node(call.kind, [self.tensor(ref) for ref in call.inputs]) for call in calls]
        return {**data, "name": name, "inbound_nodes": nodes}


def _legal(name: str) -> str:
    return name.replace("/", ".") or "model"


def _legal_names(graph: Graph) -> dict[int, str]:
    """Row → a name that Keras takes and no other row has."""
    names: dict[int, str] = {}
    taken: set[str] = set()
    for row, layer in enumerate(graph.layers):
        name = base = _legal(layer.name)
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        names[row] = name
    return names


def _first(graph: Graph, row: int) -> int:
    """The row of the first call of the layer that ``row`` calls."""
    shares = graph.layers[row].shares
    while shares is not None:
        row, shares = shares, graph.layers[shares].shares
    return row


def _grouped(graph: Graph) -> dict[int, list[int]]:
    """First row → all rows that call the same layer."""
    groups: dict[int, list[int]] = {}
    for row in range(len(graph.layers)):
        groups.setdefault(_first(graph, row), []).append(row)
    return groups


def _tensors(graph: Graph) -> Tensors:
    """Shape and dtype of every output. Raises GeometryError, placed, where a layer cannot stand."""
    found: Tensors = []
    for layer in graph.layers:
        try:
            shapes, dtypes = [], []
            for ref in layer.inputs:
                shape, dtype = found[ref.layer][ref.output]
                shapes.append(shape)
                dtypes.append(dtype)
            outputs = layer.kind.outputs(tuple(shapes))
            dtype = layer.kind.output_dtype(tuple(dtypes), policy(layer.dtype or graph.dtype).compute)
        except IndexError:
            raise CnncostError(
                f"layer '{layer.name}' reads an output that is not there", location=layer.location
            ) from None
        except CnncostError as error:
            error.problem = f"layer '{layer.name}': {error.problem}"
            raise error.at(layer.location or graph.location) from None
        found.append([(shape, dtype) for shape in outputs])
    return found


def _keeps_states(kind: Kind) -> bool:
    wrapped = getattr(kind, "layer", None)
    return bool(getattr(kind, "options", {}).get("stateful")) or (isinstance(wrapped, Kind) and _keeps_states(wrapped))


def _serialized(layer: Layer, name: str, dtype: str, output: tuple[Shape, DType], batch: int | None) -> Data:
    kind = layer.kind
    if kind.name() == "InputLayer":
        config = {"batch_shape": [batch, *output[0]], "dtype": output[1].name, "sparse": False, "name": name}
        return {"module": "keras.layers", "class_name": "InputLayer", "config": config, "registered_name": None}
    if not _is_registered(kind):
        raise UnsupportedLayer(
            f"layer '{printable(layer.name)}': the operation {kind.name()} cannot be exported",
            rule="only layers can: an operation's constants are not kept",
            nearest="use a Keras layer in its place",
            location=layer.location,
        )
    data = _adapt(config_of(kind), dtype, kind)
    own: Data = {"name": name}
    if kind.name() not in _UNFREEZABLE:
        own["trainable"] = layer.trainable
    data["config"] = {**own, **data["config"]}
    return data


def _is_registered(kind: Kind) -> bool:
    """Whether the kind is a layer; operations of Keras and TensorFlow may bear the same names."""
    from cnncost.kinds.registry import lookup

    try:
        return lookup(kind.name()) is type(kind)
    except UnsupportedLayer:
        return False


def _adapt(data: Data, dtype: str, kind: Kind | None = None) -> Data:
    """A serialized kind with its module and its policy, and so the layers inside."""
    from cnncost.kinds.registry import lookup

    name = data["class_name"]
    cls = type(kind) if kind is not None else lookup(name)
    config = {key: _inner(value, dtype) for key, value in data["config"].items()}
    config["dtype"] = {
        "module": "keras", "class_name": "DTypePolicy", "config": {"name": dtype}, "registered_name": None,
    }  # fmt: skip
    if not cls.keras:
        return {"module": LAYERS_MODULE, "class_name": name, "config": config, "registered_name": f"{PACKAGE}>{name}"}
    if name in _APPLICATIONS:
        return {"module": _APPLICATIONS[name], "class_name": name, "config": config, "registered_name": name}
    return {**data, "config": config}


def _inner(value: Any, dtype: str) -> Any:
    """A value of a config: layers inside are adapted, foreign objects (a regularizer of somebody's own) left out."""
    if isinstance(value, list):
        return [_inner(item, dtype) for item in value]
    if not isinstance(value, Mapping) or "class_name" not in value:
        return value
    if value.get("module") == "keras.layers" and isinstance(value.get("config"), Mapping):
        return _adapt(dict(value), dtype)
    module = value.get("module", "keras")
    return value if isinstance(module, str) and module.partition(".")[0] in ("keras", "builtins") else None


def _node(kind: Kind, tensors: list[Data]) -> Data:
    """One call: positional and keyword arguments as Keras's own layers take them."""
    name = kind.name()
    kwargs = {key: True for key in getattr(kind, "called_with", ()) if getattr(kind, key) is True}
    if name in _SPREAD:
        return {"args": tensors, "kwargs": kwargs}
    if _takes_states(kind):
        states = {"initial_state": tensors[1:]} if tensors[1:] else {}
        return {"args": tensors[:1], "kwargs": {**kwargs, **states}}
    listed = len(tensors) > 1 or name in _LISTED
    return {"args": [tensors] if listed else tensors, "kwargs": kwargs}


def _takes_states(kind: Kind) -> bool:
    """Recurrent layers and Bidirectional take initial states as an argument of their own."""
    from cnncost.kinds.recurrent import Sequence

    return kind.name() == "Bidirectional" or isinstance(kind, Sequence)
