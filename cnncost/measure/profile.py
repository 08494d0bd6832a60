"""What a profile says of one step: every allocation and release in order, and the time of every op."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from operator import add
from statistics import median

from cnncost.measure.records import Change
from cnncost.measure.xplane import Event, ProfileError, events

ALLOCATION, RELEASE = "MemoryAllocation", "MemoryDeallocation"
_UNIQUE = re.compile(r"_[0-9]+\Z")
GRADIENT = "gradient_tape"


def is_op(name: str) -> bool:
    """Whether an event is an op of a graph, ``scope/name:Type``; C++ functions have ``::``, eager calls a blank.

    >>> is_op("net/conv/Relu:_FusedConv2D"), is_op("tsl::Thread"), is_op("EagerLocalExecute: __inference_step_1")
    (True, False, False)
    """
    return ":" in name and "::" not in name and " " not in name


class Scopes:
    """Finds a layer by an op's name: ``net_1/conv_1/Relu`` is layer ``conv`` of model ``net``.

    Keras makes a scope's name unique by a number behind it, for the model's as for its layers'. So the model's own
    scope tells whether a number belongs to the layer's name. A layer of a nested model is named by its path.

    >>> Scopes("net", {"conv": "conv", "conv_1": "conv_1"}).layer("net_1/conv_1/Relu")
    'conv'
    >>> Scopes("net", {"conv": "conv", "conv_1": "conv_1"}).layer("gradient_tape/net/conv_1/Relu")
    'conv_1'
    >>> Scopes("net", {"conv": "conv"}, ["again"]).layer("gradient_tape/again_1/conv_1/Relu")
    'conv'
    >>> Scopes("net", {"block/conv": "block/conv"}).layer("net_1/block_1/conv_1/Relu")
    'block/conv'
    """

    def __init__(self, model: str, layers: Mapping[str, str], groups: Collection[str] = ()) -> None:
        self.model, self.layers = model, layers  # the layers' names here → the names that are asked for
        self.roots = {model, *groups}  # what is recomputed runs again outside of the model's scope, in its group's
        self.outer = {name[: i + 1] for name in layers for i, letter in enumerate(name) if letter == "/"}

    def layer(self, op: str) -> str | None:
        """The layer's name; None for ops of no layer (loss, optimizer)."""
        parts = op.split("/")
        numbered = None
        inside = [""]  # the paths of nested models that the parts up to here may be
        for part in parts:
            if numbered is None:
                stem = part if part in self.roots else _UNIQUE.sub("", part)
                if stem in self.roots:
                    numbered = part != stem
                continue
            choices = (_UNIQUE.sub("", part), part) if numbered else (part, _UNIQUE.sub("", part))
            paths = [outer + choice for outer in reversed(inside) for choice in choices]
            for path in paths:
                if path in self.layers:
                    return self.layers[path]
            inside = ["", *(f"{path}/" for path in paths if f"{path}/" in self.outer)]
        return None


def phase_of(op: str, layer: str | None, training: bool) -> str:
    """``forward``, ``backward`` or, for what belongs to no layer, ``loss`` and ``update`` together as ``other``."""
    if op.startswith(GRADIENT):
        return "backward"
    return "forward" if layer or not training else "other"


def changes(data: bytes, device: str, scopes: Scopes, training: bool = False) -> tuple[Change, ...]:
    """All allocations and releases of ``device`` (``CPU:0``, ``GPU:0``) in their order in time.

    A release carries the bytes that were once requested, also where the allocation was before the step: an optimizer
    frees the weights that it replaces.
    """
    found, kinds = [], {}
    for event in events(data, lambda name: name in (ALLOCATION, RELEASE) or is_op(name), _has_memory):
        if not _has_memory(event.name):
            op, _, kind = event.name.rpartition(":")
            kinds[op] = kind
        elif _of_device(str(event.stats.get("allocator_name", "")), device):
            found.append(event)
    found.sort(key=lambda event: event.start)
    return tuple(_change(event, kinds, scopes, training) for event in found)


def _has_memory(name: str) -> bool:
    return name in (ALLOCATION, RELEASE)


def _of_device(allocator: str, device: str) -> bool:
    """Allocators are named ``GPU_0_bfc`` and, for the CPU under the GPU's allocator, ``bfc_cpu_allocator_for_gpu``."""
    kind, _, number = device.partition(":")
    return "cpu" in allocator.lower() if kind == "CPU" else allocator.startswith(f"GPU_{number}")


def _change(event: Event, kinds: dict[str, str], scopes: Scopes, training: bool) -> Change:
    size = event.stats.get("requested_bytes")
    if not isinstance(size, int) or size < 0:
        raise ProfileError("a memory event without its requested bytes")
    if event.name == RELEASE:
        return Change("", None, None, "", -size)
    op = str(event.stats.get("tf_op", ""))
    layer = scopes.layer(op)
    return Change(op, kinds.get(op), layer, phase_of(op, layer, training), size,
                  str(event.stats.get("region_type", "")), str(event.stats.get("shape", "")))  # fmt: skip


def layer_times(data: bytes, steps: int, scopes: Scopes) -> dict[str, tuple[float, float, float]]:
    """Keras name of a layer → seconds of its ops together in one step: the median of ``steps`` steps, the shortest and
    the longest."""
    times: dict[str, list[Event]] = {}
    for event in events(data, is_op, lambda name: False):
        times.setdefault(event.name, []).append(event)
    found: dict[str, list[float]] = {}
    for name, runs in times.items():
        layer = scopes.layer(name.rpartition(":")[0])
        if layer is not None:
            own = found.setdefault(layer, [0.0] * steps)
            own[:] = map(add, own, _by_step(runs, steps))
    return {layer: (median(own) / 1e12, min(own) / 1e12, max(own) / 1e12) for layer, own in found.items()}


def _by_step(runs: list[Event], steps: int) -> list[float]:
    """Picoseconds of an op in each step; an op in a loop runs several times in each. Of one that does not run equally
    often in all of them each step has the mean."""
    if len(runs) % steps:
        return [sum(run.duration for run in runs) / steps] * steps
    runs = sorted(runs, key=lambda run: run.start)
    often = len(runs) // steps
    return [sum(run.duration for run in runs[i * often : (i + 1) * often]) for i in range(steps)]
