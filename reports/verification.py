"""Verify all zoo models and all of keras.applications: ``python reports/verification.py`` writes ``verification.md``.

Each finished run is a line of ``verification.jsonl``; a rerun with the same versions goes on where the last one ended.
The whole takes an hour or two. ``--only REGEX`` runs the cases whose name it matches; ``--minutes N`` ends after N.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
STEPS = {"inference": [(None, 1), (None, 4)], "training": [("sgd", 2), ("adam", 2)]}
LIMIT = 1200  # seconds that one run may take


class Case(NamedTuple):
    """One row: a source and a step of it."""

    source: str
    mode: str
    optimizer: str | None
    batch: int

    @property
    def group(self) -> str:
        return f"{self.mode}{f', {self.optimizer}' if self.optimizer else ''}, batch {self.batch}"

    def __str__(self) -> str:
        return f"{self.source} {self.group}"


def cases() -> list[Case]:
    """All cases, the cheaper step first."""
    from cnncost.sources.keras_live import applications, import_keras
    from cnncost.sources.zoo import names

    sources = [f"zoo:{name}" for name in names()] + [f"keras:{name}" for name in applications(import_keras())]
    return [
        Case(source, mode, optimizer, batch)
        for mode, steps in STEPS.items()
        for optimizer, batch in steps
        for source in sources
    ]


def measure(case: Case) -> dict[str, Any]:
    """One row's answer: ``verify``'s figures without its layers, or ``error`` with its one message."""
    command = [sys.executable, "-m", "cnncost", "verify", case.source, "--mode", case.mode, "--batch", str(case.batch),
               "--steps", "3", "--timeout", str(LIMIT), "--format", "json"]  # fmt: skip
    command += ["--optimizer", case.optimizer] if case.optimizer else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        return {"error": done.stderr.strip()[-1000:]}
    data: dict[str, Any] = json.loads(done.stdout)
    layers = data.pop("layers")
    right = all(layer["shape_ok"] and layer["params_ok"] and layer["bytes_ok"] for layer in layers)
    return {key: data[key] for key in ("model", "ok", "peak", "step_seconds", "allocations", "device")} | {
        "layers": len(layers), "layers_ok": right,
    }  # fmt: skip


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("tensorflow", "tensorflow-cpu", "keras", "cnncost"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def finished(path: Path, now: dict[str, str]) -> dict[Case, dict[str, Any]]:
    """The rows that were measured with these versions; a line that was cut off is measured again."""
    found: dict[Case, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
            case = Case(*row["case"])
        except (ValueError, KeyError, TypeError):
            continue
        if row.get("versions") == now:
            found[case] = row
    return found


def work(
    todo: Sequence[Case], path: Path, now: dict[str, str], end: float, run: Callable[[Case], dict[str, Any]] = measure
) -> None:
    """Measure what is not there yet; every row is on disk before the next begins."""
    done = finished(path, now)
    for case in todo:
        if case in done:
            continue
        if time.monotonic() > end:
            break
        row = {"case": list(case), "versions": now, **run(case)}
        with path.open("a+", encoding="utf-8") as stream:
            stream.seek(0)
            whole = stream.read()[-1:] in ("", "\n")  # a line that an interrupted run left must not swallow this one
            stream.write(("" if whole else "\n") + json.dumps(row, ensure_ascii=False) + "\n")
        print(f"{case}: {row.get('error') or _error(row)}", flush=True)


def _error(row: dict[str, Any]) -> str:
    error = row["peak"]["error"]
    return "no peak predicted" if error is None else f"{error:+.2%}"


def statistics(errors: Iterable[float]) -> dict[str, float]:
    """Of the absolute errors. The 90th percentile is the least value that nine tenths do not exceed."""
    sizes = sorted(map(abs, errors))
    if not sizes:
        return {}
    return {"mean": mean(sizes), "median": median(sizes), "90 %": sizes[-(-len(sizes) * 9 // 10) - 1],
            "worst": sizes[-1]}  # fmt: skip


def markdown(rows: dict[Case, dict[str, Any]], all_cases: Sequence[Case], now: dict[str, str]) -> str:
    """The report: statistics, every row, what is left out and why."""
    good = {case: row for case, row in rows.items() if "error" not in row}
    lines = [
        "# Predicted and measured", "",
        f"Written by `python reports/verification.py` on {date.today().isoformat()}: "
        + ", ".join(f"{name} {number}" for name, number in now.items())
        + f"; {os.cpu_count()} processors, {platform.machine()}, {platform.system()}. Peaks are requested bytes above "
        "weights and input of one step in graph mode, inter-op threads 1.", "",
        "| step | models | peaks predicted | mean | median | 90 % | worst | layers as predicted |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for group in dict.fromkeys(case.group for case in all_cases):
        own = [row for case, row in good.items() if case.group == group]
        errors = [row["peak"]["error"] for row in own if row["peak"]["error"] is not None]
        figures = statistics(errors)
        cells = [f"{figures[name]:.2%}" if figures else "" for name in ("mean", "median", "90 %", "worst")]
        right = sum(row["layers_ok"] for row in own)
        lines.append(f"| {group} | {len(own)} | {len(errors)} | {' | '.join(cells)} | {right} of {len(own)} |")
    titles = "| source | step | predicted B | measured B | error | allocations matched | step time |"
    lines += ["", "## Every run", "", titles, "|:--|:--|--:|--:|--:|--:|--:|"]
    lines += [_row(case, good[case]) for case in all_cases if case in good]
    left = [case for case in all_cases if case not in good]
    lines += ["", "## Left out", ""] + [f"- {case}: {_why(rows.get(case))}" for case in left] if left else []
    return "\n".join(lines) + "\n"


def _row(case: Case, row: dict[str, Any]) -> str:
    peak, found = row["peak"], row["allocations"]
    predicted = "" if peak["predicted_bytes"] is None else f"{peak['predicted_bytes']:,}"
    measured = "" if peak["measured_bytes"] is None else f"{peak['measured_bytes']:,}"
    error = "" if peak["error"] is None else f"{peak['error']:+.2%}"
    share = "" if found["matched"] is None or not found["total"] else f"{found['matched'] / found['total']:.1%}"
    seconds = row["step_seconds"]["median"]
    return f"| {case.source} | {case.group} | {predicted} | {measured} | {error} | {share} | {seconds * 1000:.1f} ms |"


def _why(row: dict[str, Any] | None) -> str:
    return "not run yet" if row is None else row["error"].removeprefix("error: ")[:300].replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", default="", help="run the cases whose name this matches")
    parser.add_argument("--minutes", metavar="N", type=float, default=1e6, help="begin no run after N minutes")
    args = parser.parse_args()
    store, now, known = HERE / "verification.jsonl", versions(), cases()
    try:
        todo = [case for case in known if re.search(args.only, str(case))]
        work(todo, store, now, time.monotonic() + args.minutes * 60)
    finally:
        (HERE / "verification.md").write_text(markdown(finished(store, now), known, now), encoding="utf-8")
        print("reports/verification.md")


if __name__ == "__main__":
    main()
