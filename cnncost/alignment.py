"""Two sequences of allocations, simulated and measured, set side by side in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cnncost.measure.records import SMALL, Change
from cnncost.subsequence import length

LARGE = 65536  # bytes; what a peak is made of
ORDER = (
    "what is ready together runs in the order of addresses in memory, which is another in each process; one of those "
    "simulated goes on as the real one did"
)
SCRATCH = "a kernel's own scratch, which depends on the processor"
_COMPILED = frozenset(
    ("PartitionedCall", "StatefulPartitionedCall")
)  # functions that XLA compiles: grouped convolutions


class Shares(NamedTuple):
    """How many allocations, and how many of ``LARGE`` bytes or more."""

    matched: int
    large_matched: int


class Share(NamedTuple):
    """Of one measured process: how many allocations there were, and match."""

    matched: int
    total: int
    large_matched: int
    large_total: int


class Closest(NamedTuple):
    """Of several simulated orders, how far the real step follows the one that it follows best."""

    orders: int
    matched: int
    large_matched: int


class Matching(NamedTuple):
    """How far two sequences of allocations agree in order and size; ``first_mismatch``, of layer or size, and its
    ``reason``, where it is known, in words. None: nothing was predicted."""

    matched: int | None
    total: int
    predicted: int | None
    first_mismatch: str | None
    large_matched: int | None  # the same for allocations of LARGE bytes or more
    large_total: int
    scratch: int  # of the measured ones: what kernels took for themselves, which depends on the processor
    reason: str | None = None
    closest: Closest | None = None  # None: no other order was looked at
    by_layer: Shares | None = None  # of the same layer too
    processes: tuple[Share, ...] = ()  # where several were measured, each of them

    def to_dict(self) -> dict[str, Any]:
        parts = {"closest": self.closest, "by_layer": self.by_layer}
        named = {name: part and part._asdict() for name, part in parts.items()}
        return self._asdict() | named | {"processes": [share._asdict() for share in self.processes]}


class Order:
    """One simulated order: its allocations of ``SMALL`` bytes or more."""

    def __init__(self, events: Iterable[Any], known: frozenset[str], calls: Mapping[str, str]) -> None:
        self.events = [event for event in events if event.bytes >= SMALL]
        self.pairs = [(_layer_of(event, known, calls), event.bytes) for event in self.events]
        self.sizes = [size for _, size in self.pairs]
        self.large = [size for size in self.sizes if size >= LARGE]


class Allocations:
    """The real step's, of ``SMALL`` bytes or more in order, by layer and size, to hold simulated ones against; ``rows``
    has a row's name for Keras's, ``calls`` for the rows of a layer's further calls the first one's: a profile does not
    tell them apart. ``sequences``: the sizes in each of several processes."""

    def __init__(
        self, changes: tuple[Change, ...], rows: Mapping[str, str], calls: Mapping[str, str] | None = None,
        sequences: Sequence[Sequence[int]] = (),
    ) -> None:  # fmt: skip
        self.sequences = sequences if len(sequences) > 1 else ()
        self.rows, self.calls, self.known = rows, calls or {}, frozenset(rows.values())
        self.real = [change for change in changes if change.bytes >= SMALL]
        self.pairs = [(_row(change, rows), change.bytes) for change in self.real]
        self.sizes = [size for _, size in self.pairs]
        self.large = [size for size in self.sizes if size >= LARGE]
        self.orders: list[Order] = []
        self.closest: Closest | None = None
        self.furthest = 0  # how many allocations one of the orders has before its first mismatch

    def look(self, events: Iterable[Any]) -> None:
        """Take another simulated order into account."""
        order = Order(events, self.known, self.calls)
        self.orders.append(order)
        found = Closest(len(self.orders), *self._shares(order))
        before = self.closest or Closest(0, 0, 0)
        better = (found.large_matched, found.matched) >= (before.large_matched, before.matched)
        self.closest = found if better else before._replace(orders=found.orders)
        self.furthest = max(self.furthest, self._agreeing(order))

    def match(self, prediction: Any) -> Matching:
        """With the predicted order: of those looked at the one that agrees best with the others, which is chosen
        without the real one."""
        scratch = sum(change.region == "temp" for change in self.real)
        if prediction is None:
            return Matching(None, len(self.real), None, None, None, len(self.large), scratch)
        order = commonest(self.orders) if self.orders else Order(prediction.events, self.known, self.calls)
        first = self._agreeing(order)
        text = reason = None
        if first < max(len(order.pairs), len(self.pairs)):
            left = _predicted(order.events[first]) if first < len(order.events) else "nothing"
            right = _measured(self.real[first], self.rows) if first < len(self.real) else "nothing"
            text = f"allocation {first + 1}: predicted {left}, measured {right}"
            reason = self._reason(first)
        shares = self._shares(order)
        named = Shares(length(order.pairs, self.pairs), length(_large(order.pairs), _large(self.pairs)))
        return Matching(
            shares.matched, len(self.real), len(order.pairs), text, shares.large_matched, len(self.large), scratch,
            reason, self.closest, named, tuple(_share(order, sizes) for sizes in self.sequences),
        )  # fmt: skip

    def _shares(self, order: Order) -> Shares:
        return Shares(length(order.sizes, self.sizes), length(order.large, self.large))

    def _agreeing(self, order: Order) -> int:
        """How many allocations there are before the first that differs."""
        pairs = enumerate(zip(order.pairs, self.pairs, strict=False))
        return next((place for place, (a, b) in pairs if a != b), min(len(order.pairs), len(self.pairs)))

    def _reason(self, first: int) -> str | None:
        if first < len(self.real) and self.real[first].region == "temp":
            return SCRATCH
        return ORDER if self.furthest > first else None


def commonest(orders: Sequence[Order]) -> Order:
    """Which of them has most in common with the others, by large allocations, then by all; the first of several."""
    best = _medoids([order.large for order in orders])
    if len(best) > 1:
        finer = _medoids([orders[place].sizes for place in best])
        best = [best[place] for place in finer]
    return orders[best[0]]


def _medoids(sequences: Sequence[list[int]]) -> list[int]:
    """The places of those whose common subsequences with the others are longest together."""
    sums = [0] * len(sequences)
    for place, one in enumerate(sequences):
        for beside in range(place):
            other = sequences[beside]
            common = len(one) if one == other else length(one, other)
            sums[place] += common
            sums[beside] += common
    return [place for place, total in enumerate(sums) if total == max(sums)]


def _share(order: Order, sizes: Sequence[int]) -> Share:
    large = [size for size in sizes if size >= LARGE]
    return Share(length(order.sizes, sizes), len(sizes), length(order.large, large), len(large))


def _large(pairs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    return [pair for pair in pairs if pair[1] >= LARGE]


def _layer_of(event: Any, known: frozenset[str], calls: Mapping[str, str]) -> str:
    """The layer of a simulated op as the profile would tell it: ops of loss and update bear no layer's name, nor do
    those of a gradient that is called outside all scopes, nor what a compiled function takes."""
    op = event.op
    layer: str = calls.get(op.layer, op.layer)
    named = (
        layer in known
        and op.phase in ("forward", "backward")
        and "outside" not in op.attrs
        and op.type not in _COMPILED
    )
    return layer if named else ""


def _row(change: Change, rows: Mapping[str, str]) -> str:
    return rows.get(change.layer or "", "")


def _predicted(event: Any) -> str:
    return f"{event.op.type.lstrip('_')}{_where(event.op.layer)} {event.bytes:,} B"


def _measured(change: Change, rows: Mapping[str, str]) -> str:
    kind = re.sub(r"\A_?(?:Mkl)?(?:Native)?", "", change.kind or "") or "an op"
    return f"{kind}{_where(_row(change, rows))} {change.bytes:,} B {change.shape[:60]}".rstrip()


def _where(layer: str) -> str:
    return f" of '{layer}'" if layer else ""
