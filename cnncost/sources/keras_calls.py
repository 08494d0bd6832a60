"""The calls of a layer in a Functional config: Keras 3's ``{"args", "kwargs"}`` and Keras 2's lists in one form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cnncost.errors import ArgumentError, printable

MAX_DEPTH = 40  # lists in lists in one call
CONSTANT = "_CONSTANT_VALUE"  # Keras 2's name for a first argument that is no tensor


class TensorRef(NamedTuple):
    """Output ``tensor`` of call ``node`` of the layer ``layer``, all as the config numbers them."""

    layer: str
    node: int
    tensor: int


@dataclass(frozen=True, slots=True)
class Call:
    """One call: positional and keyword arguments, with a TensorRef wherever a tensor was passed."""

    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    def tensors(self) -> Iterator[TensorRef]:
        """Every tensor of the call."""
        yield from tensors(self.args)
        yield from tensors(self.kwargs)


def tensors(value: Any) -> Iterator[TensorRef]:
    """The tensors of a structure of lists and mappings, as Keras flattens it: mappings by sorted keys.

    >>> [ref.layer for ref in tensors({"b": TensorRef("x", 0, 0), "a": [TensorRef("y", 0, 0), 3]})]
    ['y', 'x']
    """
    if isinstance(value, TensorRef):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        for key in sorted(value):
            yield from tensors(value[key])


def shifted(value: Any, offsets: Mapping[str, int]) -> Any:
    """The same structure, with ``offsets[layer]`` taken off the number of each call that a tensor comes from."""
    if isinstance(value, TensorRef):
        return value._replace(node=value.node - offsets.get(value.layer, 0))
    if isinstance(value, list | tuple):
        return type(value)(shifted(item, offsets) for item in value)
    if isinstance(value, dict):
        return {key: shifted(item, offsets) for key, item in value.items()}
    return value


def read_calls(inbound: Any) -> list[Call]:
    """A layer's ``inbound_nodes``. Raises ArgumentError when they are none."""
    if not isinstance(inbound, list):
        raise ArgumentError("inbound_nodes are no list", received=printable(inbound))
    return [_keras3(node) if isinstance(node, dict) and "args" in node else _keras2(node) for node in inbound]


def _keras3(node: dict[str, Any]) -> Call:
    args, kwargs = node["args"], node.get("kwargs") or {}
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise ArgumentError("a call has no list of args and mapping of kwargs", received=printable(node))
    return Call(tuple(_value3(item, MAX_DEPTH) for item in args),
                {str(key): _value3(item, MAX_DEPTH) for key, item in kwargs.items()})  # fmt: skip


def _value3(value: Any, depth: int) -> Any:
    _bounded(depth)
    if isinstance(value, list):
        return [_value3(item, depth - 1) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        return _ref(config.get("keras_history") if isinstance(config, dict) else None)
    return {str(key): _value3(item, depth - 1) for key, item in value.items()}


def _keras2(node: Any) -> Call:
    """``[["conv", 0, 0, {kwargs}], …]``: the first argument's tensors; the first of them brings all other arguments."""
    kwargs: dict[str, Any] = {}
    first = _first_argument(node, kwargs, MAX_DEPTH)
    if isinstance(first, list) and len(first) == 1:
        first = first[0]
    return Call((first,), kwargs)


def _first_argument(node: Any, kwargs: dict[str, Any], depth: int) -> Any:
    _bounded(depth)
    if _is_leaf(node):
        if len(node) == 4 and isinstance(node[3], dict):
            for key, item in node[3].items():
                kwargs.setdefault(str(key), _value2(item, MAX_DEPTH))
        return node[2] if node[0] == CONSTANT else _ref(node[:3])
    if isinstance(node, list):
        return [_first_argument(item, kwargs, depth - 1) for item in node]
    if isinstance(node, dict):
        return {str(key): _first_argument(item, kwargs, depth - 1) for key, item in node.items()}
    rule = "a call is a list of [layer, call, output, arguments]"
    raise ArgumentError("a call is not understood", rule=rule, received=printable(node))


def _value2(value: Any, depth: int) -> Any:
    _bounded(depth)
    if _is_leaf(value):
        return value[2] if value[0] == CONSTANT else _ref(value[:3])
    if isinstance(value, list):
        return [_value2(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {str(key): _value2(item, depth - 1) for key, item in value.items()}
    return value


def _is_leaf(value: Any) -> bool:
    if not isinstance(value, list) or len(value) not in (3, 4) or not isinstance(value[0], str):
        return False
    return value[0] == CONSTANT or all(isinstance(v, int) and not isinstance(v, bool) for v in value[1:3])


def _ref(history: Any) -> TensorRef:
    if not isinstance(history, list) or len(history) != 3 or not _is_leaf(history) or min(history[1:]) < 0:
        raise ArgumentError(
            "a tensor without a history", rule="a tensor is [layer, call, output]", received=printable(history)
        )
    return TensorRef(*history)


def _bounded(depth: int) -> None:
    if depth <= 0:
        raise ArgumentError("a call's arguments are nested too deeply", rule=f"at most {MAX_DEPTH} lists in lists")


def read_ends(value: Any) -> Any:
    """``input_layers`` or ``output_layers``: lists and mappings with a TensorRef at each end.

    >>> read_ends([["a", 0, 0], ["b", 0, 0]])
    [TensorRef(layer='a', node=0, tensor=0), TensorRef(layer='b', node=0, tensor=0)]
    """
    found = _value2(value, MAX_DEPTH)
    if not any(True for _ in tensors(found)):
        raise ArgumentError("no inputs or outputs", rule="input_layers and output_layers name [layer, call, output]",
                            received=printable(value))  # fmt: skip
    return found
