"""Loops laid out iteration by iteration for the schedule and the sweep (``loops`` says why, ``frames`` what)."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.memory.frames import TOKEN, Flat, Frame, Track
from cnncost.memory.loops import PARALLEL, element
from cnncost.memory.opgraph import Op, Value
from cnncost.memory.spec import Spec

_PASSES = frozenset(("Enter", "Merge", "Switch", "NextIteration", "Exit"))
_DECIDES = frozenset(("Merge", "Less", "LogicalAnd", "LoopCond", "Switch"))  # what runs in the last round too


def unroll(flat: Flat, ordered: list[Op]) -> list[Op]:
    """The ops of all iterations; ``ordered``: the flat graph's, in the executor's node order, which stays."""
    unrolling = _Unrolling(flat, ordered)
    for frame in flat.frames.values():
        _Rounds(unrolling, frame).run()
    for op in ordered:
        if "inside" not in op.attrs:
            unrolling.outside(op)
    flat.graph.results = [unrolling.value(value) for value in flat.graph.results]
    return unrolling.sorted()


class _Unrolling:
    """The ops under construction, each with its place: the node's, then the iteration's."""

    def __init__(self, flat: Flat, ordered: list[Op]) -> None:
        self.place = {op: place for place, op in enumerate(ordered)}
        self.made: list[tuple[int, int, Op]] = []
        self.tokens: list[Op] = []  # what has no bytes: it puts nothing out
        self.last: dict[Op, Op] = {}  # a Switch: its last round's
        self.elements: dict[Op, list[Value]] = {}  # of a list, by the op that makes or ends it
        self.pushed: dict[Op, list[Op]] = {}  # a body's TensorListPushBack, iteration by iteration

    def sorted(self) -> list[Op]:
        for op in self.tokens:
            op.outputs = ()
        self.made.sort(key=lambda item: item[:2])
        return [op for _, _, op in self.made]

    def add(
        self, like: Op, type_: str, inputs: Sequence[Value], outputs: Sequence[Spec], controls: Sequence[Op],
        iteration: int = 0,
    ) -> Op:  # fmt: skip
        op = Op(len(self.made), type_, like.name, like.layer, like.phase, list(inputs), tuple(outputs), like.attrs)
        op.controls = list(controls)
        self.made.append((self.place.get(like, len(self.place)), iteration, op))
        return op

    def value(self, value: Value) -> Value:
        """What an op outside of frames reads."""
        return Value(self.last.get(value.op, value.op), value.index)

    def outside(self, op: Op) -> None:
        tokens = [value.op for value in op.inputs if value.spec == TOKEN]
        inputs = [value for value in op.inputs if value.spec != TOKEN]
        if op.outputs == (TOKEN,):
            tokens += [value.op for value in inputs]
            inputs = []
            self.tokens.append(op)
        if op.type == "TensorListStack":
            (source,) = op.inputs
            inputs = self.elements[source.op]
            tokens = [source.op]
        op.inputs = [self.value(value) for value in inputs]
        op.controls = [self.last.get(source, source) for source in (*tokens, *op.controls)]
        self.made.append((self.place[op], 0, op))


class _Rounds:
    """The iterations of one frame."""

    def __init__(self, parent: _Unrolling, frame: Frame) -> None:
        self.parent, self.frame, self.loop = parent, frame, frame.loop
        self.ops = sorted((op for op in frame.ops if op in parent.place), key=parent.place.__getitem__)
        for track in frame.tracks:
            if track.exit not in parent.place:
                track.exit = None
        self.copies: dict[Op, Op] = {}  # this iteration's
        self.before: dict[Op, Op] = {}
        self.merged = {track.merge: track for track in frame.tracks}
        self.states = {track.switch: place for place, track in enumerate(frame.states)}
        self.lists = {track.switch: self._elements(track) for track in frame.lists}
        self.written: list[Value] = []
        self.kept: dict[Value, Value] = {}  # a value that was written to the list: what the steps left out keep
        self.held: dict[Value, list[Op]] = {}  # a value: where it was pushed
        self.roots: dict[Value, Value] = {}  # a state as an iteration has it: the value that it is
        self.now: list[Value] = [track.enter.inputs[0] for track in frame.states]
        self.gets: list[Op] = []
        self.writes = self._writes()

    def _writes(self) -> Op | None:
        """What puts an element to the list."""
        track = self.frame.written
        return track.merge.attrs["next"].inputs[0].op if track is not None else None

    def run(self) -> None:
        parent, rounds = self.parent, self.loop.simulated
        done: list[Op] = []
        for index in range(rounds + 1):
            waits = done[index - PARALLEL :][:1] if index >= PARALLEL else []
            first = len(parent.made)
            self.before, self.copies = self.copies, {}
            self._lay(index, waits, index == rounds)
            own = [op for _, _, op in parent.made[first:]]
            if index < rounds:
                self._advance(index)
                done.append(self._silent("_Done", (), (*own, *done[-1:], *(() if done else self.frame.enters))))
        for track in self.frame.tracks:
            parent.last[track.switch] = self.copies[track.switch]
        self._close()

    def _silent(self, type_: str, inputs: Sequence[Value], controls: Sequence[Op], outputs: Sequence[Spec] = ()) -> Op:
        op = self.parent.add(self.frame.op, type_, inputs, outputs, controls)
        op.attrs = {}
        return op

    # -- one iteration ---------------------------------------------------------------------------------------------

    def _lay(self, index: int, waits: Sequence[Op], ending: bool) -> None:
        """Copies first, edges then: an op may stand before what it reads."""
        parent = self.parent
        for op in self.ops:
            lives = not ending or op.type in _DECIDES or op is self.frame.tested
            outputs = () if not lives or op.outputs == (TOKEN,) else op.outputs
            self.copies[op] = parent.add(op, op.type if lives else "_Dead", (), outputs, (), index)
        for op, copied in self.copies.items():
            self._connect(op, copied, index, waits)
        if not ending:
            for track in self.frame.tracks:
                if track.exit is not None:
                    parent.add(track.exit, "_Dead", (), (), [self.copies[track.switch]], index).attrs = {}

    def _connect(self, op: Op, copied: Op, index: int, waits: Sequence[Op]) -> None:
        if op.type == "Merge":
            self._merge(op, copied, index, waits)
            return
        controls = [self._mine(source) for source in op.controls]
        values = []
        for value in op.inputs:
            source = self._mine(value.op)
            dead = source.type == "_Dead" or copied.type == "_Dead"
            if dead or value.spec == TOKEN or (op.type in _PASSES and not copied.outputs):
                if source.type != "Const":
                    controls.append(source)
            else:
                values.append(Value(source, value.index))
        copied.inputs, copied.controls = values, controls
        if copied.type == "_Dead":
            copied.attrs = {}
        elif op.type == "Switch" and op in self.states:
            state = self.now[self.states[op]]
            self.roots[copied.out()] = self.roots.get(state, state)
        elif op.type == "Identity" and values and values[0] in self.roots:
            self.roots[copied.out()] = self.roots[values[0]]
        elif op.type in _LISTED:
            _LISTED[op.type](self, op, copied, index)

    def _mine(self, op: Op) -> Op:
        return self.copies.get(op, op)

    def _merge(self, op: Op, copied: Op, index: int, waits: Sequence[Op]) -> None:
        source = self.before[op.attrs["next"]] if index else self.merged[op].enter
        copied.inputs = [source.out()] if copied.outputs else []
        copied.controls = [*([] if copied.outputs else [source]), *waits]
        copied.attrs = {}

    def _advance(self, index: int) -> None:
        """The states as the next iteration has them, and what this one wrote."""
        for place, track in enumerate(self.frame.states):
            value = track.merge.attrs["next"].inputs[0]
            self.now[place] = Value(self._mine(value.op), value.index)
        if self.writes is not None:
            item = self.copies[self.writes].out()
            self.written += self._write(index, item)

    # -- lists -------------------------------------------------------------------------------------------------------

    def _elements(self, track: Track) -> list[Value]:
        """A list's elements in the order they are read: the op that made the list gets an output for each."""
        source, loop, parent = track.enter.inputs[0].op, self.loop, self.parent
        found = parent.elements.get(source)
        if found is None:
            count, one = source.outputs[0].shape[0], element(source.outputs[0])
            specs = [one] * count
            if count == loop.trips:
                specs = [_several(one, loop.steps(index)) for index in range(loop.simulated)]
            source.outputs = tuple(specs)
            found = parent.elements[source] = [source.out(place) for place in range(len(specs))]
        if len(found) < loop.simulated:  # a list of one: its gradient is read once, then zeros stand there
            zeros = parent.add(track.enter, "Const", (), (found[0].spec,), ()).out()
            found = found + [zeros] * (loop.simulated - len(found))
        return found

    def _element(self, op: Op, index: int) -> Value:
        return self.lists[op.inputs[0].op][index]

    def _get(self, op: Op, copied: Op, index: int) -> None:
        copied.inputs = [self._element(op, index)]
        if op.type != "_Element":
            self.gets.append(copied)

    def _put_zeros(self, op: Op, copied: Op, index: int) -> None:
        """Where the element was read zeros are put; until then the list holds it."""
        value = self._element(op, index)
        copied.inputs = [value] if value.op.type == "TensorListFromTensor" else []

    def _push(self, op: Op, copied: Op, index: int) -> None:
        self.parent.pushed.setdefault(self._source(op), []).append(copied)
        (value,) = copied.inputs
        copied.outputs = (value.spec,)
        root = self.roots.get(value, value)
        self.held.setdefault(root, []).append(copied)
        if op.attrs["own"] and self.loop.steps(index) > 1:
            copied.attrs = {**copied.attrs, "kept": (self._left_out(copied.out(), index),)}
        elif root in self.kept:
            copied.attrs = {**copied.attrs, "kept": (self.kept[root],)}

    def _pop(self, op: Op, copied: Op, index: int) -> None:
        push = self.parent.pushed[op.attrs["push"]][self.loop.simulated - 1 - index]
        copied.inputs = [push.out(), *push.attrs.get("kept", ())]

    def _source(self, op: Op) -> Op:
        return next(push for push, made in self.frame.copies.items() if made is op)

    def _set(self, op: Op, copied: Op, index: int) -> None:
        if op is self.writes and not self.loop.every:
            copied.inputs += self.written[-1:]  # a list of one lets the value before go

    def _write(self, index: int, item: Value) -> list[Value]:
        if self.loop.reverse or not self.loop.every or self.loop.steps(index) == 1:
            return [item]
        value = item.op.inputs[0]
        kept = self.kept[value] = self._left_out(item, index)
        for push in self.held.get(value, ()):  # the reverse pass needs it too
            push.attrs = {**push.attrs, "kept": (kept,)}
        return [item, kept]

    def _left_out(self, value: Value, index: int) -> Value:
        """What the steps that are left out keep of a value, as one buffer."""
        spec = _several(value.spec, self.loop.steps(index) - 1)
        return self._silent("_KeptSteps", (), (value.op,), (spec,)).out()

    def _close(self) -> None:
        """The lists that were read are let go when it is known that no iteration follows."""
        for track in self.frame.lists:
            held = [value for value in self.lists[track.switch] if value.op.type != "Const"]
            if held and not self.loop.reverse:  # each read that waits holds the whole list
                self._silent("_Release", held, (track.exit or self.copies[track.switch], *self.gets))
        ended, loop = self.frame.written, self.loop
        if ended is None or ended.exit is None:
            return
        left = self.written if loop.every or loop.reverse else self.written[-1:]
        self.parent.elements[ended.exit] = left
        if (self.frame.op, len(loop.states)) not in self.frame.used:
            self._silent("_Release", left, (ended.exit,))


_LISTED = {
    "TensorListGetItem": _Rounds._get,
    "_Element": _Rounds._get,
    "_PutZeros": _Rounds._put_zeros,
    "TensorListPushBack": _Rounds._push,
    "TensorListPopBack": _Rounds._pop,
    "TensorListSetItem": _Rounds._set,
}


def _several(spec: Spec, steps: int) -> Spec:
    return spec if steps == 1 else Spec((steps, *spec.shape), spec.dtype)
