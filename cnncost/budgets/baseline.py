"""The committed baseline: integers that a model had when somebody last said that they were right.

A JSON file with sorted keys: for each model and each set of conditions the figures, the digest of the source, and the
version of the formulas. Analytic figures are deterministic, so that a growth of 0 % is a legal tolerance.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from cnncost.budgets.limits import Conditions
from cnncost.budgets.metrics import METRICS
from cnncost.errors import CnncostError, Location, nearest, printable
from cnncost.results import Analysis
from cnncost.sources.places import Origin, parse_json
from cnncost.sources.spec.files import text_of

SCHEMA = "cnncost/baseline/1"
FORMULAS = 1  # raised when a formula changes, so that old figures are no measure any more
SUFFIXES = (".yaml", ".yml", ".keras", ".h5", ".hdf5", ".json")  # of sources that are files
LIMIT = 2**25  # bytes of a baseline that are read
FIGURES = tuple(name for name, metric in METRICS.items() if not metric.per_layer)


def key_of(source: str, conditions: Conditions, path: str = "") -> str:
    """What a record stands under: the source (a file relative to the baseline's folder, so that it is the same from
    any directory), and the conditions where they are not the plain ones.

    >>> key_of("models/a.yaml", Conditions(batch=8)), key_of("ci/../zoo.yaml", Conditions(), "ci/base.json")
    ('models/a.yaml [batch 8]', '../zoo.yaml')
    """
    run = conditions.run()
    if is_file(source):
        with suppress(ValueError):  # two drives
            source = os.path.relpath(source, os.path.dirname(path) or os.curdir)
    return source.replace(os.sep, "/") + (f" [{run.text()}]" if run != Conditions() else "")


def is_file(source: str) -> bool:
    """Not ``zoo:NAME``, ``keras:NAME`` or ``package.module:attribute``.

    >>> is_file("a.yaml"), is_file("zoo:resnet50"), is_file("models:build")
    (True, False, False)
    """
    return ":" not in source or os.path.exists(source) or source.endswith(SUFFIXES)


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

    def stale(self, key: str, source: str) -> str:
        """That the source is not the one whose figures these are; empty where it is, or where nobody can know."""
        then, now = self.digests.get(key, ""), digest(source)
        if not then or not now or then == now:
            return ""
        return f"'{printable(source, 200)}' has changed since its baseline was written"

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
    place = Location(path, 1, 1)
    try:
        text = text_of(path, LIMIT, "baseline")
        data = parse_json(Origin(path, text), strict=True)
    except CnncostError as error:
        if not os.path.exists(path):
            raise CnncostError(
                f"there is no baseline '{printable(path, 200)}'", rule="growth is measured against a committed "
                "baseline", nearest="run: cnncost baseline update", location=asked,
            ) from None  # fmt: skip
        if error.location is None or error.location.line is None:
            error.location = place
        raise CnncostError(f"a corrupt baseline: {error.problem}", rule="it is JSON that `cnncost baseline update` "
                           "writes", received=error.received, location=error.location) from None  # fmt: skip
    return _checked(data, path, text)


def _checked(data: Any, path: str, text: str) -> Baseline:
    origin = Origin(path, text)

    def place(word: str) -> Location:
        return origin.at(max(text.find(json.dumps(word, ensure_ascii=False)), 0))

    schema, formulas = (data.get("schema"), data.get("formulas")) if isinstance(data, dict) else (None, None)
    if schema != SCHEMA:
        raise CnncostError("not a baseline of this version", rule=f"its schema is {SCHEMA}",
                           received="nothing" if schema is None else printable(schema),
                           location=place("schema"))  # fmt: skip
    if formulas != FORMULAS or isinstance(formulas, bool):
        raise CnncostError(
            "a baseline of other formulas", rule=f"this version's are number {FORMULAS}", location=place("formulas"),
            received="nothing" if formulas is None else printable(formulas), nearest="run: cnncost baseline update",
        )  # fmt: skip
    models = data.get("models")
    if not isinstance(models, dict):
        raise CnncostError("a corrupt baseline: it has no 'models'", location=place("models"))
    records: dict[str, dict[str, int]] = {}
    digests: dict[str, str] = {}
    for key, record in models.items():
        own = record.get("figures") if isinstance(record, dict) else None
        good = isinstance(own, dict) and all(type(v) is int and v >= 0 for v in own.values())
        if not good or not isinstance(record.get("digest"), str):
            raise CnncostError(
                f"a corrupt baseline: '{printable(key, 200)}' has no digest and whole figures", location=place(key)
            )
        records[key], digests[key] = dict(own or {}), record["digest"]
    return Baseline(records, digests, path)
