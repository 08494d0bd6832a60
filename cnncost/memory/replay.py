"""What the reverse pass must know to run a group of layers again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cnncost.memory.opgraph import OpGraph, Value, Variable

HANDED = "IdentityN"


class Replay(NamedTuple):
    """``run`` lowers the group's layers once more, on other inputs; its first ``outputs`` values leave the group, whose
    layer is called ``name``. ``trained``: its weights."""

    run: Callable[[Sequence[Value]], list[Value]]
    outputs: int
    name: str
    trained: tuple[Variable, ...]

    @property
    def trains(self) -> bool:
        return bool(self.trained)

    def read(self, graph: OpGraph) -> None:
        """``custom_gradient`` hands the weights through an IdentityN, by name. Nobody needs what is read for it, but
        the weights' updates wait for the reading."""
        for variable in self.trained:
            graph.read(variable, HANDED)
