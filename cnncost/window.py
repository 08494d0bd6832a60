"""One axis of a sliding window: TensorFlow's SAME and VALID, explicit pads, the ignored tail, and what a neuron sees.

A window of ``kernel`` taps, ``dilation`` apart, spans ``(kernel - 1)·dilation + 1`` positions. VALID slides it inside
the input: ``floor((n - span)/stride) + 1`` outputs, and the tail that no window reaches is ignored. SAME pads so that
there are ``ceil(n/stride)`` outputs: ``max((out - 1)·stride + span - n, 0)`` in all, the odd one at the end.
Source: TensorFlow's ``tf.nn`` notes on padding.
"""

from __future__ import annotations

from typing import NamedTuple

from cnncost.errors import GeometryError
from cnncost.tensor import Dim


def ceil_div(a: int, b: int) -> int:
    """
    >>> ceil_div(13, 5)
    3
    """
    return -(-a // b)


class Window(NamedTuple):
    """A window along one axis, laid over an input of ``size`` positions.

    >>> w = slide(13, 6, 5, "same")
    >>> w.output, w.before, w.after
    (3, 1, 2)
    >>> w = slide(13, 6, 5, "valid")
    >>> w.output, w.ignored
    (2, 2)
    """

    size: Dim
    kernel: int
    stride: int
    dilation: int
    padding: str
    output: Dim
    before: Dim  # positions of padding added at the start; unknown when it depends on an unknown size
    after: Dim
    ignored: Dim  # positions at the end that no window reaches

    @property
    def span(self) -> int:
        return (self.kernel - 1) * self.dilation + 1


def slide(size: Dim, kernel: int, stride: int = 1, padding: str = "valid", dilation: int = 1) -> Window:
    """Lay a window over an axis; ``padding`` is ``valid``, ``same``, ``causal`` (all of it before) or ``full``.

    Raises GeometryError when VALID has no room for a single window.
    """
    span = (kernel - 1) * dilation + 1
    if padding == "same":
        if size is None:
            known = stride == 1
            return Window(size, kernel, stride, dilation, padding, None, (span - 1) // 2 if known else None,
                          span // 2 if known else None, 0 if stride <= span else None)  # fmt: skip
        output = ceil_div(size, stride)
        total = max((output - 1) * stride + span - size, 0)
        ignored = max(size - ((output - 1) * stride + span), 0)
        return Window(size, kernel, stride, dilation, padding, output, total // 2, total - total // 2, ignored)
    before = span - 1 if padding in ("causal", "full") else 0
    after = span - 1 if padding == "full" else 0
    if size is None:
        return Window(size, kernel, stride, dilation, padding, None, before, after, None)
    room = size + before + after - span
    if room < 0:
        raise GeometryError(
            f"a window that spans {span} does not fit into {size} without padding",
            rule="VALID needs an input at least as long as the window",
            received=f"size {size}, kernel {kernel}, dilation {dilation}",
            nearest=f"use padding: same, or a window of at most {size}",
        )
    return Window(size, kernel, stride, dilation, padding, room // stride + 1, before, after, room % stride)


class Reach(NamedTuple):
    """Output position i reads input positions floor((i·step + low)/up) … floor((i·step + high)/up)."""

    step: int = 1
    low: int = 0
    high: int = 0
    up: int = 1


SAME_POSITION = Reach()


def reach(window: Window) -> Reach | None:
    """What a window reads; None when its padding depends on an unknown size.

    >>> reach(slide(13, 6, 5, "same"))
    Reach(step=5, low=-1, high=4, up=1)
    """
    if window.before is None:
        return None
    return Reach(window.stride, -window.before, window.span - 1 - window.before)
