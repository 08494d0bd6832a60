"""Set the prediction beside a real run: builds the model, runs it in a child process, compares layer by layer."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING, Any

from cnncost.cli.shared import add_accumulation, add_source, analysis_of, form_of, mode_of, whole_number
from cnncost.errors import CnncostError, OutsideError, printable

if TYPE_CHECKING:
    from cnncost.analysis import Analysis
    from cnncost.measure import Job, LackOfMemory, Measurement

EXAMPLE = """examples:
  cnncost verify zoo:lenet5-1998
  cnncost verify net.yaml --batch 8 --mode training --optimizer adam --format json
  cnncost verify keras:ResNet50 --executor xla --tolerance 8%

It needs the tensorflow extra: pip install 'cnncost[tensorflow]'. Exit code 0: within the tolerance, 1: not, 3: the
run failed (no TensorFlow, no such device, not enough memory, a time-out).
"""
SUFFIXES = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html"}
FORMATS = ("table", "json", "markdown", "html")
ANEW = 5  # processes where one is beyond the tolerance: TensorFlow's own peak is not the same in each
NO_MODEL = "no model was built yet: the framework itself takes more than this process may have"


def tolerance(text: str) -> float:
    """A share, as ``0.05`` or ``5%``.

    >>> tolerance("5%"), tolerance("0.01")
    (0.05, 0.01)
    """
    found = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})(?:e(-?[0-9]))?(\s?%)?", text.strip(), re.ASCII)
    if found is None:
        rule = "it is a share of the peak, as 0.05 or 5%, not negative and below 1,000,000"
        raise CnncostError("a wrong tolerance", rule=rule, received=printable(text) or "nothing")
    return float(f"{found[1]}e{found[2] or 0}") / (100 if found[3] else 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_source(parser)
    add_accumulation(parser)
    group = parser.add_argument_group("run")
    group.add_argument("--executor", choices=("graph", "xla", "eager"), default="graph",
                       help="how the step runs: a tf.function (graph), compiled by XLA, or op by op")  # fmt: skip
    group.add_argument("--allocator", choices=("requested", "bfc"), default="requested",
                       help="compare peaks in requested bytes, or in the chunks of TensorFlow's allocator")  # fmt: skip
    group.add_argument("--processes", metavar="N", type=whole_number(1, 100),
                       help="measure the peak in N fresh processes and take the median "
                       f"(1; {ANEW} where the first is beyond the tolerance)")  # fmt: skip
    group.add_argument("--device", metavar="NAME", default="CPU:0", help="CPU:0 (default) or GPU:0, GPU:1, …")
    group.add_argument("--backend", choices=("tensorflow", "jax", "torch"), default="tensorflow",
                       help="Keras's backend; memory is predicted for TensorFlow's alone")  # fmt: skip
    group.add_argument("--steps", metavar="N", type=whole_number(1, 10_000), default=10, help="timed steps (10)")
    group.add_argument("--timeout", metavar="SECONDS", type=whole_number(1, 10**6), default=600,
                       help="a process, and reading the source, may take this long (600)")  # fmt: skip
    group.add_argument("--tolerance", metavar="SHARE", type=tolerance,
                       help="relative error of the peak that passes, and it alone; without it 1%% at inference, 10%% "
                            "in training, or a place inside the predicted interval")  # fmt: skip
    group = parser.add_argument_group("output")
    group.add_argument("--format", choices=FORMATS, help="table unless FILE's name says otherwise")
    group.add_argument("-o", "--output", metavar="FILE", help="write FILE, whole or not at all")
    group.add_argument("--picture", metavar="FILE.svg", help="draw live bytes over the step, predicted and measured")


def run(args: argparse.Namespace) -> int:
    from cnncost.cli.streams import columns_of, emit
    from cnncost.measure.environment import device_of

    _check_mode(args)
    args.mode = mode_of(args)
    os.environ["KERAS_BACKEND"] = args.backend  # keras:NAME is read by Keras in this process too
    device = device_of(args.device)
    form = args.format or form_of(args.output, SUFFIXES)
    _check_files(args.output, args.picture)
    analysis = analysis_of(args, args.timeout)
    job = job_of(args, analysis, device)
    from cnncost.compare import compare
    from cnncost.report.verification import render

    measured = _measure(job, analysis, args.timeout, args.processes or 1)
    result = compare(analysis, job, measured, args.tolerance, args.allocator)
    if args.processes is None and result.judged and not result.peak_ok:
        measured = _measure(job, analysis, args.timeout, ANEW, measured)
        result = compare(analysis, job, measured, args.tolerance, args.allocator)
    text = render(result, form, columns_of(args.output))
    try:
        emit(text, args.output, data=form == "json")
    except CnncostError:  # a full disk must not cost a long run its result
        if args.output is not None:
            emit(text, data=form == "json")
        raise
    if args.picture is not None:
        from cnncost.report.timeline import svg

        emit(svg(result), args.picture)
    return 0 if result.ok else 1


def _check_mode(args: argparse.Namespace) -> None:
    """What belongs to a training step is not left out in silence where an inference is run."""
    given = f"--optimizer {args.optimizer}" if args.optimizer else f"--accumulate {args.accumulate}"
    if args.mode == "inference" and (args.optimizer or args.accumulate):
        raise CnncostError(
            f"--mode inference and {printable(given)} contradict each other",
            rule="an inference has no optimizer and adds no gradients up",
            nearest=f"leave --mode out: {given.split()[0]} implies training",
        )  # fmt: skip


def _check_files(output: str | None, picture: str | None) -> None:
    """A place that cannot be written is said before the run, not after it."""
    from cnncost.files import must_be_writable

    for path in (output, picture):
        if path is not None:
            must_be_writable(path)
    if picture is None:
        return
    if os.path.splitext(picture)[1].lower() != ".svg":
        raise CnncostError(
            f"--picture: '{printable(picture)}' names no SVG file", rule="the picture is written as SVG",
            nearest="name it FILE.svg; `cnncost plot measured SOURCE --verification RUN.json -o FILE.png` draws what "
            "--format json wrote as PNG or PDF",
        )  # fmt: skip
    if output is not None and os.path.realpath(output) == os.path.realpath(picture):
        raise CnncostError(f"-o and --picture name the same file '{printable(picture)}'", nearest="name two files")


def job_of(args: argparse.Namespace, analysis: Analysis, device: str) -> Job:
    """The run that the options ask for: a named architecture from its own constructor, all else as exported data."""
    from collections import Counter

    from cnncost.analysis import with_dtype
    from cnncost.graph import groups_of
    from cnncost.measure import Job

    if args.dtype == "int8":
        raise CnncostError("Keras cannot run a model in int8", rule="int8 is for arithmetic alone here")
    own = args.source.lower().startswith("keras:") and not args.dtype
    model: dict[str, Any]
    if own:
        shape = analysis.input_shapes[0] if args.shapes else None
        model = {"application": analysis.source.partition(":")[2], "input_shape": shape}
        names = tuple((layer.name, 0) for layer in analysis.layers)
    else:
        from cnncost.export import keras_names, to_config

        graph = with_dtype(analysis.graph, args.dtype) if args.dtype else analysis.graph
        model, names = {"config": to_config(graph, args.batch)}, keras_names(graph)
    optimizer = (args.optimizer or "sgd").lower() if args.mode == "training" else None
    groups = tuple(group.members for group in groups_of(analysis.graph).values()) if optimizer else ()
    if groups and args.backend != "tensorflow":
        raise CnncostError(
            f"recomputed layers cannot be run on {args.backend}", rule="verify runs them on TensorFlow alone",
            nearest="leave --backend out, or 'recompute' in the spec",
        )  # fmt: skip
    if optimizer and not analysis.totals.trainable_params:
        raise CnncostError(
            "the model has nothing to train", rule="a training step needs a trainable weight",
            nearest="leave --mode and --optimizer out, or unfreeze a layer",
        )  # fmt: skip
    calls = Counter(name for name, _ in names)
    twice = next((row for group in groups for row in group if calls[names[row][0]] > 1), None)
    if twice is not None:
        raise CnncostError(
            f"layer '{printable(analysis.layers[twice].name)}' is recomputed and used twice, which cannot be run here",
            rule="a group is run as a Keras model of its own, and Keras does not cut one out of a layer's second call",
            nearest="leave 'recompute' out where layers are shared", location=analysis.layers[twice].layer.location,
        )  # fmt: skip
    return Job(
        model=model, names=names, mode=args.mode, optimizer=optimizer, batch=args.batch, executor=args.executor,
        device=device, backend=args.backend, steps=args.steps, seconds=args.timeout / 4,
        gradient_accumulation_steps=analysis.gradient_accumulation_steps if optimizer else 0,
        recompute=groups,
    )  # fmt: skip


def _measure(
    job: Job, analysis: Analysis, timeout: float, processes: int, first: Measurement | None = None
) -> Measurement:  # fmt: skip
    from cnncost.cli.progress import progress
    from cnncost.measure import LackOfMemory, run_often

    try:
        again = f", {processes - 1} more times" if first else ""
        with progress(f"running {printable(analysis.model)} on {job.device}{again}"):
            return run_often(job, timeout, processes, first)
    except LackOfMemory as lack:
        raise _with_remedies(lack, analysis, job) from None


def _with_remedies(lack: LackOfMemory, analysis: Analysis, job: Job) -> OutsideError:
    """At which step it died, what was predicted, and what to change."""
    from cnncost.measure.environment import room_bytes
    from cnncost.measure.shortage import expected, need_of, remedies
    from cnncost.units import bytes_text

    seen = f"the process had {bytes_text(lack.used_bytes)}; " if lack.used_bytes else ""
    if lack.before_the_model:
        lack.rule, lack.nearest = seen + NO_MODEL, "give it more: a higher ulimit -v, a larger container"
        return lack
    need = need_of(analysis, job)
    lack.rule = seen + expected(need, job)
    lack.nearest = f"change one of these: {', '.join(remedies(analysis, job, room_bytes(job.device), need))}"
    return lack
