"""What each layer sees of the model's input: the receptive fields of all spatial axes, carried through the graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cnncost.kinds.base import Kind, Scattered, Shapes, Whole
from cnncost.receptive import POINT, Field, merged, through
from cnncost.tensor import Shape


class Seen(NamedTuple):
    """What one neuron of a layer sees of input ``origin``, for each spatial axis of that input.

    ``fields`` has a field for each axis while positions keep their order; ``size`` alone is left after a Flatten.
    """

    origin: str
    extent: Shape  # the input's spatial axes
    size: tuple[int | None, ...]
    fields: tuple[Field | None, ...] = ()

    @property
    def jumps(self) -> tuple[int | float | None, ...] | None:
        """Input positions from one neuron to the next; a fraction below an upsampling."""
        exact = [None if f is None else f.jump for f in self.fields]
        return tuple(None if j is None else int(j) if j.denominator == 1 else float(j) for j in exact) or None

    @property
    def starts(self) -> tuple[int | None, ...] | None:
        """Where neuron 0's field begins."""
        return tuple(None if f is None else f.start for f in self.fields) or None

    def figures(self) -> dict[str, tuple[int | float | None, ...] | None]:
        """The three figures by their names in a layer's row."""
        return {"receptive_field": self.size, "jump": self.jumps, "start": self.starts}

    def whole(self) -> Seen:
        """Everything: a neuron that reads all positions."""
        return Seen(self.origin, self.extent, self.extent)


def see(
    kind: Kind, inputs: Shapes, outputs: Shapes, below: Sequence[Seen | None], name: str, channels_first: bool = False
) -> Seen | None:
    """What a layer's neurons see. None for a layer that no model input reaches, or an input without spatial axes."""
    if kind.name() == "InputLayer":
        extent = outputs[0][1:] if channels_first else outputs[0][:-1]
        return Seen(name, extent, (1,) * len(extent), (POINT,) * len(extent)) if extent else None
    first = next((seen for seen in below if seen is not None), None)
    if first is None:
        return None
    same = [seen for seen in below if seen is not None and seen.origin == first.origin]
    joined = same[0] if len(same) == 1 else _joined(same)
    field = kind.field(inputs, outputs)
    if isinstance(field, Whole):
        return joined.whole()
    if isinstance(field, Scattered):
        return joined._replace(fields=())
    if not joined.fields or len(field) != len(joined.fields):
        return joined._replace(fields=())
    fields = tuple(
        None if have is None or step is None else through(have, step)
        for have, step in zip(joined.fields, field, strict=True)
    )
    return joined._replace(fields=fields, size=tuple(f.size if f else None for f in fields))


def _joined(seen: Sequence[Seen]) -> Seen:
    """The union over several inputs of a merge."""
    result = seen[0]
    for other in seen[1:]:
        if result == other:
            continue
        size = tuple(
            None if a is None or b is None else max(a, b) for a, b in zip(result.size, other.size, strict=True)
        )
        if not result.fields or not other.fields:
            result = result._replace(size=size, fields=())
            continue
        fields = tuple(
            None if a is None or b is None else merged(a, b) for a, b in zip(result.fields, other.fields, strict=True)
        )
        result = result._replace(fields=fields, size=tuple(f.size if f else None for f in fields))
    return result
