"""Verify all zoo models and all of keras.applications: ``python reports/verification.py`` writes ``verification.md``.

Every finished measurement is a file of ``.measured/``, whole; a rerun with the same TensorFlow and Keras goes on where
the last one ended. Predictions are made anew from the stored measurements each time, so ``--predict-only`` renders
the report again in minutes, without TensorFlow. ``--only REGEX`` takes the cases whose name it matches, and writes no
report; ``--minutes N`` begins no measurement after N; ``--store FOLDER`` reads and writes the measurements elsewhere.
The whole takes hours.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import platform
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from cnncost.measure import Job, Measurement
    from cnncost.results import Analysis

HERE = Path(__file__).resolve().parent
FORMAT = 1  # of a stored measurement
LARGE, SLOW = 60_000_000, 15 * 10**9  # parameters and MACs; training of what has more comes last
PLAN = (("inference", None, 1, "graph"), ("training", "sgd", 2, "graph"), ("training", "adam", 2, "graph"),
        ("inference", None, 4, "graph"), ("inference", None, 1, "xla"), ("training", "sgd", 2, "xla"))  # fmt: skip
ROOM = 1.3  # times the textbook's estimate must be free before a run begins
BASE = 2**30  # bytes of the framework itself


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
        whole = {"format": FORMAT, "file": case.file, "versions": self.now, "date": date.today().isoformat(), **found}
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


@lru_cache(maxsize=256)
def _graph(source: str, store: Store) -> Any:
    """The graph of a source. An architecture's is read from its stored configuration."""
    kind, _, name = source.partition(":")
    if kind == "keras":
        from cnncost.sources.keras_config import read_config

        return read_config(store.model(name), source)
    import cnncost

    return cnncost.analyze(source).graph


def analysis_of(case: Case, store: Store) -> Analysis:
    import cnncost

    return cnncost.analyze(_graph(case.source, store), batch=case.batch, mode=case.mode, optimizer=case.optimizer)


def job_of(case: Case, analysis: Analysis, steps: int, limit: float) -> Job:
    """The run that ``cnncost verify`` makes of this case."""
    from cnncost.export import keras_names, to_config
    from cnncost.measure import Job

    kind, _, name = case.source.partition(":")
    model: dict[str, Any]
    if kind == "keras":
        model, names = {"application": name}, tuple((layer.name, 0) for layer in analysis.layers)
    else:
        model, names = {"config": to_config(analysis.graph, case.batch)}, keras_names(analysis.graph)
    return Job(model=model, names=names, mode=case.mode, optimizer=case.optimizer, batch=case.batch,
               executor=case.executor, steps=steps, seconds=limit / 4)  # fmt: skip


def cases(store: Store) -> list[Case]:
    """All cases in the order of PLAN, training of large models last, in each part the cheaper model first."""
    from cnncost.sources.zoo import names

    sources = [f"zoo:{name}" for name in names()] + [f"keras:{name}" for name in store.architectures()]
    totals = {source: analysis_of(Case(source, "inference", None, 1), store).totals for source in sources}

    def place(case: Case) -> tuple[bool, int, int]:
        size = totals[case.source]
        late = case.mode == "training" and (size.params > LARGE or size.macs > SLOW)
        return late, PLAN.index(tuple(case[1:])), size.macs

    return sorted((Case(source, *step) for step in PLAN for source in sources), key=place)


def measure(case: Case, store: Store, steps: int = 3, limit: float = 1200, processes: int = 1) -> dict[str, Any]:
    """What is stored of a case: the job and its whole measurement, or ``error`` with its one message.

    A run that would not fit is not begun: ``left_out`` says so, and a rerun asks again. Where fewer processes are
    stored than are asked for, those that are missing measure memory and join them.
    """
    from cnncost.errors import CnncostError
    from cnncost.measure import LackOfMemory, run, run_often
    from cnncost.measure.advice import footprint
    from cnncost.measure.environment import free_bytes
    from cnncost.measure.repeat import merged
    from cnncost.units import bytes_text

    kept = store.measured(case) or {}
    try:
        analysis = analysis_of(case, store)
        need, free = int(ROOM * footprint(analysis, case.mode)) + BASE, free_bytes()
        if free is not None and need > free:
            return {"left_out": True, "error": f"left out: about {bytes_text(need)} are needed, {bytes_text(free)} "
                                               "were free"}  # fmt: skip
        if "measurement" in kept and isinstance(kept.get("job"), dict):
            job, first = _stored(kept)
            again = replace(job, steps=0)
            measured = merged([first, *(run(again, limit) for _ in range(processes - _processes(kept)))])
        else:
            job = job_of(case, analysis, steps, limit)
            measured = run_often(job, limit, processes)
    except LackOfMemory as error:
        return {"left_out": True, "error": str(error)[-1000:]}
    except CnncostError as error:
        return {"error": str(error)[-1000:]}
    return {"job": asdict(job), "measurement": asdict(measured)}


def _processes(kept: dict[str, Any]) -> int:
    return max(1, len(kept["measurement"].get("runs", ())))


def _stored(kept: dict[str, Any]) -> tuple[Job, Measurement]:
    from cnncost.measure import Job, Measurement

    job = Job(**{**kept["job"], "names": tuple(tuple(name) for name in kept["job"]["names"])})
    return job, Measurement.from_dict(kept["measurement"])


def versions() -> dict[str, str]:
    """What a measurement depends on; the prediction's own version is not among them."""
    found = {"python": platform.python_version()}
    for package in ("tensorflow", "tensorflow-cpu", "keras"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def work(
    todo: Sequence[Case], store: Store, end: float, run: Callable[[Case], dict[str, Any]], processes: int = 1
) -> None:
    """Measure what is not there yet; every measurement is on disk before the next begins. What is stored is only
    replaced by a measurement."""
    for case in todo:
        kept = store.measured(case)
        whole = kept is not None and "measurement" in kept
        if kept is not None and (_processes(kept) >= processes if whole else not kept.get("left_out")):
            continue
        if time.monotonic() > end:
            break
        begun = time.monotonic()
        found = run(case)
        if not whole or "measurement" in found:
            store.keep(case, found)
        print(f"{case}: {found.get('error') or 'measured'}, {time.monotonic() - begun:.0f} s", flush=True)


def predicted(case: Case, kept: dict[str, Any], store: Store) -> dict[str, Any]:
    """The row of a case: its stored measurement beside what the analysis says today."""
    from cnncost.compare import compare, simulated
    from cnncost.errors import CnncostError

    if "error" in kept:
        return {"error": kept["error"]}
    begun = time.process_time()
    try:
        analysis = analysis_of(case, store)
        job, measured = _stored(kept)
        if len(job.names) != len(analysis.layers):
            return {"error": "the model has changed since it was measured"}
        data = compare(analysis, job, measured).to_dict()
        chunks, _ = simulated(analysis, job, "bfc")
    except CnncostError as error:
        return {"error": f"the prediction failed: {error.message}"}
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError) as error:
        return {"error": f"the prediction failed: {type(error).__name__}: {error}"}
    layers = data.pop("layers")
    right = all(layer["shape_ok"] and layer["params_ok"] and layer["bytes_ok"] for layer in layers)
    return {key: data[key] for key in ("model", "ok", "peak", "step_seconds", "allocations", "device")} | {
        "chunks": _chunks(None if chunks is None else chunks.peak_bytes, measured.chunk_bytes),
        "layers": len(layers), "layers_ok": right, "measured_on": kept.get("date"),
        "prediction_cpu_seconds": round(time.process_time() - begun, 3),
    }  # fmt: skip


def _chunks(predicted: int | None, measured: int | None) -> dict[str, Any]:
    error = None if predicted is None or not measured else predicted / measured - 1
    return {"predicted_bytes": predicted, "measured_bytes": measured, "error": error}


def rows_of(known: Sequence[Case], store: Store) -> Iterator[tuple[Case, dict[str, Any]]]:
    """A row for every measured case, with a prediction made now."""
    for case in known:
        kept = store.measured(case)
        if kept is not None:
            yield case, predicted(case, kept, store)


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
        "weights and input of one step, inter-op threads 1; in graph mode unless the step says xla. A peak is that of "
        "one process, or the median of several. Percentages are of absolute errors; chunks are what TensorFlow's "
        "allocator makes of requests.",
        "",
        "| step | models | peaks predicted | mean | median | 90 % | worst | inside the interval | chunks: median "
        "| allocations matched | of 64 KiB or more | layers as predicted |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    for title, own in _groups(good, all_cases):
        lines.append(_summary(title, list(own.values())))
    titles = "| source | step | predicted B | measured B | of processes | error | allocations matched | step time |"
    lines += ["", "## Every run", "", titles, "|:--|:--|--:|--:|:--|--:|--:|--:|"]
    lines += [_row(case, good[case]) for case in all_cases if case in good]
    left = [f"- {case}: {_why(row)}" for case, row in rows.items() if case not in good]
    for group in dict.fromkeys(case.group for case in all_cases):
        waiting = [case.source for case in all_cases if case.group == group and case not in rows]
        left += [f"- not run yet, {group}: {', '.join(waiting)}"] if waiting else []
    lines += ["", "## Left out", "", *left] if left else []
    return "\n".join(lines) + "\n"


def _groups(good: dict[Case, Any], all_cases: Sequence[Case]) -> Iterator[tuple[str, dict[Case, Any]]]:
    """The rows of each step, those of keras.applications apart from the zoo's."""
    for group in dict.fromkeys(case.group for case in all_cases):
        for kind, name in (("keras:", "keras.applications"), ("zoo:", "zoo")):
            if any(case.group == group and case.source.startswith(kind) for case in all_cases):
                own = {c: row for c, row in good.items() if c.group == group and c.source.startswith(kind)}
                yield f"{group}: {name}", own


def _summary(title: str, own: list[dict[str, Any]]) -> str:
    errors = [row["peak"]["error"] for row in own if row["peak"]["error"] is not None]
    figures = statistics(errors)
    cells = [f"{figures[name]:.2%}" if figures else "" for name in ("mean", "median", "90 %", "worst")]
    counts = [row["allocations"] for row in own if row["allocations"]["matched"] is not None]
    inside = [row["peak"]["inside_interval"] for row in own if row["peak"]["inside_interval"] is not None]
    chunks = statistics(row["chunks"]["error"] for row in own if row["chunks"]["error"] is not None)
    cells += [
        f"{sum(inside)} of {len(inside)}" if inside else "", f"{chunks['median']:.2%}" if chunks else "",
        _share(counts, "matched", "total"), _share(counts, "large_matched", "large_total"),
        f"{sum(row['layers_ok'] for row in own)} of {len(own)}",
    ]  # fmt: skip
    return f"| {title} | {len(own)} | {len(errors)} | {' | '.join(cells)} |"


def _share(counts: list[dict[str, Any]], part: str, whole: str) -> str:
    total = sum(count[whole] for count in counts)
    return f"{sum(count[part] for count in counts) / total:.1%}" if total else ""


def _row(case: Case, row: dict[str, Any]) -> str:
    peak, found = row["peak"], row["allocations"]
    expected = "" if peak["predicted_bytes"] is None else f"{peak['predicted_bytes']:,}"
    measured = "" if peak["measured_bytes"] is None else f"{peak['measured_bytes']:,}"
    error = "" if peak["error"] is None else f"{peak['error']:+.2%}"
    share = "" if found["matched"] is None or not found["total"] else f"{found['matched'] / found['total']:.1%}"
    seconds = row["step_seconds"]["median"]
    several = ""
    if peak["processes"] > 1:
        several = f"{peak['processes']}: {peak['measured_low_bytes']:,} to {peak['measured_high_bytes']:,}"
    cells = [case.source, case.group, expected, measured, several, error, share, f"{seconds * 1000:.1f} ms"]
    return f"| {' | '.join(cells)} |"


def _why(row: dict[str, Any]) -> str:
    return str(row["error"]).removeprefix("error: ").removeprefix("left out: ")[:300].replace("|", "\\|")


def distribution(rows: dict[Case, dict[str, Any]], all_cases: Sequence[Case], worst: int) -> str:
    """For the terminal: of each step the errors' statistics and the models that are furthest off."""
    good = {case: row for case, row in rows.items() if "error" not in row}
    lines = []
    for title, own in _groups(good, all_cases):
        if not own:
            continue
        errors = {case: row["peak"]["error"] for case, row in own.items() if row["peak"]["error"] is not None}
        figures = statistics(errors.values())
        shown = ", ".join(f"{name} {value:.2%}" for name, value in figures.items())
        inside = [sum(abs(e) <= edge for e in errors.values()) for edge in (0.005, 0.01, 0.02, 0.05, 0.10)]
        lines += ["", f"{title}: {len(errors)} predicted of {len(own)} measured; {shown}"]
        chunks = statistics(row["chunks"]["error"] for row in own.values() if row["chunks"]["error"] is not None)
        if chunks:
            lines.append("  chunks: " + ", ".join(f"{name} {value:.2%}" for name, value in chunks.items()))
        if errors:
            lines.append("  within 0.5, 1, 2, 5, 10 %: " + ", ".join(map(str, inside)))
        for case in sorted(errors, key=lambda case: -abs(errors[case]))[:worst]:
            found = own[case]["allocations"]
            share = f"{found['matched']}/{found['total']}, large {found['large_matched']}/{found['large_total']}"
            lines.append(f"  {errors[case]:+9.2%}  {case.source:<32} {share:<32} {found['first_mismatch'] or ''}"[:200])
        for case, row in own.items():
            if row["peak"]["error"] is None:
                lines.append(f"  no peak    {case.source:<32} {row['peak']['unpredicted']}"[:200])
    failed = [f"  {case}: {row['error']}"[:200] for case, row in rows.items() if "error" in row]
    return "\n".join([*lines, *(["", "failed or left out:", *failed] if failed else [])]).lstrip("\n")


def main() -> int:
    """Exit code 0, 2 for wrong options, 3 when something outside fails, 130 after Ctrl-C: what was measured is kept."""
    args = _arguments()
    try:
        _run(args)
    except KeyboardInterrupt:
        print("\ninterrupted: finished measurements are kept; the same command goes on with the next", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"error: cannot use '{error.filename or args.store}': {error.strerror}", file=sys.stderr)
        return 3
    except Exception as error:
        from cnncost.errors import CnncostError

        if not isinstance(error, CnncostError):
            raise
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="REGEX", type=_pattern, default="",
                        help="take the cases whose name this matches, and write no report")  # fmt: skip
    parser.add_argument("--minutes", metavar="N", type=float, default=1e6, help="begin no measurement after N minutes")
    parser.add_argument("--limit", metavar="SECONDS", type=float, default=1200, help="one run may take this long")
    parser.add_argument("--steps", metavar="N", type=_count, default=3, help="timed steps of each run (3)")
    parser.add_argument("--processes", metavar="N", type=_count, default=1, help="processes of each run (1)")
    parser.add_argument("--store", metavar="FOLDER", type=Path, default=HERE / ".measured", help="the measurements")
    parser.add_argument("--predict-only", action="store_true", help="measure nothing, predict all again")
    parser.add_argument("--measure-only", action="store_true", help="predict nothing, write no report")
    parser.add_argument("--output", metavar="FOLDER", type=Path, default=HERE, help="where the report goes")
    parser.add_argument("--worst", metavar="N", type=int, default=10, help="print so many of each step's worst (10)")
    return parser.parse_args()


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _count(text: str) -> int:
    if not 1 <= int(text) <= 10_000:
        raise ValueError(text)
    return int(text)


def _run(args: argparse.Namespace) -> None:
    store = Store(args.store, versions())
    known = cases(store)
    wanted = [case for case in known if re.search(args.only, str(case))]
    if not wanted:
        from cnncost.errors import CnncostError

        raise CnncostError("no case has such a name", rule="a name is as 'zoo:resnet50 training, sgd, batch 2'")

    def one(case: Case) -> dict[str, Any]:
        return measure(case, store, args.steps, args.limit, args.processes)

    if not args.predict_only:
        work(wanted, store, time.monotonic() + args.minutes * 60, one, args.processes)
    if not args.measure_only:
        report(store, known, wanted, args.output, args.worst)


def report(store: Store, known: Sequence[Case], wanted: Sequence[Case], folder: Path, worst: int) -> None:
    """Predict, print, and, where all cases are wanted, write the two files."""
    rows = dict(rows_of(wanted, store))
    print(distribution(rows, wanted, worst))
    if len(wanted) < len(known):  # the report on all must not become one on a few
        return
    now = store.now | {"cnncost": version("cnncost")}
    lines = [json.dumps({"case": list(case), "versions": now, **row}, ensure_ascii=False) for case, row in rows.items()]
    _replace(folder / "verification.jsonl", "".join(f"{line}\n" for line in lines))
    _replace(folder / "verification.md", markdown(rows, known, now))


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
        print(path, file=sys.stderr)
    finally:
        part.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
