"""What contradicts itself without any claim: layers that nothing reads."""

from __future__ import annotations

from cnncost.analysis import Analysis
from cnncost.errors import printable
from cnncost.findings import WARNING, Finding

MOST = 20


def unread(analysis: Analysis) -> list[Finding]:
    """A warning for each layer that no layer reads and that is no output of the model."""
    read = {ref.layer for layer in analysis.graph.layers for ref in layer.inputs}
    read |= {ref.layer for ref in analysis.graph.outputs}
    dead = [row for i, row in enumerate(analysis.layers) if i not in read]
    found = [
        Finding(WARNING, f"nothing reads '{printable(row.name)}' and it is no output of the model; it is counted",
                row.name, row.layer.location)
        for row in dead[:MOST]
    ]  # fmt: skip
    if len(dead) > MOST:
        found.append(Finding(WARNING, f"nothing reads {len(dead) - MOST:,} more layers", None, analysis.graph.location))
    return found
