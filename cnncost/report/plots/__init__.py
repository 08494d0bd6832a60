"""Figures of a model, drawn by matplotlib: one function for each, as SVG or PNG."""

from __future__ import annotations

from cnncost.report.plots.figures import KINDS
from cnncost.report.plots.files import save

__all__ = ["KINDS", "save"]
