"""What the long verification runs, and where its measurements are kept: one file for each, whole or not there."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import platform
import re
import zlib
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

FORMAT = 1  # of a stored measurement
PLAN = (("inference", None, 1, "graph"), ("training", "sgd", 2, "graph"), ("training", "adam", 2, "graph"),
        ("inference", None, 4, "graph"), ("inference", None, 1, "xla"), ("training", "sgd", 2, "xla"))  # fmt: skip


class Case(NamedTuple):
    """One row: a source and a step of it."""

    source: str
    mode: str
    optimizer: str | None
    batch: int
    executor: str = "graph"

    @property
    def group(self) -> str:
        how = "" if self.executor == "graph" else f", {self.executor}"
        return f"{self.mode}{f', {self.optimizer}' if self.optimizer else ''}, batch {self.batch}{how}"

    @property
    def file(self) -> str:
        how = "" if self.executor == "graph" else self.executor
        words = [self.source, self.mode, self.optimizer or "", str(self.batch), how]
        return re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(word for word in words if word)) + ".json.gz"

    def __str__(self) -> str:
        return f"{self.source} {self.group}"


class Store:
    """A folder with one file for each finished measurement, and the architectures that were measured.

    A file is written beside its place and moved there, so each is whole or not there; what cannot be read counts as
    not there.
    """

    def __init__(self, folder: Path, now: dict[str, str]) -> None:
        self.folder, self.now = folder, now

    def measured(self, case: Case) -> dict[str, Any] | None:
        """``{"job", "measurement"}`` or ``{"error"}`` of a case, where these versions have measured it."""
        found = _read(self.folder / case.file)
        if found is None or found.get("format") != FORMAT or found.get("versions") != self.now:
            return None
        whole = isinstance(found.get("measurement"), dict) or isinstance(found.get("error"), str)
        return found if whole and found.get("file") == case.file else None

    def keep(self, case: Case, found: dict[str, Any]) -> None:
        whole = {"format": FORMAT, "file": case.file, "versions": self.now, "date": date.today().isoformat(),
                 "machine": machine(), "processor": processor(), **found}  # fmt: skip
        _write(self.folder / case.file, whole)

    def architectures(self) -> list[str]:
        """The names of keras.applications, from the last time that Keras was asked for them."""
        found = _read(self.folder / "models" / "names.json.gz")
        if found is None or found.get("keras") != self.now.get("keras") or not isinstance(found.get("names"), list):
            from cnncost.sources.keras_live import applications, import_keras

            found = {"keras": self.now.get("keras"), "names": list(applications(import_keras()))}
            _write(self.folder / "models" / "names.json.gz", found)
        return list(found["names"])

    def model(self, name: str) -> Any:
        """The Keras configuration of an architecture, which no longer needs Keras to be read."""
        path = self.folder / "models" / f"{name}.json.gz"
        found = _read(path)
        if found is None or found.get("keras") != self.now.get("keras") or "model" not in found:
            from cnncost.sources.keras_live import applications, build_application, import_keras, without_weights

            keras = import_keras()
            keras.backend.clear_session()  # layers are numbered through a process; their names must not depend on it
            with without_weights(keras):
                model, _ = build_application(applications(keras)[name])
                found = {"keras": self.now.get("keras"), "model": json.loads(model.to_json())}
            _write(path, found)
        return found["model"]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            found = json.load(stream)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error):
        return None
    return found if isinstance(found, dict) else None


def _write(path: Path, value: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        with gzip.open(part, "wt", encoding="utf-8", compresslevel=4) as stream:
            json.dump(value, stream)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def machine() -> str:
    """The processor's name and how many of it there are."""
    name = platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
        found = re.search(r"^model name\s*:\s*(.+)$", stream.read(1 << 16), re.MULTILINE)
        name = f"{found[1].strip()} ({name})" if found else name
    return f"{os.cpu_count()} × {name}, {platform.system()}"


def processor() -> str:
    """Whose kernels compute in float32 here, by the name that an analysis takes: oneDNN's or TensorFlow's own."""
    from cnncost.processors import AVX512, host

    return AVX512.name if host().wide else host().name


def earlier(path: Path) -> dict[Case, dict[str, Any]]:
    """The rows of an earlier report, measured or refused: another machine's measurements are not here."""
    rows: dict[Case, dict[str, Any]] = {}
    with contextlib.suppress(OSError), path.open(encoding="utf-8", errors="replace") as stream:
        for line in stream:
            with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
                row = json.loads(line)
                if isinstance(row.get("error"), str) or ("measured_on" in row and row["peak"]["processes"] > 0):
                    rows[Case(*row["case"])] = row
    return rows


def versions() -> dict[str, str]:
    """What a measurement depends on; the prediction's own version is not among them."""
    found = {"python": platform.python_version()}
    for package in ("tensorflow", "tensorflow-cpu", "keras"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
