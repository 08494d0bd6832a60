"""The committed baseline: integers that a model had when somebody last said that they were right.

A JSON file with sorted keys: for each model and each set of conditions the figures, the digest of the source, and the
version of the formulas. Analytic figures are deterministic, so that a growth of 0 % is a legal tolerance.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cnncost.budgets.limits import Conditions
from cnncost.budgets.metrics import METRICS
from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.results import Analysis

SCHEMA = "cnncost/baseline/1"
FORMULAS = 1  # raised when a formula changes, so that old figures are no measure any more
LIMIT = 2**25  # bytes of a baseline that are read
FIGURES = tuple(name for name, metric in METRICS.items() if not metric.per_layer)


def key_of(source: str, conditions: Conditions) -> str:
    """What a record stands under: the source, and the conditions where they are not the plain ones.

    >>> key_of("models/a.yaml", Conditions(batch=8))
    'models/a.yaml [batch 8]'
    """
    return source.replace(os.sep, "/") + (f" [{conditions.text()}]" if conditions != Conditions() else "")


@dataclass(frozen=True, slots=True)
class Baseline:
    """Figures by key; ``place`` is the file."""

    records: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    path: str = ""

    def figure(self, key: str, name: str, asked: Location | None) -> int:
        """A figure of the baseline. Raises CnncostError where it has none."""
        if key not in self.records:
            raise CnncostError(
                f"the baseline has no '{printable(key, 200)}'", rule="growth is measured against it",
                received=printable(self.path, 200), location=asked,
                nearest=nearest(key, self.records) or "run: cnncost baseline update",
            )  # fmt: skip
        if name not in self.records[key]:
            raise CnncostError(
                f"the baseline of '{printable(key, 200)}' has no {name}", location=asked,
                nearest="run: cnncost baseline update",
            )  # fmt: skip
        return self.records[key][name]

    def text(self) -> str:
        """The file: sorted keys, one figure a line, so that a diff of it reads well."""
        models = {
            key: {"digest": self.digests.get(key, ""), "figures": dict(sorted(figures.items()))}
            for key, figures in sorted(self.records.items())
        }
        data = {"schema": SCHEMA, "formulas": FORMULAS, "models": models}
        return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"

    def with_records(self, records: Mapping[str, Mapping[str, int]], digests: Mapping[str, str]) -> Baseline:
        return Baseline({**self.records, **records}, {**self.digests, **digests}, self.path)


def figures(analysis: Analysis, names: Iterable[str] = FIGURES) -> dict[str, int]:
    """The integers of one analysis; figures that it does not know are left out."""
    found = {}
    for name in names:
        read = METRICS[name].read
        if read is None or (METRICS[name].step == "training" and analysis.mode != "training"):
            continue
        value = read(analysis)
        if value is not None:
            found[name] = value
    return found


def digest(source: str) -> str:
    """Of the source's file; empty for what is no file."""
    path = source
    if source.startswith("zoo:"):
        from cnncost.sources import zoo

        path = zoo.path(source[4:])
    try:
        with open(path, "rb") as stream:
            return "sha256:" + hashlib.sha256(stream.read(2**26)).hexdigest()
    except (OSError, ValueError):
        return ""


def load(path: str, asked: Location | None = None) -> Baseline:
    """A baseline file. Raises CnncostError where it is missing, corrupt, or of other formulas."""
    place = Location(path)
    try:
        with open(path, "rb") as stream:
            data = json.loads(stream.read(LIMIT).decode("utf-8"))
    except FileNotFoundError:
        raise CnncostError(
            f"there is no baseline '{printable(path, 200)}'", rule="growth is measured against a committed baseline",
            nearest="run: cnncost baseline update", location=asked,
        ) from None  # fmt: skip
    except (OSError, ValueError, RecursionError) as error:
        raise CnncostError("a corrupt baseline", rule="it is JSON that `cnncost baseline update` writes",
                           received=printable(error, 200), location=place) from None  # fmt: skip
    return _checked(data, path, place)


def _checked(data: Any, path: str, place: Location) -> Baseline:
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        schema = data.get("schema") if isinstance(data, dict) else None
        raise CnncostError("not a baseline of this version", rule=f"its schema is {SCHEMA}",
                           received=printable(schema), location=place)  # fmt: skip
    if data.get("formulas") != FORMULAS:
        raise CnncostError(
            "a baseline of other formulas", rule=f"this version's are number {FORMULAS}", location=place,
            received=printable(data.get("formulas")), nearest="run: cnncost baseline update",
        )  # fmt: skip
    models = data.get("models")
    records: dict[str, dict[str, int]] = {}
    digests: dict[str, str] = {}
    for key, record in models.items() if isinstance(models, dict) else ():
        own = record.get("figures") if isinstance(record, dict) else None
        good = isinstance(own, dict) and all(type(v) is int and v >= 0 for v in own.values())
        if not good or not isinstance(record.get("digest"), str):
            raise CnncostError(f"a corrupt baseline: '{printable(key, 200)}' has no whole figures", location=place)
        records[key], digests[key] = dict(own or {}), record["digest"]
    if not isinstance(models, dict):
        raise CnncostError("a corrupt baseline: it has no 'models'", location=place)
    return Baseline(records, digests, path)
