"""Live Keras models, and the architectures of keras.applications by name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from cnncost.errors import CnncostError, MissingExtra, OutsideError, nearest, printable
from cnncost.findings import INFO, Finding
from cnncost.graph import Graph
from cnncost.sources.keras_config import MAX_NESTING, read_config
from cnncost.sources.places import Origin, parse_json
from cnncost.sources.quiet import quiet

SIZE = 224  # the documented input of the architectures that leave it open
FILLED = (
    f"this architecture leaves its input's size open; {SIZE} × {SIZE} is its documentation's (--input gives another)"
)


def read_model(model: Any, source: str = "") -> Graph:
    """The graph of a live model of Keras 3, tf.keras or tf_keras, through its own JSON; imports nothing."""
    name = type(model).__name__
    try:
        text = model.to_json()
    except Exception as error:  # a subclassed model's get_config is the user's code
        raise CnncostError(
            f"the {printable(name)} model has no config: {type(error).__name__}: {printable(str(error), 200)}",
            rule="only Sequential and Functional models have a graph of layers",
        ) from error
    return _with_shared(read_config(parse_json(Origin("", text)), source or f"live {name}"), model)


def _with_shared(graph: Graph, model: Any) -> Graph:
    """A layer object that stands in several models is one layer; its config alone does not say so."""
    rows = {layer.name: row for row, layer in enumerate(graph.layers)}
    first: dict[int, int] = {}  # row → the first row of the same layer object
    for paths in _paths(model).values():
        same = sorted(rows[path] for path in paths if path in rows)
        first.update(dict.fromkeys(same[1:], same[0]) if len(same) > 1 else {})
    if not first:
        return graph
    layers = list(graph.layers)
    for row, layer in enumerate(layers):
        shares = first.get(row, first.get(layer.shares, layer.shares) if layer.shares is not None else None)
        layers[row] = replace(layer, shares=shares)
    return replace(graph, layers=tuple(layers))


def _paths(model: Any) -> dict[int, list[str]]:
    """Layer object (by id) → its paths in the nesting of models."""
    found: dict[int, list[str]] = {}
    waiting = [(model, "", 0)]
    while waiting:
        parent, prefix, depth = waiting.pop()
        for layer in getattr(parent, "layers", ()):
            if isinstance(getattr(layer, "layers", None), list) and depth < MAX_NESTING:
                waiting.append((layer, f"{prefix}{layer.name}/", depth + 1))
            else:
                found.setdefault(id(layer), []).append(prefix + layer.name)
    return found


def read_application(name: str) -> Graph:
    """The architecture ``name`` of keras.applications as its constructor builds it by default, without weights.

    Raises MissingExtra without Keras, CnncostError naming the nearest for an unknown name.
    """
    keras = import_keras()
    known = applications(keras)
    lower = {own.lower(): own for own in known}
    own = lower.get(name.strip().lower())
    if own is None:
        close = nearest(name, known)
        raise CnncostError(
            f"keras.applications has no architecture '{printable(name)}'",
            rule="" if close else f"it has {', '.join(known)}",
            nearest=close,
        )
    with without_weights(keras):
        model, filled = build_application(known[own])
        graph = read_model(model, f"keras:{own}")
    return replace(graph, findings=(*graph.findings, Finding(INFO, FILLED))) if filled else graph


def build_application(constructor: Callable[..., Any]) -> tuple[Any, bool]:
    """The default architecture, and whether its input's size had to be filled in (MobileNetV3 leaves it open)."""
    model = constructor(weights=None)
    shape = list(model.inputs[0].shape[1:])
    if None not in shape:
        return model, False
    return constructor(weights=None, input_shape=tuple(SIZE if n is None else n for n in shape)), True


def applications(keras: Any) -> dict[str, Callable[..., Any]]:
    """The constructors of keras.applications by name."""
    found = sorted(vars(keras.applications).items())
    return {name: value for name, value in found if name[:1].isupper() and callable(value)}


OTHERS = ("jax", "torch")
CHOSEN = "the environment variable KERAS_BACKEND, or ~/.keras/keras.json, chooses it"


def import_keras() -> Any:
    """The keras package, loaded without TensorFlow's notices. Raises MissingExtra, OutsideError for a backend that the
    environment chose and that is not there."""
    try:
        with quiet():
            import keras
    except ImportError as error:
        if error.name in OTHERS:
            raise OutsideError(
                f"Keras's backend {error.name} is not installed", rule=CHOSEN,
                nearest=f"unset KERAS_BACKEND, or run: pip install {error.name}",
            ) from error  # fmt: skip
        raise MissingExtra("TensorFlow", "tensorflow") from error
    except ValueError as error:
        raise OutsideError(
            f"Keras cannot be imported: {printable(str(error), 200)}", rule=CHOSEN, nearest="unset KERAS_BACKEND"
        ) from error
    return keras


@contextlib.contextmanager
def without_weights(keras: Any) -> Iterator[None]:
    """Layers are built, and their variables never filled: an architecture then costs no memory and little time."""
    scope = getattr(keras, "StatelessScope", None)
    if scope is None:  # Keras 2
        yield
        return
    try:
        context = scope(initialize_variables=False)
    except TypeError:
        context = contextlib.nullcontext()
    waiting = len(_unfilled())
    try:
        with context:
            yield
    finally:
        del _unfilled()[waiting:]


def _unfilled() -> list[Any]:
    """Keras's list of the variables that are still to be filled; ours never will be, so they must not stay there."""
    with contextlib.suppress(Exception):
        from keras.src.backend.common import global_state

        found = global_state.get_global_attribute("uninitialized_variables")
        return found if isinstance(found, list) else []
    return []
