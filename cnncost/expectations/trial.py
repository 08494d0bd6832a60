"""What a layer would cost with other arguments or on other inputs: the layer's own rules, applied to a change."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from cnncost.analysis import Analysis, LayerCost
from cnncost.errors import CnncostError
from cnncost.expectations.metrics import holds
from cnncost.graph import Expected, Layer
from cnncost.kinds.base import Kind, Shapes, total
from cnncost.reach import Seen, see
from cnncost.tensor import Shape

# Calls of a layer's rules that one analysis may spend on searching remedies: about a second at most.
BUDGET = 40_000


class Spent(Exception):
    """The search has used up its budget."""


class Remedy(NamedTuple):
    """Arguments to change, and the shapes of the layer's inputs and of the model's input where those change."""

    cost: float
    changes: dict[str, Any]
    kind: Kind
    inputs: Shapes
    resized: str = ""  # "227 × 227": the sizes to give, where the input is to change
    of: str = ""  # whose input that is


def distance(old: Any, new: Any) -> float:
    pairs = list(zip(old, new, strict=True)) if isinstance(old, tuple) else [(old, new)]
    return float(sum(abs(a - b) / max(a, b, 1) for a, b in pairs)) / max(len(pairs), 1)


class Trial:
    """Tries changes of one layer against one claim."""

    def __init__(self, analysis: Analysis, index: int, expected: Expected, budget: list[int]) -> None:
        self.analysis, self.index, self.expected, self.budget = analysis, index, expected, budget
        self.row: LayerCost = analysis.layers[index]
        self.kind: Kind = self.row.layer.kind
        self.inputs: Shapes = self.row.input_shapes

    def spend(self) -> None:
        self.budget[0] -= 1
        if self.budget[0] < 0:
            raise Spent

    def changed(self, changes: Mapping[str, Any]) -> Kind | None:
        """The layer's kind with other arguments; None when it refuses them."""
        try:
            return dataclasses.replace(self.kind, **changes) if changes else self.kind
        except (CnncostError, TypeError):
            return None

    def figure(self, kind: Kind, inputs: Shapes, below: list[Seen | None] | None = None) -> Any:
        """The claimed figure under a change; None when the layer cannot stand there."""
        self.spend()
        try:
            return FIGURES[self.expected.metric](self, kind, inputs, kind.outputs(inputs), below)
        except (CnncostError, ValueError, IndexError, AssertionError):
            return None

    def fits(self, figure: Any) -> bool:
        return figure is not None and holds(self.expected, figure)

    # -- figures -------------------------------------------------------------------------------------------------

    def _shape(self, kind: Kind, inputs: Shapes, outputs: Shapes, below: Any) -> Any:
        return outputs[0] if len(outputs) == 1 else outputs

    def _params(self, kind: Kind, inputs: Shapes, outputs: Shapes, below: Any) -> int:
        return 0 if self.row.shared else sum(w.size for w in kind.weights(inputs))

    def _trainable(self, kind: Kind, inputs: Shapes, outputs: Shapes, below: Any) -> int:
        if self.row.shared or not self.row.layer.trainable:
            return 0
        return sum(w.size for w in kind.weights(inputs) if w.trainable)

    def _macs(self, kind: Kind, inputs: Shapes, outputs: Shapes, below: Any) -> int:
        return int(total(kind.macs(inputs, outputs)))

    def _flops(self, kind: Kind, inputs: Shapes, outputs: Shapes, below: Any) -> int:
        return 2 * self._macs(kind, inputs, outputs, below) + int(kind.other_flops(inputs, outputs))

    def _activation(self, kind: Kind, inputs: Shapes, outputs: Shapes, below: Any) -> int | None:
        sizes = [t._replace(shape=shape).bytes for t, shape in zip(self.row.outputs, outputs, strict=True)]
        return None if None in sizes else self.analysis.batch * sum(size for size in sizes if size)

    def _seen(self, kind: Kind, inputs: Shapes, outputs: Shapes, below: Any) -> Any:
        seen = below if below is not None else [self.analysis.layers[r.layer].seen for r in self.row.layer.inputs]
        found = see(kind, inputs, outputs, seen, self.row.name)
        return found.figures()[self.expected.metric] if found else None


FIGURES = {
    "output_shape": Trial._shape,
    "output_shapes": lambda trial, kind, inputs, outputs, below: outputs,
    "params": Trial._params,
    "trainable_params": Trial._trainable,
    "macs": Trial._macs,
    "flops": Trial._flops,
    "activation_bytes": Trial._activation,
    "receptive_field": Trial._seen,
    "jump": Trial._seen,
    "start": Trial._seen,
}


def ancestors(layers: tuple[Layer, ...], index: int) -> list[int]:
    """The layers that a layer depends on, itself last, in the graph's order."""
    wanted, stack = {index}, [index]
    while stack:
        for ref in layers[stack.pop()].inputs:
            if ref.layer not in wanted:
                wanted.add(ref.layer)
                stack.append(ref.layer)
    return sorted(wanted)


class Rewalk:
    """The shapes that reach a layer when the model's input has another size."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.layers = trial.analysis.graph.layers
        self.chain = ancestors(self.layers, trial.index)[:-1]
        self.sources = [i for i in self.chain if not self.layers[i].inputs]

    @property
    def source(self) -> int | None:
        """The only model input that the layer depends on; None where there are several, or none with spatial axes."""
        return self.sources[0] if len(self.sources) == 1 else None

    def inputs(self, shape: Shape) -> Shapes | None:
        """The layer's input shapes for another shape of that model input; None where some layer cannot stand."""
        known: dict[int, Shapes] = {}
        try:
            for i in self.chain:
                self.trial.spend()
                layer = self.layers[i]
                known[i] = (shape,) if i == self.source else layer.kind.outputs(self._read(layer, known))
            return self._read(self.trial.row.layer, known)
        except (CnncostError, ValueError, IndexError, AssertionError):
            return None

    @staticmethod
    def _read(layer: Layer, known: Mapping[int, Shapes]) -> Shapes:
        return tuple(known[ref.layer][ref.output] for ref in layer.inputs)
