"""The Python interface: ``analyze``, ``load`` and ``get_flops``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from cnncost.analysis import Analysis, analyze_graph
from cnncost.choices import ALLOCATORS, EXECUTORS
from cnncost.errors import CnncostError, one_of, printable
from cnncost.expectations import with_findings
from cnncost.graph import Graph
from cnncost.memory_record import RuntimeMemory
from cnncost.processors import HOST
from cnncost.processors import processor as known_processor
from cnncost.sources import load
from cnncost.tensor import Shape

__all__ = ["analyze", "get_flops", "load"]


def analyze(
    source: Any,
    *,
    batch: int = 1,
    input: Mapping[str, Shape] | Sequence[Shape] | Shape | None = None,
    dtype: str | None = None,
    mode: str = "inference",
    optimizer: str | None = None,
    variables: Mapping[str, Any] | None = None,
    executor: str = "graph",
    allocator: str = "requested",
    gradient_accumulation_steps: int | None = None,
    interval: bool = False,
    processor: str = HOST,
) -> Analysis:
    """What a model costs: shapes, parameters, multiplications, activation memory.

    ``source`` is a path, a ``zoo:``/``keras:`` name, ``package.module:attribute``, a live Keras model, a dict (a spec
    or a Keras config) or a Graph. ``input`` overrides input shapes (no batch axis): one shape, several in order, or by
    name. ``executor`` (graph, xla, eager) and ``allocator`` (requested, bfc) say which step the runtime's memory
    figures are simulated for. ``gradient_accumulation_steps``, Keras's name: an optimizer adds the gradients of so many
    training steps up before it updates the weights; their highest peak is told. ``interval`` bounds the peaks by other
    orders that TensorFlow's processes take, at three times the work. ``processor`` (host, amx, avx512, avx-vnni, avx2):
    whose kernels run, oneDNN's or TensorFlow's own. Raises CnncostError with ``.location``.

    >>> conv = {"Conv2D": {"filters": 200, "kernel_size": 5, "padding": "same"}}
    >>> totals = analyze({"input": [150, 100, 3], "layers": [conv]}, batch=100).totals
    >>> totals.params, totals.macs
    (15200, 225000000)
    """
    graph = source if isinstance(source, Graph) else load(source, variables=variables)
    shapes: Any = input
    if isinstance(input, list | tuple) and input and not isinstance(input[0], list | tuple):
        shapes = [input]
    counted = analyze_graph(graph, batch=batch, inputs=shapes, dtype=dtype, mode=mode, optimizer=optimizer)
    one_of("executor", executor, EXECUTORS)
    one_of("allocator", allocator, ALLOCATORS)
    counted = replace(
        counted, executor=executor, allocator=allocator, interval=interval, processor=known_processor(processor),
        gradient_accumulation_steps=_accumulation(gradient_accumulation_steps),
    )  # fmt: skip
    memory = counted.memory.simulated(partial(_simulate, counted), counted.mode)
    return with_findings(replace(counted, memory=memory))


def _accumulation(steps: object) -> int:
    if steps is None:
        return 0
    if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps < 2**31:
        raise CnncostError(
            "a wrong number of gradient_accumulation_steps", received=printable(steps),
            rule="it must be a whole number from 2 to 2^31 - 1, as Keras asks", nearest="leave it out",
        )  # fmt: skip
    return steps


def _simulate(analysis: Analysis, modes: Sequence[str]) -> RuntimeMemory:
    """The simulation is loaded when its figures are first asked for."""
    from cnncost.memory.figures import simulate

    return simulate(analysis, modes)


def get_flops(model: Any, batch_size: int = 1) -> int:
    """Floating-point operations of one forward pass over a batch: 2·macs and the other arithmetic.

    The same call as the keras-flops package had.

    >>> get_flops({"input": [8], "layers": [{"Dense": 2}]}, batch_size=10)
    340
    """
    return analyze(model).totals.flops * batch_size
