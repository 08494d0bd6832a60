"""``package.module:attribute``: the user's own Python code that returns a Keras model, or the model itself."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from typing import Any

from cnncost.errors import CnncostError, MissingExtra, nearest, printable
from cnncost.findings import INFO, Finding
from cnncost.graph import Graph
from cnncost.sources.keras_live import read_model
from cnncost.sources.quiet import quiet_imports

FORM = "package.module:attribute names a Keras model, or a function that returns one and needs no argument"


def read_callable(source: str) -> Graph:
    """The graph of the model that ``module:attribute`` is or returns. Runs the user's code; a finding says so."""
    module_name, _, attribute = source.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), *attribute.split("."))):
        raise CnncostError(f"'{printable(source)}' names no Python object", rule=FORM)
    with _here(), quiet_imports():
        value = _find(module_name, attribute)
        if not _is_model(value) and callable(value):
            value = _run(value, f"{source}()")
        if not _is_model(value):
            raise CnncostError(f"'{printable(source)}' is no Keras model", rule=FORM, received=type(value).__name__)
        graph = read_model(value, source)
    return replace(graph, findings=(*graph.findings, Finding(INFO, f"the code of {source} was run to get the model")))


def _is_model(value: Any) -> bool:
    return not isinstance(value, type) and hasattr(value, "get_config") and hasattr(value, "layers")


def _find(module_name: str, attribute: str) -> Any:
    try:
        value = _run(lambda: import_module(module_name), module_name)
    except _Missing as error:
        rule = f"the current directory is searched first; {FORM}"
        raise CnncostError(f"there is no module '{error.module}'", rule=rule) from None
    for part in attribute.split("."):
        if not hasattr(value, part):
            names = [name for name in dir(value) if not name.startswith("_")]
            raise CnncostError(
                f"'{module_name}' has no attribute '{printable(attribute)}'", rule=FORM, nearest=nearest(part, names)
            )
        value = getattr(value, part)
    return value


class _Missing(Exception):
    def __init__(self, module: str) -> None:
        self.module = module


def _run(function: Any, what: str) -> Any:
    """Call the user's code; whatever it raises is one error. What it prints goes to standard error."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return function()
    except CnncostError:
        raise
    except ModuleNotFoundError as error:
        missing = str(error.name or "")
        if missing.partition(".")[0] in ("tensorflow", "keras"):
            raise MissingExtra("TensorFlow", "tensorflow") from error
        if missing and (what == missing or what.startswith(f"{missing}.")):
            raise _Missing(missing) from error
        raise _failed(what, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(what, error) from error


def _failed(what: str, error: BaseException) -> CnncostError:
    return CnncostError(f"the code of '{printable(what)}' failed: {type(error).__name__}: {printable(str(error), 200)}")


@contextlib.contextmanager
def _here() -> Iterator[None]:
    """The current directory is importable, as with ``python -m``."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(here)
