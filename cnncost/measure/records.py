"""What is asked of a real run, and what it answers: typed records, and their plain JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from cnncost.errors import OutsideError

Data = Mapping[str, Any]
PREFIX = "cnncost-"  # of the name of a run's folder
FRAMEWORKS = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
SMALL = 1024  # bytes; allocations below it are scalars and short vectors, whose order says nothing
STARTING, IMPORTING = "starting Python", "importing"  # what a run does before it knows of the model


@dataclass(frozen=True, slots=True)
class Job:
    """One real run. ``model`` is ``{"config": a Keras config}``, or ``{"application": NAME}`` of keras.applications,
    there also ``"input_shape"`` where it is not the default."""

    model: Data
    names: tuple[tuple[str, int], ...]  # for each row of the analysis: the Keras layer's name, and which call of it
    mode: str = "inference"
    optimizer: str | None = None
    batch: int = 1
    executor: str = "graph"
    device: str = "CPU:0"
    backend: str = "tensorflow"
    steps: int = 10  # timed ones; 0: memory alone is measured
    seconds: float = 200.0  # timed repeats end after this, however many were asked for
    gradient_accumulation_steps: int = 0  # the optimizer's; 0: none
    recompute: tuple[tuple[int, ...], ...] = ()  # groups of rows that the reverse pass runs again

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class RealTensor(NamedTuple):
    """A tensor as Keras has it; shapes of outputs are without the batch axis."""

    shape: tuple[int | None, ...]
    dtype: str


class RealLayer(NamedTuple):
    """One layer of the real model: its outputs and weights; ``trainable`` has one flag for each weight."""

    outputs: tuple[RealTensor, ...]
    weights: tuple[RealTensor, ...]
    trainable: tuple[bool, ...]


class Change(NamedTuple):
    """One allocation (positive) or release (negative), in bytes as they were requested."""

    op: str
    kind: str | None  # the op's type, where the profile names it
    layer: str | None  # Keras name
    phase: str
    bytes: int
    region: str = ""  # output, temp or persist
    shape: str = ""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One real run's answer. Bytes of the step are over and above what was there before it; None: not measured."""

    versions: dict[str, str]
    device: str
    layers: tuple[RealLayer, ...]
    resident: dict[str, int]  # weights, optimizer, inputs
    peak_bytes: int | None  # requested
    chunk_bytes: int | None  # as the allocator rounds and counts them
    process_bytes: int  # resident set of the whole process
    changes: tuple[Change, ...]
    step_seconds: tuple[float, ...]
    layer_seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    runs: tuple[tuple[int | None, int | None], ...] = ()  # (peak, chunks) of each process, where there were several
    layer_spread: dict[str, tuple[float, float]] = field(default_factory=dict)  # the shortest and the longest step
    sequences: tuple[tuple[int, ...], ...] = ()  # then also the allocations of each: bytes, of SMALL or more, in order

    @staticmethod
    def from_dict(data: Data) -> Measurement:
        """Raises OutsideError when the child's answer has another form."""
        try:
            return Measurement(
                versions={str(k): str(v) for k, v in data["versions"].items()},
                device=str(data["device"]),
                layers=tuple(_layer(item) for item in data["layers"]),
                resident={str(k): int(v) for k, v in data["resident"].items()},
                peak_bytes=_maybe(data["peak_bytes"]),
                chunk_bytes=_maybe(data["chunk_bytes"]),
                process_bytes=int(data["process_bytes"]),
                changes=tuple(Change(*item) for item in data["changes"]),
                step_seconds=tuple(float(x) for x in data["step_seconds"]),
                layer_seconds={str(k): float(v) for k, v in data["layer_seconds"].items()},
                layer_spread={str(k): (float(v[0]), float(v[1])) for k, v in data.get("layer_spread", {}).items()},
                notes=tuple(str(x) for x in data["notes"]),
                runs=tuple((_maybe(peak), _maybe(chunks)) for peak, chunks in data.get("runs", ())),
                sequences=tuple(tuple(int(size) for size in own) for own in data.get("sequences", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise OutsideError(
                f"the real run's answer is not whole: {type(error).__name__}", nearest="run it again"
            ) from error


def sequence(changes: Iterable[Change]) -> tuple[int, ...]:
    """The allocations of ``SMALL`` bytes or more: bytes, in order.

    >>> sequence((Change("a", None, None, "", 2048), Change("", None, None, "", -2048), Change("b", None, None, "", 4)))
    (2048,)
    """
    return tuple(change.bytes for change in changes if change.bytes >= SMALL)


def _maybe(value: Any) -> int | None:
    return None if value is None else int(value)


def _layer(item: Any) -> RealLayer:
    outputs, weights, trainable = item
    return RealLayer(_tensors(outputs), _tensors(weights), tuple(bool(x) for x in trainable))


def _tensors(items: Any) -> tuple[RealTensor, ...]:
    return tuple(RealTensor(tuple(shape), str(dtype)) for shape, dtype in items)


def peak(changes: tuple[Change, ...]) -> int:
    """The highest sum of live bytes, counted from what was there before.

    >>> peak((Change("a", None, None, "", 5), Change("b", None, None, "", 7), Change("", None, None, "", -9)))
    12
    """
    live = most = 0
    for change in changes:
        live += change.bytes
        most = max(most, live)
    return most
