"""One self-contained HTML page about one model: it opens from disk, asks no network, and tells its figures without
scripts too."""

from __future__ import annotations

from cnncost.report.html.page import Extras, render_page
from cnncost.report.options import Options
from cnncost.results import Analysis

__all__ = ["Extras", "render", "render_page"]


def render(analysis: Analysis, options: Options) -> str:
    """The page; it has every layer and is sorted and filtered in the browser."""
    return render_page(analysis)
