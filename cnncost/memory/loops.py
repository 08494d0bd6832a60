"""A while loop over time steps: one iteration's ops are made once, and laid out for each iteration that is simulated.

TensorFlow's executor runs a loop as a frame: iteration i + 1 begins as soon as its loop variables are there, whatever
of iteration i still waits, and at most 32 iterations are under way (``parallel_iterations`` of Keras's ``rnn``). What
needs no state, such as the input's matrix product, runs up to 32 steps ahead, and its results wait: that is why the
iterations are laid out one by one and ordered with all other ops (``unrolling``). A list of tensors is its elements: an
element is held until the list is stacked, or its gradient has popped it.

Beyond ``MOST`` steps the order repeats itself, window by window: whole windows are left out but for two, and stand in
the first as one buffer for each value that every step keeps.

Sources: while_v2.py (accumulators, ``_WhileBodyGradFuncGraph``), lower_while_op.cc, executor.cc and
propagator_state.cc (frames), list_kernels.cc of TensorFlow 2.21.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cnncost.memory.opgraph import Op, OpGraph, Value
from cnncost.memory.spec import Spec

PARALLEL = 32  # iterations under way at once
MOST = 3 * PARALLEL  # iterations that are laid out, all of them
MIDDLE = PARALLEL // 2  # the iteration that stands for those that are left out, in the first window


@dataclass(eq=False)
class Loop:
    """One iteration. ``graph.results`` holds the new states, then what is written to the list, if anything.

    The ``While`` op reads the initial states, then the lists that are read, then what the body captures; it puts out
    the last states, then the list that was written.
    """

    graph: OpGraph
    trips: int
    states: list[Op] = field(default_factory=list)  # _Arg: this iteration's states
    reads: list[Op] = field(default_factory=list)  # TensorListGetItem: this iteration's elements
    captures: list[Op] = field(default_factory=list)  # _Arg: the same in every iteration
    every: bool = True  # the list has an element for each iteration, else the last one's alone
    reverse: bool = False  # the gradient's loop, which goes from the last step to the first

    @property
    def written(self) -> Value | None:
        return self.graph.results[len(self.states)] if len(self.graph.results) > len(self.states) else None

    @property
    def trains(self) -> bool:
        """Whether the body reads a weight that is trained."""
        return any(op.type == "ReadVariableOp" and op.attrs["variable"].trainable for op in self.graph.ops)

    @property
    def simulated(self) -> int:
        return self.trips if self.trips <= MOST else 2 * PARALLEL + self.trips % PARALLEL

    def steps(self, index: int) -> int:
        """How many time steps the simulated iteration stands for in what it keeps."""
        laid = self.simulated
        middle = laid - 1 - MIDDLE if self.reverse else MIDDLE
        return 1 + self.trips - laid if index == middle else 1


def element(spec: Spec) -> Spec:
    """An element of a list that is given whole."""
    return Spec(spec.shape[1:], spec.dtype)


def add_loop(
    graph: OpGraph, loop: Loop, states: Sequence[Value], lists: Sequence[Value], captured: Sequence[Value], name: str
) -> Op:
    """The ``While`` op of a loop whose body is complete."""
    outputs = [value.spec for value in loop.graph.results[: len(loop.states)]]
    if loop.written is not None:
        spec = loop.written.spec
        outputs.append(Spec((loop.trips if loop.every else 1, *spec.shape), spec.dtype))
    return graph.add("While", (*states, *lists, *captured), outputs, name, loop=loop).op


def take(graph: OpGraph, value: Value, index: int) -> Value:
    """``value[index]``: a view where an element fills whole words of 64 bytes (``IsDim0SliceAligned``), else a copy."""
    one = element(value.spec)
    if value.shape[0] == 1 and value.op.type == "ExpandDims":
        return graph.add("Reshape", (value,), shape=one.shape)
    type_ = "_SliceView" if one.bytes % 64 == 0 else "StridedSlice"
    return graph.add(type_, (value,), (one,), "strided_slice", place=index)


def time_first(graph: OpGraph, value: Value) -> Value:
    """Batch and time change places, either way; two such transposes in a row are none (grappler)."""
    perm = (1, 0, *range(2, len(value.shape)))
    if value.op.type == "Transpose" and value.op.attrs.get("perm") == perm:
        return value.op.inputs[0]
    return graph.add("Transpose", (value,), perm=perm)
