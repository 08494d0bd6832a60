"""Loops as the executor has them: what TensorFlow lowers a ``While`` op to, once, before it orders the nodes.

A loop variable enters its frame (Enter), is there anew in each iteration (Merge), goes to the body or out (Switch,
Exit) as the condition says (LoopCond), and on to the next iteration (NextIteration). A variable's handle enters once
for all. What the body does not compute waits for the iteration's control (``loop_body_control``); the next iteration's
variables wait for the reads of weights. Lists and counters are tokens here, of no bytes: ``unrolling`` says what lists
hold.

Sources: lower_while_op.cc, while_v2.py (accumulators, ``_WhileBodyGradFuncGraph``), inline_function_utils.cc of
TensorFlow 2.21; the optimized graphs of captured steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cnncost.memory.loops import Loop
from cnncost.memory.opgraph import Op, OpGraph, Value, Variable
from cnncost.memory.spec import Spec

TOKEN = Spec((), "variant")


class Track:
    """A loop variable: its ops in the frame. ``enter`` and ``exit`` are the caller's."""

    def __init__(self, enter: Op, merge: Op, switch: Op) -> None:
        self.enter, self.merge, self.switch = enter, merge, switch
        self.exit: Op | None = None


class Frame:
    """A loop in the flat graph. ``ops`` run in each iteration; the others are the caller's."""

    def __init__(self, op: Op, used: set[tuple[Op, int]]) -> None:
        self.op, self.used = op, used
        self.loop: Loop = op.attrs["loop"]
        self.ops: list[Op] = []
        self.enters: list[Op] = []
        self.tracks: list[Track] = []
        self.states: list[Track] = []
        self.lists: list[Track] = []
        self.written: Track | None = None
        self.pushed: dict[Op, Track] = {}  # a body's TensorListPushBack: its accumulator
        self.copies: dict[Op, Op] = {}  # the body's ops: those of the frame
        self.reads: list[Op] = []  # of weights, before the loop
        self.executed: Op | None = None
        self.counter: Track | None = None
        self.test: Op = op
        self.tested: Op | None = None  # the number that the condition compares with


class Flat:
    """A graph whose loops are laid flat. ``ops`` has all, those of frames too."""

    def __init__(self, graph: OpGraph, ops: Sequence[Op], lay: Lay) -> None:
        self.graph = graph
        self.ops: list[Op] = []
        self.lay = lay
        self.frames: dict[Op, Frame] = {}
        self.values: dict[tuple[Op, int], Value] = {}  # outputs of While ops
        self.handles = {op.attrs["variable"].name: op for op in ops if op.type == "_Arg" and "variable" in op.attrs}
        self.kept: list[Op] = []  # what the step's end waits for beside its assignments
        self.used = {(value.op, value.index) for op in ops for value in op.inputs}
        self.used.update((value.op, value.index) for value in graph.results)
        for op in ops:
            self._take(op)
        graph.results = [self.value(value) for value in graph.results]
        self._guard()

    def value(self, value: Value) -> Value:
        return self.values.get((value.op, value.index), value)

    def new(
        self, like: Op, type_: str, inputs: Sequence[Value] = (), outputs: Sequence[Spec] = (),
        controls: Sequence[Op] = (), name: str = "", **attrs: Any,
    ) -> Op:  # fmt: skip
        op = Op(len(self.ops), type_, name or type_, like.layer, like.phase, list(inputs), tuple(outputs), attrs)
        op.controls = list(controls)
        self.ops.append(op)
        return op

    def handle(self, like: Op, variable: Variable) -> Op:
        """A variable's argument; one that only a loop reads is made here."""
        found = self.handles.get(variable.name)
        if found is None:
            found = self.handles[variable.name] = self.new(like, "_Arg", (), variable.handle.outputs, variable=variable)
        return found

    def _take(self, op: Op) -> None:
        if op.type == "While":
            frame = self.frames[op] = Frame(op, self.used)
            self.lay(self, frame)
            return
        op.inputs = [self.value(value) for value in op.inputs]
        op.controls = [self._end(source) for source in op.controls]
        if op.type == "Transpose" and op.outputs[0].dtype == "bool":
            op.type = "_PlainTranspose"
        if op.type == "Fill" and "zeros_of" in op.attrs:  # of a weight's shape, which is asked for
            variable = op.attrs["zeros_of"]
            rank = Spec((len(variable.spec.shape),), "int32")
            shape = self.new(op, "VariableShape", (self.handle(op, variable).out(),), (rank,))
            self.kept.append(shape)
            op.inputs = [shape.out()]
        self.ops.append(op)

    def _end(self, source: Op) -> Op:
        frame = self.frames.get(source)
        return source if frame is None or frame.executed is None else frame.executed

    def _guard(self) -> None:
        """An assignment waits for the readers of its variable; without one the step's end does."""
        assigned: dict[str, list[Op]] = {}
        for op in self.graph.kept:
            if "variable" in op.attrs:
                assigned.setdefault(op.attrs["variable"].name, []).append(op)
        for frame in self.frames.values():
            for read in frame.reads:
                waiting = assigned.get(read.attrs["variable"].name)
                if waiting:
                    for op in waiting:
                        op.controls += [read, *([frame.executed] if frame.executed else [])]
                else:
                    self.kept.append(read)
            if frame.executed is not None:
                self.kept.append(frame.executed)


Lay = Callable[[Flat, Frame], None]  # makes a frame's ops
