"""The reverse pass over the op graph, as TensorFlow's tape makes it (``tape.h``: ComputeGradient).

Every op that reads something trainable is on the tape. Gradients are asked for first in, first out: an op's turn comes
when all readers of all its outputs have had theirs. Several gradients of one value are added by one AddN.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Sequence

from cnncost.memory.gradients import gradient_of
from cnncost.memory.gradients.base import has_gradient
from cnncost.memory.opgraph import BACKWARD, Op, OpGraph, Value, Variable
from cnncost.memory.sparse import dense, is_sparse, joined, rows

_TRAINABLE = frozenset(("float16", "bfloat16", "float32", "float64", "resource"))
# tape.h: more gradients than this of one value are added at once when together they pass 128 MiB (4 bytes a value).
_MIN_COUNT, _MIN_BYTES = 4, 128 * 1024 * 1024

Key = tuple[int, int]  # an op's index and an output of it


def gradients(graph: OpGraph, starts: Sequence[tuple[Value, Value]], sources: Sequence[Variable]) -> list[Value | None]:
    """Add the reverse pass from ``starts`` (a value and its gradient each); the gradient of each variable, None where
    nothing depends on it."""
    taped = _tape(graph)
    graph.phase = BACKWARD
    reverse = _Reverse(graph, taped, starts)
    return [reverse.result(variable) for variable in sources]


def _tape(graph: OpGraph, sources: Container[Op] = ()) -> bytearray:
    """Which ops are recorded: readers of a trainable variable, and of what such ops put out. What
    ``stop_gradient`` returns is not on the tape."""
    taped = bytearray(len(graph.ops))
    passed = graph.unrecorded
    for op in graph.ops:
        if op in sources:
            taped[op.index] = 1
        elif passed and op in passed:
            continue
        elif op.type == "ReadVariableOp":
            taped[op.index] = op.attrs["variable"].trainable
        elif "recompute" in op.attrs:
            taped[op.index] = op.attrs["recompute"].trains or any(taped[value.op.index] for value in op.inputs)
        elif op.type == "While":
            taped[op.index] = op.attrs["loop"].trains or any(taped[value.op.index] for value in op.inputs)
        elif op.outputs and op.type != "StopGradient":
            for value in op.inputs:
                source = value[0]
                if taped[source.index] and source.outputs[value[1]].dtype in _TRAINABLE:
                    taped[op.index] = 1
                    break
    return taped


class _Reverse:
    """One run of the tape backwards."""

    def __init__(
        self, graph: OpGraph, taped: bytearray, starts: Sequence[tuple[Value, Value]], stops: Container[Op] = ()
    ) -> None:  # fmt: skip
        self.graph, self.taped, self.stops = graph, taped, stops
        self.found: dict[Key, list[Value]] = {}
        for start, seed in starts:
            self.found.setdefault((start.op.index, start.index), []).append(seed)
        self.leaves: dict[Op, Value] = {}  # gradients of what a loop's body is given
        self.variables: dict[str, list[Value]] = {}
        self.uses: dict[Key, int] = {}
        self.missing: dict[int, int] = {}  # outputs of an op whose readers have not all had their turn
        last = list(dict.fromkeys(start.op for start, _ in starts if taped[start.op.index]))
        self._count(last)
        self._run([op for op in last if op.index not in self.missing])

    tape = staticmethod(_tape)

    @staticmethod
    def inside(
        graph: OpGraph, taped: bytearray, starts: Sequence[tuple[Value, Value]], stops: Container[Op] = ()
    ) -> _Reverse:
        """The same for the body of a loop, or for a group that is run again; ``stops``: where it ends."""
        return _Reverse(graph, taped, starts, stops)

    def result(self, variable: Variable) -> Value | None:
        """The variable's gradient, added up when it was read more than once."""
        grads = self.variables.get(variable.name)
        return self._sum(grads) if grads else None

    def _count(self, last: Sequence[Op]) -> None:
        stack, seen, uses, taped = list(last), {op.index for op in last}, self.uses, self.taped
        while stack:
            op = stack.pop()
            for value in op.inputs:
                source = value[0]
                place = source.index
                key = (place, value[1])
                if key in uses:
                    uses[key] += 1
                    continue
                uses[key] = 1
                if taped[place]:
                    self.missing[place] = self.missing.get(place, 0) + 1
                    if place not in seen:
                        seen.add(place)
                        stack.append(source)

    def _run(self, last: Sequence[Op]) -> None:
        ready = deque(last)
        uses, missing, taped, found = self.uses, self.missing, self.taped, self.found
        while ready:
            op = ready.popleft()
            for value, grad in zip(op.inputs, self._gradients(op), strict=True):
                source = value[0]
                place = source.index
                key = (place, value[1])
                if grad is not None:
                    if key in found:
                        self._keep(key, grad)
                    else:
                        found[key] = [grad]
                left = uses[key] = uses[key] - 1
                if left or not taped[place]:
                    continue
                left = missing[place] = missing[place] - 1
                if not left:
                    ready.append(source)

    def _keep(self, key: Key, grad: Value) -> None:
        grads = self.found[key]
        grads.append(grad)
        if len(grads) > _MIN_COUNT and len(grads) * grad.spec.elements * 4 > _MIN_BYTES:
            self.found[key] = [self._sum(grads)]

    def _gradients(self, op: Op) -> Sequence[Value | None]:
        """The gradients of an op's inputs; nothing is emitted where none of its outputs has one."""
        found, number = self.found, op.index
        if len(op.outputs) == 1:
            own = found.pop((number, 0), None)
            if own is None:
                return (None,) * len(op.inputs)
            self.graph.layer = op.layer
            first = own[0] if len(own) == 1 else self._sum(own)
            plain = op.type not in _OTHERWISE and "recompute" not in op.attrs and not self.stops
            return self._ruled(op, first) if plain and not is_sparse(first) else self._otherwise(op, [first])
        grads = [found.pop((number, i), None) for i in range(len(op.outputs))]
        if not any(grads):
            return (None,) * len(op.inputs)
        self.graph.layer = op.layer
        return self._otherwise(op, [None if own is None else self._sum(own) for own in grads])

    def _ruled(self, op: Op, grad: Value) -> Sequence[Value | None]:
        """By the rule of the op's type, from its first output's gradient."""
        if not has_gradient(op):
            return (None,) * len(op.inputs)
        taped = self.taped
        skip = [place for place, value in enumerate(op.inputs) if not taped[value[0].index]]
        return gradient_of(op)(self.graph, op, grad, frozenset(skip) if skip else _NOTHING)

    def _otherwise(self, op: Op, values: list[Value | None]) -> Sequence[Value | None]:
        """Of an op with several outputs, or where the tape ends, or that runs others; of rows alone. ``values``: its
        outputs' gradients."""
        nothing = (None,) * len(op.inputs)
        first = values[0]
        if op.type == "ReadVariableOp":
            self.variables.setdefault(op.attrs["variable"].name, []).extend(v for v in values if v is not None)
            return nothing
        if first is not None and is_sparse(first):
            if op.type == "Cast":
                return (self._cast_rows(op, first),)
            first = values[0] = dense(self.graph, first)
        if op.type in _LEAVES or op in self.stops:
            self.leaves[op] = next(value for value in values if value is not None)
            return nothing
        if op.type == "While":
            from cnncost.memory.gradients.looping import while_gradient

            return while_gradient(self, op, values)
        if "recompute" in op.attrs:
            from cnncost.memory.gradients.recomputing import recompute_gradient

            return recompute_gradient(self, op, values)
        if op.type in _SEVERAL and has_gradient(op):
            return _SEVERAL[op.type](self.graph, op, values)
        return nothing if first is None else self._ruled(op, first)

    def _cast_rows(self, op: Op, grad: Value) -> Value:
        source, (values, indices) = op.inputs[0].spec, grad.op.inputs
        cast = self.graph.add("Cast", (values,), to=source.dtype)
        return rows(cast, indices, source)

    def _sum(self, grads: list[Value]) -> Value:
        if len(grads) == 1:
            return grads[0]
        if any(is_sparse(grad) for grad in grads):
            if all(is_sparse(grad) for grad in grads):
                return joined(self.graph, grads)
            grads = [dense(self.graph, grad) for grad in grads]
        return self.graph.add("AddN", grads, (grads[0].spec,))


def _zeros(graph: OpGraph, op: Op, values: Sequence[Value | None]) -> list[Value]:
    """Zeros for outputs that the loss does not depend on."""
    return [
        value if value is not None else graph.add("Fill", (), (spec,), "zeros")
        for value, spec in zip(values, op.outputs, strict=True)
    ]


def _identity_n(graph: OpGraph, op: Op, values: Sequence[Value | None]) -> Sequence[Value | None]:
    """Its gradients pass through, unless a function with a gradient of its own put it there (``gradient`` names it)."""
    if "gradient" not in op.attrs:
        return values
    first = values[0]
    return (None,) * len(op.inputs) if first is None else gradient_of(op)(graph, op, first, frozenset())


def _split(graph: OpGraph, op: Op, values: Sequence[Value | None]) -> Sequence[Value | None]:
    return (graph.add("ConcatV2", _zeros(graph, op, values), (op.inputs[0].spec,), axis=op.attrs["axis"]),)


def _unpack(graph: OpGraph, op: Op, values: Sequence[Value | None]) -> Sequence[Value | None]:
    return (graph.add("Pack", _zeros(graph, op, values), (op.inputs[0].spec,), **op.attrs),)


_NOTHING: frozenset[int] = frozenset()
_LEAVES = frozenset(("_Arg", "TensorListGetItem"))
_SEVERAL = {
    "IdentityN": _identity_n,
    "Split": _split,
    "_SplitView": _split,
    "SplitV": _split,
    "Unpack": _unpack,
    "_UnpackView": _unpack,
}
_OTHERWISE = frozenset((*_LEAVES, *_SEVERAL, "ReadVariableOp", "While"))
