"""Claims of a source (``expect``) against the figures, and contradictions that need no claim."""

from __future__ import annotations

from dataclasses import replace

from cnncost.analysis import Analysis
from cnncost.errors import nearest, printable
from cnncost.expectations.metrics import LAYER, claim_text, figure_text, holds, model_figures
from cnncost.findings import ERROR, Finding
from cnncost.graph import Expected

__all__ = ["with_findings"]


def with_findings(analysis: Analysis) -> Analysis:
    """The analysis with a finding for each claim that does not hold."""
    found = [*_layer_claims(analysis), *_model_claims(analysis)]
    return replace(analysis, findings=(*analysis.findings, *found)) if found else analysis


def _unknown(expected: Expected, layer: str | None, known: list[str]) -> Finding:
    text = f"there is no figure '{printable(expected.metric)}' to expect; {nearest(expected.metric, known)}"
    return Finding(ERROR, text.rstrip("; "), layer, expected.location)


def _layer_claims(analysis: Analysis) -> list[Finding]:
    found = []
    for row in analysis.layers:
        for expected in row.layer.expects:
            if expected.metric not in LAYER:
                found.append(_unknown(expected, row.name, list(LAYER)))
                continue
            actual = LAYER[expected.metric](row)
            if not holds(expected, actual):
                text = f"expected {expected.metric} {claim_text(expected)}, computed {figure_text(actual)}"
                found.append(Finding(ERROR, text, row.name, expected.location or row.layer.location))
    return found


def _model_claims(analysis: Analysis) -> list[Finding]:
    figures = model_figures(analysis) if analysis.graph.expects else {}
    found = []
    for expected in analysis.graph.expects:
        if expected.metric not in figures:
            found.append(_unknown(expected, None, list(figures)))
        elif not holds(expected, figures[expected.metric]):
            text = (
                f"expected {expected.metric} {claim_text(expected)}, computed {figure_text(figures[expected.metric])}"
            )
            found.append(Finding(ERROR, text, None, expected.location or analysis.graph.location))
    return found
