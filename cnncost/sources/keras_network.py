"""One model of a Keras config, Sequential or Functional, as a list of calls in topological order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from cnncost.errors import CnncostError, printable
from cnncost.graph import MAX_LAYERS
from cnncost.sources.keras_calls import Call, TensorRef, read_calls, read_ends, shifted, tensors
from cnncost.sources.keras_masks import without_masks

MAX_NAME = 500
Data = dict[str, Any]


class Step(NamedTuple):
    """One call of one layer; the input layers have one call without arguments."""

    name: str
    number: int  # 0 for the layer's first call
    data: Data
    call: Call


@dataclass(frozen=True, slots=True)
class Network:
    """A model: its steps, and which tensors enter and leave it."""

    name: str
    steps: tuple[Step, ...]
    inputs: Any  # structures with a TensorRef at each end
    outputs: Any


class Broken(CnncostError):
    """An error about the layer ``layer`` of a config; the reader adds the place."""

    def __init__(self, problem: str, layer: str | None = None, *, rule: str = "", received: str = "") -> None:
        problem = problem if layer is None else f"layer '{printable(layer)}': {problem}"
        super().__init__(problem, rule=rule, received=received)
        self.layer = layer


def is_input(data: Data) -> bool:
    return data.get("class_name") == "InputLayer"


def is_model(data: Any) -> bool:
    """Whether a serialized layer is a model with layers of its own."""
    if not isinstance(data, dict):
        return False
    config = data.get("config")
    has_layers = isinstance(config, dict) and isinstance(config.get("layers"), list)
    return has_layers or data.get("class_name") == "Sequential"


def config_of(data: Any, layer: str | None = None) -> Data:
    """The ``config`` of a serialized layer. Raises Broken."""
    if not isinstance(data, dict) or not isinstance(data.get("class_name"), str):
        raise Broken("a layer is no mapping with a class_name", layer, received=printable(data))
    config = data.get("config")
    if isinstance(config, list) and data["class_name"] == "Sequential":  # before Keras 2.2.3
        return {"layers": config}
    if not isinstance(config, dict):
        kind = printable(data["class_name"])
        raise Broken(f"the config of this {kind} is no mapping", layer, received=printable(config))
    return config


def name_of(data: Any, layer: str | None = None) -> str:
    """The layer's own name, which every serialized layer has. Raises Broken."""
    config = config_of(data, layer)
    name = data.get("name", config.get("name"))
    if not _is_name(name):
        raise Broken("a layer without a usable name", layer, rule=f"a name is a text of 1 to {MAX_NAME} characters",
                     received=f"{printable(data['class_name'])} named {printable(name)}")  # fmt: skip
    return str(name)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and 0 < len(name) <= MAX_NAME and name.isprintable()


def read_network(data: Data) -> Network:
    """A serialized Sequential or Functional model. Raises Broken naming the layer."""
    config = config_of(data)
    name = config.get("name", data.get("name"))
    if not _is_name(name):
        name = printable(data["class_name"], MAX_NAME)
    layers = config.get("layers")
    if not isinstance(layers, list):
        raise Broken(f"model '{printable(name)}' has no list of layers", received=printable(layers))
    if not layers:
        raise Broken(f"model '{printable(name)}' has no layers")
    if len(layers) > MAX_LAYERS:
        raise Broken(f"model '{printable(name)}' has {len(layers):,} layers", rule=f"at most {MAX_LAYERS:,}")
    read = _functional if "input_layers" in config or "output_layers" in config else _sequential
    return read(str(name), config, layers)


# -- Sequential ------------------------------------------------------------------------------------------------------


def _sequential(name: str, config: Data, layers: list[Any]) -> Network:
    if not is_input(layers[0] if isinstance(layers[0], dict) else {}):
        layers = [_first_input(config, layers[0]), *layers]
    steps: list[Step] = []
    before: TensorRef | None = None
    for data in layers:
        layer = name_of(data)
        if before is not None and is_input(data):
            raise Broken("an InputLayer in the middle of a Sequential model", layer)
        steps.append(Step(layer, 0, data, Call((before,)) if before else Call()))
        before = TensorRef(layer, 0, 0)
    if len({step.name for step in steps}) < len(steps):
        raise Broken("two layers of one model have this name", _twice([step.name for step in steps]))
    return Network(str(name), tuple(steps), [TensorRef(steps[0].name, 0, 0)], [before])


def _first_input(config: Data, first: Any) -> Data:
    """An input for a Sequential model that has none: its shape from what the file knows, else unknown dimensions."""
    inner = config_of(first)
    built = first.get("build_config")
    shapes = [
        config.get("build_input_shape"),
        inner.get("batch_input_shape"),
        inner.get("batch_shape"),
        built.get("input_shape") if isinstance(built, dict) else None,
        _shape_of_first_input(first),
    ]
    shape = next((s for s in shapes if isinstance(s, list) and s and not isinstance(s[0], list | dict)), None)
    dtype = inner.get("dtype") if isinstance(inner.get("dtype"), str) else "float32"
    if first["class_name"] == "Embedding":
        dtype = "int32"
    shape = shape or [None] * (2 + rank_of(first["class_name"]))
    return {
        "class_name": "InputLayer",
        "config": {"name": f"{name_of(first)}_input", "batch_shape": shape, "dtype": dtype},
    }


def rank_of(class_name: str) -> int:
    """The spatial axes of a layer kind; 0 where it has none of its own."""
    from cnncost.kinds.registry import lookup

    try:
        return lookup(class_name).rank or 0
    except CnncostError:
        return 0


def _shape_of_first_input(data: Any) -> Any:
    """The shape of a nested model's own input, however deep the first layer is a model itself."""
    for _ in range(64):
        if not is_model(data):
            return None
        layers = config_of(data).get("layers")
        first = next((y for y in layers if isinstance(y, dict)), None) if isinstance(layers, list) else None
        if first is None:
            return None
        if is_input(first):
            inner = config_of(first)
            return inner.get("batch_shape", inner.get("batch_input_shape"))
        data = first
    return None


# -- Functional ------------------------------------------------------------------------------------------------------


def _functional(name: str, config: Data, layers: list[Any]) -> Network:
    calls: dict[str, list[Call]] = {}
    datas: dict[str, Data] = {}
    for data in layers:
        layer = name_of(data)
        if layer in datas:
            raise Broken("two layers of one model have this name", layer)
        datas[layer] = data
        calls[layer] = _calls(layer, data)
    try:
        inputs, outputs = read_ends(config.get("input_layers")), read_ends(config.get("output_layers"))
    except CnncostError as error:
        raise Broken(f"model '{printable(name)}': {error.problem}", rule=error.rule, received=error.received) from None
    calls, inputs, outputs = _counted_from_zero(datas, calls, inputs, outputs)
    calls = without_masks(datas, calls, outputs)
    steps = _ordered({layer: datas[layer] for layer in calls}, calls)
    for ref in (*tensors(inputs), *tensors(outputs)):
        _check(ref, calls, f"model '{printable(name)}'")
    for ref in tensors(inputs):
        if not is_input(datas[ref.layer]):
            raise Broken(f"model '{printable(name)}' names it as an input, but it is no InputLayer", ref.layer)
    return Network(name, steps, inputs, outputs)


def _calls(layer: str, data: Data) -> list[Call]:
    if is_input(data):
        return [Call()]
    try:
        return read_calls(data.get("inbound_nodes"))
    except CnncostError as error:
        raise Broken(error.problem, layer, rule=error.rule, received=error.received) from None


def _counted_from_zero(
    datas: dict[str, Data], calls: dict[str, list[Call]], inputs: Any, outputs: Any
) -> tuple[dict[str, list[Call]], Any, Any]:
    """The same calls and ends, with every nested model's calls counted from 0.

    A nested model that was built on inputs of its own counts that as call 0, so that its first call in the file is
    number 1: in Keras 2 everywhere, in Keras 3 for a Functional model where ``output_layers`` names it. Every call in a
    file is read by somebody, which tells the ways of counting apart.
    """
    models = {layer for layer, data in datas.items() if is_model(data)}
    if not models:
        return calls, inputs, outputs
    inner: dict[str, set[int]] = {layer: set() for layer in models}
    ends: dict[str, set[int]] = {layer: set() for layer in models}
    for own in calls.values():
        _note(inner, (ref for call in own for ref in call.tensors()))
    _note(ends, tensors(outputs))
    third = any(isinstance(node, dict) and "args" in node for data in datas.values() for node in _nodes(data))
    shifts = {y: _shift(datas[y], len(calls[y]), inner[y], ends[y], third) for y in models}
    within, at_ends = {y: s[0] for y, s in shifts.items()}, {y: s[1] for y, s in shifts.items()}
    moved = {
        layer: [Call(shifted(call.args, within), shifted(call.kwargs, within)) for call in own]
        for layer, own in calls.items()
    }
    return moved, inputs, shifted(outputs, at_ends)


def _nodes(data: Data) -> list[Any]:
    nodes = data.get("inbound_nodes")
    return nodes[:1] if isinstance(nodes, list) else []


def _note(found: dict[str, set[int]], refs: Iterable[TensorRef]) -> None:
    for ref in refs:
        if ref.layer in found:
            found[ref.layer].add(ref.node)


def _shift(data: Data, count: int, inner: set[int], ends: set[int], third: bool) -> tuple[int, int]:
    """What to take off the numbers of calls that other layers read, and of those that the model's outputs name."""
    functional = "input_layers" in config_of(data)
    ways = [(1, 1), (0, 0)] if not third else [(0, 1), (0, 0)] if functional else [(0, 0), (0, 1)]
    for way in ways:
        if {n - way[0] for n in inner} | {n - way[1] for n in ends} == set(range(count)):
            return way
    return (0, 0)


def _check(ref: TensorRef, calls: dict[str, list[Call]], who: str) -> int:
    """The number of the call that ``ref`` reads, once it is in the model."""
    if ref.layer not in calls:
        raise Broken(f"{who} reads a layer '{printable(ref.layer)}' that is not in the model")
    if not 0 <= ref.node < len(calls[ref.layer]):
        raise Broken(f"{who} reads call {ref.node} of it, which is not in the file", ref.layer,
                     received=f"{len(calls[ref.layer])} calls")  # fmt: skip
    return ref.node


def _ordered(datas: dict[str, Data], calls: dict[str, list[Call]]) -> tuple[Step, ...]:
    """All calls, each after those that it reads; as near to the file's own order as that allows."""
    keys = [(layer, number) for layer in datas for number in range(len(calls[layer]))]
    rank = {key: position for position, key in enumerate(keys)}
    readers: dict[int, list[int]] = {}
    waits = [0] * len(keys)
    for (layer, number), position in rank.items():
        needed = {
            rank[ref.layer, _check(ref, calls, f"layer '{printable(layer)}'")] for ref in calls[layer][number].tensors()
        }
        if number:
            needed.add(position - 1)  # the first call makes the weights
        waits[position] = len(needed)
        for other in needed:
            readers.setdefault(other, []).append(position)
    ready = [position for position, count in enumerate(waits) if not count]
    heapify(ready)
    steps: list[Step] = []
    while ready:
        position = heappop(ready)
        layer, number = keys[position]
        steps.append(Step(layer, number, datas[layer], calls[layer][number]))
        for reader in readers.get(position, ()):
            waits[reader] -= 1
            if not waits[reader]:
                heappush(ready, reader)
    if len(steps) < len(keys):
        stuck = next(keys[position][0] for position, count in enumerate(waits) if count)
        raise Broken("it reads its own output: the layers form a cycle", stuck, rule="a model is an acyclic graph")
    return tuple(steps)


def _twice(names: list[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return names[0]
