"""Where budgets are written: ``cnncost-budget.yaml``, a pyproject.toml's ``[tool.cnncost]``, a spec's ``budgets:``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cnncost.budgets.baseline import SUFFIXES, is_file
from cnncost.budgets.limits import Conditions, Limit, read_conditions, read_limits
from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.limitable import AT
from cnncost.written import Written

NAMES = ("cnncost-budget.yaml", "cnncost-budget.yml", "pyproject.toml")
BASELINE = "cnncost-baseline.json"
TOP = ("models", "at", "baseline", "description")
MAX_MODELS = 10_000
MODELS_RULE = "'models' has patterns of sources, and their limits"
EXAMPLE = 'write models: {"models/*.yaml": {params: 26M}}'


@dataclass(frozen=True, slots=True)
class Entry:
    """What one pattern of models may cost."""

    pattern: str
    limits: tuple[Limit, ...]
    location: Location | None


@dataclass(frozen=True, slots=True)
class BudgetFile:
    """One file's entries; patterns and the baseline are relative to its ``folder``."""

    path: str
    folder: str
    entries: tuple[Entry, ...]
    baseline: str  # its path
    baseline_location: Location | None = None

    def matching(self, source: str) -> tuple[Limit, ...]:
        """The limits of all patterns that a source fits."""
        own = _normal(source, os.curdir)
        return tuple(
            limit
            for entry in self.entries
            if entry.pattern == source or fnmatchcase(own, _normal(entry.pattern, self.folder))
            for limit in entry.limits
        )


def find(folder: str = os.curdir) -> str | None:
    """The budget file of a folder: its own, or a pyproject.toml that has [tool.cnncost]."""
    for name in NAMES:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and (not name.endswith(".toml") or _has_table(path)):
            return os.path.normpath(path)
    return None


def is_budget_file(path: str) -> bool:
    """By its name, or by what its text begins with: ``models`` where a spec has ``layers``."""
    base = os.path.basename(path)
    if base in NAMES or base.endswith(".toml"):
        return True
    if not base.endswith((".yaml", ".yml")) or not os.path.isfile(path):
        return False
    with open(path, encoding="utf-8", errors="replace") as stream:
        head = stream.read(2**16).splitlines()
    return any(line.startswith("models:") for line in head) and not any(line.startswith("layers:") for line in head)


def read(path: str) -> BudgetFile:
    """A budget file. Raises CnncostError with the place of what is wrong."""
    from cnncost.sources.spec.files import text_of

    try:
        return _file(path, _root(path, text_of(path, what="budget file")))
    except CnncostError as error:
        if error.location and error.location.line is None and os.path.isfile(error.location.file):
            error.location = error.location._replace(line=1, column=1)
        raise


def _root(path: str, text: str) -> Written:
    if path.endswith(".toml"):
        from cnncost.budgets.toml import tool_table

        return tool_table(text, path)
    from cnncost.sources.spec import read_data

    if not text.strip():
        raise CnncostError("the budget file is empty", rule=MODELS_RULE, nearest=EXAMPLE, location=Location(path))
    return read_data(text, path)


def _file(path: str, root: Written) -> BudgetFile:
    parts = root.mapping("a budget file", TOP)
    if "models" not in parts:
        raise root.error("the budget file limits nothing", rule=MODELS_RULE, nearest=EXAMPLE)
    at = read_conditions(parts["at"].mapping("'at'", AT)) if "at" in parts else Conditions()
    entries = []
    for pattern, node in parts["models"].mapping("'models'").items():
        if not node.mapping(f"the budget of '{printable(pattern)}'"):
            raise node.error(f"the budget of '{printable(pattern)}' limits nothing", nearest="write params: 26M")
        entries.append(Entry(pattern, tuple(read_limits(node.parts, at)), node.key))
    if not entries:
        raise parts["models"].error("'models' names no model", rule="a gate never passes by default")
    folder = os.path.dirname(path) or os.curdir
    named = parts["baseline"].text("'baseline'") if "baseline" in parts else BASELINE
    place = parts["baseline"].location if "baseline" in parts else None
    return BudgetFile(path, folder, tuple(entries), os.path.normpath(os.path.join(folder, named)), place)


def expand(file: BudgetFile) -> Iterator[tuple[str, tuple[Limit, ...] | CnncostError]]:
    """(source, limits) of everything that the file's patterns name; (pattern, error) for a pattern that matches
    nothing: a gate never passes by default, and one wrong pattern hides no model."""
    found: dict[str, list[Limit]] = {}
    for entry in file.entries:
        try:
            for source in sources_of(entry.pattern, file.folder):
                found.setdefault(source, []).extend(entry.limits)
        except CnncostError as error:
            yield entry.pattern, error.at(entry.location)
    yield from ((source, tuple(limits)) for source, limits in found.items())


def sources_of(pattern: str, folder: str) -> Sequence[str]:
    """The sources that a pattern names: files, specs of the zoo, or the one source that it is. Raises CnncostError
    where there is none."""
    if pattern.startswith("zoo:"):
        from cnncost.sources.zoo import names

        found = [f"zoo:{name}" for name in names() if fnmatchcase(name, pattern[4:])]
        return found or [_matches_nothing(pattern, "the zoo", [f"zoo:{name}" for name in names()])]
    if not any(sign in pattern for sign in "*?["):
        return [os.path.normpath(os.path.join(folder, pattern)) if _is_path(pattern, folder) else pattern]
    if not is_file(pattern):
        raise CnncostError(f"'{printable(pattern)}' is a pattern", rule="patterns are of files and of zoo:NAME")
    return _globbed(pattern, folder)


def _is_path(pattern: str, folder: str) -> bool:
    """Whether a pattern without wildcards is a file, which must then exist."""
    if not is_file(pattern):
        return False
    if os.path.exists(os.path.join(folder, pattern)):
        return True
    try:
        near = os.listdir(os.path.dirname(os.path.join(folder, pattern)) or os.curdir)[:MAX_MODELS]
    except (OSError, ValueError):
        near = []
    base = os.path.dirname(pattern)
    _matches_nothing(pattern, folder, [os.path.join(base, name) for name in near])
    return False


def _globbed(pattern: str, folder: str) -> Sequence[str]:
    from glob import iglob

    found = []
    for path in iglob(pattern, root_dir=folder, recursive=True):
        known = os.path.basename(path) not in (*NAMES, BASELINE)
        if known and path.endswith(SUFFIXES) and os.path.isfile(os.path.join(folder, path)):
            found.append(os.path.normpath(os.path.join(folder, path)))
        if len(found) > MAX_MODELS:
            raise CnncostError(f"'{printable(pattern)}' matches more than {MAX_MODELS:,} files")
    return sorted(found) or [_matches_nothing(pattern, folder, [])]


def _matches_nothing(pattern: str, where: str, known: Sequence[str]) -> str:
    raise CnncostError(
        f"'{printable(pattern, 200)}' matches no model", rule="every pattern must name one",
        nearest=nearest(pattern, known) or f"patterns are relative to '{printable(where, 200)}'",
    )  # fmt: skip


def _normal(pattern: str, folder: str) -> str:
    return os.path.normpath(os.path.join(os.path.abspath(folder), pattern)) if is_file(pattern) else pattern


def _has_table(path: str) -> bool:
    try:
        with open(path, "rb") as stream:
            return b"[tool.cnncost" in stream.read(2**22)
    except OSError:
        return False


def own_limits(budgets: Mapping[str, Written]) -> tuple[Limit, ...]:
    """The limits that a spec puts on itself."""
    return tuple(read_limits(budgets))
