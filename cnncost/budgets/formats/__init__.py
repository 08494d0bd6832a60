"""How results are printed: one module for each format. ``render(results)`` is the whole text."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from cnncost.budgets.evaluate import Result
from cnncost.errors import one_of

FORMATS = {
    "text": "text", "json": "json_", "markdown": "markdown", "github": "github", "gitlab": "gitlab", "junit": "junit",
    "sarif": "sarif",
}  # fmt: skip
DATA = frozenset(("json", "gitlab", "junit", "sarif"))  # for programs: UTF-8 whatever the terminal has


def render(results: Sequence[Result], form: str = "text", strict: bool = False, color: bool = False) -> str:
    """The results as text that ends in a newline. Raises CnncostError for an unknown format."""
    one_of("format", form, FORMATS)
    module = import_module(f"cnncost.budgets.formats.{FORMATS[form]}")
    text: str = module.render(results, strict, color)
    return text


def passed(result: Result, strict: bool) -> bool:
    """Whether a result lets the check pass; with ``strict`` warnings count as errors."""
    return result.ok or (result.problem is None and result.level == "warning" and not strict)


def summary(results: Sequence[Result], strict: bool) -> str:
    """
    >>> summary([], False)
    'nothing was checked'
    """
    if not results:
        return "nothing was checked"
    models = len({result.source for result in results})
    unknown = sum(result.problem is not None for result in results)
    failed = sum(not passed(result, strict) for result in results) - unknown
    warned = sum(not result.ok and passed(result, strict) for result in results)
    counted = f"{len(results):,} limit{'s'[: len(results) > 1]} of {models:,} model{'s'[: models != 1]}"
    parts = [f"{failed:,} beyond"] if failed else []
    parts += [f"{unknown:,} could not be checked"] if unknown else []
    parts += [f"{warned:,} warned of"] if warned else []
    return f"{counted}: {', '.join(parts) if parts else 'all hold'}"
