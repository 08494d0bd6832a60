"""The answer for one model as typed records: a row for each layer, the totals, the findings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cnncost.count import Count
from cnncost.findings import Finding
from cnncost.graph import Graph, Layer
from cnncost.kinds.base import MacTerm, Weight
from cnncost.memory_record import Memory
from cnncost.processors import AVX512, Processor
from cnncost.reach import Seen
from cnncost.tensor import DType, Shape, Tensor
from cnncost.window import Window

if TYPE_CHECKING:
    import pandas

SCHEMA = "cnncost/analysis/1"


@dataclass(frozen=True, slots=True)
class LayerCost:
    """One layer's row. Counts are per instance; ``activation_bytes`` is for the whole batch."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    outputs: tuple[Tensor, ...]
    weights: tuple[Weight, ...]
    params: int
    trainable_params: int
    mac_terms: tuple[MacTerm, ...]
    macs_count: Count
    other_flops: Count
    training_macs: int
    activation_bytes: int
    weight_bytes: int
    windows: tuple[Window, ...]
    seen: Seen | None
    notes: tuple[str, ...]
    compute: DType
    layer: Layer
    shared: bool  # a later call of a layer whose weights were counted before
    recomputed_macs: int = 0  # its forward multiplications, where the reverse pass runs them again
    peak_bytes: int | None = None  # what its buffers add to the simulated peak, where that was asked for

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments that are required, or that are not their default."""
        return self.layer.kind.given()

    @property
    def macs(self) -> int:
        return int(self.macs_count)

    @property
    def flops(self) -> int:
        """2·macs, plus the other arithmetic."""
        return 2 * self.macs + int(self.other_flops)

    @property
    def output_shape(self) -> Shape:
        """The shape of the (first) output, without the batch axis."""
        return self.outputs[0].shape

    @property
    def output_shapes(self) -> tuple[Shape, ...]:
        return tuple(tensor.shape for tensor in self.outputs)

    @property
    def dtype(self) -> str:
        """The type of the output."""
        return self.outputs[0].dtype.name

    @property
    def receptive_field(self) -> tuple[int | None, ...] | None:
        """Positions of the model's input that one neuron sees, for each spatial axis; None where there is none."""
        return self.seen.size if self.seen else None

    @property
    def jump(self) -> tuple[int | float | None, ...] | None:
        """Input positions from one neuron to the next."""
        return self.seen.jumps if self.seen else None

    @property
    def start(self) -> tuple[int | None, ...] | None:
        """Where neuron 0's receptive field begins; negative in the padding."""
        return self.seen.starts if self.seen else None

    @property
    def padding(self) -> tuple[tuple[int | None, int | None], ...] | None:
        """Positions added (before, after) on each spatial axis; None without a window."""
        return tuple((w.before, w.after) for w in self.windows) or None

    @property
    def ignored(self) -> tuple[int | None, ...] | None:
        """Positions at the end of each spatial axis that no window reaches; None without a window."""
        return tuple(w.ignored for w in self.windows) or None

    def to_dict(self) -> dict[str, Any]:
        """The row as CONTRACT's JSON has it."""
        shapes = [list(tensor.shape) for tensor in self.outputs]
        shape = {"output_shape": shapes[0]} if len(shapes) == 1 else {"output_shapes": shapes}
        return {
            "name": self.name,
            "kind": self.kind,
            "inputs": list(self.inputs),
            **shape,
            "arguments": self.arguments,
            "params": self.params,
            "trainable_params": self.trainable_params,
            "macs": self.macs,
            "training_macs": self.training_macs,
            **({"recomputed_macs": self.recomputed_macs} if self.recomputed_macs else {}),
            "flops": self.flops,
            "activation_bytes": self.activation_bytes,
            "weight_bytes": self.weight_bytes,
            "peak_bytes": self.peak_bytes,
            "dtype": self.dtype,
            "receptive_field": _listed(self.receptive_field),
            "jump": _listed(self.jump),
            "start": _listed(self.start),
            "padding": [list(pair) for pair in self.padding] if self.padding else None,
            "ignored": _listed(self.ignored),
            "weights": [self._weight(w) for w in self.weights],
            "notes": list(self.notes),
        }

    def _weight(self, weight: Weight) -> dict[str, Any]:
        trains = weight.trainable and self.layer.trainable
        return {"name": weight.name, "shape": list(weight.shape), "params": weight.size, "trainable": trains}


def _listed(values: tuple[Any, ...] | None) -> list[Any] | None:
    return None if values is None else list(values)


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the layers. Weights of a layer that is used twice are counted once, its arithmetic twice."""

    layers: int
    params: int
    trainable_params: int
    macs: int
    training_macs: int
    flops: int
    activation_bytes: int
    weight_bytes: int
    recomputed_macs: int = 0  # forward multiplications that a training step does twice, beside ``training_macs``

    def to_dict(self) -> dict[str, int]:
        found = {name: getattr(self, name) for name in self.__slots__}
        return found if self.recomputed_macs else {k: v for k, v in found.items() if k != "recomputed_macs"}


@dataclass(frozen=True, slots=True)
class Analysis:
    """The whole answer for one model; plain data in ``to_dict``."""

    model: str
    source: str
    batch: int
    dtype: str
    mode: str
    optimizer: str | None
    layers: tuple[LayerCost, ...]
    totals: Totals
    memory: Memory
    findings: tuple[Finding, ...]
    graph: Graph
    interval: bool = False  # whether the simulated peaks are bounded by other orders, too
    executor: str = "graph"  # how the simulated step runs
    allocator: str = "requested"  # which bytes its peaks are in
    processor: Processor = AVX512  # whose kernels it runs on
    gradient_accumulation_steps: int = 0  # a training step updates the weights at every so many-th; 0: at each
    between_updates: bool = False  # of those training steps, one that only adds its gradients up is simulated

    @property
    def input_shapes(self) -> list[list[int | None]]:
        return [list(self.layers[i].output_shape) for i in self.graph.inputs]

    def _accumulation(self) -> dict[str, int]:
        steps = self.gradient_accumulation_steps
        return {"gradient_accumulation_steps": steps} if steps else {}

    def _on(self) -> dict[str, str]:
        """The processor, where the figures depend on it."""
        half = any(row.compute.name in ("float16", "bfloat16") for row in self.layers)
        return {"processor": self.processor.name} if half or not self.processor.wide else {}

    @property
    def ok(self) -> bool:
        """No finding is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The object that ``--format json`` prints."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "source": self.source,
            "batch": self.batch,
            "dtype": self.dtype,
            "mode": self.mode,
            "optimizer": self.optimizer,
            "executor": self.executor,
            "allocator": self.allocator,
            **self._accumulation(),
            **self._on(),
            "input_shapes": self.input_shapes,
            "totals": self.totals.to_dict(),
            "memory": self.memory.to_dict(),
            "layers": [layer.to_dict() for layer in self.with_peaks().layers],
            "findings": [finding.to_dict() for finding in (*self.findings, *self.memory.findings)],
        }

    def with_peaks(self) -> Analysis:
        """The same, every layer's row with the bytes that its buffers add to the simulated peak of this mode."""
        step = self.memory.runtime.of(self.mode)
        if step is None:
            return self
        found = step.by_layer()
        return replace(self, layers=tuple(replace(row, peak_bytes=found.get(row.name, 0)) for row in self.layers))

    def to_dataframe(self) -> pandas.DataFrame:
        """A pandas frame with one row for each layer. Raises MissingExtra without pandas."""
        from cnncost.errors import MissingExtra

        try:
            import pandas
        except ImportError as error:
            raise MissingExtra("pandas", "report") from error
        return pandas.DataFrame([layer.to_dict() for layer in self.with_peaks().layers])
