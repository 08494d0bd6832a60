"""A figure as a file, whole or not at all; the same figure makes the same bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cnncost.errors import CnncostError, MissingExtra, one_of, printable
from cnncost.files import store_whole
from cnncost.results import Analysis

SUFFIXES = (".svg", ".png", ".pdf")
SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "cnncost", "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 10,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#d9dee6",
    "axes.axisbelow": True, "figure.constrained_layout.use": True, "text.parse_math": False,
}  # fmt: skip


def save(kind: str, analysis: Analysis, path: str, verification: Mapping[str, Any] | None = None) -> None:
    """Draw one figure into FILE.svg, FILE.png or FILE.pdf. Raises CnncostError for an unknown kind or ending, and
    MissingExtra without matplotlib."""
    from cnncost.report.plots.figures import KINDS

    one_of("figure", kind, KINDS)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise CnncostError(f"'{printable(path, 200)}' names no format of a figure",
                           rule=f"it ends in {', '.join(SUFFIXES)}")  # fmt: skip
    try:
        import matplotlib
    except ImportError as error:
        raise MissingExtra("matplotlib", "report") from error
    import warnings

    from matplotlib.figure import Figure

    with (
        warnings.catch_warnings(),
        matplotlib.rc_context({name: value for name, value in SETTINGS.items() if name in matplotlib.rcParams}),
    ):
        warnings.simplefilter("ignore")  # a name's sign that the font lacks
        figure = Figure(figsize=(9, 4))
        KINDS[kind](figure, analysis, verification)
        metadata = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}, ".pdf": {"CreationDate": None}}
        store_whole(path, lambda part: figure.savefig(part, dpi=150, metadata=metadata[suffix]), suffix)
