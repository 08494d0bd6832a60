"""One loop's frame: its variables, condition, body and what each variable is in the next iteration (``frames``)."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.frames import TOKEN, Flat, Frame, Track
from cnncost.memory.opgraph import Op, Value
from cnncost.memory.spec import Spec

_FEW = 2  # readers up to which an Identity is bypassed: that must not make more edges (dependency_optimizer.cc)


def lay(flat: Flat, frame: Frame) -> None:
    """Make the ops of a frame."""
    _Layer(flat, frame).run()


class _Layer:
    """Makes one frame."""

    def __init__(self, flat: Flat, frame: Frame) -> None:
        self.flat, self.frame, self.loop, self.op = flat, frame, frame.loop, frame.op
        self.given: dict[tuple[Op, int], Value] = {}
        self.tokens: list[Track] = []

    def run(self) -> None:
        frame, loop, op, flat = self.frame, self.loop, self.op, self.flat
        states, lists = len(loop.states), len(loop.reads)
        given = [flat.value(value) for value in op.inputs]
        body = list(loop.graph.ops)
        zero, last = (self._number(value) for value in (0, loop.trips))
        frame.counter = counter = self._track(zero)
        limit = self._track(self._forward_counter() if loop.reverse else last)
        time = counter if loop.reverse else self._track(zero)
        if loop.written is not None and not loop.reverse:
            count = last if loop.every else self._number(1)
            frame.written = self._track(self._list("TensorListReserve", loop.written, count))
        frame.states = [self._track(value) for value in given[:states]]
        frame.lists = [self._track(value, TOKEN) for value in given[states : states + lists]]
        captured = [self._track(value) for value in given[states + lists :]]
        if loop.written is not None and loop.reverse:
            frame.written = frame.lists[-1]
        weights = self._weights(body)
        pushes = [source for source in body if source.type == "TensorListPushBack"]
        pops = [source for source in body if source.type == "TensorListPopBack"]
        for push in pushes:
            frame.pushed[push] = self._track(self._list("EmptyTensorList", push.inputs[0], last))
        popped = {pop: self._track(self._pushed(pop)) for pop in pops}
        self._test(counter, limit, time)
        control = self._inside("Identity", [counter.switch.out()])
        one = self._inside("NoOp", (), (TOKEN,), [control]).out()
        steer = self._inside("NoOp", (), (TOKEN,), [control]).out()
        for arg, track in zip((*loop.states, *loop.captures), (*frame.states, *captured), strict=True):
            self.given[arg, 0] = self._entered(arg, track.switch.out(), control, body)
        readers = lists + 1 + bool(loop.written is not None and loop.every)
        now = time.switch.out()
        if not loop.reverse and readers > _FEW:
            now = self._inside("Identity", [now], (TOKEN,), [control]).out()
        reads = dict(zip(loop.reads, frame.lists, strict=True))
        written = self._body(body, reads, weights, popped, control, steer, now)
        self._turn(control, one, now, written, popped, captured)
        self._leave()

    # -- variables -------------------------------------------------------------------------------------------------

    def _number(self, value: object) -> Value:
        return self.flat.new(self.op, "Const", (), (TOKEN,), value=value).out()

    def _list(self, type_: str, element: Value, count: Value) -> Value:
        """A list without elements as yet, of an element's shape and for so many."""
        return self.flat.new(self.op, type_, (self._number(element.shape), count), (TOKEN,)).out()

    def _track(self, value: Value, spec: Spec | None = None) -> Track:
        outputs = (value.spec if spec is None else spec,)
        enter = self.flat.new(self.op, "Enter", (value,), outputs)
        self.frame.enters.append(enter)
        merge = self._inside("Merge", (enter.out(),), outputs)
        track = Track(enter, merge, self._inside("Switch", (merge.out(),), outputs))
        self.frame.tracks.append(track)
        return track

    def _inside(
        self, type_: str, inputs: Sequence[Value] = (), outputs: Sequence[Spec] = (), controls: Sequence[Op] = ()
    ) -> Op:  # fmt: skip
        op = self.flat.new(self.op, type_, inputs, outputs, controls, inside=True)
        self.frame.ops.append(op)
        return op

    def _forward(self) -> Frame:
        return self.flat.frames[self.op.controls[-1]]

    def _forward_counter(self) -> Value:
        counter = self._forward().counter
        assert counter is not None and counter.exit is not None
        return counter.exit.out()

    def _pushed(self, pop: Op) -> Value:
        left = self._forward().pushed[pop.attrs["push"]].exit
        assert left is not None
        return left.out()

    def _weights(self, body: list[Op]) -> dict[Op, Value]:
        """The handles of the weights that the body reads; before the loop the cell was called once, for its types."""
        found: dict[Op, Value] = {}
        for source in body:
            if source.type == "ReadVariableOp":
                variable = source.attrs["variable"]
                handle = self.flat.handle(self.op, variable)
                enter = self.flat.new(self.op, "Enter", (handle.out(),), handle.outputs)
                self.frame.enters.append(enter)
                found[source] = enter.out()
                read = self.flat.new(self.op, "ReadVariableOp", (handle.out(),), source.outputs, variable=variable)
                self.frame.reads.append(read)
        return found

    def _entered(self, arg: Op, value: Value, control: Op, body: list[Op]) -> Value:
        """A variable in the body: through an Identity where many read it."""
        readers = sum(source.inputs.count(arg.out()) for source in body)
        readers += self.loop.graph.results.count(arg.out())
        if readers <= _FEW:
            return value
        return self._inside("Identity", (value,), (value.spec,), [control]).out()

    # -- condition and body ----------------------------------------------------------------------------------------

    def _test(self, counter: Track, limit: Track, time: Track) -> None:
        if self.loop.reverse:
            compared = self._compared(counter.merge, limit.merge)
        else:
            number = self._inside("NoOp", (), (TOKEN,), [counter.merge])
            self.frame.tested = number
            both = [self._compared(time.merge, number, counter.merge), self._compared(counter.merge, limit.merge)]
            compared = self._inside("LogicalAnd", [op.out() for op in both], (TOKEN,))
        self.frame.test = test = self._inside("LoopCond", [compared.out()], (TOKEN,))
        for track in self.frame.tracks:
            track.switch.inputs.append(test.out())

    def _compared(self, a: Op, b: Op, *controls: Op) -> Op:
        return self._inside("Less", (a.out(), b.out()), (TOKEN,), controls)

    def _body(
        self, body: list[Op], reads: dict[Op, Track], weights: dict[Op, Value], popped: dict[Op, Track], control: Op,
        steer: Value, now: Value,
    ) -> Op | None:  # fmt: skip
        """The body's own ops; returns what writes the list."""
        frame, loop = self.frame, self.loop
        for source in body:
            if source.type in ("_Arg", "Const"):
                if source.type == "Const":
                    number = source.attrs.get("value")
                    constant = self.flat.new(self.op, "Const", (), source.outputs, value=number)
                    self.given[source, 0] = constant.out()
                continue
            if source in weights:
                inputs = [weights[source]]
            else:
                inputs = [self.given[value.op, value.index] for value in source.inputs]
            zeros = loop.reverse and source in reads and reads[source] is frame.written
            if source in reads:
                inputs = [reads[source].switch.out(), *([] if zeros else [now, steer])]
            elif source in popped:
                inputs = [popped[source].switch.out(), steer]
            elif source in frame.pushed:
                inputs.insert(0, frame.pushed[source].switch.out())
            made = self._inside("_Element" if zeros else source.type, inputs, source.outputs)
            made.name, made.layer, made.phase = source.name, source.layer, source.phase
            made.attrs = {**source.attrs, "inside": True}
            frame.copies[source] = made
            for place in range(len(source.outputs)):
                self.given[source, place] = made.out(place)
            made.controls = [frame.copies[other] for other in source.controls if other in frame.copies]
            if not made.controls and all(value.op.type in _OUTSIDE for value in inputs):
                made.controls.append(control)
        return self._write(steer, now) if loop.written is not None else None

    def _write(self, steer: Value, now: Value) -> Op:
        """``TensorListSetItem``, or the sum with a list of zeros: what stands for the list afterwards."""
        loop, frame = self.loop, self.frame
        assert loop.written is not None and frame.written is not None
        value = self.given[loop.written.op, loop.written.index]
        if loop.reverse:
            value.op.inputs.append(frame.written.switch.out())
            return value.op
        inputs = (frame.written.switch.out(), now if loop.every else steer, value)
        return self._inside("TensorListSetItem", inputs, (value.spec,))

    # -- the next iteration, and the end -----------------------------------------------------------------------------

    def _named(self, read: Op) -> tuple[str, int]:
        """The place of a read by its name, which is that of the first op that takes the weight: BiasAdd, Cast (the
        kernel's), Cast_1, split."""
        cell, _, leaf = read.attrs["variable"].name.rpartition("/")
        split = any(op.type in _SPLITS and op.inputs[0].op is read for op in self.frame.ops if op.inputs)
        return cell, 0 if leaf == "bias" and not split else _LEAVES.get(leaf, 3)

    def _turn(
        self, control: Op, one: Value, now: Value, written: Op | None, popped: dict[Op, Track], captured: list[Track]
    ) -> None:  # fmt: skip
        """What each variable is in the next iteration."""
        frame, loop = self.frame, self.loop
        reads = sorted((op for op in frame.ops if op.type == "ReadVariableOp"), key=self._named)
        wait = [self._inside("NoOp", controls=reads)] if reads else []
        new: dict[int, Value] = {}
        counter, _, *rest = frame.tracks
        new[id(counter)] = self._inside("AddV2", (one, counter.switch.out()), (TOKEN,)).out()
        if not loop.reverse:
            new[id(rest[0])] = self._inside("AddV2", (one, now), (TOKEN,)).out()
        new |= {id(track): frame.copies[push].out() for push, track in frame.pushed.items()}
        new |= {id(track): frame.copies[pop].out() for pop, track in popped.items()}
        if written is not None:
            new[id(frame.written)] = written.out()
        for track, value in zip(frame.states, loop.graph.results, strict=False):
            new[id(track)] = self.given[value.op, value.index]
        for track, get in zip(frame.lists, loop.reads, strict=True):
            if loop.reverse and id(track) not in new:
                put = self._inside("_PutZeros", (track.switch.out(), one), (TOKEN,))
                put.attrs["get"] = get
                new[id(track)] = put.out()
        for track in frame.tracks:
            value = new.get(id(track), track.switch.out())
            passed = [control] if value.op is track.switch or not wait else []
            outputs = track.switch.outputs
            track.merge.attrs["next"] = self._inside("NextIteration", (value,), outputs, [*wait, *passed])

    def _leave(self) -> None:
        """Exits: of a forward loop every variable's, which its end waits for; of a gradient's those that are read."""
        frame, loop, op, flat = self.frame, self.loop, self.op, self.flat
        outputs = {id(track): index for index, track in enumerate(frame.states)}
        if frame.written is not None:
            outputs[id(frame.written)] = len(frame.states)
        exits = []
        for track in frame.tracks:
            index = outputs.get(id(track))
            if loop.reverse and (index is None or (op, index) not in flat.used):
                continue
            track.exit = flat.new(op, "Exit", (track.switch.out(),), track.switch.outputs)
            exits.append(track.exit)
            if index is not None:
                flat.values[op, index] = track.exit.out()
        if not loop.reverse:
            frame.executed = flat.new(op, "NoOp", controls=exits)


_LEAVES = {"kernel": 1, "recurrent_kernel": 2}
_SPLITS = frozenset(("Split", "_SplitView"))
_OUTSIDE = frozenset(("Const", "Enter", "Switch", "Merge"))
