"""The rows of the long verification: what was measured beside what is predicted now."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from verification_cases import Case, Store, processor

if TYPE_CHECKING:
    from cnncost.measure import Job, Measurement
    from cnncost.memory.prediction import MemoryPrediction
    from cnncost.results import Analysis


@lru_cache(maxsize=256)
def _graph(source: str, store: Store) -> Any:
    """The graph of a source. An architecture's is read from its stored configuration."""
    kind, _, name = source.partition(":")
    if kind == "keras":
        from cnncost.sources.keras_config import read_config

        return read_config(store.model(name), source)
    import cnncost

    return cnncost.analyze(source).graph


def analysis_of(case: Case, store: Store, measured: dict[str, Any] | None = None) -> Analysis:
    """``measured``: what was stored, whose processor it is; without one this machine's."""
    import cnncost

    on = processor() if measured is None else measured.get("processor", "avx512")
    graph = _graph(case.source, store)
    return cnncost.analyze(graph, batch=case.batch, mode=case.mode, optimizer=case.optimizer, processor=on)


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


def stored(kept: dict[str, Any]) -> tuple[Job, Measurement]:
    from cnncost.measure import Job, Measurement

    job = Job(**{**kept["job"], "names": tuple(tuple(name) for name in kept["job"]["names"])})
    return job, Measurement.from_dict(kept["measurement"])


def predicted(case: Case, kept: dict[str, Any], store: Store) -> dict[str, Any]:
    """The row of a case: its stored measurement beside what the analysis says today."""
    from cnncost.compare import compare, simulated
    from cnncost.errors import CnncostError

    if "error" in kept:
        return {"error": kept["error"]}
    begun = time.process_time()
    try:
        analysis = analysis_of(case, store, kept)
        job, measured = stored(kept)
        if len(job.names) != len(analysis.layers):
            return {"error": "the model has changed since it was measured"}
        data = compare(analysis, job, measured).to_dict()
        chunks, _ = simulated(analysis, job, "bfc", interval=False)
    except CnncostError as error:
        return {"error": f"the prediction failed: {error.message}"}
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError, AttributeError) as error:
        return {"error": f"the prediction failed: {type(error).__name__}: {error}"}
    layers = data.pop("layers")
    right = all(layer["shape_ok"] and layer["params_ok"] and layer["bytes_ok"] for layer in layers)
    return {key: data[key] for key in ("model", "ok", "peak", "step_seconds", "allocations", "device")} | {
        "chunks": _chunks(None if chunks is None else chunks.peak_bytes, measured.chunk_bytes),
        "layers": len(layers), "layers_ok": right, "measured_on": kept.get("date"), "machine": kept.get("machine"),
        "processor": kept.get("processor", "avx512"),
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


def renewed(case: Case, row: dict[str, Any], store: Store) -> dict[str, Any]:
    """An earlier report's row with the peaks that are predicted today, beside what was measured then; how many
    allocations matched stays as it was."""
    from cnncost.compare import simulated
    from cnncost.errors import CnncostError

    try:
        analysis = analysis_of(case, store, row)
        job = job_of(case, analysis, 1, 1.0)
        prediction, _ = simulated(analysis, job)
        chunks, _ = simulated(analysis, job, "bfc", interval=False)
    except CnncostError as error:
        return {"error": f"the prediction failed: {error.message}"}
    return row | {
        "peak": row["peak"] | _peak(prediction, row["peak"]["measured_bytes"]),
        "chunks": _chunks(None if chunks is None else chunks.peak_bytes, row["chunks"]["measured_bytes"]),
    }


def _peak(prediction: MemoryPrediction | None, measured: int | None) -> dict[str, Any]:
    """The fields of a row's peak that a prediction decides."""
    if prediction is None:
        return {"predicted_bytes": None, "error": None, "inside_interval": None}
    low, high = prediction.low_bytes, prediction.high_bytes
    return {
        "predicted_bytes": prediction.peak_bytes, "predicted_low_bytes": low, "predicted_high_bytes": high,
        "error": prediction.peak_bytes / measured - 1 if measured else None,
        "inside_interval": low <= measured <= high if measured and low < high else None,
    }  # fmt: skip


def joined(
    rows: dict[Case, dict[str, Any]], before: dict[Case, dict[str, Any]], known: Sequence[Case]
) -> dict[Case, dict[str, Any]]:
    """Today's rows, and those of an earlier report whose measurements are not stored here, or are of more processes:
    a report that was begun on another machine goes on on this one."""

    def processes(row: dict[str, Any] | None) -> int:
        return -1 if row is None else row["peak"]["processes"] if "peak" in row else 0

    chosen = {case: max(rows.get(case), before.get(case), key=processes) for case in known}
    return {case: row for case, row in chosen.items() if row is not None}
