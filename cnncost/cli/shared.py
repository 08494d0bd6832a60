"""The options that every command shares, and the analysis they ask for."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cnncost.errors import CnncostError, printable
from cnncost.processors import HOST, NAMES

if TYPE_CHECKING:
    from cnncost.analysis import Analysis
    from cnncost.findings import Finding

MAX_BATCH = 2**31 - 1
FOREIGN = frozenset((".pdf", ".xlsx", ".csv", ".svg", ".png", ".jpg", ".docx"))  # nobody expects a text table there
SHAPE_RULE = "--input takes H,W,C without the batch axis, ? for an unknown dimension, or NAME=H,W,C"


def whole_number(low: int, high: int = MAX_BATCH) -> Any:
    """An argparse type: a whole number in a range, as text of digits."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text, re.ASCII) or not low <= int(text) <= high:
            raise CnncostError(
                "a wrong number", rule=f"it must be a whole number from {low:,} to {high:,}", received=printable(text)
            )
        return int(text)

    return parse


def shape(text: str) -> tuple[str | None, tuple[int | None, ...]]:
    """(input name, shape) of one ``--input``.

    >>> shape("left=224,?,3")
    ('left', (224, None, 3))
    """
    name, equals, dims = text.rpartition("=")
    parts = [part.strip() for part in dims.strip().strip("[]()").split(",")]
    found: list[int | None] = []
    for part in parts[:65]:
        if part in ("?", "None", "null"):
            found.append(None)
        elif re.fullmatch(r"[0-9]{1,10}", part, re.ASCII) and 1 <= int(part) <= MAX_BATCH:
            found.append(int(part))
        else:
            raise CnncostError("a wrong shape", rule=SHAPE_RULE, received=printable(text))
    if len(found) > 64:
        raise CnncostError("a shape of more than 64 dimensions", rule=SHAPE_RULE, received=printable(text))
    return (name if equals else None), tuple(found)


def variable(text: str) -> tuple[str, Any]:
    """NAME=VALUE with a value as YAML 1.2's core schema reads a plain scalar.

    >>> variable("width=32"), variable("project=true"), variable("padding=same")
    (('width', 32), ('project', True), ('padding', 'same'))
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CnncostError("a wrong variable", rule="--set takes NAME=VALUE", received=printable(text))
    return name, scalar(value)


def scalar(text: str) -> Any:
    """
    >>> scalar("0x10"), scalar("1e3"), scalar("'12'"), scalar("~"), scalar("on")
    (16, 1000.0, '12', None, 'on')
    """
    from cnncost.sources.spec.scalars import LongNumber, plain

    text = text.strip()
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    try:
        return plain(text)
    except LongNumber as error:
        raise CnncostError("a wrong value", rule="numbers have at most 30 digits", received=str(error)) from None


def add_source(parser: argparse.ArgumentParser) -> None:
    """SOURCE and the options that every command on a model takes."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a spec (*.yaml), a Keras file (*.keras, *.json, *.h5), zoo:NAME, keras:NAME or package.module:attribute",
    )
    add_step(parser)


def add_step(parser: argparse.ArgumentParser) -> None:
    """What of a model is analyzed: batch, input, dtype, variables, mode and optimizer."""
    group = parser.add_argument_group("model")
    group.add_argument("--batch", metavar="N", type=whole_number(1), default=1, help="instances in a batch (1)")
    group.add_argument(
        "--input", metavar="H,W,C", type=shape, action="append", default=[], dest="shapes",
        help="input shape, overriding the source's; NAME=H,W,C for one of several; ? for an unknown dimension",
    )  # fmt: skip
    group.add_argument("--dtype", metavar="NAME", help="float32, float16, bfloat16, mixed_float16, …")
    group.add_argument(
        "--set", metavar="NAME=VALUE", type=variable, action="append", default=[], dest="variables",
        help="a variable of the spec; may be given again",
    )  # fmt: skip
    group.add_argument("--mode", choices=("inference", "training"),
                       help="what is run (inference); named, analyze shows TensorFlow's peak")  # fmt: skip
    group.add_argument("--optimizer", metavar="NAME", help="the optimizer of a training step (implies that mode)")


def add_accumulation(parser: argparse.ArgumentParser) -> None:
    """Keras's ``gradient_accumulation_steps``."""
    parser.add_argument_group("training").add_argument(
        "--accumulate", metavar="N", type=whole_number(2),
        help="the optimizer adds the gradients of N steps up before it updates the weights; the highest peak is told",
    )  # fmt: skip


def add_simulation(parser: argparse.ArgumentParser) -> None:
    """How the step runs whose memory is simulated."""
    group = parser.add_argument_group("simulation")
    group.add_argument("--executor", choices=("graph", "xla", "eager"),
                       help="how TensorFlow runs the step: one graph, compiled by XLA, or op by op")  # fmt: skip
    group.add_argument("--allocator", choices=("requested", "bfc"),
                       help="peaks in requested bytes, or in the chunks of TensorFlow's BFC allocator")  # fmt: skip
    group.add_argument("--processor", choices=NAMES,
                       help="whose kernels run: this machine's (host), oneDNN's on AVX-512 with or without AMX and "
                            "float16 units, which matters in half precision, oneDNN's without AVX-512 (avx-vnni), or "
                            "TensorFlow's own (avx2)")  # fmt: skip
    group.add_argument("--interval", action="store_true",
                       help="bound the peak by other orders that TensorFlow may take (thrice the work)")  # fmt: skip


def mode_of(args: argparse.Namespace) -> str:
    """The mode that was named; an optimizer, or accumulated gradients, are of a training step and imply it."""
    training = getattr(args, "optimizer", None) or getattr(args, "accumulate", None)
    return args.mode or ("training" if training else "inference")


def input_shapes(pairs: list[tuple[str | None, tuple[int | None, ...]]]) -> Any:
    """What ``analyze(input=…)`` takes: nothing, shapes in order, or shapes by name."""
    if not pairs:
        return None
    if all(name is None for name, _ in pairs):
        return [dims for _, dims in pairs]
    if any(name is None for name, _ in pairs):
        raise CnncostError("some --input have a name and some have none", rule=SHAPE_RULE)
    return dict(pairs)


def analysis_of(args: argparse.Namespace, seconds: float | None = None) -> Analysis:
    """The analysis that the shared options ask for; says what takes its time on a terminal. Where reading the source
    takes more than ``seconds``, the process ends."""
    from cnncost.cli.limit import limited
    from cnncost.cli.progress import progress

    reading = f"reading {printable(args.source)}"
    with progress(reading):
        from cnncost.api import analyze, load

        with limited(seconds, reading):
            graph = load(args.source, dict(args.variables) or None)
        return analyze(
            graph, batch=args.batch, input=input_shapes(args.shapes), dtype=args.dtype,
            mode=mode_of(args), optimizer=args.optimizer,
            executor=getattr(args, "executor", None) or "graph",
            allocator=getattr(args, "allocator", None) or "requested", interval=getattr(args, "interval", False),
            gradient_accumulation_steps=getattr(args, "accumulate", None),
            processor=getattr(args, "processor", None) or HOST,
        )  # fmt: skip


def form_of(path: str | None, suffixes: Mapping[str, str]) -> str:
    """The format that a file's name asks for; a table where it asks for none.

    >>> form_of("a.MD", {".md": "markdown"}), form_of("a.txt", {".md": "markdown"}), form_of(None, {})
    ('markdown', 'table', 'table')
    """
    import os

    suffix = os.path.splitext(path or "")[1].lower()
    if suffix in FOREIGN and suffix not in suffixes:
        raise CnncostError(
            f"'{printable(path)}' names a format that is not written here",
            rule=f"the formats by name are {', '.join(suffixes)}, and a table under other names",
            nearest="use another name, or --format",
        )
    return suffixes.get(suffix, "table")


def errors_to_stderr(findings: Sequence[Finding], severity: str = "error") -> None:
    """Findings of a severity, for outputs that are data or a file and so do not show them to anyone."""
    import sys

    from cnncost.report.text import finding_text

    for finding in findings:
        if finding.severity == severity and sys.stderr is not None:
            print(finding_text(finding), file=sys.stderr)
