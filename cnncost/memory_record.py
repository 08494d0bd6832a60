"""The memory figures of an answer: the textbook's, and what a simulated step says, as typed records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Protocol

from cnncost.choices import MODES
from cnncost.findings import Finding


@dataclass(frozen=True, slots=True)
class TextbookMemory:
    """The lecture's two bounds, in bytes for the whole batch: training keeps every output; at inference a layer's
    input and output live together, and nothing else."""

    training_bytes: int
    inference_bytes: int
    inference_layer: str  # the layer whose input and output are the largest pair

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class ResidentMemory:
    """What lives through a step, in bytes: all weights, in training the optimizer's variables, the input batch."""

    weights: int
    optimizer_slots: int
    inputs: int

    @property
    def total(self) -> int:
        return self.weights + self.optimizer_slots + self.inputs


class StepMemory(Protocol):
    """One simulated step, as ``cnncost.memory`` makes it (MemoryPrediction)."""

    @property
    def peak_bytes(self) -> int: ...

    @property
    def low_bytes(self) -> int: ...

    @property
    def high_bytes(self) -> int: ...

    @property
    def peak_layer(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]: ...

    def timeline(self) -> Iterator[tuple[Any, int, int, int]]: ...

    def by_category(self) -> dict[str, int]: ...

    def by_layer(self) -> dict[str, int]: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class RuntimeMemory:
    """What the simulation of TensorFlow's step says, in bytes, over and above weights and input; None where
    ``findings`` say why it is not known, or for a step that was not asked for."""

    inference: StepMemory | None = None
    training: StepMemory | None = None
    resident: ResidentMemory | None = None
    findings: tuple[Finding, ...] = ()

    def of(self, mode: str) -> StepMemory | None:
        """The step of a mode."""
        return self.training if mode == "training" else self.inference


@dataclass(frozen=True)
class Memory:
    """Memory figures: the textbook's at hand, the runtime's simulated when first asked for. ``simulate_training`` is
    the training step of an analysis whose mode is "inference": its peak alone is told, where somebody asks."""

    textbook: TextbookMemory
    simulate: Callable[[], RuntimeMemory] = field(default=RuntimeMemory, compare=False, repr=False)
    simulate_training: Callable[[], RuntimeMemory] | None = field(default=None, compare=False, repr=False)

    def simulated(self, simulate: Callable[[Sequence[str]], RuntimeMemory], mode: str) -> Memory:
        """The same figures with a simulation of the steps that belong to an analysis of a mode."""
        own = MODES if mode == "training" else ("inference",)
        aside = None if mode == "training" else partial(simulate, ("training",))
        return replace(self, simulate=partial(simulate, own), simulate_training=aside)

    @cached_property
    def runtime(self) -> RuntimeMemory:
        return self.simulate()

    @cached_property
    def _trained(self) -> RuntimeMemory:
        return self.simulate_training() if self.simulate_training else self.runtime

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Why a figure of either step is not known."""
        more = self._trained.findings if self.simulate_training else ()
        return (*self.runtime.findings, *more)

    @property
    def inference_peak_bytes(self) -> int | None:
        return self.runtime.inference.peak_bytes if self.runtime.inference else None

    @property
    def training_peak_bytes(self) -> int | None:
        return self._trained.training.peak_bytes if self._trained.training else None

    @property
    def resident(self) -> ResidentMemory | None:
        return self.runtime.resident

    @property
    def resident_bytes(self) -> int | None:
        return self.resident.total if self.resident else None

    def to_dict(self) -> dict[str, Any]:
        found = self.runtime
        trained = self._trained.training
        steps = {"inference": found.inference, "training": trained}
        return {
            "textbook": self.textbook.to_dict(),
            **{f"{mode}_peak_bytes": step.peak_bytes if step else None for mode, step in steps.items()},
            **{f"{mode}_peak_layer": step.peak_layer if step else None for mode, step in steps.items()},
            "resident_bytes": self.resident_bytes,
            "resident_weight_bytes": self.resident.weights if self.resident else None,
            "resident_slot_bytes": self.resident.optimizer_slots if self.resident else None,
            "resident_input_bytes": self.resident.inputs if self.resident else None,
            "inference": found.inference.to_dict() if found.inference else None,
            "training": found.training.to_dict() if found.training else None,
        }
