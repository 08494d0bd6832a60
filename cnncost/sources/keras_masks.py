"""The masks that Keras makes by itself, which stand in a config as operations that nobody wrote.

Embedding with ``mask_zero`` and Masking mark time steps: Keras computes the marks with operations of keras.ops and
hands them to the layers behind as ``mask``. A model that is built from the layers alone makes them again, and so does
the simulation; so operations that are marks and nothing else are taken out, with the arguments that hand them on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cnncost.sources.keras_calls import Call, TensorRef, tensors
from cnncost.sources.keras_layers import class_of, is_operation

Data = Mapping[str, Any]
Calls = dict[str, list[Call]]


def without_masks(datas: Mapping[str, Data], calls: Calls, outputs: Any) -> Calls:
    """The calls of all layers but those of marks, and without arguments that are marks."""
    made = _made(datas, calls)
    ends = {ref.layer for ref in tensors(outputs)}
    while other := made & (ends | set(_taken(calls, made))):
        made -= other
    if not made:
        return calls
    return {name: [_unmasked(call, made) for call in own] for name, own in calls.items() if name not in made}


def _made(datas: Mapping[str, Data], calls: Calls) -> set[str]:
    """Operations that mark what a layer masks, and operations on such marks alone."""
    masked = {(call.args[0], value) for name, data in datas.items() for value in _marks(data)
              for call in calls[name] if call.args and isinstance(call.args[0], TensorRef)}  # fmt: skip
    found: set[str] = set()
    for name, data in datas.items():  # an operation stands behind those that it reads
        if masked and is_operation(data) and calls[name]:
            read = [ref for call in calls[name] for ref in call.tensors()]
            own = class_of(data) == "NotEqual" and all(_pair(call) in masked for call in calls[name])
            if own or (read and all(ref.layer in found for ref in read)):
                found.add(name)
    return found


def _marks(data: Data) -> Iterator[float]:
    """The value that a masking layer looks for."""
    config = data.get("config")
    if not isinstance(config, Mapping):
        return
    if class_of(data) == "Embedding" and config.get("mask_zero") is True:
        yield 0
    elif class_of(data) == "Masking" and isinstance(config.get("mask_value", 0), int | float):
        yield config.get("mask_value", 0)


def _pair(call: Call) -> tuple[Any, Any] | None:
    """What is compared, and with which number."""
    if len(call.args) != 2 or not isinstance(call.args[0], TensorRef) or not isinstance(call.args[1], int | float):
        return None
    return call.args[0], call.args[1]


def _taken(calls: Calls, made: set[str]) -> Iterator[str]:
    """Layers whose output other layers than ``made`` read as something else than a mask."""
    for name, own in calls.items():
        for call in own if name not in made else ():
            yield from (ref.layer for ref in tensors(call.args))
            yield from (ref.layer for key, value in call.kwargs.items() if not _is_mask(key) for ref in tensors(value))


def _unmasked(call: Call, made: set[str]) -> Call:
    kept = {
        key: value
        for key, value in call.kwargs.items()
        if not (_is_mask(key) and any(ref.layer in made for ref in tensors(value)))
    }
    return Call(call.args, kept)


def _is_mask(argument: str) -> bool:
    return argument == "mask" or argument.endswith("_mask")
