"""Loops laid out iteration by iteration for the schedule and the sweep (``loops`` says why)."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.loops import PARALLEL, Loop, element
from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.spec import Spec

_BOOL, _COUNT = Spec((), "bool"), Spec((), "int32")
Given = dict[tuple[Op, int], Value]


def unfold(graph: OpGraph, ops: list[Op]) -> list[Op]:
    """The ops with every loop laid out, renumbered; ``ops`` itself where there is none."""
    if not any(op.type == "While" for op in ops):
        return ops
    unfolding = _Unfolding()
    for op in ops:
        unfolding.take(op)
    graph.results = [unfolding.value(value) for value in graph.results]
    for place, op in enumerate(unfolding.ops):
        op.index = place
    return unfolding.ops


class _Unfolding:
    """The flat list under construction."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.values: Given = {}  # outputs of ops that were replaced
        self.lists: dict[tuple[Op, int], list[Value]] = {}  # a list's elements, one for each simulated iteration
        self.handles: dict[str, Op] = {}
        self.pushed: dict[Op, list[Op]] = {}  # a body's TensorListPushBack: what became of it, iteration by iteration
        self.ends: dict[Op, Op] = {}  # a While: the op after which its outputs are there

    def value(self, value: Value) -> Value:
        return self.values.get((value.op, value.index), value)

    def take(self, op: Op) -> None:
        op.controls = [self.ends.get(source, source) for source in op.controls]
        if op.type == "While":
            _Frame(self, op).run()
            return
        if op.type == "TensorListStack":
            source = op.inputs[0]
            op.inputs = self.lists[source.op, source.index]
        else:
            op.inputs = [self.value(value) for value in op.inputs]
        if op.type == "_Arg" and "variable" in op.attrs:
            self.handles[op.attrs["variable"].name] = op
        self.ops.append(op)

    def new(
        self, like: Op, type_: str, inputs: list[Value], outputs: Sequence[Spec], controls: Sequence[Op] = ()
    ) -> Op:  # fmt: skip
        op = Op(len(self.ops), type_, type_, like.layer, like.phase, inputs, tuple(outputs), {})
        op.controls = list(controls)
        self.ops.append(op)
        return op

    def handle(self, like: Op, source: Op) -> Value:
        """The argument of a variable that only a loop reads."""
        variable = source.attrs["variable"]
        found = self.handles.get(variable.name)
        if found is None:
            found = self.handles[variable.name] = self.new(like, "_Arg", [], source.outputs)
            found.attrs["variable"] = variable
        return found.out()


class _Frame:
    """One loop under construction."""

    def __init__(self, parent: _Unfolding, op: Op) -> None:
        loop: Loop = op.attrs["loop"]
        self.parent, self.op, self.loop = parent, op, loop
        states, lists = len(loop.states), len(loop.reads)
        self.states = [parent.value(value) for value in op.inputs[:states]]
        self.lists = [self._elements(value) for value in op.inputs[states : states + lists]]
        self.captured = [parent.value(value) for value in op.inputs[states + lists :]]
        self.given: Given = {}
        self.test = op
        self.inside: set[Op] = set()
        self.gets: list[Op] = []
        self.holds: list[Op] = []
        self.roots: dict[Value, Value] = {}  # a state as an iteration has it: the value that it is
        self.written: dict[Value, Value] = {}  # a value that was written to the list: what the steps left out keep
        self.held: dict[Value, list[Op]] = {}  # a value: where it was pushed

    def run(self) -> None:
        parent, loop, op = self.parent, self.loop, self.op
        before = [parent.ends.get(control, control) for control in op.controls]
        written: list[Value] = []
        done: list[Op] = []
        for index in range(loop.simulated):
            first = len(parent.ops)
            waits = before if index < PARALLEL else [*before, done[index - PARALLEL]]
            before = self._iteration(index, waits)
            self.states = [self.given[value.op, value.index] for value in loop.graph.results[: len(loop.states)]]
            if loop.written is not None:
                written += self._write(index, self.given[loop.written.op, loop.written.index], written)
            done.append(parent.new(op, "NoOp", [], (), (*parent.ops[first:], *done[-1:])))
        self._test(before if len(done) < PARALLEL else [*before, done[-PARALLEL]])
        self._close(written)

    def _test(self, waits: list[Op]) -> None:
        """Whether there is another iteration: the step's number is compared, going forward the loop's counter too."""
        new, op = self.parent.new, self.op
        compared = [new(op, "Less", [], (_BOOL,), waits).out() for _ in range(1 if self.loop.reverse else 2)]
        if len(compared) == 2:
            compared = [new(op, "LogicalAnd", compared, (_BOOL,)).out()]
        self.test = new(op, "LoopCond", compared, (_BOOL,))

    def _iteration(self, index: int, waits: list[Op]) -> list[Op]:
        """Lay one iteration out; returns the counters that the next one waits for."""
        parent, loop, op = self.parent, self.loop, self.op
        self._test(waits)
        self.inside = set()
        given: Given = {}
        for arg, value in zip(loop.states, self.states, strict=True):
            given[arg, 0] = parent.new(op, "Switch", [value], (value.spec,), (self.test,)).out()
            self.roots[given[arg, 0]] = self.roots.get(value, value)
            self.inside.add(given[arg, 0].op)
        for arg, value in zip(loop.captures, self.captured, strict=True):
            given[arg, 0] = value
        self.given = given
        elements = {get: values[index] for get, values in zip(loop.reads, self.lists, strict=True)}
        if loop.reverse:  # zeros are put where the element was read; until then the list holds it
            for get in (value for value in elements.values() if value.op.type == "TensorListFromTensor"):
                self.holds.append(parent.new(op, "TensorListSetItem", [get], (), (self.test, *self.holds[-1:])))
        pairs = [(source, self._copy(source)) for source in loop.graph.ops if (source, 0) not in given]
        for source, copied in pairs:
            if copied is not None:
                self._connect(source, copied, elements, index)
        # The counters come last, so that the next iteration begins before this one's values are computed.
        return [parent.new(op, "AddV2", [], (_COUNT,), (self.test,)) for _ in range(1 if loop.reverse else 2)]

    def _copy(self, source: Op) -> Op | None:
        """This iteration's own op; None for what is the same in all."""
        given, parent = self.given, self.parent
        if source.type == "_Arg":
            given[source, 0] = parent.handle(self.op, source)
            return None
        if source.type == "Const":
            given[source, 0] = source.out()
            return None
        op = Op(len(parent.ops), source.type, source.name, source.layer, source.phase, [], source.outputs, source.attrs)
        parent.ops.append(op)
        self.inside.add(op)
        for place in range(len(source.outputs)):
            given[source, place] = op.out(place)
        return op

    def _connect(self, source: Op, op: Op, elements: dict[Op, Value], index: int) -> None:
        given, parent = self.given, self.parent
        inputs = [given[value.op, value.index] for value in source.inputs]
        if source in elements:
            inputs = [elements[source]]
            self.gets.append(op)
        elif source.type == "TensorListPopBack":
            pushes = parent.pushed[source.attrs["push"]]
            inputs = [pushes[self.loop.simulated - 1 - index].out()]
            inputs += inputs[0].op.attrs.get("kept", ())
        op.inputs = inputs
        op.controls = [given[control, 0].op for control in source.controls if (control, 0) in given]
        if all(value.op not in self.inside for value in inputs):
            op.controls.append(self.test)
        if source.type == "TensorListPushBack":
            mine = parent.pushed.setdefault(source, [])
            op.controls += mine[-1:]
            mine.append(op)
            root = self.roots.get(inputs[0], inputs[0])
            self.held.setdefault(root, []).append(op)
            if source.attrs["own"] and self.loop.steps(index) > 1:
                op.attrs = {**op.attrs, "kept": (self._kept(op.out(), index),)}
            elif root in self.written:
                op.attrs = {**op.attrs, "kept": (self.written[root],)}

    # -- lists -------------------------------------------------------------------------------------------------

    def _elements(self, value: Value) -> list[Value]:
        """A list's elements in the order they are read: the op that made the list gets an output for each."""
        source, loop, parent = value.op, self.loop, self.parent
        found = parent.lists.get((source, value.index))
        if found is None:
            count, one = source.outputs[0].shape[0], element(source.outputs[0])
            if count == loop.trips:
                specs = [_several(one, loop.steps(index)) for index in range(loop.simulated)]
            else:
                specs = [one] * count
            source.outputs = tuple(specs)
            found = [source.out(place) for place in range(len(specs))]
            parent.lists[source, value.index] = found
        if len(found) < loop.simulated:  # a list of one: its gradient is read once, then zeros stand there
            zeros = parent.new(source, "Const", [], (found[0].spec,)).out()
            found = found + [zeros] * (loop.simulated - len(found))
        return found

    def _write(self, index: int, value: Value, written: list[Value]) -> list[Value]:
        """``TensorListSetItem``: the list holds the value; a list of one lets the value before go."""
        earlier = [] if self.loop.every else written[-1:]
        controls = [self.test, *(source.op for source in written[-1:])]
        item = self.parent.new(self.op, "TensorListSetItem", [value, *earlier], (value.spec,), controls).out()
        more = self.loop.every and self.loop.steps(index) > 1
        if not more:
            return [item]
        kept = self.written[value] = self._kept(item, index)
        for push in self.held.get(value, ()):  # the reverse pass needs it too
            push.attrs = {**push.attrs, "kept": (kept,)}
        return [item, kept]

    def _kept(self, value: Value, index: int) -> Value:
        """What the steps that are left out keep of a value, as one buffer."""
        spec = _several(value.spec, self.loop.steps(index) - 1)
        return self.parent.new(self.op, "_KeptSteps", [], (spec,), (value.op,)).out()

    def _close(self, written: list[Value]) -> None:
        """What leaves the loop. The lists that were read are let go when it is known that no iteration follows."""
        parent, op, loop = self.parent, self.op, self.loop
        test = (self.test,)
        held = [value for elements in self.lists for value in elements if value.op.type != "Const"]
        exits = []
        if held and not loop.reverse:  # each read that waits holds the whole list
            exits.append(parent.new(op, "Exit", held, (), (self.test, *self.gets)))
        for index, value in enumerate(self.states):
            exits.append(parent.new(op, "Exit", [value], (value.spec,), test))
            parent.values[op, index] = exits[-1].out()
        if written:
            parent.lists[op, len(loop.states)] = written if loop.every else written[-1:]
            exits.append(written[-1].op)
        parent.ends[op] = parent.new(op, "NoOp", [], (), exits)


def _several(spec: Spec, steps: int) -> Spec:
    return spec if steps == 1 else Spec((steps, *spec.shape), spec.dtype)
