"""The long verification's tables: statistics of the errors and a row for every run, as Markdown and for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from statistics import mean, median
from typing import Any

from verification_cases import Case

UNNAMED = "an earlier machine whose name was not noted"


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
        + f". Measured on {_machines(good.values())}. Peaks are requested bytes above "
        "weights and input of one step, inter-op threads 1; in graph mode unless the step says xla. A peak is that of "
        "one process, or the median of several. Percentages are of absolute errors; chunks are what TensorFlow's "
        "allocator makes of requests. Of the allocations of a step of 1 KiB or more, the share that follows the "
        "predicted ones in order and size, the mean over the steps, of each over its processes whose allocations "
        "are stored. The predicted order is the one of sixteen "
        "simulated that agrees best with the others; the closest is the one that the run follows best, which no "
        "prediction can name. (Where the run is stored no more, sizes had to agree by layer too, and the order is that "
        "of the predicted peak.)",
        "",
        "| step | models | peaks predicted | mean | median | 90 % | worst | inside the interval | chunks: median "
        "| allocations matched | of 64 KiB or more | by layer too | in the closest order | layers as predicted |",
        "|:--|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
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


def _machines(rows: Iterable[dict[str, Any]]) -> str:
    """Which machines measured, how many rows each and when."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.get("machine") or UNNAMED, []).append(row.get("measured_on") or "")
    parts = [f"{name} ({len(days)} rows, {min(days)} to {max(days)})" for name, days in found.items()]
    return "; ".join(parts) or "no machine yet"


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
        _share(_other(counts, "by_layer"), "large_matched", "large_total"),
        _share(_other(counts, "closest"), "large_matched", "large_total"),
        f"{sum(row['layers_ok'] for row in own)} of {len(own)}",
    ]  # fmt: skip
    return f"| {title} | {len(own)} | {len(errors)} | {' | '.join(cells)} |"


def _share(counts: list[dict[str, Any]], part: str, whole: str) -> str:
    """The mean over the steps that have any."""
    shares = [own for count in counts if (own := _matched(count, part, whole)) is not None]
    return f"{mean(shares):.1%}" if shares else ""


def _matched(count: dict[str, Any], part: str, whole: str) -> float | None:
    """Of a step's processes the mean; None where there was nothing to match."""
    processes = count.get("processes") or [count]
    return mean(own[part] / own[whole] for own in processes) if count[whole] else None


def _other(counts: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The same held against another order, or by layer too, which one process was; nothing where no row has it. A row
    that has it not counts as it is."""
    if not any(count.get(name) for count in counts):
        return []
    return [count | {"processes": []} | (count.get(name) or {}) for count in counts]


def _row(case: Case, row: dict[str, Any]) -> str:
    peak, found = row["peak"], row["allocations"]
    expected = "" if peak["predicted_bytes"] is None else f"{peak['predicted_bytes']:,}"
    measured = "" if peak["measured_bytes"] is None else f"{peak['measured_bytes']:,}"
    error = "" if peak["error"] is None else f"{peak['error']:+.2%}"
    part = None if found["matched"] is None else _matched(found, "matched", "total")
    share = "" if part is None else f"{part:.1%}"
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
