"""What the rows of an analysis sum to."""

from __future__ import annotations

from collections.abc import Sequence

from cnncost.graph import Graph
from cnncost.memory_record import TextbookMemory
from cnncost.results import LayerCost, Totals


def totals(rows: Sequence[LayerCost]) -> Totals:
    """What the columns sum to; a shared layer's weights stand in its first row alone."""
    return Totals(
        layers=sum(not row.shared for row in rows),
        params=sum(row.params for row in rows),
        trainable_params=sum(row.trainable_params for row in rows),
        macs=sum(row.macs for row in rows),
        training_macs=sum(row.training_macs for row in rows),
        flops=sum(row.flops for row in rows),
        activation_bytes=sum(row.activation_bytes for row in rows),
        weight_bytes=sum(row.weight_bytes for row in rows),
        recomputed_macs=sum(row.recomputed_macs for row in rows),
    )


def textbook(rows: Sequence[LayerCost], graph: Graph) -> TextbookMemory:
    """All outputs in training; the largest layer input + output pair at inference."""
    pairs = [
        row.activation_bytes + sum(rows[i].activation_bytes for i in {ref.layer for ref in layer.inputs})
        for row, layer in zip(rows, graph.layers, strict=True)
    ]
    largest = max(range(len(pairs)), key=pairs.__getitem__)
    return TextbookMemory(sum(row.activation_bytes for row in rows), pairs[largest], rows[largest].name)
