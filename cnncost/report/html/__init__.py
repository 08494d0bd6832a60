"""One self-contained HTML page about one model: it opens from disk, asks no network, and tells its figures without
scripts too."""

from __future__ import annotations

from cnncost.report.html.page import Extras, render_page

__all__ = ["Extras", "render_page"]
