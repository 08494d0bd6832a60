"""Which columns a terminal has room for, and how they are written: the fullest layout that fits is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

FULL = (
    "name", "kind", "output_shape", "params", "params_share", "macs", "macs_share", "activation_bytes",
    "activation_share", "receptive_field",
)  # fmt: skip
NAME_LEAST = 12  # cells that a layer's name keeps, whatever else goes
GAP = 2  # cells between columns


class Layout(NamedTuple):
    """The columns in order, and how tersely they are written."""

    keys: tuple[str, ...]
    bar: int = 10  # cells of a share's bar
    bars: tuple[str, ...] = ()  # share columns that have a bar
    brief: tuple[str, ...] = ()  # columns in their short form
    name: int | None = None  # the most cells that the name may take

    def without(self, *keys: str) -> Layout:
        return self._replace(keys=tuple(key for key in self.keys if key not in keys))

    def briefer(self, *keys: str) -> Layout:
        return self._replace(brief=(*self.brief, *keys))


def candidates(columns: Sequence[str] | None) -> Iterator[Layout]:
    """Layouts from the fullest to the barest; with columns of the user's own choice only their writing changes."""
    shares = ("params_share", "macs_share", "activation_share", "flops_share")
    layout = Layout(tuple(columns or FULL), bars=shares)
    yield layout
    layout = layout._replace(bars=("macs_share", "flops_share"))
    yield layout
    layout = layout._replace(bar=6)
    yield layout
    counts = ("macs", "flops", "training_macs")
    if columns:
        layout = layout.briefer("kind")
        yield layout
        layout = layout.briefer(*counts)
        yield layout
        layout = layout._replace(bars=())
        yield layout
        yield layout.briefer("params", "trainable_params")
        return
    layout = layout.without("receptive_field")
    yield layout
    layout = layout.briefer("kind")
    yield layout
    layout = layout.briefer(*counts)
    yield layout
    layout = layout.without("params_share", "activation_share")
    yield layout
    yield layout._replace(name=24)
    layout = layout._replace(name=20)
    yield layout
    layout = layout._replace(bar=4)
    yield layout
    layout = layout._replace(bars=(), name=18)
    yield layout
    layout = layout.briefer("params")
    yield layout
    for gone in ("macs_share", "kind", "activation_bytes", "output_shape"):
        layout = layout.without(gone)
        yield layout
    yield layout._replace(name=NAME_LEAST)
