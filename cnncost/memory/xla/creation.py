"""In which order tf2xla makes instructions, and so the order of a value's readers.

It walks the function's nodes in reverse post order of a depth-first walk from the source that takes an op's readers by
name, the last name first (graph_compiler.cc, GetReversePostOrder of tsl's algorithm.cc with NodeComparatorName). So of
two ops that wait for one value alone the one with the lesser name is made first, with all that follows from it alone:
branches in the order of their layers' names, of a layer's two gradients the filter's, and sums of gradients ("AddN")
before all that is called "gradient_tape/...".

Names are those that Keras and the tape give, as far as they decide an order: a layer enters its scope twice, once when
it is asked for its output's shape, and a name that is taken gets a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cnncost.memory.opgraph import BACKWARD, FORWARD, LOSS, UPDATE, Op
from cnncost.memory.walks import post_order

_FILTERS = frozenset(("Conv2DBackpropFilter", "Conv3DBackpropFilterV2"))
LOSSES = "sparse_categorical_crossentropy", "mean_squared_error"


def creation_order(ops: Sequence[Op], model: str, optimizer: str) -> dict[int, int]:
    """Each op's turn, by its identity."""
    names = Names(model, optimizer, ops)
    place = {op.index: number for number, op in enumerate(ops)}
    readers: list[list[int]] = [[] for _ in ops]
    starts: list[int] = []
    for number, op in enumerate(ops):
        waits = dict.fromkeys(place[source.index] for source in _waited(op) if source.index in place)
        for source in waits:
            readers[source].append(number)
        if not waits:
            starts.append(number)
    keys = [names.of(op) for op in ops]
    for own in readers:
        own.sort(key=keys.__getitem__)
    starts.sort(key=keys.__getitem__)
    finished = post_order(starts, readers)
    return {id(ops[number]): turn for turn, number in enumerate(reversed(finished))}


def _waited(op: Op) -> Iterable[Op]:
    yield from (source for source, _ in op.inputs)
    yield from op.controls


class Names:
    """What TensorFlow calls an op, as far as it decides an order."""

    def __init__(self, model: str, optimizer: str, ops: Sequence[Op]) -> None:
        self.model, self.optimizer = model, optimizer
        self.counts: dict[str, int] = {}
        self.scopes = _scopes(ops)
        mean = any(op.phase == LOSS and op.type == "SquaredDifference" for op in ops)
        self.loss = LOSSES[mean]

    def of(self, op: Op) -> tuple[str, float]:
        """Scope, then order of creation inside a layer; but a filter's gradient comes before the data's."""
        return self._text(op), op.index - 1.5 * (op.type in _FILTERS)

    def _text(self, op: Op) -> str:
        if op.type == "AddN" and op.phase == BACKWARD:
            return self._numbered("AddN")
        if op.type == "_Arg":
            return self._argument(op)
        if op.phase == UPDATE:
            return f"{self.optimizer}/"
        if op.phase == LOSS:
            return f"{self.loss}/"
        scope = f"{self.model}_1/{self.scopes[op.layer]}" if op.layer in self.scopes else self.loss
        start = "gradient_tape/" if op.phase == BACKWARD else ""
        return f"{start}{scope}/"

    def _argument(self, op: Op) -> str:
        if "variable" not in op.attrs and op.outputs[0].dtype != "resource":
            return "y" if op.phase == LOSS else "x"
        if op.phase == FORWARD and op.layer in self.scopes:
            return f"{self.model}_1_{self.scopes[op.layer]}_{op.name}".lower()
        return f"{self.optimizer}_{op.name}".lower()

    def _numbered(self, name: str) -> str:
        number = self.counts.get(name, 0)
        self.counts[name] = number + 1
        return f"{name}_{number}" if number else name


def _scopes(ops: Sequence[Op]) -> dict[str, str]:
    """By layer the second scope of its name: layers in the order in which they run."""
    taken: set[str] = set()
    found: dict[str, str] = {}

    def unique(name: str) -> str:
        made, number = name, 0
        while made.lower() in taken:
            number += 1
            made = f"{name}_{number}"
        taken.add(made.lower())
        return made

    for op in ops:
        if op.phase == FORWARD and op.layer and op.layer not in found:
            name = op.layer.replace("/", ".")
            unique(name)
            found[op.layer] = unique(name)
    return found
