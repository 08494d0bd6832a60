"""Claims of a source (``expect``) against the figures, and contradictions that need no claim."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from cnncost.analysis import Analysis
from cnncost.errors import CnncostError, nearest, printable
from cnncost.expectations.contradictions import unread
from cnncost.expectations.metrics import LAYER, SHAPED, holds, model_figures, sensible
from cnncost.findings import ERROR, INFO, Finding
from cnncost.graph import Expected

__all__ = ["with_findings"]

REMEDIED = 200  # broken claims for which remedies are searched


def with_findings(analysis: Analysis) -> Analysis:
    """The analysis with a finding for each claim that does not hold, and for each contradiction."""
    found = [*_layer_claims(analysis), *_model_claims(analysis), *_set_aside(analysis), *unread(analysis)]
    return replace(analysis, findings=(*analysis.findings, *found)) if found else analysis


def _binding(analysis: Analysis, expected: Expected) -> bool:
    """Claims describe the model as written: another input or variable sets them aside, and another batch or dtype those
    in bytes."""
    same = analysis.batch == 1 and analysis.dtype == analysis.graph.dtype
    return analysis.graph.as_written and (same or not expected.metric.endswith("_bytes"))


def _set_aside(analysis: Analysis) -> list[Finding]:
    """One remark for the claims that were not checked."""
    claims = [*analysis.graph.expects, *(claim for row in analysis.layers for claim in row.layer.expects)]
    aside = sum(not _binding(analysis, claim) for claim in claims)
    if not aside:
        return []
    words = "1 claim describes" if aside == 1 else f"{aside:,} claims describe"
    reason = "the input, a variable, the batch or the dtype was given"
    return [Finding(INFO, f"{words} the model as written and {'was' if aside == 1 else 'were'} not checked: {reason}")]


def _meaningful(expected: Expected, known: Iterable[str]) -> None:
    """Refuse a claim about a figure that does not exist, or of a value that the figure cannot have."""
    if expected.metric not in known:
        raise CnncostError(
            f"there is no figure '{printable(expected.metric)}' to expect", rule=f"the figures are {', '.join(known)}",
            nearest=nearest(expected.metric, known), location=expected.location,
        )  # fmt: skip
    if not sensible(expected.metric, expected.value):
        shaped = expected.metric in SHAPED
        form = "a list of whole numbers" if shaped else "a whole number, or a rounded one such as 25.6M"
        if expected.metric == "dtype":
            form = "a type's name such as float32"
        raise CnncostError(
            f"a wrong claim about {expected.metric}", rule=f"it is {form}",
            received=printable(list(v) if isinstance(v := expected.value, tuple) else v), location=expected.location,
        )  # fmt: skip


def _layer_claims(analysis: Analysis) -> list[Finding]:
    found: list[Finding] = []
    left: list[int] | None = None
    for index, row in enumerate(analysis.layers):
        for expected in row.layer.expects:
            _meaningful(expected, LAYER)
            if not _binding(analysis, expected):
                continue
            actual = LAYER[expected.metric](row)
            if not holds(expected, actual):
                if left is None:
                    from cnncost.expectations.trial import BUDGET

                    left = [BUDGET]
                text = _broken(analysis, index, expected, actual, left, len(found) < REMEDIED)
                found.append(Finding(ERROR, text, row.name, expected.location or row.layer.location))
    return found


def _broken(analysis: Analysis, index: int, expected: Expected, actual: Any, left: list[int], search: bool) -> str:
    """The text of a broken claim; the search for remedies is loaded only when a claim is broken."""
    from cnncost.expectations.remedies import remedies
    from cnncost.expectations.trial import FIGURES, Trial
    from cnncost.expectations.wording import message

    trial = Trial(analysis, index, expected, left)
    found = remedies(trial) if search and expected.metric in FIGURES else []
    return message(trial, actual, found)


def _model_claims(analysis: Analysis) -> list[Finding]:
    claims = analysis.graph.expects
    figures = model_figures(analysis, {claim.metric for claim in claims}) if claims else {}
    found = []
    for expected in analysis.graph.expects:
        _meaningful(expected, figures)
        if not _binding(analysis, expected):
            continue
        if not holds(expected, figures[expected.metric]):
            from cnncost.expectations.model import message

            text = message(analysis, expected, figures[expected.metric])
            found.append(Finding(ERROR, text, None, expected.location or analysis.graph.location))
    return found
