"""What a convolutional network costs before you run it, exactly. See ``cnncost.analyze``."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would double the time of a start
__version__ = "0.1.0"
__all__ = ["Analysis", "CnncostError", "Finding", "__version__", "analyze", "assert_within", "get_flops", "load"]

if TYPE_CHECKING:
    from typing import Any

    from cnncost.analysis import Analysis
    from cnncost.api import analyze, get_flops, load
    from cnncost.budgets.assertions import assert_within
    from cnncost.errors import CnncostError
    from cnncost.findings import Finding

_HOME = {
    "Analysis": "analysis", "analyze": "api", "get_flops": "api", "load": "api", "CnncostError": "errors",
    "Finding": "findings", "assert_within": "budgets.assertions",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Public names are loaded when first used, so that a start costs nothing."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"cnncost.{_HOME[name]}"), name)
    raise AttributeError(f"module 'cnncost' has no attribute {name!r}")
