"""The spec language: YAML or JSON text, or a dict, becomes a Graph. ``docs`` and the schema describe it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cnncost.graph import Graph
from cnncost.written import Written

__all__ = ["read_data", "read_dict", "read_file", "read_text"]


def read_file(path: str, variables: Mapping[str, Any] | None = None, source: str | None = None) -> Graph:
    """The graph of a spec file. Raises CnncostError with its place."""
    from cnncost.sources.spec.files import text_of

    return read_text(text_of(path), source or path, variables, source)


def read_text(
    text: str, filename: str = "spec", variables: Mapping[str, Any] | None = None, source: str | None = None
) -> Graph:
    """The graph of a spec's text; ``filename`` stands in its errors.

    >>> graph = read_text("input: [8, 8, 3]\\nlayers:\\n  - Conv2D: [4, 3]\\n  - Conv2D: {filters: 2, kernel_size: 3}")
    >>> [layer.name for layer in graph.layers]
    ['input', 'conv2d', 'conv2d_1']
    """
    from cnncost.sources.spec.compose import compose
    from cnncost.sources.spec.document import to_graph
    from cnncost.sources.spec.nodes import Origin

    origin = Origin(filename)
    with _collector_paused(len(text) > 2**16):
        return to_graph(compose(text, origin), origin, variables, source or filename)


def read_data(text: str, filename: str) -> Written:
    """Any YAML 1.2 text as plain data with the place of each part, under a spec's bounds and rules.

    >>> read_data("models: {a: {params: 1e3}}", "b.yaml").parts["models"].parts["a"].parts["params"].location.column
    22
    """
    from cnncost.sources.spec.call import Reader
    from cnncost.sources.spec.claims import as_written
    from cnncost.sources.spec.compose import compose
    from cnncost.sources.spec.nodes import Origin

    origin = Origin(filename)
    return as_written(Reader(origin), compose(text, origin), None, {}, None)


@contextmanager
def _collector_paused(pause: bool) -> Iterator[None]:
    """Nodes form no cycles; while many are made the collector would walk them all again and again."""
    import gc

    pause = pause and gc.isenabled()
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()


def read_dict(mapping: Mapping[str, Any], variables: Mapping[str, Any] | None = None) -> Graph:
    """The graph of a spec that is a Python dict; its places have no lines."""
    from cnncost.sources.spec.document import to_graph
    from cnncost.sources.spec.nodes import Origin, from_python

    origin = Origin("dict")
    return to_graph(from_python(mapping, origin), origin, variables, "dict")
