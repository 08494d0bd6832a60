"""Verify all zoo models and all of keras.applications: ``python reports/verification.py`` writes ``verification.md``.

Every finished measurement is a file of ``.measured/``, whole; a rerun with the same TensorFlow and Keras goes on where
the last one ended. Predictions are made anew from the stored measurements each time, so ``--predict-only`` renders
the report again in minutes, without TensorFlow. Rows of the last report whose measurements are not stored here, or are
of more processes, stay, and their peaks are predicted anew. ``--only REGEX`` takes the cases whose name it matches, and
writes no report; ``--minutes N`` begins no measurement after N; ``--store FOLDER`` reads and writes the measurements
elsewhere. The whole takes hours.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass

from verification_cases import PLAN, Case, Store, earlier, versions
from verification_rows import analysis_of, job_of, joined, renewed, rows_of, stored
from verification_tables import distribution, markdown

HERE = Path(__file__).resolve().parent
LARGE, SLOW = 60_000_000, 15 * 10**9  # parameters and MACs; training of what has more comes last
ROOM = 1.3  # times the textbook's estimate must be free before a run begins
BASE = 2**30  # bytes of the framework itself


def every_case(store: Store) -> list[Case]:
    """All cases, in no order that means anything."""
    from cnncost.sources.zoo import names

    sources = [f"zoo:{name}" for name in names()] + [f"keras:{name}" for name in store.architectures()]
    return [Case(source, *step) for step in PLAN for source in sources]


def ordered(found: Sequence[Case], store: Store) -> list[Case]:
    """Cases in the order of PLAN, training of large models last, in each part the cheaper model first."""
    from cnncost.cli.progress import progress

    with progress("reading the models"):  # each of keras.applications is built once, which takes seconds
        totals = {
            source: analysis_of(Case(source, "inference", None, 1), store).totals
            for source in dict.fromkeys(case.source for case in found)
        }

    def place(case: Case) -> tuple[bool, int, int]:
        size = totals[case.source]
        late = case.mode == "training" and (size.params > LARGE or size.macs > SLOW)
        return late, PLAN.index(tuple(case[1:])), size.macs

    return sorted(found, key=place)


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
            job, first = stored(kept)
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
    known = every_case(store)
    wanted = ordered([case for case in known if re.search(args.only, str(case))], store)
    if not wanted:
        from cnncost.errors import CnncostError

        raise CnncostError("no case has such a name", rule="a name is as 'zoo:resnet50 training, sgd, batch 2'")
    if len(wanted) == len(known):
        known = wanted

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
    before = earlier(folder / "verification.jsonl")
    for case, row in joined(rows, before, known).items():
        if row is before.get(case) and "peak" in row:
            stored = rows.get(case, {}).get("allocations")
            row = renewed(case, row, store)
            if stored and "error" not in row:  # of the one run whose allocations are here
                row["allocations"] = stored
        rows[case] = row
    rows = {case: rows[case] for case in known if case in rows}
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
