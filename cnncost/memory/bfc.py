"""A predicted step in the chunks of TensorFlow's allocator: what ``get_memory_info`` would report of it.

A chunk may be twice its request, and which one a request gets depends on the holes that lie free. So all that lived
before is laid out first, as Keras makes it: each weight from its initializer, the input, the optimizer's variables, the
targets; then two steps run as warm-ups, then those that count. Constants of the graph take a chunk of 256 bytes each,
and with it the smallest holes.

Weights are made in the order of the model's layers. A constructor of branches may make them in another, which leaves
other holes: InceptionV3's inference at 160 × 160 is 24 % off for that.

An update may put a weight into another chunk, and so the same requests lead to another peak in each step, in
TensorFlow too: on paper one real sequence of requests (MobileNetV2, SGD) gave 56.8 to 64.4 MB in five steps. The
prediction is the step of the median peak among five, and the interval holds all five.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from cnncost.errors import OutsideError
from cnncost.memory.chunks import Chunks, OutOfMemory
from cnncost.memory.opgraph import FORWARD, UPDATE, Op
from cnncost.memory.prediction import MemoryPrediction
from cnncost.memory.spec import Spec
from cnncost.memory.timeline import Event
from cnncost.results import Analysis, LayerCost
from cnncost.tensor import DTYPES, product

ROUNDING = "rounding"  # the op name of what the allocator hands out beyond XLA's requests
WARM_UPS = 2
COUNTED = 5  # steps whose median peak counts, where steps differ
HANDLE = 200  # bytes of a VarHandleOp's output, one for each variable
# Weights that start from a constant; the others start from random numbers, which take intermediate results.
_CONSTANT = frozenset({"bias", "beta", "gamma", "moving_mean", "moving_variance", "alpha", "scale", "recurrent_bias"})


def replay(prediction: MemoryPrediction, analysis: Analysis) -> MemoryPrediction:
    """The same step with every event in bytes of chunks. Raises OutsideError where the allocator's limit is passed.

    >>> import cnncost
    >>> from cnncost.memory.predict import predict
    >>> conv = {"Conv2D": {"filters": 200, "kernel_size": 5, "padding": "same"}}
    >>> model = cnncost.analyze({"input": [150, 100, 3], "layers": [conv]}, batch=100)
    >>> predict(model).peak_bytes, predict(model, allocator="bfc").peak_bytes
    (1200012336, 1200012544)
    """
    arena = _Arena()
    try:
        arena.lay_out(analysis, prediction)
        if prediction.executor == "graph":
            for _ in range(constants(analysis, prediction.mode)):
                arena.keep(1)
        for _ in range(WARM_UPS):
            arena.step(prediction.events)
        steps = [arena.step(prediction.events) for _ in range(COUNTED if prediction.mode == "training" else 1)]
    except OutOfMemory:
        raise OutsideError(
            "the step does not fit the allocator", rule=f"it hands out at most {arena.chunks.limit:,} bytes",
            received=f"a peak of {prediction.peak_bytes:,} bytes", nearest="a smaller batch",
        ) from None  # fmt: skip
    steps.sort(key=lambda step: step.peak)
    events, peak, asked = steps[len(steps) // 2]
    low, high = prediction.low_bytes - prediction.peak_bytes, prediction.high_bytes - prediction.peak_bytes
    made = replace(
        prediction, allocator="bfc", peak_bytes=peak, low_bytes=max(0, steps[0].peak + low),
        high_bytes=steps[-1].peak + high, events=tuple(events), asked=tuple(asked),
        peak_event=next((i for i, event in enumerate(events) if event.live == peak), -1),
        notes=(*prediction.notes, *((_MOVING,) if len(steps) > 1 else ())),
    )  # fmt: skip
    return _with_rounding(made) if made.executor == "xla" else made


def _with_rounding(made: MemoryPrediction) -> MemoryPrediction:
    """What lies in XLA's allocations, and from the beginning what the allocator rounds up beside it."""
    from cnncost.memory.xla.prediction import XlaPrediction

    assert isinstance(made, XlaPrediction)
    rest = made.peak_bytes - max((event.live for event in made.inside), default=0)
    if not rest:
        return made
    op = Op(-1, "Xla", ROUNDING, "", FORWARD, [], (Spec((), "int8"),), {})
    number = 1 + max((event.buffer for event in made.inside), default=0)
    moved = (event._replace(live=event.live + rest) for event in made.inside)
    return replace(made, inside=(Event(op, rest, rest, number), *moved))


_MOVING = "updates move weights between chunks: the interval holds the peaks of five steps, the figure is their median"


class _Step(NamedTuple):
    """One step in chunks, its peak, and what each event requested or gave back."""

    events: list[Event]
    peak: int
    asked: list[int]


class _Arena:
    """The chunks, and where each variable's buffer is."""

    def __init__(self) -> None:
        self.chunks = Chunks()
        self.address: dict[str, int] = {}  # variable → its chunk
        self.sized: defaultdict[int, list[str]] = defaultdict(list)  # bytes → variables
        self.variable: dict[int, str] = {}  # a buffer that a step frees and did not make → the variable that held it

    # -- what lives before the step ----------------------------------------------------------------------------

    def lay_out(self, analysis: Analysis, prediction: MemoryPrediction) -> None:
        for row in analysis.layers:
            if not row.shared:
                for weight in row.weights:
                    size = (product(weight.shape) or 0) * (DTYPES[weight.dtype].bytes if weight.dtype else _bytes(row))
                    self.make(f"{row.name}/{weight.name}", size, weight.name in _CONSTANT)
        for index in analysis.graph.inputs:
            tensor = analysis.layers[index].outputs[0]
            size = 4 if tensor.dtype.floating else tensor.dtype.bytes
            self.keep(analysis.batch * (tensor.elements or 0) * size)
        if prediction.mode == "training":
            from cnncost.memory.optimizers import optimizer, slots, with_loss_scaling
            from cnncost.memory.training import state_variables

            choice = with_loss_scaling(optimizer(analysis.optimizer or "sgd"), analysis.dtype)
            choice = choice._replace(accumulation=analysis.gradient_accumulation_steps)
            for slot in slots(choice, state_variables(analysis)):
                self.make(slot.path, slot.bytes, constant=True)
            self.keep(analysis.batch * 4)  # targets

    def make(self, name: str, size: int, constant: bool) -> None:
        """A variable's initial value, then its handle."""
        address = self._filled(size) if constant or size <= 0 else self._random(size)
        if address is not None:
            self.address[name] = address
            self.sized[size].append(name)
        self.keep(HANDLE)

    def _filled(self, size: int) -> int | None:
        dims = self.chunks.allocate(4)
        address = self.keep(size)
        self.chunks.free(dims)
        return address

    def _random(self, size: int) -> int:
        """Seeds, uniform (or normal) numbers, times the range, plus the least (or the mean)."""
        take, free = self.chunks.allocate, self.chunks.free
        seeds = [take(n) for n in (8, 16, 16, 8, 16)]
        drawn, range_ = take(size), take(4)
        scaled = take(size)
        free(range_)
        moved = take(size)
        for address in (scaled, *seeds, drawn):
            free(address)
        return moved

    def keep(self, size: int) -> int | None:
        return self.chunks.allocate(size) if size > 0 else None

    # -- a step ------------------------------------------------------------------------------------------------

    def step(self, events: Iterable[Event]) -> _Step:
        """Run the events; then the variables hold what the step left them, and its results are gone."""
        chunks = self.chunks
        begun = chunks.in_use
        there: dict[int, int] = {}  # buffer → chunk
        made: dict[int, Event] = {}
        given_up: defaultdict[int, deque[str]] = defaultdict(deque)  # bytes → variables whose buffer is gone
        found: list[Event] = []
        asked: list[int] = []
        for event in events:
            buffer = event.buffer
            if event.bytes > 0:
                there[buffer] = address = chunks.allocate(event.bytes)
                made[buffer] = event
                change = chunks.size(address)
            elif event.bytes == 0:
                change = 0
            else:
                if buffer in there:
                    address = there.pop(buffer)
                else:
                    name = self._holder(event)
                    if name is None:
                        continue
                    address = self.address.pop(name)
                    given_up[-event.bytes].append(name)
                change = -chunks.size(address)
                chunks.free(address)
            found.append(Event(event.op, change, chunks.in_use - begun, buffer))
            asked.append(event.bytes)
        for buffer, address in there.items():
            waiting = given_up[made[buffer].bytes]
            if waiting:
                self.address[waiting.popleft()] = address
            else:
                chunks.free(address)
        return _Step(found, max((event.live for event in found), default=0), asked)

    def _holder(self, event: Event) -> str | None:
        """The variable whose buffer this is: the op's own, or one of the same bytes."""
        name = self.variable.get(event.buffer)
        if name is None:
            own = event.op.attrs.get("variable")
            taken = self.variable.values()
            if own is not None and own.name in self.address and own.bytes == -event.bytes and own.name not in taken:
                name = own.name
            else:
                name = next((n for n in self.sized[-event.bytes] if n in self.address and n not in taken), None)
            if name is None:
                return None
            self.variable[event.buffer] = name
        return name if name in self.address else None


# How many constants an op of the traced function brings: shapes, axes, multiples, divisors.
_OPERANDS = {
    "Reshape": 1, "Mean": 1, "Sum": 1, "Max": 1, "Prod": 1, "Tile": 1, "RealDiv": 1, "Pad": 1, "ConcatV2": 1,
    "Transpose": 1, "BroadcastTo": 1, "Slice": 3, "StridedSlice": 3, "RsqrtGrad": 1, "Conv2DBackpropInput": 2,
    "Conv2DBackpropFilter": 2, "DepthwiseConv2dNativeBackpropInput": 2, "DepthwiseConv2dNativeBackpropFilter": 2,
}  # fmt: skip
_FEW = 10  # that any step has


def constants(analysis: Analysis, mode: str) -> int:
    """About how many small constants stay in memory once a step is traced: those of the traced function, and those
    that are left of them after grappler. In five captured models it was within 6 %."""
    from cnncost.memory.graph_mode import no_collection
    from cnncost.memory.lowering import lower

    with no_collection():
        if mode == "training":
            from cnncost.memory.optimizers import optimizer
            from cnncost.memory.training import training_step

            graph = training_step(analysis, optimizer(analysis.optimizer or "sgd")).graph
        else:
            graph = lower(analysis, training=False).graph
        return _FEW + sum(_OPERANDS.get(op.type, 0) for op in graph.ops if op.phase != UPDATE)


def _bytes(row: LayerCost) -> int:
    """Bytes of an element where the weight names no dtype: the layer's storage dtype."""
    from cnncost.memory.lowering.base import _storage

    return DTYPES[_storage(row)].bytes
