"""What the reverse pass must know to run a group of layers again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cnncost.memory.opgraph import Value


class Replay(NamedTuple):
    """``run`` lowers the group's layers once more, on other inputs; its first ``outputs`` values leave the group."""

    run: Callable[[Sequence[Value]], list[Value]]
    outputs: int
    trains: bool  # a weight of the group is trained
