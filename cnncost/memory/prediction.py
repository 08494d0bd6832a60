"""What a prediction says."""

from __future__ import annotations

from dataclasses import dataclass

from cnncost.memory.sweep import Event, Held


@dataclass(frozen=True, slots=True)
class MemoryPrediction:
    """Requested bytes of one step over and above weights and input, as TensorFlow's graph executor would allocate."""

    mode: str
    peak_bytes: int
    events: tuple[Event, ...]
    peak_event: int  # index into events
    alive_at_peak: tuple[Held, ...]

    @property
    def peak_layer(self) -> str:
        """The layer that was running when the peak was reached."""
        return self.events[self.peak_event].op.layer if self.events else ""

    def by_layer(self) -> dict[str, int]:
        """What each layer's buffers add to the peak, largest first."""
        sums: dict[str, int] = {}
        for held in self.alive_at_peak:
            sums[held.op.layer] = sums.get(held.op.layer, 0) + held.bytes
        return dict(sorted(sums.items(), key=lambda item: -item[1]))
