"""What the tool has to say about a model: one type for expectations, contradictions, budgets and remarks."""

from __future__ import annotations

from typing import Any, NamedTuple

from cnncost.errors import Location

ERROR, WARNING, INFO = "error", "warning", "info"


class Finding(NamedTuple):
    """One statement; ``error`` means an expectation or a budget does not hold."""

    severity: str
    message: str
    layer: str | None = None
    location: Location | None = None

    def to_dict(self) -> dict[str, Any]:
        return {
            "severity": self.severity,
            "layer": self.layer,
            "message": self.message,
            "location": str(self.location) if self.location else None,
        }
