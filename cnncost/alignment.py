"""Two sequences of allocations, simulated and measured, set side by side in order."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

from cnncost.measure.records import Change

SMALL = 1024  # bytes; allocations below it are scalars and short vectors, whose order says nothing
LARGE = 65536  # bytes; what a peak is made of
_COMPILED = frozenset(
    ("PartitionedCall", "StatefulPartitionedCall")
)  # functions that XLA compiles: grouped convolutions
_EDITS = 4_000_000  # steps that the comparison of two sequences may take


class Matching(NamedTuple):
    """How far two sequences of allocations agree; ``first_mismatch`` is in words. None: nothing was predicted."""

    matched: int | None
    total: int
    predicted: int | None
    first_mismatch: str | None
    large_matched: int | None  # the same for allocations of LARGE bytes or more
    large_total: int
    scratch: int  # of the measured ones: what kernels took for themselves, which depends on the processor


def match(
    prediction: Any, changes: tuple[Change, ...], rows: Mapping[str, str], calls: Mapping[str, str] | None = None
) -> Matching:
    """Allocations of ``SMALL`` bytes or more in order, by layer and size; ``rows`` has a row's name for Keras's,
    ``calls`` for the rows of a layer's further calls the first one's: a profile does not tell them apart."""
    real = [change for change in changes if change.bytes >= SMALL]
    scratch = sum(change.region == "temp" for change in real)
    measured = [(_row(change, rows), change.bytes) for change in real]
    large = [pair for pair in measured if pair[1] >= LARGE]
    if prediction is None:
        return Matching(None, len(real), None, None, None, len(large), scratch)
    ours = [event for event in prediction.events if event.bytes >= SMALL]
    known = frozenset(rows.values())
    predicted = [(_layer_of(event, known, calls or {}), event.bytes) for event in ours]
    first = next((i for i, (a, b) in enumerate(zip(predicted, measured, strict=False)) if a != b), None)
    if first is None and len(predicted) != len(measured):
        first = min(len(predicted), len(measured))
    text = None
    if first is not None:
        left = _predicted(ours[first]) if first < len(ours) else "nothing"
        right = _measured(real[first], rows) if first < len(real) else "nothing"
        text = f"allocation {first + 1}: predicted {left}, measured {right}"
    return Matching(
        common(predicted, measured), len(real), len(ours), text,
        common([pair for pair in predicted if pair[1] >= LARGE], large), len(large), scratch,
    )  # fmt: skip


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


def common(a: Sequence[Hashable], b: Sequence[Hashable]) -> int:
    """Length of the longest common subsequence (Myers, "An O(ND) difference algorithm", 1986): fast where two
    sequences are much alike. A lower bound where they are so unlike that it would take too long.

    >>> common("allocate", "relocate"), common("", "a")
    (6, 0)
    """
    n, m = len(a), len(b)
    furthest = {1: 0}  # diagonal → the furthest place of ``a`` that is reached on it
    spent = best = 0
    for edits in range(n + m + 1):
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (
                diagonal != edits and furthest.get(diagonal - 1, -1) < furthest.get(diagonal + 1, -1)
            )
            x = furthest.get(diagonal + 1, 0) if down else furthest.get(diagonal - 1, 0) + 1
            y = x - diagonal
            begun = x
            while x < n and y < m and a[x] == b[y]:
                x, y = x + 1, y + 1
            spent += x - begun + 1
            furthest[diagonal] = x
            if x <= n and y <= m:
                best = max(best, (x + y - edits) // 2)
            if x >= n and y >= m:
                return (n + m - edits) // 2
        if spent > _EDITS:
            break
    return best
