"""TensorFlow's notices are kept from standard error, where this tool's own messages stand."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
CHATTY = ("tensorflow", "keras", "tf_keras")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Nothing is written to standard error, not even by native code: TensorFlow logs before it can be told not to."""
    os.environ.setdefault(LEVEL, "3")
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """The same for each import of TensorFlow or Keras by whatever code runs inside; what that code writes is shown."""
    finder = _Quietly()
    os.environ.setdefault(LEVEL, "3")
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.meta_path.remove(finder)


class _Quietly(MetaPathFinder):
    """Finds the packages that chat, and lets them be executed in silence."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name in CHATTY else None
        loader: Any = spec.loader if spec is not None else None
        if loader is None or not hasattr(loader, "exec_module"):
            return None
        execute = loader.exec_module

        def silently(module: Any) -> None:
            with quiet():
                execute(module)

        loader.exec_module = silently
        return spec
